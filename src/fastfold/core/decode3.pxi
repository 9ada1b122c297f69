# Reading version 3 of the payload (`codec3.pxi` has the layout), and telling the versions apart.
#
#   | mark | size | name | texts           | numbers      |
#                         c.at ... c.end     bits
#
# The cursor ends where the texts do until they are read; then it follows the bits, so that a fault has its place.


cdef void _get_session(BitReader* b, uint8_t* session) noexcept nogil:
    memset(session, 0, 6)
    if not _get_bits(b, 1):
        _get_whole(b, session + 4, 1)
    elif not _get_bits(b, 1):
        session[1] = 0x10
        _get_whole(b, session + 2, 3)
    else:
        _get_whole(b, session, 6)


cdef Status _get_own_guid_3(BitReader* b, Ids3* ids) noexcept nogil:
    cdef uint64_t counter
    _get_whole(b, ids.own, 4)
    _set_guid_seconds(ids.own, <uint32_t> _get_bits(b, 32))
    counter = _get_number(b)
    if counter > 0xFFFF:
        return PAYLOAD_ID
    ids.own[8] = <uint8_t> counter
    ids.own[9] = <uint8_t> (counter >> 8)
    _get_session(b, ids.own + 10)
    _add_known(ids, _guid_seconds(ids.own), <uint32_t> counter)
    return OK


cdef Status _get_guid_3(BitReader* b, Ids3* ids, uint8_t* guid) noexcept nogil:
    cdef uint64_t others = 0
    cdef int place = 0
    cdef int128 seconds
    cdef uint32_t step, counter
    memcpy(guid, ids.own, 16)
    if _get_bits(b, 1):
        others = _get_bits(b, 2)
    if others & 1:
        _get_whole(b, guid, 4)
    if others & 2:
        _get_session(b, guid + 10)
    while place < ids.count - 1 and _get_bits(b, 1):
        place += 1
    seconds = <int128> ids.known[place].seconds + _get_signed(b)
    if seconds < 0 or seconds > <int128> 0xFFFFFFFFu:
        return PAYLOAD_ID
    step = _get_groups(b)
    counter = (ids.known[place].counter + (step >> 1 ^ -(step & 1))) & 0xFFFF
    _set_guid_seconds(guid, <uint32_t> seconds)
    guid[8] = <uint8_t> counter
    guid[9] = <uint8_t> (counter >> 8)
    _add_known(ids, <uint32_t> seconds, counter)
    return OK


cdef Status _get_base_3(Cursor* c, BitReader* b, const Ids3* ids) noexcept nogil:
    if not _in_range(_own_base(ids) + _get_signed(b) * c.unit_ns, &c.base):
        return PAYLOAD_TIME
    return PAYLOAD_TRUNCATED if b.is_short else OK


cdef Status _get_name(Cursor* c, View* v, BitReader* b) noexcept nogil:
    """Tenant and host; the cursor is left before the texts, and ends where they do."""
    cdef const uint8_t* at
    cdef uint32_t size
    cdef Status status
    cdef int i
    c.at += MARK_BYTES_3
    status = _get_bytes(c, SIZE_BYTES, &at)
    if status == OK:
        size = ff_load32(at)
    for i in range(2):
        if status == OK:
            status = _get_ended(c, 0xFFFFFFFFu, &v.identity[i], &v.identity_length[i])
        if status == OK and not _is_ascii_or_utf8(v.identity[i], v.identity_length[i]):
            status = PAYLOAD_TEXT
    if status != OK:
        return status
    if size > <size_t> (c.end - c.at):
        return PAYLOAD_TRUNCATED
    b.start = c.at + size
    b.at = 0
    b.end = 8 * <uint64_t> (c.end - b.start)
    b.is_short = False
    c.end = c.at + size
    return OK


cdef Status _get_identity_3(Cursor* c, View* v, BitReader* b, Ids3* ids) noexcept nogil:
    """Name, process, unit and base; the arena of the view holds the process id when it is a GUID."""
    cdef uint8_t form
    cdef uint8_t* room
    cdef Status status = _get_name(c, v, b)
    _no_ids(ids)
    v.arena.size = 0
    if status == OK:
        status = _get_byte(c, &form)
    if status != OK:
        return status
    if form > 1:
        return PAYLOAD_FORM
    c.unit_ns = _unit_ns[_get_bits(b, 2)]
    if form == 0:
        status = _get_ended(c, 0xFFFFFFFFu, &v.identity[2], &v.identity_length[2])
        if status == OK and not _is_ascii_or_utf8(v.identity[2], v.identity_length[2]):
            status = PAYLOAD_TEXT
    else:
        status = _get_own_guid_3(b, ids)
        room = _arena_room(v, GUID_LENGTH)
        if room == NULL:
            return NO_MEMORY
        _write_guid(ids.own, room)
        v.identity[2] = NULL
        v.identity_length[2] = GUID_LENGTH
        v.arena.size = GUID_LENGTH
    return status if status != OK else _get_base_3(c, b, ids)


cdef Status _get_numbers_3(const CPlan* plan, BitReader* b, View* v) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef uint64_t* counts
    cdef uint32_t i, kind
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i]:
            continue
        if reducer.op == OP_COUNT:
            counts = v.counts + i * KIND_ROOM
            for kind in range(KIND_ROOM):
                if counts[kind]:
                    counts[kind] = _get_number(b) + 1
                    if counts[kind] == 0:
                        return PAYLOAD_COUNT
        elif reducer.op <= OP_SUM and not _is_time(reducer):
            v.numbers[i] = _get_number(b)
            if reducer.op != OP_SUM and v.numbers[i] > <uint64_t> INT64_MAX:
                return PAYLOAD_NUMBER
    return OK


cdef Status _get_since(Cursor* c, BitReader* b, int64_t before, int64_t* time, int64_t* latest) noexcept nogil:
    cdef uint64_t units = _get_number(b)
    if units == 0:
        time[0] = before
    elif not _in_range(<int128> before + <int128> units * c.unit_ns, time):
        return PAYLOAD_TIME
    latest[0] = max(latest[0], time[0])
    return OK


cdef Status _get_set_times(
    Cursor* c, BitReader* b, TextRef* members, uint32_t count, int64_t* latest
) noexcept nogil:
    cdef int64_t before = c.base
    cdef uint32_t j
    for j in range(count):
        if _get_since(c, b, before, &members[j].time, latest) != OK:
            return PAYLOAD_TIME
        before = members[j].time
    return OK


cdef Status _get_times_3(const CPlan* plan, Cursor* c, BitReader* b, View* v) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef int64_t latest = c.base
    cdef uint32_t i
    cdef Status status = OK
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i] or _is_latest(reducer):
            continue
        if reducer.op == OP_SET:
            status = _get_set_times(c, b, v.members + reducer.members, v.member_count[i], &latest)
        elif reducer.op >= OP_FIRST:
            status = _get_since(c, b, c.base, &v.texts[i].time, &latest)
        elif _is_time(reducer):
            status = _get_since(c, b, c.base, <int64_t*> &v.numbers[i], &latest)
        if status != OK:
            return status
    for i in range(plan.reducer_count):
        if v.has[i] and _is_latest(&plan.reducers[i]):
            if not _in_range(<int128> latest + _get_signed(b) * c.unit_ns, <int64_t*> &v.numbers[i]):
                return PAYLOAD_TIME
            latest = max(latest, <int64_t> v.numbers[i])
    return OK


cdef Status _get_id_3(BitReader* b, View* v, uint8_t form, uint32_t most, TextRef* text, Ids3* ids) noexcept nogil:
    cdef uint8_t id_bytes[16]
    cdef uint8_t* room = _arena_room(v, GUID_LENGTH)
    cdef Status status = OK
    if room == NULL:
        return NO_MEMORY
    text.at = <const uint8_t*> v.arena.size
    if form == TEXT_GUID:
        text.length = GUID_LENGTH
        status = _get_guid_3(b, ids, id_bytes)
        _write_guid(id_bytes, room)
    else:
        _get_whole(b, id_bytes, 6)
        text.length = _write_ipv4(id_bytes, room)
    if status == OK and text.length > most:
        status = PAYLOAD_TEXT
    v.arena.size += text.length
    return status


cdef Status _get_ids_3(const CPlan* plan, BitReader* b, View* v, Ids3* ids) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef TextRef* texts
    cdef uint32_t i, j, count
    cdef Status status
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i] or reducer.op < OP_FIRST or v.form[i] == TEXT_PLAIN:
            continue
        texts = v.members + reducer.members if reducer.op == OP_SET else &v.texts[i]
        count = v.member_count[i] if reducer.op == OP_SET else 1
        for j in range(count):
            status = _get_id_3(b, v, v.form[i], reducer.read_bytes, &texts[j], ids)
            if status != OK:
                return status
    return OK


cdef Status _decode_view_3(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef BitReader b
    cdef Ids3 ids
    cdef Status status = _get_identity_3(c, v, &b, &ids)
    if status == OK:
        status = _get_head(plan, c, v)
    if status == OK:
        status = _get_texts(plan, c, v)
    if status == OK and c.at != c.end:
        status = PAYLOAD_TRAILING
    if status != OK:
        return status
    status = _get_numbers_3(plan, &b, v)
    if status == OK:
        status = _get_times_3(plan, c, &b, v)
    if status == OK:
        status = _get_ids_3(plan, &b, v, &ids)
    if status == OK:
        status = _settle_texts(plan, v)
    # What was read behind the end is zeros, whatever they then seemed to be.
    if b.is_short:
        status = PAYLOAD_TRUNCATED
    if status == OK and b.end - b.at >= 8:
        status = PAYLOAD_TRAILING
    if v.identity[2] == NULL:
        v.identity[2] = v.arena.data
    c.at = b.start + (b.at >> 3)
    return status


cdef int _version_of(const Cursor* c) noexcept nogil:
    """Of a payload, told by its mark."""
    if c.end - c.at < MARK_BYTES or c.at[0] != 0x80:
        return 1
    if c.at[1] == 0:
        return 2
    return 3 if c.end - c.at >= MARK_BYTES_3 and c.at[1] == 0x80 and c.at[2] == 0 else 1


cdef Status _decode_view(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    """Take a payload of any version apart.

    c  IN/OUT  start, at and end set; left where the payload ends, or at the fault
    v  OUT     points into the payload and its own arena

    Notes
    -----
    Everything a merge relies on is checked; that the unit is the coarsest, the base the smallest time and every
    form the shortest is left to `decode`, which writes the state again and compares.
    """
    cdef int version = _version_of(c)
    if version == 3:
        return _decode_view_3(plan, c, v)
    return _decode_view_2(plan, c, v) if version == 2 else _decode_view_1(plan, c, v)


cdef Status _decode_front(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    """Take the identity of a marked payload apart, and the head: what was lost is told there."""
    cdef BitReader b
    cdef Ids ids
    cdef Ids3 ids_3
    cdef Status status
    if _version_of(c) == 3:
        status = _get_identity_3(c, v, &b, &ids_3)
    else:
        c.at += MARK_BYTES
        status = _get_identity(c, v, &ids)
    return _get_head(plan, c, v) if status == OK else status


cdef Status _decode_identity(Cursor* c, View* v) noexcept nogil:
    """Take the identity of a payload of any version apart."""
    cdef BitReader b
    cdef Ids ids
    cdef Ids3 ids_3
    cdef Status status
    cdef int version = _version_of(c)
    if version == 1:
        return _get_identity_1(c, v)
    if version == 3:
        status = _get_identity_3(c, v, &b, &ids_3)
    else:
        c.at += MARK_BYTES
        status = _get_identity(c, v, &ids)
    if v.identity[2] == NULL:
        v.identity[2] = v.arena.data
    return status
