# Value: from the slots of a record to texts, times and codes in the table of texts.
#
# A raw text that comes again is neither decoded nor hashed again: a slot knows some it had lately, and the table
# knows those of the file.
#
#   slot  "C:\\Windows\\x.exe"  ->  memos of the slot  ->  raw texts of the file  ->  decode, form, intern  ->  code


cdef int _present(const Parse* p, Field field) noexcept nogil:
    """The slot of the first alternative that is present, or NOWHERE."""
    cdef uint32_t i
    cdef uint16_t slot
    for i in range(field.count):
        slot = p.plan.alternatives[field.first + i]
        if p.slots[slot].epoch == p.epoch:
            return slot
    return NOWHERE


cdef Status _plain_text(Parse* p, int slot, const uint8_t** at, uint32_t* length) noexcept nogil:
    """The decoded text of a slot; it lies where it was found or in p.scratch, until the next call."""
    cdef const uint8_t* raw = p.slots[slot].text
    cdef bint odd
    length[0] = p.slots[slot].length
    at[0] = raw
    if not _is_plain(raw, length[0]):
        p.scratch.size = 0
        if not _reserve(&p.scratch, 3 * <size_t> length[0]):
            return NO_MEMORY
        length[0] = _decode_text(raw, length[0], p.scratch.data, &odd)
        at[0] = p.scratch.data
    return OK


cdef int _time_present(const Parse* p, uint32_t* number) noexcept nogil:
    """The slot of the time that counts and the number of its TimePlan, or NOWHERE."""
    cdef uint32_t i
    cdef int slot
    for i in range(p.plan.time_count):
        slot = _present(p, p.plan.times[i].field)
        if slot != NOWHERE:
            number[0] = i
            return slot
    return NOWHERE


cdef Status _time_of(Parse* p, int slot, uint32_t number) noexcept nogil:
    """Read the time of the record into p.time_ns; neighbours often have the same."""
    cdef const uint8_t* at
    cdef uint32_t length
    cdef Status status = _plain_text(p, slot, &at, &length)
    if status != OK:
        return status
    if p.time_length and length == p.time_length and number == p.time_number and memcmp(p.time_text, at, length) == 0:
        return OK
    p.time_length = 0
    p.time_number = number
    if not _parse_time(at, length, p.plan.times[number].form, &p.time_ns):
        # A time from inside a string is told by the place of its record.
        if p.slots[slot].text >= p.text and p.slots[slot].text < p.text + p.text_size:
            p.fault.offset = p.slots[slot].text - p.text
        return TIME_UNREADABLE
    if length <= sizeof(p.time_text):
        memcpy(p.time_text, at, length)
        p.time_length = length
    return OK


cdef bint _is_one_of(
    const CPlan* plan, uint32_t first, uint32_t count, const uint8_t* at, uint32_t length
) noexcept nogil:
    """Whether a text is one of a range of literals."""
    cdef const Literal* literal
    cdef uint32_t i
    for i in range(count):
        literal = &plan.literals[first + i]
        if literal.length == length and memcmp(plan.key_bytes + literal.at, at, length) == 0:
            return True
    return False


cdef bint _is_absent(const CPlan* plan, int form, const uint8_t* at, uint32_t length) noexcept nogil:
    """Whether a decoded text counts as absent in a form."""
    return _is_one_of(plan, plan.forms[form].first_absent, plan.forms[form].absent_count, at, length)


cdef Memo* _memo_of(Parse* p, int slot, const uint8_t* raw, uint32_t length) noexcept nogil:
    """Where a slot remembers a text like this: told by its end, which differs more than its start."""
    cdef uint64_t word = ff_load64(raw + length - 8) if length >= 8 else ff_load64(raw) << (64 - 8 * length)
    return &p.memos[MEMO_WAYS * slot + ((word ^ length) * 0x9E3779B97F4A7C15u >> 60)]


cdef RawText* _raw_text(Parse* p, const uint8_t* raw, uint32_t length, int form) noexcept nogil:
    """The raw text in the table, new or met before; NULL when there is no memory."""
    cdef Strings* s = &p.strings
    cdef RawText* found
    cdef uint64_t hash = _hash(raw, length) + <uint64_t> form
    cdef uint32_t place, decoded
    cdef uint32_t number = _find_raw(s, raw, length, form, hash, &place)
    cdef bint replaced = False
    if number:
        return &s.raws[number - 1]
    p.scratch.size = 0
    if not _reserve(&p.scratch, 3 * <size_t> length):
        return NULL
    decoded = _decode_text(raw, length, p.scratch.data, &replaced)
    if p.plan.forms[form].is_id and p.plan.id_form:
        decoded = _id_form(p.scratch.data, decoded)
    number = _add_raw(s, raw, length, hash, place)
    if number == 0:
        return NULL
    found = &s.raws[number - 1]
    found.form = <uint8_t> form
    found.odd = replaced
    found.code = 0
    if decoded and not _is_absent(p.plan, form, p.scratch.data, decoded):
        found.code = _intern(s, p.scratch.data, decoded, False)
        if found.code == 0:
            return NULL
    return found


cdef Status _code_of(Parse* p, int number, int form, uint32_t* code, bint* odd) noexcept nogil:
    """Code of the text of a slot in a form; 0 when it counts as absent."""
    cdef Slot* slot = &p.slots[number]
    cdef Memo* memo
    cdef const RawText* found
    if slot.code_epoch != p.epoch or slot.code_form != form:
        memo = _memo_of(p, number, slot.text, slot.length)
        if (
            memo.length != slot.length or memo.form != form
            or not ff_same_text(p.strings.raw_bytes.data + memo.at, slot.text, slot.length)
        ):
            found = _raw_text(p, slot.text, slot.length, form)
            if found == NULL:
                return NO_MEMORY
            memo.at = found.at
            memo.length = slot.length
            memo.code = found.code
            memo.form = <uint8_t> form
            memo.odd = found.odd
        slot.code_epoch = p.epoch
        slot.code_form = <uint8_t> form
        slot.code = memo.code
        slot.code_odd = memo.odd
    code[0] = slot.code
    odd[0] = slot.code_odd
    return OK


cdef Status _intern_joined(Parse* p, const uint8_t* at, size_t length, uint32_t* code) noexcept nogil:
    """Code of a text that was put together in p.joined."""
    code[0] = _intern(&p.strings, at, <uint32_t> length, False)
    return OK if code[0] else NO_MEMORY


cdef Status _joined_id(Parse* p, const IdPlan* plan, uint32_t* code, bint* odd) noexcept nogil:
    """Code of an id of several parts; 0 when the first is absent or unknown."""
    cdef Bytes* out = &p.joined
    cdef uint32_t i, length
    cdef int slot
    cdef bint replaced
    code[0] = 0
    odd[0] = False
    out.size = 0
    for i in range(plan.part_count):
        slot = _present(p, p.plan.part_fields[plan.first_part + i])
        if slot == NOWHERE:
            if i == 0:
                return OK
            continue
        if not _reserve(out, 3 * <size_t> p.slots[slot].length + 1):
            return NO_MEMORY
        if i:
            out.data[out.size] = c':'
        length = _decode_text(p.slots[slot].text, p.slots[slot].length, out.data + out.size + (i != 0), &replaced)
        if p.plan.id_form:
            length = _id_form(out.data + out.size + (i != 0), length)
        odd[0] = odd[0] or replaced
        if i == 0 and (length == 0 or _is_absent(p.plan, FORM_ID, out.data, length)):
            return OK
        # A part that its form leaves nothing of is not joined.
        out.size += length + (i != 0) if length else 0
    return _intern_joined(p, out.data, out.size, code)


cdef Status _id_of(Parse* p, const IdPlan* plan, uint32_t* code, bint* odd) noexcept nogil:
    """Code of a process id; 0 when absent or unknown."""
    cdef int slot = _present(p, plan.field)
    if slot != NOWHERE:
        return _code_of(p, slot, FORM_ID, code, odd)
    if plan.part_count:
        return _joined_id(p, plan, code, odd)
    code[0] = 0
    return OK


cdef Status _with_tail(Parse* p, const ColumnPlan* column, int slot, uint32_t* code, bint* odd) noexcept nogil:
    """Code of ``address:port``, with brackets around an address that has colons itself, or of ``key\\name``."""
    cdef int tail = _present(p, column.tail)
    cdef uint8_t* out
    cdef uint32_t length
    cdef bint replaced = False
    cdef bint brackets = False
    code[0] = 0
    p.joined.size = 0
    length = p.slots[slot].length + (p.slots[tail].length if tail != NOWHERE else 0)
    if not _reserve(&p.joined, 3 * <size_t> length + 16):
        return NO_MEMORY
    out = p.joined.data
    length = _decode_text(p.slots[slot].text, p.slots[slot].length, out + 1, odd)
    if _is_absent(p.plan, column.form, out + 1, length):
        return OK
    if column.kind == SOURCE_ENDPOINT:
        brackets = tail != NOWHERE and memchr(out + 1, c':', length) != NULL
    out[0] = c'['
    out += 1 + length
    if tail != NOWHERE:
        if brackets:
            out[0] = c']'
            out += 1
        out[0] = c':' if column.kind == SOURCE_ENDPOINT else c'\\'
        out += 1 + _decode_text(p.slots[tail].text, p.slots[tail].length, out + 1, &replaced)
        odd[0] = odd[0] or replaced
    length = <uint32_t> (out - p.joined.data) - (0 if brackets else 1)
    return _intern_joined(p, p.joined.data + (0 if brackets else 1), length, code)


cdef const uint8_t* _string_close(const uint8_t* at) noexcept nogil:
    """The quote that ends the checked string that starts at `at`."""
    while at[0] != c'"':
        at += 2 if at[0] == c'\\' else 1
    return at


cdef const uint8_t* _skip_nested(const uint8_t* at) noexcept nogil:
    """What follows the checked array or object that starts at `at`."""
    cdef uint32_t depth = 0
    while True:
        if at[0] == c'"':
            at = _string_close(at + 1)
        elif at[0] == c'{' or at[0] == c'[':
            depth += 1
        elif at[0] == c'}' or at[0] == c']':
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1


cdef Status _words(Parse* p, const ColumnPlan* column, int slot, uint32_t* code, bint* odd) noexcept nogil:
    """Code of the strings and bare values of a checked array, with a space between them."""
    cdef Bytes* out = &p.joined
    cdef const uint8_t* at = p.slots[slot].bracket + 1
    cdef const uint8_t* end
    cdef uint32_t length
    cdef bint replaced
    code[0] = 0
    odd[0] = False
    out.size = 0
    while at[0] != c']':
        if at[0] == c'{' or at[0] == c'[':
            at = _skip_nested(at)
            continue
        if _is_space(at[0]) or at[0] == c',':
            at += 1
            continue
        if at[0] == c'"':
            at += 1
            end = _string_close(at)
        else:
            end = at
            while not _is_space(end[0]) and end[0] != c',' and end[0] != c']':
                end += 1
        length = <uint32_t> (end - at)
        if length and at[0] != c'n' or end[0] == c'"':
            if not _reserve(out, 3 * <size_t> length + 1):
                return NO_MEMORY
            if out.size and length:
                out.data[out.size] = c' '
                out.size += 1
            out.size += _decode_text(at, length, out.data + out.size, &replaced)
            odd[0] = odd[0] or replaced
        at = end + (end[0] == c'"')
    if _is_absent(p.plan, column.form, out.data, <uint32_t> out.size):
        return OK
    return _intern_joined(p, out.data, out.size, code)


cdef Status _column_of(Parse* p, const ColumnPlan* column, uint32_t* code, bint* odd) noexcept nogil:
    """Code of the text of a column; 0 when absent."""
    cdef int slot
    if column.kind == SOURCE_ID:
        return _id_of(p, &column.id, code, odd)
    slot = _present(p, column.id.field)
    code[0] = 0
    if slot == NOWHERE:
        return OK
    if column.kind == SOURCE_ENDPOINT or column.kind == SOURCE_REGISTRY:
        return _with_tail(p, column, slot, code, odd)
    if column.kind == SOURCE_WORDS and p.slots[slot].bracket != NULL:
        return _words(p, column, slot, code, odd)
    return _code_of(p, slot, column.form, code, odd)
