# Merge: two states of one process into one.
#
# Every value is the join of two values (the laws are in ARCHITECTURE.md): the order of merges does not matter.
# Texts are not copied: the result points into both payloads until it is encoded.

cdef uint64_t _add_saturated(uint64_t a, uint64_t b) noexcept nogil:
    return a + b if a <= UINT64_MAX - b else UINT64_MAX


cdef bint _meet(
    const TextRef* text, const TextRef* kept, uint16_t* table, uint32_t mask, uint32_t number
) noexcept nogil:
    """Enter a text into a table of those kept; whether it was there before."""
    cdef uint32_t slot = <uint32_t> (_hash(text.at, text.length) + text.cut) & mask
    while table[slot]:
        if _same_text(&kept[table[slot] - 1], text):
            return True
        slot = (slot + 1) & mask
    table[slot] = <uint16_t> (number + 1)
    return False


cdef bint _sets_are_distinct(const CPlan* plan, const View* v) noexcept nogil:
    """Whether no set of a view has a text twice; a merge does not rely on it, `decode` does."""
    cdef uint16_t table[4 * MEMBER_LIMIT]
    cdef const TextRef* members
    cdef uint32_t i, j
    for i in range(plan.reducer_count):
        if v.has[i] and plan.reducers[i].op == OP_SET:
            members = v.members + plan.reducers[i].members
            memset(table, 0, sizeof(table))
            for j in range(v.member_count[i]):
                if _meet(&members[j], members, table, 4 * MEMBER_LIMIT - 1, j):
                    return False
    return True


cdef void _merge_sets(const ReducerPlan* reducer, const View* a, const View* b, View* out, uint32_t i) noexcept nogil:
    """The earliest distinct members of two ordered sets.

    Both are walked in order, so the first time a text is met is its smallest; the walk ends at the limit.
    """
    cdef const TextRef* left = a.members + reducer.members
    cdef const TextRef* right = b.members + reducer.members
    cdef const TextRef* left_end = left + a.member_count[i]
    cdef const TextRef* right_end = right + b.member_count[i]
    cdef TextRef* kept = out.members + reducer.members
    cdef TextRef text
    cdef uint16_t table[4 * MEMBER_LIMIT]
    cdef uint32_t mask = 8
    cdef uint32_t count = 0
    while mask < 2 * (a.member_count[i] + b.member_count[i]):
        mask *= 2
    memset(table, 0, mask * sizeof(uint16_t))
    mask -= 1
    out.more[i] = a.more[i] | b.more[i]
    while left < left_end or right < right_end:
        if right == right_end or (left < left_end and _order_refs(left, right) <= 0):
            text = left[0]
            left += 1
        else:
            text = right[0]
            right += 1
        if count == reducer.limit:
            # Whatever is left and not kept is a member that was dropped.
            if not _is_kept(&text, kept, table, mask):
                out.more[i] = 1
                break
        elif not _meet(&text, kept, table, mask, count):
            kept[count] = text
            count += 1
    out.member_count[i] = count


cdef bint _is_kept(const TextRef* text, const TextRef* kept, const uint16_t* table, uint32_t mask) noexcept nogil:
    cdef uint32_t slot = <uint32_t> (_hash(text.at, text.length) + text.cut) & mask
    while table[slot]:
        if _same_text(&kept[table[slot] - 1], text):
            return True
        slot = (slot + 1) & mask
    return False


cdef void _merge_number(const ReducerPlan* reducer, const View* a, const View* b, View* out, uint32_t i) noexcept nogil:
    cdef bint a_smaller
    if reducer.op == OP_SUM:
        out.numbers[i] = _add_saturated(a.numbers[i], b.numbers[i])
        return
    if _is_time(reducer):
        a_smaller = <int64_t> a.numbers[i] < <int64_t> b.numbers[i]
    else:
        a_smaller = a.numbers[i] < b.numbers[i]
    out.numbers[i] = a.numbers[i] if a_smaller == (reducer.op == OP_MIN) else b.numbers[i]


cdef void _copy_value(const ReducerPlan* reducer, const View* from_, View* out, uint32_t i) noexcept nogil:
    cdef uint32_t j
    if reducer.op == OP_COUNT:
        memcpy(out.counts + i * KIND_ROOM, from_.counts + i * KIND_ROOM, KIND_ROOM * sizeof(uint64_t))
    elif reducer.op == OP_SET:
        out.more[i] = from_.more[i]
        out.member_count[i] = from_.member_count[i]
        for j in range(from_.member_count[i]):
            out.members[reducer.members + j] = from_.members[reducer.members + j]
    elif reducer.op >= OP_FIRST:
        out.texts[i] = from_.texts[i]
    else:
        out.numbers[i] = from_.numbers[i]


cdef Status _merge_views(const CPlan* plan, const View* a, const View* b, View* out) noexcept nogil:
    """Merge two views of one process."""
    cdef const ReducerPlan* reducer
    cdef uint32_t i, j
    cdef int order
    for i in range(3):
        if a.identity_length[i] != b.identity_length[i] or memcmp(a.identity[i], b.identity[i], a.identity_length[i]):
            return IDENTITY_DIFFERS
        out.identity[i] = a.identity[i]
        out.identity_length[i] = a.identity_length[i]
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        out.has[i] = a.has[i] | b.has[i]
        if not (a.has[i] and b.has[i]):
            if out.has[i]:
                _copy_value(reducer, a if a.has[i] else b, out, i)
        elif reducer.op == OP_COUNT:
            for j in range(i * KIND_ROOM, (i + 1) * KIND_ROOM):
                out.counts[j] = _add_saturated(a.counts[j], b.counts[j])
        elif reducer.op == OP_SET:
            _merge_sets(reducer, a, b, out, i)
        elif reducer.op >= OP_FIRST:
            order = _order_refs(&a.texts[i], &b.texts[i])
            out.texts[i] = a.texts[i] if (order <= 0) == (reducer.op == OP_FIRST) else b.texts[i]
        else:
            _merge_number(reducer, a, b, out, i)
    _bound_sets(plan, out)
    return OK
