# Version 2 of the payload: like beside like, so that zstd finds long matches and few of them.
#
#   mark      80 00                    a zero no varint is written as: version 1 never begins so.  Not stored.
#   base      u8 unit | zigzag(base / unit)
#   identity  0 | process 00, or 1 | process as a GUID;  tenant 00  host 00
#   head      of every reducer with a value: tag << 3 | op, then
#               count         one bit a kind
#               min, max      0 for a time, 1 for a number
#               first, last   form << 1 | cut
#               set           members << 4 | some cut << 3 | form << 1 | more, then with "some cut" one bit a member
#             and a 0 behind the last
#   texts     of first and last: text 00; of a set: (bytes shared with the member before, from the second on) rest 00
#   numbers   of count: one a kind; of sum, min and max
#   times     of min, max, first and last: (time - base) / unit; of a set: since the member before, the first since base
#   ids       of texts in another form
#
# A GUID is written beside the one before it, the first beside that of the process (`forms.pxi` names the parts):
#
#   zigzag(seconds - seconds before) << 2 | other session << 1 | other host | [4: host] | 2: counter | [6: session]

cdef enum:
    MARK_BYTES = 2

ctypedef struct Ids:
    uint8_t own[16]             # the process, or zeros
    int64_t seconds             # of the GUID before


cdef uint64_t _zigzag(int64_t value) noexcept nogil:
    return (<uint64_t> value << 1) ^ <uint64_t> (value >> 63)


cdef int64_t _base_seconds(int64_t base) noexcept nogil:
    cdef int64_t seconds = base // _unit_ns[3]
    return seconds - 1 if seconds * _unit_ns[3] > base else seconds


# --- encode ---

cdef uint8_t* _put_guid(uint8_t* out, const uint8_t* guid, Ids* ids, bint is_own) noexcept nogil:
    cdef bint other_host = memcmp(guid, ids.own, 4) != 0
    cdef bint other_session = memcmp(guid + 10, ids.own + 10, 6) != 0
    cdef int64_t seconds = _guid_seconds(guid)
    cdef uint64_t step = _zigzag(seconds - ids.seconds)
    ids.seconds = seconds
    if is_own:
        out = _put_varint(_put_bytes(out, guid, 4), step)
        return _put_bytes(out, guid + 8, 8)
    out = _put_varint(out, step << 2 | <uint64_t> other_session << 1 | other_host)
    if other_host:
        out = _put_bytes(out, guid, 4)
    out = _put_bytes(out, guid + 8, 2)
    return _put_bytes(out, guid + 10, 6) if other_session else out


cdef uint8_t* _put_id(uint8_t* out, const TextRef* text, uint8_t form, Ids* ids) noexcept nogil:
    cdef uint8_t room[16]
    if form == TEXT_GUID:
        _read_guid(text.at, text.length, room)
        return _put_guid(out, room, ids, False)
    _read_ipv4(text.at, text.length, out)
    return out + 6


cdef uint8_t* _put_ended(uint8_t* out, const uint8_t* at, uint32_t length) noexcept nogil:
    out = _put_bytes(out, at, length)
    out[0] = 0
    return out + 1


cdef uint8_t* _put_identity(uint8_t* out, const View* v, int64_t base, Ids* ids) noexcept nogil:
    memset(ids, 0, sizeof(Ids))
    ids.seconds = _base_seconds(base)
    out[0] = _read_guid(v.identity[2], v.identity_length[2], ids.own)
    if out[0]:
        out = _put_guid(out + 1, ids.own, ids, True)
    else:
        memset(ids.own, 0, sizeof(ids.own))
        out = _put_ended(out + 1, v.identity[2], v.identity_length[2])
    out = _put_ended(out, v.identity[0], v.identity_length[0])
    return _put_ended(out, v.identity[1], v.identity_length[1])


cdef uint8_t* _put_set_head(
    uint8_t* out, const TextRef* members, uint32_t count, uint8_t form, bint more
) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t some_cut = 0
    for i in range(count):
        some_cut |= members[i].cut
    out = _put_varint(out, <uint64_t> count << 4 | some_cut << 3 | form << 1 | more)
    if some_cut:
        memset(out, 0, (count + 7) // 8)
        for i in range(count):
            out[i // 8] |= <uint8_t> (members[i].cut << (i % 8))
        out += (count + 7) // 8
    return out


cdef uint8_t* _put_head(uint8_t* out, const CPlan* plan, View* v) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef uint64_t kinds
    cdef uint32_t i, kind
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        reducer = &plan.reducers[i]
        out = _put_varint(out, <uint64_t> reducer.tag << 3 | reducer.op)
        if reducer.op == OP_COUNT:
            kinds = 0
            for kind in range(KIND_ROOM):
                kinds |= <uint64_t> (v.counts[i * KIND_ROOM + kind] != 0) << kind
            out = _put_varint(out, kinds)
        elif reducer.op == OP_SET:
            v.form[i] = _form_of(v.members + reducer.members, v.member_count[i])
            out = _put_set_head(out, v.members + reducer.members, v.member_count[i], v.form[i], v.more[i])
        elif reducer.op >= OP_FIRST:
            v.form[i] = _form_of(&v.texts[i], 1)
            out[0] = <uint8_t> (v.form[i] << 1 | v.texts[i].cut)
            out += 1
        elif reducer.op != OP_SUM:
            out[0] = not _is_time(reducer)
            out += 1
    out[0] = 0
    return out + 1


cdef uint32_t _shared(const TextRef* a, const TextRef* b) noexcept nogil:
    """How many bytes two texts begin with alike."""
    cdef uint32_t most = min(a.length, b.length)
    cdef uint32_t i = 0
    while i + 8 <= most and ff_load64(a.at + i) == ff_load64(b.at + i):
        i += 8
    while i < most and a.at[i] == b.at[i]:
        i += 1
    return i


cdef uint8_t* _put_texts(uint8_t* out, const CPlan* plan, const View* v) noexcept nogil:
    cdef const TextRef* members
    cdef uint32_t i, j, same
    for i in range(plan.reducer_count):
        if not v.has[i] or plan.reducers[i].op < OP_FIRST or v.form[i] != TEXT_PLAIN:
            continue
        if plan.reducers[i].op != OP_SET:
            out = _put_ended(out, v.texts[i].at, v.texts[i].length)
            continue
        members = v.members + plan.reducers[i].members
        for j in range(v.member_count[i]):
            same = 0
            if j:
                same = _shared(&members[j - 1], &members[j])
                out = _put_varint(out, same)
            out = _put_ended(out, members[j].at + same, members[j].length - same)
    return out


cdef uint8_t* _put_numbers(uint8_t* out, const CPlan* plan, const View* v) noexcept nogil:
    cdef uint32_t i, kind
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        if plan.reducers[i].op == OP_COUNT:
            for kind in range(KIND_ROOM):
                if v.counts[i * KIND_ROOM + kind]:
                    out = _put_varint(out, v.counts[i * KIND_ROOM + kind])
        elif plan.reducers[i].op <= OP_SUM and not _is_time(&plan.reducers[i]):
            out = _put_varint(out, v.numbers[i])
    return out


cdef uint8_t* _put_times(uint8_t* out, const CPlan* plan, const View* v, int64_t base, int unit) noexcept nogil:
    cdef const TextRef* members
    cdef int64_t before
    cdef uint32_t i, j
    for i in range(plan.reducer_count):
        if not v.has[i]:
            continue
        if plan.reducers[i].op == OP_SET:
            members = v.members + plan.reducers[i].members
            before = base
            for j in range(v.member_count[i]):
                out = _put_varint(out, _since(members[j].time, before, unit))
                before = members[j].time
        elif plan.reducers[i].op >= OP_FIRST:
            out = _put_varint(out, _since(v.texts[i].time, base, unit))
        elif _is_time(&plan.reducers[i]):
            out = _put_varint(out, _since(<int64_t> v.numbers[i], base, unit))
    return out


cdef uint8_t* _put_ids(uint8_t* out, const CPlan* plan, const View* v, Ids* ids) noexcept nogil:
    cdef uint32_t i, j
    for i in range(plan.reducer_count):
        if not v.has[i] or plan.reducers[i].op < OP_FIRST or v.form[i] == TEXT_PLAIN:
            continue
        if plan.reducers[i].op != OP_SET:
            out = _put_id(out, &v.texts[i], v.form[i], ids)
            continue
        for j in range(v.member_count[i]):
            out = _put_id(out, &v.members[plan.reducers[i].members + j], v.form[i], ids)
    return out


cdef bint _encode_view_2(const CPlan* plan, View* v, Bytes* into) noexcept nogil:
    """Append the canonical payload of a view; false when there is no memory.

    v  IN/OUT  `form` is found out here
    """
    cdef int64_t base
    cdef int unit
    cdef Ids ids
    cdef uint8_t* out
    cdef size_t bound = _survey(plan, v, &base, &unit)
    if not _reserve(into, bound):
        return False
    out = into.data + into.size
    out[0] = 0x80
    out[1] = 0
    out = _put_base(out + MARK_BYTES, base, unit)
    out = _put_identity(out, v, base, &ids)
    out = _put_head(out, plan, v)
    out = _put_texts(out, plan, v)
    out = _put_numbers(out, plan, v)
    out = _put_times(out, plan, v, base, unit)
    out = _put_ids(out, plan, v, &ids)
    into.size = out - into.data
    return True
