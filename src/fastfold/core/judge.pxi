# Judge: what a record is, as reference/records.py says it: required conditions, mappings, host, process, time,
# columns.  The outcome is one or two event rows, or the reason why there is none.


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


cdef bint _meets(
    const Test* test, const uint8_t* at, uint32_t length, const uint8_t* value, uint32_t value_length
) noexcept nogil:
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


cdef bint _is_known(const Verdict* verdict, const uint8_t* raw, uint32_t length) noexcept nogil:
    """Whether this is the raw text that the verdict is about."""
    return length == verdict.length and ff_same_text(verdict.bytes, raw, length)


cdef void _remember(Verdict* verdict, const uint8_t* raw, uint32_t length) noexcept nogil:
    verdict.length = 0
    if length <= VERDICT_BYTES:
        memcpy(verdict.bytes, raw, length)
        verdict.length = length


cdef Status _try_text(Parse* p, const Test* test, int slot, bint* found) noexcept nogil:
    """Whether the text of a slot is what a test asks for."""
    cdef const uint8_t* at
    cdef const Literal* literal
    cdef uint32_t length, i
    cdef Status status = _plain_text(p, slot, &at, &length)
    if status != OK:
        return status
    for i in range(test.count):
        literal = &p.plan.literals[test.first + i]
        found[0] = _meets(test, at, length, p.plan.key_bytes + literal.at, literal.length)
        if found[0]:
            break
    return OK


cdef Status _holds(Parse* p, uint32_t number, bint* result) noexcept nogil:
    cdef const Test* test = &p.plan.tests[number]
    cdef Verdict* verdict = &p.verdicts[number]
    cdef int slot = _present(p, test.field)
    cdef bint found = False
    cdef Status status
    if slot == NOWHERE:
        result[0] = test.negate
        return OK
    if not _is_known(verdict, p.slots[slot].text, p.slots[slot].length):
        status = _try_text(p, test, slot, &found)
        if status != OK:
            return status
        _remember(verdict, p.slots[slot].text, p.slots[slot].length)
        verdict.holds = found != <bint> test.negate
    result[0] = verdict.holds
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
        status = _holds(p, mapping.first_test + i, &holds)
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


cdef Status _kind_of(Parse* p, int slot, const KeyEntry** entry) noexcept nogil:
    """The entry of the discriminator among those that mappings name in full, or NULL."""
    cdef Verdict* verdict = &p.verdicts[p.plan.test_count]
    cdef const uint8_t* at
    cdef uint32_t length
    cdef Status status
    if not _is_known(verdict, p.slots[slot].text, p.slots[slot].length):
        status = _plain_text(p, slot, &at, &length)
        if status != OK:
            return status
        verdict.entry = _find_key(p.plan, p.plan.kinds_node, at, length)
        _remember(verdict, p.slots[slot].text, p.slots[slot].length)
    entry[0] = verdict.entry
    return OK


cdef Status _mappings_of(Parse* p, const Mapping** holding, uint32_t* count) noexcept nogil:
    """The mappings that hold for the record, at most EVENTS_MOST, in the order of the schema."""
    cdef int slot = _present(p, p.plan.discriminator)
    cdef uint32_t i
    cdef const KeyEntry* entry = NULL
    cdef const uint16_t* numbers
    cdef Status status
    count[0] = 0
    if slot == NOWHERE:
        return OK
    status = _kind_of(p, slot, &entry)
    if status != OK:
        return status
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
        status = _holds(p, i, &result)
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
    status = _code_of(p, slot, FORM_TEXT, &host, &host_odd)
    for i in range(count):
        if status != OK:
            return status
        status = _id_of(p, &holding[i].process, &codes[i], &odds[i])
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
        status = _code_of(p, slot, FORM_TEXT, &tenant, &tenant_odd)
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
