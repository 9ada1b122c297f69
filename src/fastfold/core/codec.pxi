# Codec: what all versions of a payload are made of, and views.
#
# A view is a state taken apart.  Its texts point into what it was read from, or into its own arena where they
# had to be put together; a merge copies nothing but into the new payload.  Equal states have equal bytes:
# everything is written in one order, in the shortest form.  `codec1.pxi` to `codec3.pxi` have the layouts.

cdef enum:
    UNIT_COUNT = 4
    VARINT_MOST = 10            # bytes
    PAYLOAD_VERSION = 3         # the one written unless told otherwise

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
    v.form = <uint8_t*> calloc(n, 1)
    v.numbers = <uint64_t*> calloc(n, sizeof(uint64_t))
    v.counts = <uint64_t*> calloc(<size_t> n * KIND_ROOM, sizeof(uint64_t))
    v.texts = <TextRef*> calloc(n, sizeof(TextRef))
    v.members = <TextRef*> calloc(plan.member_room + 1, sizeof(TextRef))
    v.member_count = <uint32_t*> calloc(n, sizeof(uint32_t))
    v.weight = <uint64_t*> calloc(n, sizeof(uint64_t))
    v.kept = <uint32_t*> calloc(n, sizeof(uint32_t))
    return (
        v.has != NULL and v.more != NULL and v.form != NULL and v.numbers != NULL and v.counts != NULL
        and v.texts != NULL and v.members != NULL and v.member_count != NULL and v.weight != NULL and v.kept != NULL
    )


cdef void _free_view(View* v) noexcept nogil:
    free(v.has)
    free(v.more)
    free(v.form)
    free(v.numbers)
    free(v.counts)
    free(v.texts)
    free(v.members)
    free(v.member_count)
    free(v.weight)
    free(v.kept)
    free(v.arena.data)


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


cdef uint8_t* _put_base(uint8_t* out, int64_t base, int unit) noexcept nogil:
    cdef int64_t whole = base // _unit_ns[unit]
    out[0] = <uint8_t> unit
    return _put_varint(out + 1, (<uint64_t> whole << 1) ^ <uint64_t> (whole >> 63))


# --- decode ---

ctypedef struct Cursor:
    const uint8_t* start
    const uint8_t* at
    const uint8_t* end
    int64_t unit_ns
    int64_t base
    uint64_t head               # of the reducer read last


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


cdef bint _is_ascii_or_utf8(const uint8_t* at, uint32_t length) noexcept nogil:
    cdef uint32_t i = 0
    while i + 8 <= length and not ff_load64(at + i) & 0x8080808080808080u:
        i += 8
    return _is_utf8(at + i, length - i)


cdef bint _is_sound(const uint8_t* at, uint32_t length) noexcept nogil:
    """Whether a text is UTF-8 without NUL, which ends texts in payloads and which no fold gives."""
    return (length == 0 or memchr(at, 0, length) == NULL) and _is_ascii_or_utf8(at, length)


cdef Status _get_base(Cursor* c) noexcept nogil:
    """Unit and smallest time."""
    cdef uint64_t base
    cdef uint8_t unit
    cdef int128 base_ns
    cdef Status status = _get_byte(c, &unit)
    if status == OK and unit >= UNIT_COUNT:
        return PAYLOAD_UNIT
    if status == OK:
        status = _get_varint(c, &base)
    if status != OK:
        return status
    c.unit_ns = _unit_ns[unit]
    base_ns = <int128> <int64_t> (base >> 1) if not base & 1 else -<int128> <int64_t> (base >> 1) - 1
    return OK if _in_range(base_ns * c.unit_ns, &c.base) else PAYLOAD_TIME


cdef Status _next_reducer(const CPlan* plan, const View* v, uint64_t head, uint32_t* i) noexcept nogil:
    """Find the reducer of a head; ascending, and none twice."""
    while i[0] < plan.reducer_count and plan.reducers[i[0]].tag < head >> 3:
        i[0] += 1
    if i[0] == plan.reducer_count or plan.reducers[i[0]].tag != head >> 3 or plan.reducers[i[0]].op != head & 7:
        return PAYLOAD_REDUCER
    return PAYLOAD_ORDER if v.has[i[0]] else OK
