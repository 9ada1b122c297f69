# Payload: the doors to the codec.  States as Python objects, merges of single payloads and of whole hosts.


@cython.final
cdef class _Views:
    """Three views to merge with, and room for what comes of it; freed together."""

    cdef View a
    cdef View b
    cdef View out
    cdef Bytes merged

    def __cinit__(self, Plan plan not None):
        if not _init_view(&self.a, &plan.c) or not _init_view(&self.b, &plan.c) or not _init_view(&self.out, &plan.c):
            raise MemoryError("fastfold core")

    def __dealloc__(self):
        _free_view(&self.a)
        _free_view(&self.b)
        _free_view(&self.out)
        free(self.merged.data)

    cdef size_t bytes(self) noexcept:
        """What they hold that grows with what is merged."""
        return self.a.arena.room + self.b.arena.room + self.out.arena.room + self.merged.room


cdef _Views _borrow_views(Plan plan):
    """Views that no other call works with: to make them anew costs as much as to merge with them."""
    try:
        return plan.views.pop()
    except IndexError:
        return _Views(plan)


cdef void _give_back_views(Plan plan, _Views views) noexcept:
    views.merged.size = 0
    if views.bytes() <= KEPT_BYTES:
        plan.views.append(views)


cdef Cursor _cursor(bytes payload) except *:
    """A cursor on a payload, which is kept alive elsewhere; an empty one is refused here."""
    cdef Cursor c
    cdef const char* data = payload
    if not len(payload):
        raise CorruptValue("empty", offset=0)
    c.start = c.at = <const uint8_t*> data
    c.end = c.start + len(payload)
    c.unit_ns = 1
    c.base = 0
    c.head = 0
    return c


cdef object _fault_of(Plan plan, Status status, const Cursor* c):
    """The exception for a fault of a payload; says what to do about a reducer that the definition has not."""
    if status != PAYLOAD_REDUCER:
        return _corrupt_of(status, c.at - c.start)
    definition = plan.definition
    tag = c.head >> 3
    op = OPS[c.head & 7]
    known = [given for given in definition.reducers if given.tag == tag]
    told = f"it is {known[0].op!r} there" if known else "there is none"
    return CorruptValue(
        f"reducer {tag} is {op!r} in the value; in fold definition {definition.name!r}, version {definition.version}, "
        f"{told}: a definition may grow, but a reducer that is removed or changed needs a new tag",
        offset=c.at - c.start,
    )


cdef str _ref_text(const TextRef* text):
    return PyUnicode_DecodeUTF8(<const char*> text.at, text.length, NULL)


cdef object _value_of(const CPlan* plan, const View* v, uint32_t i):
    """The Python value of one reducer."""
    cdef const ReducerPlan* reducer = &plan.reducers[i]
    cdef const TextRef* text
    cdef uint32_t j
    if reducer.op == OP_COUNT:
        counts = {}
        for j in range(KIND_COUNT):
            if v.counts[i * KIND_ROOM + j]:
                counts[KINDS[j]] = v.counts[i * KIND_ROOM + j]
        return counts
    if reducer.op == OP_SET:
        members = []
        for j in range(v.member_count[i]):
            text = &v.members[reducer.members + j]
            members.append(Text(text.time, _ref_text(text), text.cut != 0))
        return TextSet(v.more[i] != 0, tuple(members))
    if reducer.op >= OP_FIRST:
        text = &v.texts[i]
        return Text(text.time, _ref_text(text), text.cut != 0)
    if _is_time(reducer):
        return <int64_t> v.numbers[i]
    return v.numbers[i]


def decode(Plan plan not None, payload):
    """The state of a payload.

    Parameters
    ----------
    plan : Plan
    payload : bytes
        As `encode` gives it; any other way to write the same state is refused.

    Returns
    -------
    State

    Raises
    ------
    CorruptValue
        With the byte offset of the fault.
    """
    cdef _Views views = _Views(plan)
    cdef Cursor c = _cursor(payload)
    cdef size_t size = c.end - c.start
    cdef Bytes again
    cdef Status status
    cdef uint32_t i
    cdef int version = _version_of(&c)
    memset(&again, 0, sizeof(Bytes))
    with nogil:
        status = _decode_view(&plan.c, &c, &views.a)
        if status == OK and not _sets_are_distinct(&plan.c, &views.a):
            status = PAYLOAD_SET
        if status == OK and not _encode_version(&plan.c, &views.a, version, &again):
            status = NO_MEMORY
        if status == OK and (again.size != size or memcmp(again.data, c.start, size) != 0):
            status = PAYLOAD_NOT_CANONICAL
    free(again.data)
    if status != OK:
        raise _fault_of(plan, status, &c)
    reducers = plan.definition.reducers
    values = {reducers[i].name: _value_of(&plan.c, &views.a, i) for i in range(len(reducers)) if views.a.has[i]}
    return State(*_identity_of(&views.a), values)


cdef tuple _identity_of(const View* v):
    cdef int i
    return tuple([
        PyUnicode_DecodeUTF8(<const char*> v.identity[i], v.identity_length[i], NULL) for i in range(3)
    ])


def identity(payload):
    """The identity in a payload, without decoding the rest.

    Parameters
    ----------
    payload : bytes

    Returns
    -------
    tuple of str
        Tenant, host, process.

    Raises
    ------
    CorruptValue
    """
    cdef Cursor c = _cursor(payload)
    cdef View v
    cdef Status status
    memset(&v, 0, sizeof(View))
    try:
        status = _decode_identity(&c, &v)
        if status != OK:
            raise _corrupt_of(status, c.at - c.start)
        return _identity_of(&v)
    finally:
        free(v.arena.data)


cdef bytes _text_bytes(text, list kept):
    """UTF-8 of a text, kept alive; NUL ends texts in payloads, and stands in none that was folded."""
    data = text.encode()
    if b"\0" in data:
        raise CorruptValue(f"a text with NUL: {text!r:.100}")
    kept.append(data)
    return data


cdef TextRef _ref_of(text, list kept):
    cdef TextRef ref
    data = _text_bytes(text.text, kept)
    ref.time = text.time_ns
    ref.at = <const uint8_t*> <char*> data
    ref.length = len(data)
    ref.cut = text.cut
    return ref


def encode(Plan plan not None, state, int version=PAYLOAD_VERSION):
    """The canonical payload of a state.

    Parameters
    ----------
    plan : Plan
    state : State
    version : int
        Of the payload: 1 to 3.

    Returns
    -------
    bytes

    Raises
    ------
    CorruptValue
        The state is none that a fold gives: a set out of order, a text over its limit.
    """
    cdef _Views views = _Views(plan)
    cdef View* v = &views.a
    cdef const ReducerPlan* reducer
    cdef uint32_t i, j
    cdef Bytes out
    kept = []
    for i, part in enumerate((state.tenant, state.host, state.process)):
        data = _text_bytes(part, kept)
        v.identity[i] = <const uint8_t*> <char*> data
        v.identity_length[i] = len(data)
    for i, given in enumerate(plan.definition.reducers):
        if given.name not in state.values:
            continue
        value = state.values[given.name]
        reducer = &plan.c.reducers[i]
        v.has[i] = 1
        if reducer.op == OP_COUNT:
            for kind, count in value.items():
                v.counts[i * KIND_ROOM + KINDS.index(kind)] = count
        elif reducer.op == OP_SET:
            if len(value.members) > reducer.limit:
                raise CorruptValue(f"{given.name}: more members than its limit {given.limit}")
            v.more[i] = value.more
            v.member_count[i] = len(value.members)
            for j, member in enumerate(value.members):
                v.members[reducer.members + j] = _ref_of(member, kept)
        elif reducer.op >= OP_FIRST:
            v.texts[i] = _ref_of(value, kept)
        elif _is_time(reducer):
            v.numbers[i] = <uint64_t> <int64_t> value
        else:
            v.numbers[i] = value
    _check_version(version)
    memset(&out, 0, sizeof(Bytes))
    try:
        if not _encode_version(&plan.c, v, version, &out):
            raise MemoryError("fastfold core")
        payload = PyBytes_FromStringAndSize(<const char*> out.data, out.size)
    finally:
        free(out.data)
    decode(plan, payload)
    return payload


cdef int _check_version(int version) except -1:
    if not 1 <= version <= PAYLOAD_VERSION:
        raise ValueError(f"version {version} of a payload; there are 1 to {PAYLOAD_VERSION}")
    return 0


ctypedef struct Pair:
    Cursor current              # its start is NULL where there is no state yet
    Cursor delta
    bint second                 # the fault is one of the delta
    size_t end                  # of the merged payload


cdef Status _merge_pair(
    const CPlan* plan, _Views views, Pair* pair, int version, uint64_t* losses
) noexcept nogil:
    """Append the merge of a state and its delta; pair.second tells whose fault it is."""
    cdef Status status
    if pair.current.start == NULL:
        return _adopt(plan, views, pair, version, losses)
    status = _decode_view(plan, &pair.current, &views.a)
    if status == OK:
        pair.second = True
        status = _decode_view(plan, &pair.delta, &views.b)
    if status == OK:
        status = _merge_views(plan, &views.a, &views.b, &views.out)
    if status == OK:
        _count_losses(plan, &views.a, &views.out, losses)
    if status == OK and not _encode_version(plan, &views.out, version, &views.merged):
        status = NO_MEMORY
    return status


cdef Status _adopt(
    const CPlan* plan, _Views views, Pair* pair, int version, uint64_t* losses
) noexcept nogil:
    """The first delta of a process is its state."""
    cdef Bytes* out = &views.merged
    cdef size_t size = pair.delta.end - pair.delta.start
    cdef bint as_it_is = _version_of(&pair.delta) == version
    cdef Status status
    pair.second = True
    if as_it_is and version > 1:
        # Its head says what was lost; the rest is taken as it is.
        status = _decode_front(plan, &pair.delta, &views.a)
    else:
        status = _decode_view(plan, &pair.delta, &views.a)
    if status != OK:
        return status
    _count_losses(plan, NULL, &views.a, losses)
    if not as_it_is:
        return OK if _encode_version(plan, &views.a, version, &views.merged) else NO_MEMORY
    if not _reserve(out, size):
        return NO_MEMORY
    memcpy(out.data + out.size, pair.delta.start, size)
    out.size += size
    return OK


def merge(Plan plan not None, a, b):
    """The payload of the fold of the events of both.

    Parameters
    ----------
    plan : Plan
    a, b : bytes
        Payloads of one process.

    Returns
    -------
    bytes

    Raises
    ------
    CorruptValue
    IdentityClash
        They are not of one process.
    """
    return merge_group(plan, [a], [b])[0]


cdef Status _merge_pairs(
    const CPlan* plan, _Views views, Pair* pairs, Py_ssize_t* count, int version, uint64_t* losses
) noexcept nogil:
    """Merge all pairs; at a fault `count` is its place."""
    cdef Status status
    cdef Py_ssize_t i
    for i in range(count[0]):
        status = _merge_pair(plan, views, &pairs[i], version, losses)
        if status != OK:
            count[0] = i
            return status
        pairs[i].end = views.merged.size
    return OK


def merge_group(
    Plan plan not None, list currents not None, list deltas not None, int version=PAYLOAD_VERSION, dict losses=None
):
    """Merge the deltas of a host into its states, without the GIL between the first and the last.

    Parameters
    ----------
    plan : Plan
    currents : list of (bytes or None)
        Payloads of the states, ``None`` where there is none yet.
    deltas : list of bytes
        Payloads of the deltas, of the same processes.
    version : int
        Of the payloads to give; those taken may be of any.
    losses : dict of str to int, optional
        Added to, by name of reducer: states in which it drops or cuts something for the first time.

    Returns
    -------
    list of bytes
        Payloads of the new states.

    Raises
    ------
    CorruptValue
    IdentityClash
    """
    cdef Py_ssize_t count = len(deltas)
    cdef Pair* pairs
    cdef uint64_t* lost
    cdef _Views views
    cdef Status status = OK
    cdef Py_ssize_t i
    cdef size_t start = 0
    _check_version(version)
    if len(currents) != count:
        raise ValueError(f"{len(currents)} states for {count} deltas")
    views = _borrow_views(plan)
    pairs = <Pair*> calloc(count + 1, sizeof(Pair))
    lost = <uint64_t*> calloc(plan.c.reducer_count + 1, sizeof(uint64_t))
    try:
        if pairs == NULL or lost == NULL:
            raise MemoryError("fastfold core")
        # `currents` and `deltas` keep the payloads alive; bytes do not change.
        for i in range(count):
            if currents[i] is not None:
                pairs[i].current = _cursor(currents[i])
            pairs[i].delta = _cursor(deltas[i])
        with nogil:
            status = _merge_pairs(&plan.c, views, pairs, &count, version, lost)
        if status != OK:
            raise _fault_of(plan, status, &pairs[count].delta if pairs[count].second else &pairs[count].current)
        merged = []
        for i in range(count):
            merged.append(PyBytes_FromStringAndSize(<const char*> views.merged.data + start, pairs[i].end - start))
            start = pairs[i].end
        if losses is not None:
            for i in range(plan.c.reducer_count):
                if lost[i]:
                    name = plan.definition.reducers[i].name
                    losses[name] = losses.get(name, 0) + lost[i]
        return merged
    finally:
        free(pairs)
        free(lost)
        _give_back_views(plan, views)
