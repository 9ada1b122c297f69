# Conditions: what events meet, by the patterns that their texts meet.
#
# Truth of an event depends on little: its kind, and for each of its texts the set of *atoms* that hold, an atom
# being a comparison of one column.  Few such combinations come up in a file, so each is judged once:
#
#   text     -> set of patterns it meets                 (Matching.text_sets, by code)
#   set      -> for each column its set of atoms         (Matching.projected, KEY_WORDS a set)
#   event    -> key: kind, set of atoms of each column   -> number of a combination
#   combination -> the steps it meets                    (judged when the key is new)
#
# A step is judged only for combinations with an atom that it cannot do without (its guards); the few steps that
# have none are judged for each.  A condition is a tree in one array, each node before its parts:
#
#   | op | words of the node and all below | argument, or parts ... |


cdef enum:
    NODE_ATOM = 0
    NODE_KINDS = 1
    NODE_EXISTS = 2
    NODE_ALL = 3
    NODE_ANY = 4
    NODE_NOT = 5
    KEY_WORDS = 18              # kind, columns, process, host; one to spare
    KEY_PROCESS = 15
    KEY_HOST = 16
    NOTHING_MET = 1             # number of the empty set
    COLUMN_COUNT = 14           # len(COLUMNS), checked below

# By the numbers above.
cdef tuple _NODES = ("atom", "kinds", "exists", "all", "any", "not")

#: Where a key has what rules ask for; its first word is the kind.
KEY_PLACES = {name: 1 + number for number, name in enumerate(COLUMNS)} | {"process": KEY_PROCESS, "host": KEY_HOST}


cdef int _check_keys() except -1:
    if len(COLUMNS) != COLUMN_COUNT or 1 + COLUMN_COUNT > KEY_PROCESS or KEY_HOST >= KEY_WORDS:
        raise ImportError("fastfold: columns of types.py are not those that keys were laid out for")
    return 0


_check_keys()


cdef bint _node_holds(const int32_t* node, const Judged* judged) noexcept nogil:
    """Whether a combination meets a condition."""
    cdef const int32_t* end = node + node[1]
    cdef const int32_t* part = node + 2
    if node[0] == NODE_ATOM:
        return judged.atom_epochs[part[0]] == judged.epoch
    if node[0] == NODE_KINDS:
        return part[0] >> judged.key[0] & 1
    if node[0] == NODE_EXISTS:
        return judged.key[part[0]] != 0
    if node[0] == NODE_NOT:
        return not _node_holds(part, judged)
    while part < end:
        if _node_holds(part, judged) != (node[0] == NODE_ALL):
            return node[0] == NODE_ANY
        part += part[1]
    return node[0] == NODE_ALL


cdef void _judge_step(const CConditions* c, Judged* judged, uint32_t step) noexcept nogil:
    if judged.step_epochs[step] == judged.epoch:
        return
    judged.step_epochs[step] = judged.epoch
    if _node_holds(c.nodes + c.step_nodes[step], judged):
        judged.met[judged.met_count] = step
        judged.met_count += 1


cdef void _judge(const CConditions* c, const Sets* atoms, Judged* judged) noexcept nogil:
    """Find the steps that a key meets, in ascending order."""
    cdef const uint32_t* items
    cdef uint32_t word, i, j, count
    judged.epoch += 1
    judged.met_count = 0
    for word in range(1, KEY_WORDS):
        if judged.key[word]:
            items = _set_items(atoms, judged.key[word], &count)
            for i in range(count):
                judged.atom_epochs[items[i]] = judged.epoch
    for i in range(c.always_count):
        _judge_step(c, judged, c.always[i])
    for word in range(1, KEY_WORDS):
        if judged.key[word]:
            items = _set_items(atoms, judged.key[word], &count)
            for i in range(count):
                for j in range(c.guarded_ends[items[i]], c.guarded_ends[items[i] + 1]):
                    _judge_step(c, judged, c.guarded[j])
    _sort_numbers(judged.met, judged.met_count)


# --- combinations ---

cdef bint _init_combinations(Combinations* c) noexcept nogil:
    if not _grow32(<void**> &c.keys, KEY_WORDS * sizeof(uint32_t), &c.room, 256):
        return False
    c.met = <uint32_t*> malloc(c.room * sizeof(uint32_t))
    if c.met == NULL or not _new_table(&c.table, &c.mask, 512):
        return False
    c.count = 0
    return True


cdef void _clear_combinations(Combinations* c) noexcept nogil:
    c.count = 0
    _clear_table(c.table, c.mask)


cdef void _free_combinations(Combinations* c) noexcept nogil:
    free(c.keys)
    free(c.met)
    free(c.table)


cdef uint32_t _find_combination(const Combinations* c, const uint32_t* key, uint32_t* slot) noexcept nogil:
    """1 + number of a combination, or 0 and the free slot for it."""
    cdef uint32_t number
    slot[0] = <uint32_t> _hash(<const uint8_t*> key, KEY_WORDS * sizeof(uint32_t)) & c.mask
    while c.table[slot[0]] != 0:
        number = c.table[slot[0]]
        if memcmp(c.keys + (number - 1) * <size_t> KEY_WORDS, key, KEY_WORDS * sizeof(uint32_t)) == 0:
            return number
        slot[0] = (slot[0] + 1) & c.mask
    return 0


cdef bint _add_combination(Combinations* c, const uint32_t* key, uint32_t slot, uint32_t met) noexcept nogil:
    """Add a key that is new; `met` is the number of the set of steps it meets."""
    cdef uint32_t number, free_slot
    cdef uint32_t room = c.room
    if not _grow32(<void**> &c.met, sizeof(uint32_t), &room, <size_t> c.count + 1):
        return False
    if not _grow32(<void**> &c.keys, KEY_WORDS * sizeof(uint32_t), &c.room, <size_t> c.count + 1):
        return False
    memcpy(c.keys + c.count * <size_t> KEY_WORDS, key, KEY_WORDS * sizeof(uint32_t))
    c.met[c.count] = met
    c.count += 1
    c.table[slot] = c.count
    if 2 * c.count <= c.mask:
        return True
    if not _new_table(&c.table, &c.mask, 2 * (c.mask + 1)):
        return False
    for number in range(1, c.count + 1):
        _find_combination(c, c.keys + (number - 1) * <size_t> KEY_WORDS, &free_slot)
        c.table[free_slot] = number
    return True
