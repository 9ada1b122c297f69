# Version 1 of the payload: values in the order of their tags.  Written only while an older reader is still there.
#
#   payload   | len tenant | len host | len process | unit | base | tag op body | tag op body | ...
#              varint bytes  ...                      u8     zigzag  in order of tags, empty ones left out
#   text      varint(length << 1 | cut)  bytes
#   times     in units of 1 ns, 1 us, 1 ms or 1 s, the coarsest that loses nothing, from the smallest time on

cdef uint8_t* _put_text_1(uint8_t* out, const TextRef* text) noexcept nogil:
    out = _put_varint(out, <uint64_t> text.length << 1 | text.cut)
    return _put_bytes(out, text.at, text.length)


cdef uint8_t* _put_counts_1(uint8_t* out, const uint64_t* counts) noexcept nogil:
    cdef uint32_t kind
    cdef uint32_t filled = 0
    for kind in range(KIND_ROOM):
        filled += counts[kind] != 0
    out = _put_varint(out, filled)
    for kind in range(KIND_ROOM):
        if counts[kind]:
            out[0] = <uint8_t> kind
            out = _put_varint(out + 1, counts[kind])
    return out


cdef bint _encode_view_1(const CPlan* plan, const View* v, Bytes* into) noexcept nogil:
    """Append the payload of a view; false when there is no memory."""
    cdef const ReducerPlan* reducer
    cdef const TextRef* member
    cdef int64_t base, before
    cdef int unit
    cdef uint8_t* out
    cdef uint32_t i, j
    cdef size_t bound = _survey(plan, v, &base, &unit)
    if not _reserve(into, bound):
        return False
    out = into.data + into.size
    for i in range(3):
        out = _put_bytes(_put_varint(out, v.identity_length[i]), v.identity[i], v.identity_length[i])
    out = _put_base(out, base, unit)
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        reducer = &plan.reducers[i]
        out = _put_varint(out, <uint64_t> reducer.tag << 3 | reducer.op)
        if reducer.op == OP_COUNT:
            out = _put_counts_1(out, v.counts + i * KIND_ROOM)
        elif reducer.op == OP_SET:
            out = _put_varint(out, <uint64_t> v.member_count[i] << 1 | v.more[i])
            before = base
            for j in range(v.member_count[i]):
                member = &v.members[reducer.members + j]
                out = _put_text_1(_put_varint(out, _since(member.time, before, unit)), member)
                before = member.time
        elif reducer.op >= OP_FIRST:
            out = _put_text_1(_put_varint(out, _since(v.texts[i].time, base, unit)), &v.texts[i])
        elif reducer.op == OP_SUM:
            out = _put_varint(out, v.numbers[i])
        elif _is_time(reducer):
            out[0] = 0
            out = _put_varint(out + 1, _since(<int64_t> v.numbers[i], base, unit))
        else:
            out[0] = 1
            out = _put_varint(out + 1, v.numbers[i])
    into.size = out - into.data
    return True


cdef Status _get_text_1(Cursor* c, int64_t since, uint32_t limit, TextRef* text) noexcept nogil:
    cdef uint64_t head
    cdef Status status = _get_time(c, since, &text.time)
    if status == OK:
        status = _get_varint(c, &head)
    if status != OK:
        return status
    if head >> 1 == 0 or head >> 1 > limit:
        return PAYLOAD_TEXT
    text.length = <uint32_t> (head >> 1)
    text.cut = head & 1
    status = _get_bytes(c, text.length, &text.at)
    if status == OK and not _is_sound(text.at, text.length):
        return PAYLOAD_TEXT
    return status


cdef Status _get_identity_1(Cursor* c, View* v) noexcept nogil:
    cdef uint64_t length
    cdef uint32_t i
    cdef Status status = OK
    for i in range(3):
        status = _get_varint(c, &length)
        if status == OK:
            status = _get_bytes(c, length, &v.identity[i])
        if status != OK:
            return status
        v.identity_length[i] = <uint32_t> length
        if not _is_sound(v.identity[i], v.identity_length[i]):
            return PAYLOAD_TEXT
    return OK


cdef Status _get_counts_1(Cursor* c, uint64_t* counts) noexcept nogil:
    cdef uint64_t filled, i
    cdef uint8_t kind = 0
    cdef int before = -1
    cdef Status status = _get_varint(c, &filled)
    if status == OK and filled == 0:
        return PAYLOAD_COUNT
    memset(counts, 0, KIND_ROOM * sizeof(uint64_t))
    for i in range(filled):
        if status == OK:
            status = _get_byte(c, &kind)
        if status != OK:
            return status
        if kind >= KIND_COUNT or <int> kind <= before:
            return PAYLOAD_KIND
        before = kind
        status = _get_varint(c, &counts[kind])
        if status == OK and counts[kind] == 0:
            return PAYLOAD_COUNT
    return status


cdef Status _get_set_1(Cursor* c, const ReducerPlan* reducer, View* v, uint32_t i) noexcept nogil:
    cdef TextRef* members = v.members + reducer.members
    cdef uint64_t head
    cdef uint32_t j
    cdef int64_t before = c.base
    cdef Status status = _get_varint(c, &head)
    if status != OK:
        return status
    if head >> 1 == 0 or head >> 1 > reducer.limit:
        return PAYLOAD_SET
    v.more[i] = head & 1
    v.member_count[i] = <uint32_t> (head >> 1)
    for j in range(v.member_count[i]):
        status = _get_text_1(c, before, reducer.read_bytes, &members[j])
        if status != OK:
            return status
        before = members[j].time
        if j and _order_refs(&members[j - 1], &members[j]) >= 0:
            return PAYLOAD_SET
    return OK


cdef Status _get_value_1(Cursor* c, const ReducerPlan* reducer, View* v, uint32_t i) noexcept nogil:
    cdef uint8_t mark
    cdef Status status
    if reducer.op == OP_COUNT:
        return _get_counts_1(c, v.counts + i * KIND_ROOM)
    if reducer.op == OP_SET:
        return _get_set_1(c, reducer, v, i)
    if reducer.op >= OP_FIRST:
        return _get_text_1(c, c.base, reducer.read_bytes, &v.texts[i])
    if reducer.op == OP_SUM:
        return _get_varint(c, &v.numbers[i])
    status = _get_byte(c, &mark)
    if status != OK:
        return status
    if mark != (0 if _is_time(reducer) else 1):
        return PAYLOAD_NUMBER
    if _is_time(reducer):
        return _get_time(c, c.base, <int64_t*> &v.numbers[i])
    status = _get_varint(c, &v.numbers[i])
    return PAYLOAD_NUMBER if status == OK and v.numbers[i] > <uint64_t> INT64_MAX else status


cdef Status _decode_view_1(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef uint32_t i = 0
    cdef Status status = _get_identity_1(c, v)
    memset(v.has, 0, plan.reducer_count)
    if status == OK:
        status = _get_base(c)
    while status == OK and c.at < c.end:
        status = _get_varint(c, &c.head)
        if status == OK:
            status = _next_reducer(plan, v, c.head, &i)
        if status == OK:
            status = _get_value_1(c, &plan.reducers[i], v, i)
            v.has[i] = 1
    return status
