# Fold: event rows into one accumulator per process.
#
# An accumulator is a row of 64-bit words, laid out by the fold definition; all have the same stride:
#
#   count       16 words   32 counters of 32 bits, by kind
#   min, max     2 words   value, whether there is one
#   sum          2 words   value, whether there is one
#   first, last  2 words   time, code of the text (0 = none)
#   set          2 words   SetHead: where its members are, how many, whether others were dropped
#
# Members of sets lie in a pool, in blocks of 4, 8, 16 ... members; a block that was outgrown is used again:
#
#   | time x room | code x room |
#
# A set of at most MEMBER_LIMIT members is searched from end to end, four codes at a time: no hash table per
# process.  Full, it keeps the smallest by (time, text): the greatest is known or looked for.


cdef bint _init_fold(Fold* f, const CPlan* plan) noexcept nogil:
    cdef uint32_t i
    cdef const ReducerPlan* reducer
    f.plan = plan
    f.blank = <uint64_t*> calloc(plan.stride_words, sizeof(uint64_t))
    if f.blank == NULL or not _grow(<void**> &f.pool, sizeof(uint64_t), &f.pool_room, 1024):
        return False
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if reducer.op == OP_MIN:
            f.blank[reducer.place] = <uint64_t> INT64_MAX
        elif reducer.op == OP_MAX:
            f.blank[reducer.place] = <uint64_t> INT64_MIN
    _clear_fold(f)
    return True


cdef void _clear_fold(Fold* f) noexcept nogil:
    f.state_count = 0
    f.pool_size = 1             # place 0 stands for no block
    memset(f.free_blocks, 0, sizeof(f.free_blocks))


cdef void _free_fold(Fold* f) noexcept nogil:
    free(f.states)
    free(f.blank)
    free(f.pool)
    free(f.cut_text.data)


cdef uint64_t* _accumulator(const Fold* f, size_t process) noexcept nogil:
    return f.states + process * f.plan.stride_words


cdef bint _add_states(Fold* f, size_t count) noexcept nogil:
    """Make accumulators for processes up to `count`."""
    cdef size_t room = f.state_room
    if count > room:
        if not _grow(<void**> &f.states, f.plan.stride_words * sizeof(uint64_t), &room, count):
            return False
        f.state_room = room
    while f.state_count < count:
        memcpy(_accumulator(f, f.state_count), f.blank, f.plan.stride_words * sizeof(uint64_t))
        f.state_count += 1
    return True


# --- sets ---

cdef int64_t* _member_times(const Fold* f, const SetHead* head) noexcept nogil:
    return <int64_t*> (f.pool + head.block)


cdef uint32_t* _member_codes(const Fold* f, const SetHead* head) noexcept nogil:
    return <uint32_t*> (f.pool + head.block + head.room)


cdef int _block_class(uint32_t room) noexcept nogil:
    cdef int number = 0
    while (<uint32_t> 1 << number) < room:
        number += 1
    return number


cdef bint _enlarge(Fold* f, SetHead* head) noexcept nogil:
    """Move the members of a set into a block twice as large."""
    cdef uint32_t room = head.room * 2 if head.room else 4
    cdef int number = _block_class(room)
    cdef uint32_t block = f.free_blocks[number]
    cdef SetHead moved = head[0]
    if block:
        f.free_blocks[number] = <uint32_t> f.pool[block]
    else:
        if f.pool_size + room + room // 2 > 0xFFFFFFFFu:
            return False
        if not _grow(<void**> &f.pool, sizeof(uint64_t), &f.pool_room, f.pool_size + room + room // 2):
            return False
        block = <uint32_t> f.pool_size
        f.pool_size += room + room // 2
    moved.block = block
    moved.room = <uint16_t> room
    if head.room:
        memcpy(_member_times(f, &moved), _member_times(f, head), head.count * sizeof(int64_t))
        memcpy(_member_codes(f, &moved), _member_codes(f, head), head.count * sizeof(uint32_t))
        number = _block_class(head.room)
        f.pool[head.block] = f.free_blocks[number]
        f.free_blocks[number] = head.block
    head[0] = moved
    return True


cdef int _order_texts(const Strings* s, uint32_t a, uint32_t b) noexcept nogil:
    """Order of two texts by bytes, a cut one behind the same text whole."""
    cdef int order
    if a == b:
        return 0
    order = _compare(_text_at(s, a), _text_length(s, a), _text_at(s, b), _text_length(s, b))
    return order if order != 0 else <int> s.cut[a] - <int> s.cut[b]


cdef bint _is_before(const Strings* s, int64_t a_time, uint32_t a, int64_t b_time, uint32_t b) noexcept nogil:
    if a_time != b_time:
        return a_time < b_time
    return _order_texts(s, a, b) < 0


cdef void _find_last(const Fold* f, const Strings* s, SetHead* head) noexcept nogil:
    cdef const int64_t* times = _member_times(f, head)
    cdef const uint32_t* codes = _member_codes(f, head)
    cdef uint16_t last = 0
    cdef uint16_t i
    for i in range(1, head.count):
        if _is_before(s, times[last], codes[last], times[i], codes[i]):
            last = i
    head.last = last
    head.last_known = 1


cdef bint _add_member(
    Fold* f, const Strings* s, SetHead* head, int64_t time, uint32_t code, uint32_t limit
) noexcept nogil:
    cdef uint32_t place = 0
    cdef int64_t* times
    if head.count:
        times = _member_times(f, head)
        place = ff_find32(_member_codes(f, head), head.count, code)
        if place < head.count:
            if time < times[place]:
                times[place] = time
                head.last_known = 0
            return True
    if head.count < limit:
        if head.count == head.room and not _enlarge(f, head):
            return False
        place = head.count
        head.count += 1
    else:
        head.more = 1
        if not head.last_known:
            _find_last(f, s, head)
        place = head.last
        if not _is_before(s, time, code, _member_times(f, head)[place], _member_codes(f, head)[place]):
            return True
    _member_times(f, head)[place] = time
    _member_codes(f, head)[place] = code
    head.last_known = 0
    return True


# --- rows ---

cdef uint32_t _cut_code(Fold* f, Strings* s, uint32_t code, uint32_t limit) noexcept nogil:
    """Code of a text cut to at most `limit` bytes; 0 when there is no memory."""
    cdef uint32_t length = _cut_length(_text_at(s, code), _text_length(s, code), limit)
    f.cut_text.size = 0
    if not _reserve(&f.cut_text, length):
        return 0
    memcpy(f.cut_text.data, _text_at(s, code), length)
    return _intern(s, f.cut_text.data, length, True)


cdef bint _fold_row(Fold* f, Strings* s, const EventRow* row) noexcept nogil:
    cdef uint64_t* state = _accumulator(f, row.process)
    cdef const uint16_t* step = f.plan.steps + row.kind * (f.plan.reducer_count + 1)
    cdef const ReducerPlan* reducer
    cdef uint64_t* place
    cdef uint32_t code
    cdef uint64_t number
    cdef int64_t value
    while step[0] != NO_STEP:
        reducer = &f.plan.reducers[step[0]]
        step += 1
        place = state + reducer.place
        if reducer.op == OP_COUNT:
            (<uint32_t*> place)[row.kind] += 1
            continue
        if reducer.column == COLUMN_TIME:
            value = row.time
            if reducer.op == OP_MIN:
                if value < <int64_t> place[0]:
                    place[0] = <uint64_t> value
            elif value > <int64_t> place[0]:
                place[0] = <uint64_t> value
            place[1] = 1
            continue
        code = row.columns[reducer.column]
        if code == 0:
            continue
        if reducer.op <= OP_SUM:
            if not _parse_number(_text_at(s, code), _text_length(s, code), &number):
                continue
            if reducer.op == OP_SUM:
                place[0] = place[0] + number if place[0] <= UINT64_MAX - number else UINT64_MAX
            elif not place[1] or (number < place[0] if reducer.op == OP_MIN else number > place[0]):
                place[0] = number
            place[1] = 1
            continue
        if _text_length(s, code) > reducer.text_bytes:
            code = _cut_code(f, s, code, reducer.text_bytes)
            if code == 0:
                return False
        if reducer.op == OP_SET:
            if not _add_member(f, s, <SetHead*> place, row.time, code, reducer.limit):
                return False
        elif reducer.op == OP_FIRST:
            if place[1] == 0 or _is_before(s, row.time, code, <int64_t> place[0], <uint32_t> place[1]):
                place[0] = <uint64_t> row.time
                place[1] = code
        elif place[1] == 0 or _is_before(s, <int64_t> place[0], <uint32_t> place[1], row.time, code):
            place[0] = <uint64_t> row.time
            place[1] = code
    return True


cdef bint _fold_rows(Fold* f, Parse* p) noexcept nogil:
    """Fold the rows that were parsed."""
    cdef size_t i
    if not _add_states(f, p.processes.count):
        return False
    for i in range(p.row_count):
        if not _fold_row(f, &p.strings, &p.rows[i]):
            return False
    return True


# --- accumulator to view ---

cdef TextRef _text_ref(const Strings* s, int64_t time, uint32_t code) noexcept nogil:
    cdef TextRef text
    text.time = time
    text.at = _text_at(s, code)
    text.length = _text_length(s, code)
    text.cut = s.cut[code]
    return text


cdef void _view_set(const Fold* f, const Strings* s, const SetHead* head, TextRef* members) noexcept nogil:
    """Members in order, by insertion: events come nearly in order of time."""
    cdef uint32_t i, j
    cdef TextRef text
    for i in range(head.count):
        text = _text_ref(s, _member_times(f, head)[i], _member_codes(f, head)[i])
        j = i
        while j > 0 and _order_refs(&text, &members[j - 1]) < 0:
            members[j] = members[j - 1]
            j -= 1
        members[j] = text


cdef void _view_state(const Fold* f, const Strings* s, size_t process, View* v) noexcept nogil:
    """Fill a view, but for its identity, from the accumulator of a process."""
    cdef const uint64_t* state = _accumulator(f, process)
    cdef const uint64_t* place
    cdef const ReducerPlan* reducer
    cdef const SetHead* head
    cdef uint32_t i, kind
    for i in range(f.plan.reducer_count):
        reducer = &f.plan.reducers[i]
        place = state + reducer.place
        if reducer.op == OP_COUNT:
            v.has[i] = 0
            for kind in range(KIND_ROOM):
                v.counts[i * KIND_ROOM + kind] = (<const uint32_t*> place)[kind]
                v.has[i] |= (<const uint32_t*> place)[kind] != 0
        elif reducer.op == OP_SET:
            head = <const SetHead*> place
            v.has[i] = head.count != 0
            v.more[i] = head.more
            v.member_count[i] = head.count
            _view_set(f, s, head, v.members + reducer.members)
        else:
            v.has[i] = place[1] != 0
            v.numbers[i] = place[0]
            if reducer.op >= OP_FIRST:
                v.texts[i] = _text_ref(s, <int64_t> place[0], <uint32_t> place[1])
