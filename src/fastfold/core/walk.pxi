# Walk: the grammar of RFC 8259 over the tokens of one record.
#
# A record is walked once, token by token; strings were checked by the scanner.  Values under wanted keys are
# noted as (place, length) in slots; everything else is stepped over.
#
#   window   ...{"Hostname":"a","ProcessGuid":"{1F...}","Message":"..."}\n{"Host...
#   tokens      ^^         ^^  ^^            ^^        ^^        ^^     ^ ^
#   slots       Hostname -> (at, length), ProcessGuid -> (at, length)
#
# A slot is present in the record when its epoch is the record's: nothing is cleared between records.
# The walk is a loop, not a recursion: depth costs two bytes a level.

cdef enum:
    MAX_DEPTH = 1024
    MAX_RECORD_BYTES = 1 << 30
    MAX_TEXT_TOTAL = 1 << 30       # codes address texts with 32 bits


cdef uint32_t _string_end(const uint8_t* text, uint32_t next_token) noexcept nogil:
    """Place of the quote that closes a string: only white space lies between it and the next token."""
    cdef uint32_t at = next_token - 1
    while text[at] != c'"':
        at -= 1
    return at


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


cdef void _note(Parse* p, int slot, uint32_t at, uint32_t length) noexcept nogil:
    """A wanted value: empty is absent."""
    p.slot_epoch[slot] = p.epoch if length else 0
    p.slot_at[slot] = at
    p.slot_length[slot] = length


cdef void _forget_below(Parse* p, const KeyEntry* entry) noexcept nogil:
    """A key came again: what was found below its first value does not count, the last value does."""
    cdef uint32_t number = <uint32_t> (entry - p.plan.entries)
    cdef uint32_t slot
    if p.entry_epoch[number] == p.epoch:
        for slot in range(entry.below, entry.below_end):
            p.slot_epoch[slot] = 0
    p.entry_epoch[number] = p.epoch


cdef Status _read_key(Parse* p, int node, uint32_t at, uint32_t end, const KeyEntry** entry) noexcept nogil:
    """Look up the key whose text lies in [at, end)."""
    cdef const uint8_t* text = p.window
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


cdef Status _note_value(Parse* p, int slot, const uint32_t* token) noexcept nogil:
    """Note the value that starts at `token`, or that it is absent, before it is walked."""
    cdef const uint8_t* text = p.window
    cdef uint32_t at = token[0]
    cdef uint32_t end
    cdef uint8_t first = text[at]
    cdef Status status
    if first == c'[':
        # An array counts as its first element, if that is a scalar.
        token += 1
        at = token[0]
        first = text[at]
        if first == c'[':
            first = c'{'
    if first == c'"':
        _note(p, slot, at + 1, _string_end(text, token[1]) - at - 1)
    elif first == c'{' or first == c']' or first == c'n':
        p.slot_epoch[slot] = 0
    else:
        status = _check_scalar(text, at, &end)
        if status != OK:
            p.fault.offset = at
            return status
        _note(p, slot, at, end - at)
    return OK


cdef Status _walk_record(Parse* p, const uint32_t** token_io, bint* is_object) noexcept nogil:
    """Walk one record from its first token to the line feed behind it.

    token_io   IN/OUT  first token of the record; the token of its line feed
    is_object  OUT     whether the record is an object
    p.fault.offset     OUT  place in the window, when the status is not OK
    """
    cdef const uint8_t* text = p.window
    cdef const uint32_t* token = token_io[0]
    cdef const KeyEntry* entry = NULL
    cdef int16_t nodes[MAX_DEPTH + 1]
    cdef uint32_t depth = 0
    cdef int slot = NOWHERE
    cdef int child = ROOT
    cdef uint32_t end
    cdef uint8_t first
    cdef bint in_member = False
    cdef Status status
    is_object[0] = text[token[0]] == c'{'
    while True:
        if in_member:
            p.fault.offset = token[0]
            if text[token[0]] != c'"':
                return JSON_KEY
            end = _string_end(text, token[1])
            status = _read_key(p, nodes[depth], token[0] + 1, end, &entry)
            if status != OK:
                return status
            token += 1
            if text[token[0]] != c':':
                p.fault.offset = token[0]
                return JSON_COLON
            token += 1
            slot = child = NOWHERE
            if entry != NULL:
                slot = entry.slot
                child = entry.child
                if child != NOWHERE:
                    _forget_below(p, entry)
                if slot != NOWHERE:
                    status = _note_value(p, slot, token)
                    if status != OK:
                        return status

        first = text[token[0]]
        if first == c'"':
            token += 1
        elif first == c'{' or first == c'[':
            depth += 1
            if depth > p.plan.depth:
                p.fault.offset = token[0]
                p.fault.limit = p.plan.depth
                return JSON_DEPTH
            nodes[depth] = child if first == c'{' else IN_ARRAY
            token += 1
            in_member = first == c'{'
            child = NOWHERE
            if text[token[0]] != (c'}' if in_member else c']'):
                continue
            depth -= 1
            token += 1
        elif first == c'\n':
            p.fault.offset = token[0]
            return JSON_ENDED
        else:
            status = _check_scalar(text, token[0], &end)
            if status != OK:
                p.fault.offset = token[0]
                return status
            token += 1

        # A value has ended: a comma, or the ends of what it lies in.
        while True:
            first = text[token[0]]
            if depth == 0:
                token_io[0] = token
                if first == c'\n':
                    return OK
                p.fault.offset = token[0]
                return JSON_TRAILING
            in_member = nodes[depth] != IN_ARRAY
            if first == c',':
                token += 1
                child = NOWHERE
                break
            if first != (c'}' if in_member else c']'):
                p.fault.offset = token[0]
                return JSON_ENDED if first == c'\n' else JSON_COMMA
            depth -= 1
            token += 1
