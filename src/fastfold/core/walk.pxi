# Walk: the grammar of RFC 8259 over the text of one record.
#
# A record is walked once, byte by byte outside strings and from mark to mark over them: what is in strings was
# checked by the scanner.  Values under wanted keys are noted in slots; everything else is stepped over.
#
#   text     {"Hostname":"a","ProcessGuid":"{1F...}","Message":"..."}\n
#   marks     ^        ^ ^ ^ ^           ^ ^       ^ ^       ^ ^   ^  ^
#   slots    Hostname -> (text, length), ProcessGuid -> (text, length)
#
# A slot is present in the record when its epoch is the record's: nothing is cleared between records.
# The walk is a loop, not a recursion: depth costs ten bytes a level.

cdef enum:
    MAX_DEPTH = 1024
    MAX_RECORD_BYTES = 1 << 30
    MAX_TEXT_TOTAL = 1 << 30       # codes address texts with 32 bits


cdef Status _check_strings(Parse* p, const uint8_t* text, const uint32_t* marks, uint32_t count) noexcept nogil:
    """Tell the fault in the strings of a line, if there is one; behind `count` marks is its line feed."""
    cdef uint32_t i, at, escape
    cdef bint inside = False
    for i in range(count + 1):
        at = marks[i]
        if text[at] == c'"':
            inside = not inside
            continue
        p.fault.offset = at
        if inside:
            escape = at
            while text[escape - 1] == c'\\':
                escape -= 1
            if (at - escape) & 1:
                return JSON_ESCAPE
            return JSON_UNTERMINATED if text[at] == c'\n' else JSON_CONTROL
        # A backslash outside strings is for the walk to find.
        if text[at] < 0x20 and not _is_space(text[at]):
            return JSON_CONTROL
    return OK


cdef const uint32_t* _mark_from(const uint32_t* mark, uint32_t at) noexcept nogil:
    """The first mark from here on that does not lie before a place."""
    while mark[0] < at:
        mark += 1
    return mark


cdef const KeyEntry* _find_key(const CPlan* plan, int node, const uint8_t* key, uint32_t length) noexcept nogil:
    """The entry of a decoded key, or NULL; reads up to 8 bytes over the key's end."""
    cdef const Node* table = &plan.nodes[node]
    cdef uint32_t place = <uint32_t> _key_hash(key, length) & table.mask
    cdef const KeyEntry* entry = &plan.entries[table.first + place]
    while entry.used:
        if entry.key_length == length and memcmp(plan.key_bytes + entry.key_at, key, length) == 0:
            return entry
        place = (place + 1) & table.mask
        entry = &plan.entries[table.first + place]
    return NULL


cdef void _note(
    Slot* slot, uint32_t epoch, const uint8_t* text, uint32_t length, const uint8_t* bracket
) noexcept nogil:
    """A wanted value: empty is absent."""
    slot.epoch = epoch if length else 0
    slot.text = text
    slot.length = length
    slot.bracket = bracket


cdef void _forget_below(Parse* p, const KeyEntry* entry) noexcept nogil:
    """A key came again: what was found below its first value does not count, the last value does."""
    cdef uint32_t number = <uint32_t> (entry - p.plan.entries)
    cdef uint32_t slot
    if p.entry_epoch[number] == p.epoch:
        for slot in range(entry.below, entry.below_end):
            p.slots[slot].epoch = 0
            p.slots[slot].writer_epoch = 0
    p.entry_epoch[number] = p.epoch


cdef Status _read_key(
    Parse* p, const uint8_t* text, int node, uint32_t at, uint32_t end, const KeyEntry** entry
) noexcept nogil:
    """Look up the key whose text lies in [at, end)."""
    cdef uint32_t length = end - at
    cdef bint odd
    if _is_plain(text + at, length):
        entry[0] = _find_key(p.plan, node, text + at, length) if node >= 0 else NULL
        return OK
    if not _is_utf8(text + at, length):
        return KEY_UTF8
    entry[0] = NULL
    if node >= 0:
        p.scratch.size = 0
        if not _reserve(&p.scratch, 3 * length):
            return NO_MEMORY
        length = _decode_text(text + at, length, p.scratch.data, &odd)
        entry[0] = _find_key(p.plan, node, p.scratch.data, length)
    return OK


cdef Status _note_value(
    Parse* p, const uint8_t* text, uint32_t at, const uint32_t* mark, int number
) noexcept nogil:
    """Note in a slot the value that starts at a place, or that it is absent, before it is walked."""
    cdef Slot* slot = &p.slots[number]
    cdef const uint8_t* bracket = NULL
    cdef uint32_t end
    cdef uint8_t first = text[at]
    cdef Status status
    if first == c'[':
        # An array counts as its first element, if that is a scalar.
        bracket = text + at
        at = _skip_space(text, at + 1)
        first = text[at]
    if first == c'{' or first == c'[' or first == c']':
        slot.epoch = 0
        slot.writer_epoch = 0
        return OK
    slot.writer = at
    slot.writer_epoch = p.epoch
    if first == c'"':
        _note(slot, p.epoch, text + at + 1, _mark_from(mark, at)[1] - at - 1, bracket)
        return OK
    status = _check_scalar(text, at, &end)
    if status != OK:
        p.fault.offset = at
        return status
    # null is absent.
    _note(slot, p.epoch, text + at, 0 if first == c'n' else end - at, bracket)
    return OK


cdef Status _walk_record(
    Parse* p, const uint8_t* text, uint32_t at, const uint32_t* mark, int root
) noexcept nogil:
    """Walk one record to the line feed behind it.

    text             IN
    at               IN   where it starts
    mark             IN   its first; its strings are sound
    root             IN   node of the keys of the record
    p.fault.offset   OUT  place in the text, when the status is not OK
    """
    cdef const KeyEntry* entry = NULL
    cdef const KeyEntry* last = NULL
    cdef int16_t nodes[MAX_DEPTH + 1]
    cdef const KeyEntry* lasts[MAX_DEPTH + 1]   # of arrays: the key whose last element counts
    cdef uint32_t depth = 0
    cdef int child = root
    cdef uint32_t end
    cdef uint8_t first
    cdef bint in_member = False
    cdef Status status
    while True:
        if in_member:
            p.fault.offset = at
            if text[at] != c'"':
                return JSON_KEY
            mark = _mark_from(mark, at)
            status = _read_key(p, text, nodes[depth], at + 1, mark[1], &entry)
            if status != OK:
                return status
            at = _skip_space(text, mark[1] + 1)
            mark += 2
            if text[at] != c':':
                p.fault.offset = at
                return JSON_COLON
            at = _skip_space(text, at + 1)
            child = NOWHERE
            last = NULL
            if entry != NULL:
                if entry.child != NOWHERE:
                    _forget_below(p, entry)
                    if entry.is_last:
                        last = entry
                    else:
                        child = entry.child
                if entry.slot != NOWHERE:
                    status = _note_value(p, text, at, mark, entry.slot)
                    if status != OK:
                        return status
        elif depth and nodes[depth] == IN_ARRAY and lasts[depth] != NULL:
            # What was found in the element before does not count.
            _forget_below(p, lasts[depth])
            child = lasts[depth].child

        first = text[at]
        if first == c'"':
            mark = _mark_from(mark, at)
            at = mark[1] + 1
            mark += 2
        elif first == c'{' or first == c'[':
            depth += 1
            if depth > p.plan.depth:
                p.fault.offset = at
                p.fault.limit = p.plan.depth
                return JSON_DEPTH
            in_member = first == c'{'
            nodes[depth] = child if in_member else IN_ARRAY
            lasts[depth] = last
            child = NOWHERE
            last = NULL
            at = _skip_space(text, at + 1)
            if text[at] != (c'}' if in_member else c']'):
                continue
            depth -= 1
            at += 1
        elif first == c'\n':
            p.fault.offset = at
            return JSON_ENDED
        else:
            status = _check_scalar(text, at, &end)
            if status != OK:
                p.fault.offset = at
                return status
            at = end

        # A value has ended: a comma, or the ends of what it lies in.
        while True:
            at = _skip_space(text, at)
            first = text[at]
            if depth == 0:
                if first == c'\n':
                    return OK
                p.fault.offset = at
                return JSON_TRAILING
            in_member = nodes[depth] != IN_ARRAY
            if first == c',':
                at = _skip_space(text, at + 1)
                child = NOWHERE
                break
            if first != (c'}' if in_member else c']'):
                p.fault.offset = at
                return JSON_ENDED if first == c'\n' else JSON_COMMA
            depth -= 1
            at += 1
