# Probe: what tests of hostile keys ask of the tables, and a benchmark of a search.  Nothing else uses it.
#
# Cost is counted in steps: places of a table that are looked at to find what is in it.


def _use_secret(bytes secret=None):
    """Hash texts of files begun from now on with 32 known bytes, or with ones drawn anew."""
    cdef int i
    if secret is None:
        _choose_secret()
        return
    for i in range(4):
        _secret[i] = int.from_bytes(secret[8 * i : 8 * i + 8], "little")


cdef uint64_t _steps_from(uint32_t home, uint32_t slot, uint32_t mask) noexcept nogil:
    return ((slot - home) & mask) + 1


def _search_steps(Reader reader not None):
    """Of the file in work, by table: how many it holds, and the steps to find each of them once."""
    cdef const Strings* s = &reader.parse.strings
    cdef const Pairs* pairs = &reader.parse.processes
    cdef uint64_t texts = 0
    cdef uint64_t raws = 0
    cdef uint64_t processes = 0
    cdef uint32_t slot, number
    for slot in range(s.mask + 1):
        number = s.table[slot]
        if number:
            texts += _steps_from(<uint32_t> s.hashes[number] & s.mask, slot, s.mask)
    for slot in range(s.raw_mask + 1):
        number = s.raw_table[slot]
        if number:
            raws += _steps_from(<uint32_t> s.raws[number - 1].hash & s.raw_mask, slot, s.raw_mask)
    for slot in range(pairs.mask + 1):
        number = pairs.table[slot]
        if number:
            processes += _steps_from(_pair_home(pairs, pairs.keys[number]), slot, pairs.mask)
    return {
        "texts": (s.count - 1, texts),
        "raw texts": (s.raw_count, raws),
        "processes": (pairs.count, processes),
    }


def _longest_key_search(Plan plan not None):
    """The most steps that any key of a record can cost in any table of wanted keys."""
    cdef uint32_t longest = 0
    cdef uint32_t run, slot
    cdef const Node* node
    cdef const KeyEntry* entries
    for number in range(plan.c.kinds_node + 1):
        node = &plan.c.nodes[number]
        entries = plan.c.entries + node.first
        run = 0
        for slot in range(2 * (node.mask + 1)):   # twice round: a run may go over the end
            run = run + 1 if entries[slot & node.mask].used else 0
            longest = max(longest, run)
    return longest + 1


def _patterns_found(Matching matching not None):
    """Code and pattern of what the last search found, ascending, as one number: code << 32 | pattern."""
    cdef size_t i
    cdef uint32_t code
    found = []
    for code in range(1, matching.text_count):
        for i in range(matching.hit_ends[code - 1], matching.hit_ends[code]):
            found.append(<uint64_t> code << 32 | matching.hits[i])
    return sorted(found)
