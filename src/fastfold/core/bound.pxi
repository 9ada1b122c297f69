# Bound: what sets may keep together, so that a value stays under the limit of its definition.
#
# `bounds.py` has the rules.  They are applied to a view whose sets hold the earliest members that their own limits
# allow: behind a fold of events, and behind a merge.  Nearly every state is far from any bound, and costs a sum.

cdef uint64_t _member_cost = MEMBER_COST

cdef uint64_t _member_bytes(const TextRef* member) noexcept nogil:
    return member.length + _member_cost


cdef uint64_t _excess(const ReducerPlan* reducer, uint64_t weight, uint32_t count) noexcept nogil:
    """What a set takes out of the pool; a full one the most it could."""
    if count == reducer.limit or weight >= reducer.full_bytes:
        weight = <uint64_t> reducer.full_bytes + reducer.text_bytes + _member_cost - 1
    return weight - reducer.reserve_bytes if weight > reducer.reserve_bytes else 0


cdef uint64_t _pool(const CPlan* plan, const View* v) noexcept nogil:
    cdef uint64_t identity = <uint64_t> v.identity_length[0] + v.identity_length[1] + v.identity_length[2]
    return plan.pool_bytes - identity if plan.pool_bytes > identity else 0


cdef uint32_t _first_waiting(const CPlan* plan, const View* v, const uint8_t* waits) noexcept nogil:
    """The set whose next member is the earliest of all; `reducer_count` when there is none."""
    cdef uint32_t found = plan.reducer_count
    cdef int64_t time = 0
    cdef const TextRef* member
    cdef uint32_t i
    for i in range(plan.reducer_count):
        if waits[i]:
            member = &v.members[plan.reducers[i].members + v.kept[i]]
            if found == plan.reducer_count or member.time < time:
                found = i
                time = member.time
    return found


cdef void _drop_members(const CPlan* plan, View* v, uint64_t pool) noexcept nogil:
    """Keep the earliest members of all sets that fit; `form` serves to mark sets that still have members waiting."""
    cdef const ReducerPlan* reducer
    cdef uint64_t taken = 0
    cdef uint32_t i
    for i in range(plan.reducer_count):
        v.form[i] = v.has[i] and plan.reducers[i].op == OP_SET
        v.kept[i] = 0
        v.weight[i] = 0
    while True:
        i = _first_waiting(plan, v, v.form)
        if i == plan.reducer_count:
            return
        reducer = &plan.reducers[i]
        if v.weight[i] >= reducer.full_bytes or (v.weight[i] >= reducer.reserve_bytes and taken >= pool):
            v.member_count[i] = v.kept[i]
            v.form[i] = 0
            continue
        taken -= _excess(reducer, v.weight[i], v.kept[i])
        v.weight[i] += _member_bytes(&v.members[reducer.members + v.kept[i]])
        v.kept[i] += 1
        taken += _excess(reducer, v.weight[i], v.kept[i])
        v.form[i] = v.kept[i] < v.member_count[i]


cdef bint _has_lost(const CPlan* plan, const View* v, uint32_t i) noexcept nogil:
    """Whether a reducer has dropped a member or cut a text."""
    cdef const ReducerPlan* reducer = &plan.reducers[i]
    cdef uint32_t j
    if not v.has[i] or reducer.op < OP_FIRST:
        return False
    if reducer.op != OP_SET:
        return v.texts[i].cut != 0
    if v.more[i]:
        return True
    for j in range(v.member_count[i]):
        if v.members[reducer.members + j].cut:
            return True
    return False


cdef void _count_losses(const CPlan* plan, const View* before, const View* after, uint64_t* losses) noexcept nogil:
    """Count the reducers that have lost something and had not before; `before` may be NULL."""
    cdef uint32_t i
    for i in range(plan.reducer_count):
        if _has_lost(plan, after, i) and not (before != NULL and _has_lost(plan, before, i)):
            losses[i] += 1


cdef void _bound_sets(const CPlan* plan, View* v) noexcept nogil:
    """Drop what does not fit, and mark the sets in which, in some part of the events, something may not have fitted."""
    cdef const ReducerPlan* reducer
    cdef uint64_t pool, taken = 0
    cdef bint fits = True
    cdef uint32_t i, j
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if not v.has[i] or reducer.op != OP_SET:
            continue
        v.weight[i] = 0
        for j in range(v.member_count[i]):
            v.weight[i] += _member_bytes(&v.members[reducer.members + j])
        taken += _excess(reducer, v.weight[i], v.member_count[i])
        fits &= v.weight[i] < reducer.full_bytes
    pool = _pool(plan, v)
    if fits and taken < pool:
        return
    for i in range(plan.reducer_count):
        reducer = &plan.reducers[i]
        if v.has[i] and reducer.op == OP_SET:
            if v.weight[i] >= reducer.full_bytes or (v.weight[i] >= reducer.reserve_bytes and taken >= pool):
                v.more[i] = 1
    _drop_members(plan, v, pool)
