# Codec: states between their canonical payload and a view.
#
#   payload   | len tenant | len host | len process | unit | base | tag op body | tag op body | ...
#              varint bytes  ...                      u8     zigzag  in order of tags, empty ones left out
#   text      varint(length << 1 | cut)  bytes
#   times     in units of 1 ns, 1 us, 1 ms or 1 s, the coarsest that loses nothing, from the smallest time on
#
# The bodies are those of the table in ARCHITECTURE.md.  Equal states have equal bytes: everything is written
# in one order, in the shortest form.  A view points into what it was read from; nothing is copied on the way
# through a merge but into the new payload.

cdef enum:
    UNIT_COUNT = 4

cdef int64_t _unit_ns[UNIT_COUNT]
_unit_ns[0] = 1
_unit_ns[1] = 1_000
_unit_ns[2] = 1_000_000
_unit_ns[3] = 1_000_000_000


# --- views ---

cdef bint _init_view(View* v, const CPlan* plan) noexcept nogil:
    cdef uint32_t n = plan.reducer_count + 1
    v.has = <uint8_t*> calloc(n, 1)
    v.more = <uint8_t*> calloc(n, 1)
    v.numbers = <uint64_t*> calloc(n, sizeof(uint64_t))
    v.counts = <uint64_t*> calloc(<size_t> n * KIND_ROOM, sizeof(uint64_t))
    v.texts = <TextRef*> calloc(n, sizeof(TextRef))
    v.members = <TextRef*> calloc(plan.member_room + 1, sizeof(TextRef))
    v.member_count = <uint32_t*> calloc(n, sizeof(uint32_t))
    return (
        v.has != NULL and v.more != NULL and v.numbers != NULL and v.counts != NULL
        and v.texts != NULL and v.members != NULL and v.member_count != NULL
    )


cdef void _free_view(View* v) noexcept nogil:
    free(v.has)
    free(v.more)
    free(v.numbers)
    free(v.counts)
    free(v.texts)
    free(v.members)
    free(v.member_count)


cdef int _order_refs(const TextRef* a, const TextRef* b) noexcept nogil:
    """Order by time, bytes, cut."""
    cdef int order
    if a.time != b.time:
        return -1 if a.time < b.time else 1
    order = _compare(a.at, a.length, b.at, b.length)
    return order if order != 0 else <int> a.cut - <int> b.cut


cdef bint _same_text(const TextRef* a, const TextRef* b) noexcept nogil:
    return a.length == b.length and a.cut == b.cut and memcmp(a.at, b.at, a.length) == 0


cdef bint _is_time(const ReducerPlan* reducer) noexcept nogil:
    return reducer.column == COLUMN_TIME


# --- encode ---

cdef uint8_t* _put_varint(uint8_t* out, uint64_t value) noexcept nogil:
    while value > 0x7F:
        out[0] = <uint8_t> (value & 0x7F | 0x80)
        value >>= 7
        out += 1
    out[0] = <uint8_t> value
    return out + 1


cdef uint8_t* _put_bytes(uint8_t* out, const uint8_t* at, uint32_t length) noexcept nogil:
    if length:
        memcpy(out, at, length)
    return out + length


cdef uint8_t* _put_text(uint8_t* out, const TextRef* text) noexcept nogil:
    out = _put_varint(out, <uint64_t> text.length << 1 | text.cut)
    return _put_bytes(out, text.at, text.length)


cdef void _consider_time(int64_t time, int64_t* base, int* unit) noexcept nogil:
    if unit[0] == UNIT_COUNT:           # the first time
        unit[0] -= 1
        base[0] = time
    if time < base[0]:
        base[0] = time
    while time % _unit_ns[unit[0]] != 0:
        unit[0] -= 1


cdef size_t _survey(const CPlan* plan, const View* v, int64_t* base, int* unit) noexcept nogil:
    """Smallest time and coarsest unit of a view; returns a bound of its payload's size."""
    cdef const ReducerPlan* reducer
    cdef const TextRef* member
    cdef size_t bound = 64
    cdef uint32_t i, j
    base[0] = 0
    unit[0] = UNIT_COUNT
    for i in range(3):
        bound += v.identity_length[i] + 5
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        reducer = &plan.reducers[i]
        bound += 24
        if reducer.op == OP_COUNT:
            bound += KIND_ROOM * 11
        elif reducer.op == OP_SET:
            for j in range(v.member_count[i]):
                member = &v.members[reducer.members + j]
                _consider_time(member.time, base, unit)
                bound += member.length + 15
        elif reducer.op >= OP_FIRST:
            _consider_time(v.texts[i].time, base, unit)
            bound += v.texts[i].length + 5
        elif _is_time(reducer):
            _consider_time(<int64_t> v.numbers[i], base, unit)
    if unit[0] == UNIT_COUNT:           # there is none
        unit[0] -= 1
    return bound


cdef uint64_t _since(int64_t time, int64_t base, int unit) noexcept nogil:
    # Unsigned, because the difference of two int64 may not fit one.
    return (<uint64_t> time - <uint64_t> base) // <uint64_t> _unit_ns[unit]


cdef uint8_t* _put_counts(uint8_t* out, const uint64_t* counts) noexcept nogil:
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


cdef bint _encode_view(const CPlan* plan, const View* v, Bytes* into) noexcept nogil:
    """Append the canonical payload of a view; false when there is no memory."""
    cdef const ReducerPlan* reducer
    cdef const TextRef* member
    cdef int64_t base, before
    cdef int unit
    cdef uint8_t* out
    cdef uint32_t i, j
    cdef size_t bound = _survey(plan, v, &base, &unit)
    cdef int64_t whole
    if not _reserve(into, bound):
        return False
    out = into.data + into.size
    for i in range(3):
        out = _put_bytes(_put_varint(out, v.identity_length[i]), v.identity[i], v.identity_length[i])
    out[0] = <uint8_t> unit
    whole = base // _unit_ns[unit]
    out = _put_varint(out + 1, (<uint64_t> whole << 1) ^ <uint64_t> (whole >> 63))
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        reducer = &plan.reducers[i]
        out = _put_varint(out, <uint64_t> reducer.tag << 3 | reducer.op)
        if reducer.op == OP_COUNT:
            out = _put_counts(out, v.counts + i * KIND_ROOM)
        elif reducer.op == OP_SET:
            out = _put_varint(out, <uint64_t> v.member_count[i] << 1 | v.more[i])
            before = base
            for j in range(v.member_count[i]):
                member = &v.members[reducer.members + j]
                out = _put_text(_put_varint(out, _since(member.time, before, unit)), member)
                before = member.time
        elif reducer.op >= OP_FIRST:
            out = _put_text(_put_varint(out, _since(v.texts[i].time, base, unit)), &v.texts[i])
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


# --- decode ---

ctypedef struct Cursor:
    const uint8_t* start
    const uint8_t* at
    const uint8_t* end
    int64_t unit_ns
    int64_t base


cdef Status _get_varint(Cursor* c, uint64_t* value) noexcept nogil:
    cdef uint64_t byte
    cdef int shift = 0
    value[0] = 0
    while c.at < c.end:
        byte = c.at[0]
        c.at += 1
        if shift == 63 and byte > 1:
            return PAYLOAD_VARINT
        value[0] |= (byte & 0x7F) << shift
        if byte < 0x80:
            # The last byte of several is not 0 in the shortest form.
            return PAYLOAD_VARINT if byte == 0 and shift else OK
        shift += 7
        if shift > 63:
            return PAYLOAD_VARINT
    return PAYLOAD_TRUNCATED


cdef Status _get_byte(Cursor* c, uint8_t* value) noexcept nogil:
    if c.at == c.end:
        return PAYLOAD_TRUNCATED
    value[0] = c.at[0]
    c.at += 1
    return OK


cdef Status _get_bytes(Cursor* c, uint64_t length, const uint8_t** at) noexcept nogil:
    if length > <uint64_t> (c.end - c.at):
        return PAYLOAD_TRUNCATED
    at[0] = c.at
    c.at += length
    return OK


cdef Status _get_time(Cursor* c, int64_t since, int64_t* time) noexcept nogil:
    cdef uint64_t units
    cdef Status status = _get_varint(c, &units)
    if status != OK:
        return status
    if not _in_range(<int128> since + <int128> units * c.unit_ns, time):
        return PAYLOAD_TIME
    return OK


cdef Status _get_text(Cursor* c, int64_t since, uint32_t limit, TextRef* text) noexcept nogil:
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
    if status == OK and not _is_ascii_or_utf8(text.at, text.length):
        return PAYLOAD_TEXT
    return status


cdef bint _is_ascii_or_utf8(const uint8_t* at, uint32_t length) noexcept nogil:
    cdef uint32_t i = 0
    while i + 8 <= length and not ff_load64(at + i) & 0x8080808080808080u:
        i += 8
    return _is_utf8(at + i, length - i)


cdef Status _get_identity(Cursor* c, View* v) noexcept nogil:
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
        if not _is_ascii_or_utf8(v.identity[i], v.identity_length[i]):
            return PAYLOAD_TEXT
    return OK


cdef Status _get_counts(Cursor* c, uint64_t* counts) noexcept nogil:
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


cdef Status _get_set(Cursor* c, const ReducerPlan* reducer, View* v, uint32_t i) noexcept nogil:
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
        status = _get_text(c, before, reducer.text_bytes, &members[j])
        if status != OK:
            return status
        before = members[j].time
        if j and _order_refs(&members[j - 1], &members[j]) >= 0:
            return PAYLOAD_SET
    return OK


cdef Status _get_value(Cursor* c, const ReducerPlan* reducer, View* v, uint32_t i) noexcept nogil:
    cdef uint8_t mark
    cdef Status status
    if reducer.op == OP_COUNT:
        return _get_counts(c, v.counts + i * KIND_ROOM)
    if reducer.op == OP_SET:
        return _get_set(c, reducer, v, i)
    if reducer.op >= OP_FIRST:
        return _get_text(c, c.base, reducer.text_bytes, &v.texts[i])
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


cdef Status _decode_view(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    """Take a payload apart.

    c  IN/OUT  start, at and end set; left where the payload ends, or at the fault
    v  OUT     points into the payload

    Notes
    -----
    Everything a merge relies on is checked; that the unit is the coarsest and the base the smallest time is
    left to `decode`, which writes the state again and compares.
    """
    cdef uint64_t head, base
    cdef uint32_t i = 0
    cdef uint8_t unit
    cdef int128 base_ns
    cdef Status status = _get_identity(c, v)
    memset(v.has, 0, plan.reducer_count)
    if status == OK:
        status = _get_byte(c, &unit)
    if status == OK and unit >= UNIT_COUNT:
        return PAYLOAD_UNIT
    if status == OK:
        status = _get_varint(c, &base)
    if status != OK:
        return status
    c.unit_ns = _unit_ns[unit]
    base_ns = <int128> <int64_t> (base >> 1) if not base & 1 else -<int128> <int64_t> (base >> 1) - 1
    if not _in_range(base_ns * c.unit_ns, &c.base):
        return PAYLOAD_TIME
    while c.at < c.end:
        status = _get_varint(c, &head)
        if status != OK:
            return status
        while i < plan.reducer_count and plan.reducers[i].tag < head >> 3:
            i += 1
        if i == plan.reducer_count or plan.reducers[i].tag != head >> 3 or plan.reducers[i].op != head & 7:
            return PAYLOAD_REDUCER
        if v.has[i]:
            return PAYLOAD_ORDER
        status = _get_value(c, &plan.reducers[i], v, i)
        if status != OK:
            return status
        v.has[i] = 1
    return OK
