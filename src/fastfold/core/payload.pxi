# Payload: the doors to the codec.  States as Python objects, merges of single payloads and of whole hosts.


@cython.final
cdef class _Views:
    """Three views to merge with, freed together."""

    cdef View a
    cdef View b
    cdef View out

    def __cinit__(self, Plan plan not None):
        if not _init_view(&self.a, &plan.c) or not _init_view(&self.b, &plan.c) or not _init_view(&self.out, &plan.c):
            raise MemoryError("fastfold core")

    def __dealloc__(self):
        _free_view(&self.a)
        _free_view(&self.b)
        _free_view(&self.out)


cdef Cursor _cursor(const uint8_t[::1] payload) noexcept:
    cdef Cursor c
    c.start = c.at = &payload[0] if payload.shape[0] else NULL
    c.end = c.start + payload.shape[0]
    c.unit_ns = 1
    c.base = 0
    return c


cdef const uint8_t[::1] _payload_view(payload):
    """A view of a payload; an empty one, which has no address, is refused here."""
    if not len(payload):
        raise CorruptValue("empty", offset=0)
    return payload


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
    cdef const uint8_t[::1] data = _payload_view(payload)
    cdef Cursor c = _cursor(data)
    cdef Bytes again
    cdef Status status
    cdef uint32_t i
    memset(&again, 0, sizeof(Bytes))
    with nogil:
        status = _decode_view(&plan.c, &c, &views.a)
        if status == OK and not _sets_are_distinct(&plan.c, &views.a):
            status = PAYLOAD_SET
        if status == OK and not _encode_view(&plan.c, &views.a, &again):
            status = NO_MEMORY
        if status == OK and (again.size != <size_t> data.shape[0] or memcmp(again.data, &data[0], again.size) != 0):
            status = PAYLOAD_NOT_CANONICAL
    free(again.data)
    if status != OK:
        raise _corrupt_of(status, c.at - c.start)
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
    cdef const uint8_t[::1] data = _payload_view(payload)
    cdef Cursor c = _cursor(data)
    cdef View v
    cdef Status status = _get_identity(&c, &v)
    if status != OK:
        raise _corrupt_of(status, c.at - c.start)
    return _identity_of(&v)


cdef TextRef _ref_of(text, list kept):
    cdef TextRef ref
    data = text.text.encode()
    kept.append(data)
    ref.time = text.time_ns
    ref.at = <const uint8_t*> <char*> data
    ref.length = len(data)
    ref.cut = text.cut
    return ref


def encode(Plan plan not None, state):
    """The canonical payload of a state.

    Parameters
    ----------
    plan : Plan
    state : State

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
        data = part.encode()
        kept.append(data)
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
    memset(&out, 0, sizeof(Bytes))
    try:
        if not _encode_view(&plan.c, v, &out):
            raise MemoryError("fastfold core")
        payload = PyBytes_FromStringAndSize(<const char*> out.data, out.size)
    finally:
        free(out.data)
    decode(plan, payload)
    return payload


cdef Status _merge_payloads(const CPlan* plan, _Views views, Cursor* a, Cursor* b, Bytes* out) noexcept nogil:
    """Append the merge of two payloads; a.at tells the place of a fault of the first."""
    cdef Status status = _decode_view(plan, a, &views.a)
    if status == OK:
        status = _decode_view(plan, b, &views.b)
    if status == OK:
        status = _merge_views(plan, &views.a, &views.b, &views.out)
    if status == OK and not _encode_view(plan, &views.out, out):
        status = NO_MEMORY
    return status


cdef Status _append(Bytes* out, const Cursor* payload) noexcept nogil:
    """The first delta of a process is its state."""
    cdef size_t size = payload.end - payload.start
    if not _reserve(out, size):
        return NO_MEMORY
    memcpy(out.data + out.size, payload.start, size)
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


def merge_group(Plan plan not None, list currents not None, list deltas not None):
    """Merge the deltas of a host into its states, without the GIL between the first and the last.

    Parameters
    ----------
    plan : Plan
    currents : list of (bytes or None)
        Payloads of the states, ``None`` where there is none yet.
    deltas : list of bytes
        Payloads of the deltas, of the same processes.

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
    cdef Cursor* cursors
    cdef size_t* ends
    cdef _Views views = _Views(plan)
    cdef Bytes out
    cdef Status status = OK
    cdef Py_ssize_t i
    cdef size_t start = 0
    cdef const uint8_t[::1] view
    if len(currents) != count:
        raise ValueError(f"{len(currents)} states for {count} deltas")
    cursors = <Cursor*> calloc(2 * count + 1, sizeof(Cursor))
    ends = <size_t*> calloc(count + 1, sizeof(size_t))
    memset(&out, 0, sizeof(Bytes))
    try:
        if cursors == NULL or ends == NULL:
            raise MemoryError("fastfold core")
        # `currents` and `deltas` keep the payloads alive; bytes do not change.
        for i in range(count):
            if currents[i] is not None:
                view = _payload_view(currents[i])
                cursors[2 * i] = _cursor(view)
            view = _payload_view(deltas[i])
            cursors[2 * i + 1] = _cursor(view)
        with nogil:
            for i in range(count):
                if cursors[2 * i].start != NULL:
                    status = _merge_payloads(&plan.c, views, &cursors[2 * i], &cursors[2 * i + 1], &out)
                else:
                    status = _append(&out, &cursors[2 * i + 1])
                if status != OK:
                    break
                ends[i] = out.size
        if status != OK:
            raise _corrupt_of(status, cursors[2 * i].at - cursors[2 * i].start)
        merged = []
        for i in range(count):
            merged.append(PyBytes_FromStringAndSize(<const char*> out.data + start, ends[i] - start))
            start = ends[i]
        return merged
    finally:
        free(cursors)
        free(ends)
        free(out.data)
