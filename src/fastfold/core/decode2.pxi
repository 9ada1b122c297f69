# Reading version 2 of the payload (`codec2.pxi` has the layout).
#
# Texts that are put together go to the arena of the view.  It moves while it grows, so that until all is read
# their addresses count from its start.

cdef Status _get_ended(Cursor* c, uint64_t most, const uint8_t** at, uint32_t* length) noexcept nogil:
    """Bytes up to a NUL, which is skipped; UTF-8 is not looked at."""
    cdef uint64_t left = c.end - c.at
    cdef const uint8_t* end = <const uint8_t*> memchr(c.at, 0, left) if left else NULL
    if end == NULL:
        return PAYLOAD_TRUNCATED
    at[0] = c.at
    if <uint64_t> (end - c.at) > most:
        return PAYLOAD_TEXT
    length[0] = <uint32_t> (end - c.at)
    c.at = end + 1
    return OK


cdef uint8_t* _arena_room(View* v, size_t more) noexcept nogil:
    return v.arena.data + v.arena.size if _reserve(&v.arena, more) else NULL


cdef Status _get_seconds(int64_t before, uint64_t step, uint8_t* guid) noexcept nogil:
    cdef int64_t seconds
    if step >> 40:                      # further than any two seconds lie apart
        return PAYLOAD_ID
    seconds = before + (<int64_t> (step >> 1) ^ -<int64_t> (step & 1))
    if not 0 <= seconds <= <int64_t> 0xFFFFFFFFu:
        return PAYLOAD_ID
    _set_guid_seconds(guid, <uint32_t> seconds)
    return OK


cdef Status _get_own_guid(Cursor* c, Ids* ids) noexcept nogil:
    cdef const uint8_t* at
    cdef uint64_t step
    cdef Status status = _get_bytes(c, 4, &at)
    if status == OK:
        memcpy(ids.own, at, 4)
        status = _get_varint(c, &step)
    if status == OK:
        status = _get_seconds(ids.seconds, step, ids.own)
    if status == OK:
        status = _get_bytes(c, 8, &at)
    if status == OK:
        memcpy(ids.own + 8, at, 8)
        ids.seconds = _guid_seconds(ids.own)
    return status


cdef Status _get_guid(Cursor* c, Ids* ids, uint8_t* guid) noexcept nogil:
    cdef const uint8_t* at
    cdef uint64_t head
    cdef Status status = _get_varint(c, &head)
    memcpy(guid, ids.own, 16)
    if status == OK:
        status = _get_seconds(ids.seconds, head >> 2, guid)
    if status == OK and head & 1:
        status = _get_bytes(c, 4, &at)
        if status == OK:
            memcpy(guid, at, 4)
    if status == OK:
        status = _get_bytes(c, 8 if head & 2 else 2, &at)
    if status == OK:
        memcpy(guid + 8, at, 8 if head & 2 else 2)
        ids.seconds = _guid_seconds(guid)
    return status


cdef Status _get_identity(Cursor* c, View* v, Ids* ids) noexcept nogil:
    """Base and identity; the arena of the view holds the process id when it is a GUID."""
    cdef uint8_t form
    cdef uint8_t* room
    cdef int i
    cdef Status status
    memset(ids, 0, sizeof(Ids))
    v.arena.size = 0
    status = _get_base(c)
    if status == OK:
        status = _get_byte(c, &form)
    if status != OK:
        return status
    if form > 1:
        return PAYLOAD_FORM
    ids.seconds = _base_seconds(c.base)
    if form == 0:
        status = _get_ended(c, 0xFFFFFFFFu, &v.identity[2], &v.identity_length[2])
    else:
        status = _get_own_guid(c, ids)
        if status == OK:
            room = _arena_room(v, GUID_LENGTH)
            if room == NULL:
                return NO_MEMORY
            _write_guid(ids.own, room)
            v.identity[2] = NULL
            v.identity_length[2] = GUID_LENGTH
            v.arena.size = GUID_LENGTH
    for i in range(2):
        if status == OK:
            status = _get_ended(c, 0xFFFFFFFFu, &v.identity[i], &v.identity_length[i])
    for i in range(2 if form else 3):
        if status == OK and not _is_ascii_or_utf8(v.identity[i], v.identity_length[i]):
            status = PAYLOAD_TEXT
    return status


cdef Status _get_kinds(Cursor* c, uint64_t* counts) noexcept nogil:
    """Kinds that were counted: 1 for each, until `_get_numbers` has the counts."""
    cdef uint64_t kinds
    cdef uint32_t kind
    cdef Status status = _get_varint(c, &kinds)
    if status != OK:
        return status
    if kinds == 0:
        return PAYLOAD_COUNT
    if kinds >> KIND_COUNT:
        return PAYLOAD_KIND
    for kind in range(KIND_ROOM):
        counts[kind] = kinds >> kind & 1
    return OK


cdef Status _get_set_head(Cursor* c, const ReducerPlan* reducer, View* v, uint32_t i) noexcept nogil:
    cdef TextRef* members = v.members + reducer.members
    cdef const uint8_t* cuts
    cdef uint64_t head, count
    cdef uint32_t j
    cdef Status status = _get_varint(c, &head)
    if status != OK:
        return status
    count = head >> 4
    if count == 0 or count > reducer.limit:
        return PAYLOAD_SET
    if (head >> 1 & 3) >= TEXT_FORMS:
        return PAYLOAD_FORM
    v.member_count[i] = <uint32_t> count
    v.form[i] = <uint8_t> (head >> 1 & 3)
    v.more[i] = head & 1
    for j in range(v.member_count[i]):
        members[j].cut = 0
    if not head >> 3 & 1:
        return OK
    status = _get_bytes(c, (count + 7) // 8, &cuts)
    if status == OK:
        for j in range(v.member_count[i]):
            members[j].cut = cuts[j // 8] >> (j % 8) & 1
    return status


cdef Status _get_value_head(Cursor* c, const ReducerPlan* reducer, View* v, uint32_t i) noexcept nogil:
    cdef uint8_t mark
    cdef Status status
    if reducer.op == OP_COUNT:
        return _get_kinds(c, v.counts + i * KIND_ROOM)
    if reducer.op == OP_SET:
        return _get_set_head(c, reducer, v, i)
    if reducer.op == OP_SUM:
        return OK
    status = _get_byte(c, &mark)
    if status != OK:
        return status
    if reducer.op < OP_FIRST:
        return OK if mark == (0 if _is_time(reducer) else 1) else PAYLOAD_NUMBER
    if mark >> 1 >= TEXT_FORMS:
        return PAYLOAD_FORM
    v.form[i] = mark >> 1
    v.texts[i].cut = mark & 1
    return OK


cdef Status _get_head(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef uint32_t i = 0
    cdef Status status = OK
    memset(v.has, 0, plan.reducer_count)
    while status == OK:
        status = _get_varint(c, &c.head)
        if status == OK and c.head == 0:
            return OK
        if status == OK:
            status = _next_reducer(plan, v, c.head, &i)
        if status == OK:
            status = _get_value_head(c, &plan.reducers[i], v, i)
            v.has[i] = 1
    return status


cdef Status _get_member_texts(Cursor* c, View* v, TextRef* members, uint32_t count, uint32_t most) noexcept nogil:
    """Texts that share their beginnings, put together in the arena."""
    cdef const uint8_t* rest
    cdef uint8_t* room
    cdef uint64_t same = 0
    cdef uint32_t length, j
    cdef Status status
    for j in range(count):
        if j:
            status = _get_varint(c, &same)
            if status != OK:
                return status
            if same > members[j - 1].length:
                return PAYLOAD_TEXT
        status = _get_ended(c, most - same, &rest, &length)
        if status != OK:
            return status
        length += <uint32_t> same
        room = _arena_room(v, length)
        if room == NULL:
            return NO_MEMORY
        if same:
            memcpy(room, v.arena.data + <size_t> members[j - 1].at, same)
        memcpy(room + same, rest, length - same)
        if length == 0 or not _is_ascii_or_utf8(room, length):
            return PAYLOAD_TEXT
        members[j].at = <const uint8_t*> v.arena.size
        members[j].length = length
        v.arena.size += length
    return OK


cdef Status _get_texts(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef TextRef* text
    cdef uint32_t i
    cdef Status status = OK
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i] or reducer.op < OP_FIRST or v.form[i] != TEXT_PLAIN:
            continue
        if reducer.op == OP_SET:
            status = _get_member_texts(c, v, v.members + reducer.members, v.member_count[i], reducer.read_bytes)
        else:
            text = &v.texts[i]
            status = _get_ended(c, reducer.read_bytes, &text.at, &text.length)
            if status == OK and (text.length == 0 or not _is_ascii_or_utf8(text.at, text.length)):
                status = PAYLOAD_TEXT
        if status != OK:
            return status
    return OK


cdef Status _get_numbers(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef uint64_t* counts
    cdef uint32_t i, kind
    cdef Status status = OK
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i]:
            continue
        if reducer.op == OP_COUNT:
            counts = v.counts + i * KIND_ROOM
            for kind in range(KIND_ROOM):
                if status == OK and counts[kind]:
                    status = _get_varint(c, &counts[kind])
                    if status == OK and counts[kind] == 0:
                        status = PAYLOAD_COUNT
        elif reducer.op <= OP_SUM and not _is_time(reducer):
            status = _get_varint(c, &v.numbers[i])
            if status == OK and reducer.op != OP_SUM and v.numbers[i] > <uint64_t> INT64_MAX:
                status = PAYLOAD_NUMBER
        if status != OK:
            return status
    return OK


cdef Status _get_times(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef const ReducerPlan* reducer
    cdef TextRef* members
    cdef int64_t before
    cdef uint32_t i, j
    cdef Status status = OK
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i]:
            continue
        if reducer.op == OP_SET:
            members = v.members + reducer.members
            before = c.base
            for j in range(v.member_count[i]):
                if status == OK:
                    status = _get_time(c, before, &members[j].time)
                    before = members[j].time
        elif reducer.op >= OP_FIRST:
            status = _get_time(c, c.base, &v.texts[i].time)
        elif _is_time(reducer):
            status = _get_time(c, c.base, <int64_t*> &v.numbers[i])
        if status != OK:
            return status
    return OK


cdef Status _get_id(Cursor* c, View* v, uint8_t form, uint32_t most, TextRef* text, Ids* ids) noexcept nogil:
    cdef const uint8_t* at
    cdef uint8_t guid[16]
    cdef uint8_t* room = _arena_room(v, GUID_LENGTH)
    cdef Status status
    if room == NULL:
        return NO_MEMORY
    text.at = <const uint8_t*> v.arena.size
    if form == TEXT_GUID:
        text.length = GUID_LENGTH
        status = _get_guid(c, ids, guid)
        if status == OK:
            _write_guid(guid, room)
    else:
        status = _get_bytes(c, 6, &at)
        if status == OK:
            text.length = _write_ipv4(at, room)
    if status == OK and text.length > most:
        status = PAYLOAD_TEXT
    if status == OK:
        v.arena.size += text.length
    return status


cdef Status _get_ids(const CPlan* plan, Cursor* c, View* v, Ids* ids) noexcept nogil:
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
            status = _get_id(c, v, v.form[i], reducer.read_bytes, &texts[j], ids)
            if status != OK:
                return status
    return OK


cdef Status _settle_texts(const CPlan* plan, View* v) noexcept nogil:
    """The arena moves no more: make its places addresses, and see that sets are in order."""
    cdef const ReducerPlan* reducer
    cdef TextRef* members
    cdef uint32_t i, j
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i]:
            continue
        if reducer.op == OP_SET:
            members = v.members + reducer.members
            for j in range(v.member_count[i]):
                members[j].at = v.arena.data + <size_t> members[j].at
                if j and _order_refs(&members[j - 1], &members[j]) >= 0:
                    return PAYLOAD_SET
        elif reducer.op >= OP_FIRST and v.form[i] != TEXT_PLAIN:
            v.texts[i].at = v.arena.data + <size_t> v.texts[i].at
    return OK


cdef Status _decode_view_2(const CPlan* plan, Cursor* c, View* v) noexcept nogil:
    cdef Ids ids
    cdef Status status
    c.at += MARK_BYTES
    status = _get_identity(c, v, &ids)
    if status == OK:
        status = _get_head(plan, c, v)
    if status == OK:
        status = _get_texts(plan, c, v)
    if status == OK:
        status = _get_numbers(plan, c, v)
    if status == OK:
        status = _get_times(plan, c, v)
    if status == OK:
        status = _get_ids(plan, c, v, &ids)
    if status == OK:
        status = _settle_texts(plan, v)
    if v.identity[2] == NULL:
        v.identity[2] = v.arena.data
    return status if status != OK or c.at == c.end else PAYLOAD_TRAILING
