# Parse: records to event rows.
#
# The scanner finds the tokens of whole lines, the walk checks a record and notes its wanted values; here the
# record is judged as reference.py says it: required conditions, mappings, host, process, time, columns.

# --- values ---

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


cdef bint _contains(const uint8_t* at, uint32_t length, const uint8_t* part, uint32_t part_length) noexcept nogil:
    cdef uint32_t i
    for i in range(length - part_length + 1 if part_length <= length else 0):
        if memcmp(at + i, part, part_length) == 0:
            return True
    return False


cdef bint _has_part(const uint8_t* at, uint32_t length, const uint8_t* part, uint32_t part_length) noexcept nogil:
    """Whether one of the parts between bars, without the spaces around it, is `part`."""
    cdef uint32_t start = 0
    cdef uint32_t end, first, last
    while start <= length:
        end = start
        while end < length and at[end] != c'|':
            end += 1
        first = start
        last = end
        while first < last and at[first] == c' ':
            first += 1
        while last > first and at[last - 1] == c' ':
            last -= 1
        if last - first == part_length and memcmp(at + first, part, part_length) == 0:
            return True
        start = end + 1
    return False


cdef bint _meets(const Test* test, const uint8_t* at, uint32_t length, const uint8_t* value, uint32_t value_length) noexcept nogil:
    if test.op == TEST_CONTAINS:
        return _contains(at, length, value, value_length)
    if test.op == TEST_HAS:
        return _has_part(at, length, value, value_length)
    if test.op == TEST_EQUALS:
        return length == value_length and memcmp(at, value, length) == 0
    if length < value_length:
        return False
    if test.op == TEST_ENDS:
        at += length - value_length
    return memcmp(at, value, value_length) == 0


cdef Status _holds(Parse* p, const Test* test, bint* result) noexcept nogil:
    cdef int slot = _present(p, test.field)
    cdef const uint8_t* at
    cdef const Literal* literal
    cdef uint32_t length = 0
    cdef uint32_t i
    cdef bint found = False
    cdef Status status
    if slot != NOWHERE:
        status = _plain_text(p, slot, &at, &length)
        if status != OK:
            return status
        for i in range(test.count):
            literal = &p.plan.literals[test.first + i]
            found = _meets(test, at, length, p.plan.key_bytes + literal.at, literal.length)
            if found:
                break
    result[0] = found != <bint> test.negate
    return OK


cdef bint _is_one_of(const CPlan* plan, uint32_t first, uint32_t count, const uint8_t* at, uint32_t length) noexcept nogil:
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


cdef Status _code_of(Parse* p, int slot, int form, Memo* memo, uint32_t* code, bint* odd) noexcept nogil:
    """Code of the text of a slot in a form; 0 when it counts as absent."""
    cdef Strings* s = &p.strings
    cdef const uint8_t* raw = p.slots[slot].text
    cdef uint32_t length = p.slots[slot].length
    cdef RawText* found
    cdef uint64_t hash
    cdef uint32_t place, number
    cdef uint32_t decoded
    cdef bint replaced = False
    if memo.length == length and ff_same_text(s.raw_bytes.data + memo.at, raw, length):
        code[0] = memo.code
        odd[0] = memo.odd
        return OK
    hash = _hash(raw, length) + <uint64_t> form
    number = _find_raw(s, raw, length, form, hash, &place)
    if number == 0:
        p.scratch.size = 0
        if not _reserve(&p.scratch, 3 * <size_t> length):
            return NO_MEMORY
        decoded = _decode_text(raw, length, p.scratch.data, &replaced)
        if p.plan.forms[form].is_id and p.plan.id_form:
            decoded = _id_form(p.scratch.data, decoded)
        number = _add_raw(s, raw, length, hash, place)
        if number == 0:
            return NO_MEMORY
        found = &s.raws[number - 1]
        found.form = <uint8_t> form
        found.odd = replaced
        found.code = 0
        if decoded and not _is_absent(p.plan, form, p.scratch.data, decoded):
            found.code = _intern(s, p.scratch.data, decoded, False)
            if found.code == 0:
                return NO_MEMORY
    found = &s.raws[number - 1]
    memo.at = found.at
    memo.length = length
    memo.code = code[0] = found.code
    memo.odd = odd[0] = found.odd
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


cdef Status _id_of(Parse* p, const IdPlan* plan, Memo* memo, uint32_t* code, bint* odd) noexcept nogil:
    """Code of a process id; 0 when absent or unknown."""
    cdef int slot = _present(p, plan.field)
    if slot != NOWHERE:
        return _code_of(p, slot, FORM_ID, memo, code, odd)
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
        return _id_of(p, &column.id, &p.memos[column.memo], code, odd)
    slot = _present(p, column.id.field)
    code[0] = 0
    if slot == NOWHERE:
        return OK
    if column.kind == SOURCE_ENDPOINT or column.kind == SOURCE_REGISTRY:
        return _with_tail(p, column, slot, code, odd)
    if column.kind == SOURCE_WORDS and p.slots[slot].bracket != NULL:
        return _words(p, column, slot, code, odd)
    return _code_of(p, slot, column.form, &p.memos[column.memo], code, odd)


# --- records to rows ---

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


cdef Status _fill_columns(Parse* p, const Mapping* mapping, EventRow* row) noexcept nogil:
    cdef const ColumnPlan* column
    cdef uint32_t i
    cdef uint32_t code
    cdef bint odd = False
    cdef Status status
    memset(row.columns, 0, sizeof(row.columns))
    for i in range(mapping.column_count):
        column = &p.plan.columns[mapping.first_column + i]
        status = _column_of(p, column, &code, &odd)
        if status != OK:
            return status
        row.columns[column.column] = code
        if code and odd:
            p.odd_text += 1
    return OK


cdef Status _emit(
    Parse* p, const Mapping* mapping, uint32_t tenant, uint32_t host, uint32_t process
) noexcept nogil:
    """Append the row of one event."""
    cdef uint32_t host_number = _number_pair(&p.hosts, tenant, host)
    cdef uint32_t process_number = _number_pair(&p.processes, host_number, process)
    cdef EventRow* row
    if host_number == 0 or process_number == 0:
        return NO_MEMORY
    if p.processes.count > p.plan.processes:
        p.fault.limit = p.plan.processes
        return TOO_MANY_PROCESSES
    if not _grow(<void**> &p.rows, sizeof(EventRow), &p.row_room, p.row_count + 1):
        return NO_MEMORY
    row = &p.rows[p.row_count]
    row.time = p.time_ns
    row.host = host_number - 1
    row.process = process_number - 1
    row.record = <uint32_t> (p.lines + 1)
    row.kind = mapping.kind
    memset(row.unused, 0, sizeof(row.unused))
    p.row_count += 1
    p.events += 1
    return _fill_columns(p, mapping, row)


cdef Status _try_mapping(Parse* p, uint32_t number, const Mapping** holding, uint32_t* count) noexcept nogil:
    """Add a mapping that its discriminator reaches, if its conditions hold."""
    cdef const Mapping* mapping = &p.plan.mappings[number]
    cdef uint32_t i
    cdef bint holds
    cdef Status status
    for i in range(mapping.test_count):
        status = _holds(p, &p.plan.tests[mapping.first_test + i], &holds)
        if status != OK or not holds:
            return status
    holding[count[0]] = mapping
    count[0] += 1
    return OK


cdef Status _try_wildcards(Parse* p, int slot, const Mapping** holding, uint32_t* count) noexcept nogil:
    """The mappings of a discriminator that no mapping names in full."""
    cdef const Wildcard* wildcard
    cdef const uint8_t* at
    cdef uint32_t length, i
    cdef int tried = NOWHERE
    cdef Status status
    for i in range(p.plan.wildcard_count):
        wildcard = &p.plan.wildcards[i]
        # A mapping is tried once, whichever of its wildcards fits.  Conditions decode into p.scratch too.
        if wildcard.mapping == tried:
            continue
        status = _plain_text(p, slot, &at, &length)
        if status != OK:
            return status
        if length < wildcard.text.length:
            continue
        if wildcard.is_end:
            at += length - wildcard.text.length
        if memcmp(at, p.plan.key_bytes + wildcard.text.at, wildcard.text.length) != 0:
            continue
        tried = wildcard.mapping
        status = _try_mapping(p, wildcard.mapping, holding, count)
        if status != OK or count[0] == EVENTS_MOST:
            return status
    return OK


cdef Status _mappings_of(Parse* p, const Mapping** holding, uint32_t* count) noexcept nogil:
    """The mappings that hold for the record, at most EVENTS_MOST, in the order of the schema."""
    cdef int slot = _present(p, p.plan.discriminator)
    cdef const uint8_t* at
    cdef uint32_t length, i
    cdef const KeyEntry* entry
    cdef const uint16_t* numbers
    cdef Status status
    count[0] = 0
    if slot == NOWHERE:
        return OK
    status = _plain_text(p, slot, &at, &length)
    if status != OK:
        return status
    entry = _find_key(p.plan, p.plan.kinds_node, at, length)
    if entry == NULL:
        return _try_wildcards(p, slot, holding, count)
    numbers = &p.plan.mapping_lists[entry.slot]
    for i in range(numbers[0]):
        status = _try_mapping(p, numbers[1 + i], holding, count)
        if status != OK or count[0] == EVENTS_MOST:
            return status
    return OK


cdef Status _judge_record(Parse* p, bint embedded_is_bad, int* outcome) noexcept nogil:
    """Make the events of an object; `outcome` says what it counts as when there are none."""
    cdef const Mapping* holding[EVENTS_MOST]
    cdef uint32_t codes[EVENTS_MOST]
    cdef bint odds[EVENTS_MOST]
    cdef uint32_t count, i
    cdef uint32_t host = 0
    cdef uint32_t tenant = 0
    cdef uint32_t made = 0
    cdef uint32_t known = 0
    cdef uint32_t time_number = 0
    cdef int slot
    cdef bint result, host_odd
    cdef bint tenant_odd = False
    cdef uint64_t most = p.plan.identity_bytes
    cdef Status status
    for i in range(p.plan.require_count):
        status = _holds(p, &p.plan.tests[i], &result)
        if status != OK:
            return status
        if not result:
            outcome[0] = p.plan.tests[i].reason
            return OK
    outcome[0] = OUTCOME_EMBEDDED
    if embedded_is_bad:
        return OK
    status = _mappings_of(p, holding, &count)
    if status != OK:
        return status
    outcome[0] = OUTCOME_KIND
    if count == 0:
        return OK
    outcome[0] = OUTCOME_HOST
    slot = _present(p, p.plan.host)
    if slot == NOWHERE:
        return OK
    status = _code_of(p, slot, FORM_TEXT, &p.memos[p.plan.memo_count - 2], &host, &host_odd)
    for i in range(count):
        if status != OK:
            return status
        status = _id_of(p, &holding[i].process, &p.memos[holding[i].memo], &codes[i], &odds[i])
        known += codes[i] != 0
    if status != OK:
        return status
    outcome[0] = OUTCOME_PROCESS
    if known == 0:
        return OK
    outcome[0] = OUTCOME_TIME
    slot = _time_present(p, &time_number)
    if slot == NOWHERE:
        return OK
    status = _time_of(p, slot, time_number)
    if status != OK:
        return status
    slot = _present(p, p.plan.tenant)
    if slot != NOWHERE:
        status = _code_of(p, slot, FORM_TEXT, &p.memos[p.plan.memo_count - 1], &tenant, &tenant_odd)
        if status != OK:
            return status
    for i in range(count):
        if codes[i] == 0 or _text_length(&p.strings, codes[i]) > most:
            continue
        if _text_length(&p.strings, host) > most or _text_length(&p.strings, tenant) > most:
            continue
        p.odd_text += host_odd + odds[i]
        status = _emit(p, holding[i], tenant, host, codes[i])
        if status != OK:
            return status
        made += 1
    outcome[0] = NOWHERE if made else OUTCOME_IDENTITY
    return OK


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
