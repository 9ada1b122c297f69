# Parse: whole lines to event rows.
#
# The scanner finds the tokens, a record is taken by its shape or walked, what strings hold JSON is read the same
# way, and the record is judged.


cdef bint _make_tokens(ff_tokens* scanned, size_t* room, size_t text_bytes) noexcept nogil:
    """Room for what a scan of a text may find."""
    cdef size_t line_room = room[0]
    if not _grow(<void**> &scanned.lines, sizeof(uint32_t), &line_room, text_bytes + FF_SCAN_PADDING):
        return False
    return _grow(<void**> &scanned.tokens, sizeof(uint32_t), room, text_bytes + FF_SCAN_PADDING)


cdef bint _open_embedded(Parse* p, const Embedded* embedded) noexcept nogil:
    """Read the JSON in a string as if it stood there; false when it is not one object."""
    cdef const Slot* slot = &p.slots[embedded.slot]
    cdef ff_tokens* found = &p.embedded_scanned
    cdef uint8_t* text = p.embedded.data + p.embedded.size
    cdef uint32_t length, i
    cdef bint odd
    length = _decode_text(slot.text, slot.length, text, &odd)
    # Line feeds are white space between tokens here, and a fault in strings as any control character.
    for i in range(length):
        if text[i] == c'\n':
            text[i] = c'\r'
    text[length] = c'\n'
    p.embedded.size += length + 1
    if p.scan(text, length + 1, found) != FF_SCAN_OK or found.token_count == 1 or text[found.tokens[0]] != c'{':
        return False
    found.token_count -= 1
    if _take_shape(p, text, found.tokens, found.token_count, embedded.child):
        return True
    if _walk_record(p, text, found.tokens, embedded.child) != OK:
        return False
    _learn_shape(p, text, found.tokens, found.token_count, embedded.child, embedded.below, embedded.below_end)
    return True


cdef Status _open_all_embedded(Parse* p, bint* is_bad) noexcept nogil:
    """Read what strings hold JSON; of one that does not, nothing counts."""
    cdef const Embedded* embedded
    cdef const Slot* slot
    cdef uint32_t i, j
    cdef size_t room = 0
    for i in range(p.plan.embedded_count):
        slot = &p.slots[p.plan.embedded[i].slot]
        if slot.epoch == p.epoch:
            room += 3 * <size_t> slot.length + 1 + FF_SCAN_PADDING
    # Slots point into this text: it must not move while there is more to read.
    p.embedded.size = 0
    if room == 0:
        return OK
    if not _reserve(&p.embedded, room) or not _make_tokens(&p.embedded_scanned, &p.embedded_token_room, room):
        return NO_MEMORY
    for i in range(p.plan.embedded_count):
        embedded = &p.plan.embedded[i]
        slot = &p.slots[embedded.slot]
        # A string, not a bare value, and not the first one of an array.
        if slot.epoch != p.epoch or slot.bracket != NULL or (slot.text - 1)[0] != c'"':
            continue
        if not _open_embedded(p, embedded):
            is_bad[0] = True
            p.fault.limit = 0
            for j in range(embedded.below, embedded.below_end):
                p.slots[j].epoch = 0
    return OK


cdef Status _parse_record(Parse* p, const uint32_t* tokens, uint32_t count) noexcept nogil:
    """Parse the record of these tokens; behind them is its line feed."""
    cdef bint is_object = p.text[tokens[0]] == c'{'
    cdef bint embedded_is_bad = False
    cdef int outcome = OUTCOME_NOT_OBJECT
    cdef Status status
    p.epoch += 1
    if not _take_shape(p, p.text, tokens, count, ROOT):
        status = _walk_record(p, p.text, tokens, ROOT)
        if status != OK:
            return status
        if is_object:
            _learn_shape(p, p.text, tokens, count, ROOT, 0, p.plan.slot_count)
    p.records += 1
    if is_object:
        if p.plan.embedded_count:
            status = _open_all_embedded(p, &embedded_is_bad)
            if status != OK:
                return status
        p.fault.offset = tokens[0]
        status = _judge_record(p, embedded_is_bad, &outcome)
        if status != OK:
            return status
        if p.strings.text.size + p.strings.raw_bytes.size > p.plan.text_total_bytes:
            p.fault.limit = p.plan.text_total_bytes
            return TOO_MUCH_TEXT
    if outcome != NOWHERE:
        p.outcomes[outcome] += 1
    return OK


cdef Status _parse_lines(Parse* p, const uint8_t* text, uint32_t size) noexcept nogil:
    """Parse whole lines; the last byte is a line feed, behind it FF_SCAN_PADDING bytes can be read."""
    cdef ff_tokens* found = &p.scanned
    cdef uint32_t line_start = 0
    cdef uint32_t first = 0
    cdef uint32_t line, feed
    cdef int scanned
    cdef Status status
    if not _make_tokens(found, &p.token_room, size):
        return NO_MEMORY
    p.text = text
    p.text_size = size
    scanned = p.scan(text, size, found)
    # Lines before a faulty one come first: the first fault of a file is the one that is told.
    for line in range(found.line_count):
        feed = found.lines[line]
        if feed > first:
            status = _parse_record(p, found.tokens + first, feed - first)
            if status != OK:
                return status
        if found.tokens[feed] - line_start > p.plan.record_bytes:
            p.fault.offset = line_start
            p.fault.limit = p.plan.record_bytes
            return RECORD_TOO_LONG
        line_start = found.tokens[feed] + 1
        first = feed + 1
        p.lines += 1
    if scanned == FF_SCAN_OK:
        return OK
    p.fault.offset = found.error_at
    if scanned == FF_SCAN_ESCAPE:
        return JSON_ESCAPE
    return JSON_UNTERMINATED if scanned == FF_SCAN_UNTERMINATED else JSON_CONTROL
