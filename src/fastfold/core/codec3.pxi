# Version 3 of the payload: texts for zstd, all else in bits behind them.
#
#   mark      80 80 00                 a zero again, written longer than those of versions 1 and 2
#   size      u32 of the texts
#   name      tenant 00  host 00
#   texts     0 | process 00, or 1 for a GUID;  head and texts as in version 2
#   numbers   2: unit | own GUID | signed: (base - its seconds) / unit
#             numbers  of count: one less of each kind; of sum, min and max
#             times    of min, first and last: (time - base) / unit; of a set: since the member before
#                      of max, behind all others: signed, since the latest before it
#             ids      of texts in another form: of an endpoint 48
#
# Mark, size and name are not stored: a host's name is in its record.  zstd makes nothing smaller of times and ids,
# and without them its tables fit texts better.
#
#   own GUID  32: host | 32: seconds | number: counter | session
#   others    0, or 1 | 1: other host | 1: other session, and what is other
#             place of the GUID it is written beside | signed: seconds since | groups: zigzag(counter since)
#   session   0 | 8: 00000000 xx 00       10 | 24: 0010 xxxxxx 00       11 | 48
#   place     so many ones, and a zero unless none is left: of the four before, newest first, and of the earliest of
#             all behind them, the first whose seconds are away by the fewest bits

cdef enum:
    MARK_BYTES_3 = 3
    SIZE_BYTES = 4
    LAST_IDS = 4

ctypedef struct Known:
    uint32_t seconds
    uint32_t counter

ctypedef struct Ids3:
    uint8_t own[16]             # the process, or zeros
    Known known[LAST_IDS + 1]   # what the next one may be written beside
    Known earliest
    int last_count
    int count


cdef void _no_ids(Ids3* ids) noexcept nogil:
    memset(ids, 0, sizeof(Ids3))
    ids.count = 1               # zeros


cdef void _add_known(Ids3* ids, uint32_t seconds, uint32_t counter) noexcept nogil:
    """The GUID that was written or read last becomes the first of those known."""
    cdef int i
    if ids.last_count == 0 or seconds < ids.earliest.seconds:
        ids.earliest.seconds = seconds
        ids.earliest.counter = counter
    if ids.last_count < LAST_IDS:
        ids.last_count += 1
    for i in range(ids.last_count - 1, 0, -1):
        ids.known[i] = ids.known[i - 1]
    ids.known[0].seconds = seconds
    ids.known[0].counter = counter
    ids.count = ids.last_count
    for i in range(ids.last_count):
        if ids.known[i].seconds == ids.earliest.seconds and ids.known[i].counter == ids.earliest.counter:
            return
    ids.known[ids.count] = ids.earliest
    ids.count += 1


cdef int _nearest(const Ids3* ids, uint32_t seconds) noexcept nogil:
    cdef int64_t away
    cdef int bits, i
    cdef int least = 64
    cdef int place = 0
    for i in range(ids.count):
        away = <int64_t> seconds - <int64_t> ids.known[i].seconds
        bits = ff_top_bit(<uint64_t> (-away if away < 0 else away)) + 1 if away else 0
        if bits < least:
            least = bits
            place = i
    return place


cdef uint32_t _guid_counter(const uint8_t* guid) noexcept nogil:
    return guid[8] | <uint32_t> guid[9] << 8


# --- encode ---

cdef void _put_session(BitWriter* b, const uint8_t* session) noexcept nogil:
    cdef uint32_t start = ff_load32(session)
    if start == 0 and session[5] == 0:
        _put_bits(b, <uint64_t> session[4] << 1, 9)
    elif start & 0xFFFF == 0x1000 and session[5] == 0:
        _put_bits(b, 1, 2)
        _put_whole(b, session + 2, 3)
    else:
        _put_bits(b, 3, 2)
        _put_whole(b, session, 6)


cdef void _put_own_guid(BitWriter* b, Ids3* ids) noexcept nogil:
    cdef uint32_t seconds = _guid_seconds(ids.own)
    _put_whole(b, ids.own, 4)
    _put_bits(b, seconds, 32)
    _put_number(b, _guid_counter(ids.own))
    _put_session(b, ids.own + 10)
    _add_known(ids, seconds, _guid_counter(ids.own))


cdef void _put_guid_3(BitWriter* b, const uint8_t* guid, Ids3* ids) noexcept nogil:
    cdef bint other_host = memcmp(guid, ids.own, 4) != 0
    cdef bint other_session = memcmp(guid + 10, ids.own + 10, 6) != 0
    cdef uint32_t seconds = _guid_seconds(guid)
    cdef uint32_t counter = _guid_counter(guid)
    cdef int place = _nearest(ids, seconds)
    cdef uint32_t step = (counter - ids.known[place].counter) & 0xFFFF
    if other_host or other_session:
        _put_bits(b, 1 | <uint64_t> other_host << 1 | <uint64_t> other_session << 2, 3)
    else:
        _put_bits(b, 0, 1)
    if other_host:
        _put_whole(b, guid, 4)
    if other_session:
        _put_session(b, guid + 10)
    _put_bits(b, (<uint64_t> 1 << place) - 1, min(place + 1, ids.count - 1))
    _put_signed(b, <int128> seconds - <int128> ids.known[place].seconds)
    _put_groups(b, step << 1 if step < 0x8000 else ((0x10000 - step) << 1) - 1)
    _add_known(ids, seconds, counter)


cdef int128 _own_base(const Ids3* ids) noexcept nogil:
    """What the smallest time is written beside: the seconds of the process, or 0."""
    return <int128> ids.known[0].seconds * _unit_ns[3]


cdef bint _is_latest(const ReducerPlan* reducer) noexcept nogil:
    return reducer.op == OP_MAX and _is_time(reducer)


cdef void _put_numbers_3(BitWriter* b, const CPlan* plan, const View* v) noexcept nogil:
    cdef uint32_t i, kind
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        if plan.reducers[i].op == OP_COUNT:
            for kind in range(KIND_ROOM):
                if v.counts[i * KIND_ROOM + kind]:
                    _put_number(b, v.counts[i * KIND_ROOM + kind] - 1)
        elif plan.reducers[i].op <= OP_SUM and not _is_time(&plan.reducers[i]):
            _put_number(b, v.numbers[i])


cdef int64_t _put_time(BitWriter* b, int64_t time, int64_t before, int unit, int64_t latest) noexcept nogil:
    """Returns the later of the time and the latest."""
    _put_number(b, _since(time, before, unit) if time != before else 0)
    return max(time, latest)


cdef void _put_times_3(BitWriter* b, const CPlan* plan, const View* v, int64_t base, int unit) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef const TextRef* members
    cdef int64_t latest = base
    cdef int64_t before
    cdef uint32_t i, j
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i] or _is_latest(reducer):
            continue
        if reducer.op == OP_SET:
            members = v.members + reducer.members
            before = base
            for j in range(v.member_count[i]):
                latest = _put_time(b, members[j].time, before, unit, latest)
                before = members[j].time
        elif reducer.op >= OP_FIRST:
            latest = _put_time(b, v.texts[i].time, base, unit, latest)
        elif _is_time(reducer):
            latest = _put_time(b, <int64_t> v.numbers[i], base, unit, latest)
    for i in range(plan.reducer_count):
        if v.has[i] and _is_latest(&plan.reducers[i]):
            before = <int64_t> v.numbers[i]
            _put_signed(b, (<int128> before - <int128> latest) // _unit_ns[unit])
            latest = max(before, latest)


cdef void _put_ids_3(BitWriter* b, const CPlan* plan, const View* v, Ids3* ids) noexcept nogil:
    cdef const TextRef* texts
    cdef uint8_t room[16]
    cdef uint32_t i, j, count
    for i in range(plan.reducer_count):
        if not v.has[i] or plan.reducers[i].op < OP_FIRST or v.form[i] == TEXT_PLAIN:
            continue
        texts = v.members + plan.reducers[i].members if plan.reducers[i].op == OP_SET else &v.texts[i]
        count = v.member_count[i] if plan.reducers[i].op == OP_SET else 1
        for j in range(count):
            if v.form[i] == TEXT_GUID:
                _read_guid(texts[j].at, texts[j].length, room)
                _put_guid_3(b, room, ids)
            else:
                _read_ipv4(texts[j].at, texts[j].length, room)
                _put_whole(b, room, 6)


cdef bint _encode_view_3(const CPlan* plan, View* v, Bytes* into) noexcept nogil:
    """Append the canonical payload of a view; false when there is no memory.

    v  IN/OUT  `form` is found out here
    """
    cdef int64_t base
    cdef int unit
    cdef Ids3 ids
    cdef BitWriter b
    cdef uint8_t* texts
    cdef uint8_t* out
    cdef uint32_t size
    cdef size_t bound = _survey(plan, v, &base, &unit)
    if not _reserve(into, bound + BITS_ROOM):
        return False
    out = into.data + into.size
    out[0] = out[1] = 0x80
    out[2] = 0
    texts = _put_ended(out + MARK_BYTES_3 + SIZE_BYTES, v.identity[0], v.identity_length[0])
    texts = _put_ended(texts, v.identity[1], v.identity_length[1])
    _no_ids(&ids)
    texts[0] = _read_guid(v.identity[2], v.identity_length[2], ids.own)
    b.out = texts + 1
    if not texts[0]:
        memset(ids.own, 0, sizeof(ids.own))
        b.out = _put_ended(b.out, v.identity[2], v.identity_length[2])
    b.out = _put_texts(_put_head(b.out, plan, v), plan, v)
    size = <uint32_t> (b.out - texts)
    memcpy(out + MARK_BYTES_3, &size, SIZE_BYTES)
    b.word = 0
    b.count = 0
    _put_bits(&b, unit, 2)
    if texts[0]:
        _put_own_guid(&b, &ids)
    _put_signed(&b, (<int128> base - _own_base(&ids)) // _unit_ns[unit])
    _put_numbers_3(&b, plan, v)
    _put_times_3(&b, plan, v, base, unit)
    _put_ids_3(&b, plan, v, &ids)
    into.size = _end_bits(&b) - into.data
    return True


cdef bint _encode_version(const CPlan* plan, View* v, int version, Bytes* into) noexcept nogil:
    if version == 3:
        return _encode_view_3(plan, v, into)
    return _encode_view_1(plan, v, into) if version == 1 else _encode_view_2(plan, v, into)
