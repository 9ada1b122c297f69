# Parse: whole lines to event rows.
#
# The scanner finds the marks, a record is taken by its shape or walked, what strings hold JSON is read the same
# way, and the record is judged.


cdef bint _make_marks(ff_marks* scanned, size_t* room, size_t text_bytes) noexcept nogil:
    """Room for what a scan of a text may find."""
    cdef size_t line_room = room[0]
    if not _grow(<void**> &scanned.lines, sizeof(uint32_t), &line_room, text_bytes + FF_SCAN_PADDING):
        return False
    return _grow(<void**> &scanned.marks, sizeof(uint32_t), room, text_bytes + FF_SCAN_PADDING)


cdef Status _read_json(
    Parse* p, const uint8_t* text, uint32_t at, const uint32_t* marks, uint32_t count, int node,
    uint32_t first_slot, uint32_t end_slot
) noexcept nogil:
    """Note the wanted values of the JSON text at `at`; behind `count` marks is its line feed."""
    cdef Status status
    if _take_shape(p, text, at, marks, count, node):
        return OK
    status = _check_strings(p, text, marks, count)
    if status == OK:
        status = _walk_record(p, text, at, marks, node)
    if status == OK and text[at] == c'{':
        _learn_shape(p, text, at, marks, count, node, first_slot, end_slot)
    return status


cdef bint _open_embedded(Parse* p, const Embedded* embedded) noexcept nogil:
    """Read the JSON in a string as if it stood there; false when it is not one object."""
    cdef const Slot* slot = &p.slots[embedded.slot]
    cdef ff_marks* found = &p.embedded_scanned
    cdef uint8_t* text = p.embedded.data + p.embedded.size
    cdef const uint32_t* marks
    cdef uint32_t length, i, start, count
    cdef bint odd
    length = _decode_text(slot.text, slot.length, text, &odd)
    # Line feeds are white space between tokens here, and a fault in strings as any control character.
    for i in range(length):
        if text[i] == c'\n':
            text[i] = c'\r'
    text[length] = c'\n'
    p.embedded.size += length + 1
    start = _skip_space(text, 0)
    if text[start] != c'{':
        return False
    p.scan(text, length + 1, found)
    marks = _mark_from(found.marks, start)
    count = found.mark_count - 1 - <uint32_t> (marks - found.marks)
    return _read_json(p, text, start, marks, count, embedded.child, embedded.below, embedded.below_end) == OK


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
    if not _reserve(&p.embedded, room) or not _make_marks(&p.embedded_scanned, &p.embedded_mark_room, room):
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


cdef Status _parse_record(Parse* p, uint32_t start, const uint32_t* marks, uint32_t count) noexcept nogil:
    """Parse the record that starts at a place; behind its `count` marks is its line feed."""
    cdef bint embedded_is_bad = False
    cdef int outcome = OUTCOME_NOT_OBJECT
    cdef Status status
    p.epoch += 1
    status = _read_json(p, p.text, start, marks, count, ROOT, 0, p.plan.slot_count)
    if status != OK:
        return status
    p.records += 1
    if p.text[start] == c'{':
        if p.plan.embedded_count:
            status = _open_all_embedded(p, &embedded_is_bad)
            if status != OK:
                return status
        p.fault.offset = start
        status = _judge_record(p, embedded_is_bad, &outcome)
        if status != OK:
            return status
        if p.strings.text.size + p.strings.raw_bytes.size > p.plan.text_total_bytes:
            p.fault.limit = p.plan.text_total_bytes
            return TOO_MUCH_TEXT
    if outcome != NOWHERE:
        p.outcomes[outcome] += 1
    return OK


cdef Status _parse_line(Parse* p, uint32_t start, const uint32_t* marks, uint32_t count) noexcept nogil:
    """Parse a line, which may be blank; behind its `count` marks is its line feed."""
    cdef const uint32_t* first
    start = _skip_space(p.text, start)
    if p.text[start] == c'\n':
        return OK
    first = _mark_from(marks, start)
    return _parse_record(p, start, first, count - <uint32_t> (first - marks))


cdef Status _parse_lines(Parse* p, const uint8_t* text, uint32_t size) noexcept nogil:
    """Parse the whole lines of a text, behind which FF_SCAN_PADDING bytes can be read; p.taken is their length."""
    cdef ff_marks* found = &p.scanned
    cdef uint32_t line_start = 0
    cdef uint32_t first = 0
    cdef uint32_t line, feed
    cdef Status status
    if not _make_marks(found, &p.mark_room, size):
        return NO_MEMORY
    p.text = text
    p.text_size = size
    p.scan(text, size, found)
    for line in range(found.line_count):
        feed = found.lines[line]
        status = _parse_line(p, line_start, found.marks + first, feed - first)
        if status != OK:
            return status
        if found.marks[feed] - line_start > p.plan.record_bytes:
            p.fault.offset = line_start
            p.fault.limit = p.plan.record_bytes
            return RECORD_TOO_LONG
        line_start = found.marks[feed] + 1
        first = feed + 1
        p.lines += 1
    p.taken = line_start
    return OK
