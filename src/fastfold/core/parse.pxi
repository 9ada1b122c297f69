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
        if p.slot_epoch[slot] == p.epoch:
            return slot
    return NOWHERE


cdef Status _plain_text(Parse* p, int slot, const uint8_t** at, uint32_t* length) noexcept nogil:
    """The decoded text of a slot; it lies in the window or in p.scratch, until the next call."""
    cdef const uint8_t* raw = p.window + p.slot_at[slot]
    cdef bint odd
    length[0] = p.slot_length[slot]
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


cdef Status _holds(Parse* p, const Test* test, bint* result) noexcept nogil:
    cdef int slot = _present(p, test.field)
    cdef const uint8_t* at
    cdef const uint8_t* value
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
            value = p.plan.key_bytes + literal.at
            if test.op == TEST_CONTAINS:
                found = _contains(at, length, value, literal.length)
            elif test.op == TEST_STARTS:
                found = length >= literal.length and memcmp(at, value, literal.length) == 0
            else:
                found = length == literal.length and memcmp(at, value, length) == 0
            if found:
                break
    result[0] = found != <bint> test.negate
    return OK


cdef Status _code_of(Parse* p, int slot, int form, uint32_t* memo, uint32_t* code, bint* odd) noexcept nogil:
    """Code of the text of a slot in a form; 0 when it is an unknown id.

    memo  IN/OUT  1 + the raw text that this column met last: neighbours often repeat it
    """
    cdef Strings* s = &p.strings
    cdef const uint8_t* raw = p.window + p.slot_at[slot]
    cdef uint32_t length = p.slot_length[slot]
    cdef const RawText* last
    cdef RawText* fresh
    cdef uint64_t hash
    cdef uint32_t place, number, i
    cdef const Literal* unknown
    cdef uint32_t decoded
    cdef bint replaced = False
    if memo[0]:
        last = &s.raws[memo[0] - 1]
        if last.length == length and memcmp(s.raw_bytes.data + last.at, raw, length) == 0:
            code[0] = last.code
            odd[0] = last.odd
            return OK
    hash = _hash(raw, length) + <uint64_t> form
    number = _find_raw(s, raw, length, form, hash, &place)
    if number == 0:
        p.scratch.size = 0
        if not _reserve(&p.scratch, 3 * <size_t> length):
            return NO_MEMORY
        decoded = _decode_text(raw, length, p.scratch.data, &replaced)
        if form == FORM_ID and p.plan.id_form:
            decoded = _id_form(p.scratch.data, decoded)
        number = _add_raw(s, raw, length, hash, place)
        if number == 0:
            return NO_MEMORY
        fresh = &s.raws[number - 1]
        fresh.form = <uint8_t> form
        fresh.odd = replaced
        fresh.code = 0
        if form == FORM_ID:
            for i in range(p.plan.unknown_count):
                unknown = &p.plan.literals[p.plan.first_unknown + i]
                if unknown.length == decoded and memcmp(p.plan.key_bytes + unknown.at, p.scratch.data, decoded) == 0:
                    decoded = 0
                    break
        if decoded:
            fresh.code = _intern(s, p.scratch.data, decoded, False)
            if fresh.code == 0:
                return NO_MEMORY
    memo[0] = number
    code[0] = s.raws[number - 1].code
    odd[0] = s.raws[number - 1].odd
    return OK


cdef Status _endpoint(Parse* p, const ColumnPlan* column, int slot, uint32_t* code, bint* odd) noexcept nogil:
    """Code of ``address:port``, with brackets around an address that has colons itself."""
    cdef int port = _present(p, column.port)
    cdef uint8_t* out
    cdef uint32_t length
    cdef bint replaced = False
    cdef bint brackets
    p.joined.size = 0
    length = p.slot_length[slot] + (p.slot_length[port] if port != NOWHERE else 0)
    if not _reserve(&p.joined, 3 * <size_t> length + 16):
        return NO_MEMORY
    out = p.joined.data
    length = _decode_text(p.window + p.slot_at[slot], p.slot_length[slot], out + 1, odd)
    brackets = port != NOWHERE and memchr(out + 1, c':', length) != NULL
    out[0] = c'['
    out += 1 + length
    if port != NOWHERE:
        if brackets:
            out[0] = c']'
            out += 1
        out[0] = c':'
        out += 1 + _decode_text(p.window + p.slot_at[port], p.slot_length[port], out + 1, &replaced)
        odd[0] = odd[0] or replaced
    length = <uint32_t> (out - p.joined.data) - (0 if brackets else 1)
    code[0] = _intern(&p.strings, p.joined.data + (0 if brackets else 1), length, False)
    return OK if code[0] else NO_MEMORY


# --- records to rows ---

cdef Status _time_of(Parse* p, int slot) noexcept nogil:
    """Read the time of the record into p.time_ns; neighbours often have the same."""
    cdef const uint8_t* at
    cdef uint32_t length
    cdef Status status = _plain_text(p, slot, &at, &length)
    if status != OK:
        return status
    if p.time_length and length == p.time_length and memcmp(p.time_text, at, length) == 0:
        return OK
    p.time_length = 0
    if not _parse_time(at, length, p.plan.time_form, &p.time_ns):
        p.fault.offset = p.slot_at[slot]
        return TIME_UNREADABLE
    if length <= sizeof(p.time_text):
        memcpy(p.time_text, at, length)
        p.time_length = length
    return OK


cdef Status _fill_columns(Parse* p, const Mapping* mapping, EventRow* row) noexcept nogil:
    cdef const ColumnPlan* column
    cdef uint32_t i
    cdef uint32_t code
    cdef int slot
    cdef bint odd
    cdef Status status
    memset(row.columns, 0, sizeof(row.columns))
    for i in range(mapping.column_count):
        column = &p.plan.columns[mapping.first_column + i]
        slot = _present(p, column.field)
        if slot == NOWHERE:
            continue
        if column.form == FORM_ENDPOINT:
            status = _endpoint(p, column, slot, &code, &odd)
        else:
            status = _code_of(p, slot, column.form, &p.memos[column.memo], &code, &odd)
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


cdef Status _mappings_of(Parse* p, const Mapping** holding, uint32_t* count) noexcept nogil:
    """The mappings that hold for the record, at most EVENTS_MOST, in the order of the schema."""
    cdef int slot = _present(p, p.plan.discriminator)
    cdef const uint8_t* at
    cdef uint32_t length, i, j
    cdef const KeyEntry* entry
    cdef const uint16_t* numbers
    cdef const Mapping* mapping
    cdef bint holds
    cdef Status status
    count[0] = 0
    if slot == NOWHERE:
        return OK
    status = _plain_text(p, slot, &at, &length)
    if status != OK:
        return status
    entry = _find_key(p.plan, p.plan.kinds_node, at, length)
    if entry == NULL:
        return OK
    numbers = &p.plan.mapping_lists[entry.slot]
    for i in range(numbers[0]):
        mapping = &p.plan.mappings[numbers[1 + i]]
        holds = True
        for j in range(mapping.test_count):
            status = _holds(p, &p.plan.tests[mapping.first_test + j], &holds)
            if status != OK:
                return status
            if not holds:
                break
        if holds:
            holding[count[0]] = mapping
            count[0] += 1
            if count[0] == EVENTS_MOST:
                break
    return OK


cdef Status _judge_record(Parse* p, int* outcome) noexcept nogil:
    """Make the events of an object; `outcome` says what it counts as when there are none."""
    cdef const Mapping* holding[EVENTS_MOST]
    cdef uint32_t codes[EVENTS_MOST]
    cdef bint odds[EVENTS_MOST]
    cdef uint32_t count, i
    cdef uint32_t host = 0
    cdef uint32_t tenant = 0
    cdef uint32_t made = 0
    cdef uint32_t known = 0
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
        codes[i] = 0
        slot = _present(p, holding[i].process)
        if slot != NOWHERE:
            status = _code_of(p, slot, FORM_ID, &p.memos[holding[i].memo], &codes[i], &odds[i])
        known += codes[i] != 0
    if status != OK:
        return status
    outcome[0] = OUTCOME_PROCESS
    if known == 0:
        return OK
    outcome[0] = OUTCOME_TIME
    slot = _present(p, p.plan.time)
    if slot == NOWHERE:
        return OK
    status = _time_of(p, slot)
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


cdef Status _parse_record(Parse* p, const uint32_t** token) noexcept nogil:
    """Walk and judge the record whose first token this is."""
    cdef uint32_t start = token[0][0]
    cdef bint is_object
    cdef int outcome = OUTCOME_NOT_OBJECT
    cdef Status status
    p.epoch += 1
    status = _walk_record(p, token, &is_object)
    if status != OK:
        return status
    p.records += 1
    if is_object:
        p.fault.offset = start
        status = _judge_record(p, &outcome)
        if status != OK:
            return status
        if p.strings.text.size + p.strings.raw_bytes.size > p.plan.text_total_bytes:
            p.fault.limit = p.plan.text_total_bytes
            return TOO_MUCH_TEXT
    if outcome != NOWHERE:
        p.outcomes[outcome] += 1
    return OK


cdef Status _parse_lines(Parse* p, uint32_t end) noexcept nogil:
    """Parse the whole lines in window[0, end); the last byte is a line feed."""
    cdef uint32_t count, fault_at
    cdef uint32_t line_start = 0
    cdef uint32_t whole_end = end
    cdef const uint32_t* token
    cdef const uint32_t* last
    cdef int scanned
    cdef Status status
    if not _grow(<void**> &p.tokens, sizeof(uint32_t), &p.token_room, <size_t> end + FF_SCAN_PADDING):
        return NO_MEMORY
    scanned = p.scan(p.window, end, p.tokens, &count, &fault_at)
    if scanned != FF_SCAN_OK:
        # Lines before the faulty one come first: the first fault of a file is the one that is told.
        whole_end = fault_at
        while whole_end > 0 and p.window[whole_end - 1] != c'\n':
            whole_end -= 1
    token = p.tokens
    last = p.tokens + count
    while token < last and token[0] < whole_end:
        if p.window[token[0]] != c'\n':
            status = _parse_record(p, &token)
            if status != OK:
                return status
        if token[0] - line_start > p.plan.record_bytes:
            p.fault.offset = line_start
            p.fault.limit = p.plan.record_bytes
            return RECORD_TOO_LONG
        line_start = token[0] + 1
        token += 1
        p.lines += 1
    if scanned == FF_SCAN_OK:
        return OK
    p.fault.offset = fault_at
    if scanned == FF_SCAN_ESCAPE:
        return JSON_ESCAPE
    return JSON_UNTERMINATED if scanned == FF_SCAN_UNTERMINATED else JSON_CONTROL
