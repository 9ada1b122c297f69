# Columns: states as a table, for libraries that take Arrow.
#
# Payloads are read twice, as the views of a merge are, and no value becomes a Python object: the first time to see
# how much room texts and members need, the second time to fill arrays of just that size.
#
#   identity   tenant | host | process           texts
#   count      struct, a number a kind           numbers[kind][row]
#   first      text                              ends[row + 1], text
#   set        list of struct time, text, cut    ends[row + 1] -> times[m], text_ends[m + 1], text, cut[m]
#   min, max   time or number                    numbers[row]
#
# A table comes in chunks, so that many states need no more memory at once than some.

cdef enum:
    CHUNK_ROWS = 1 << 16
    CHUNK_BYTES = 64 << 20      # of payloads; what it becomes is not much larger


@cython.final
cdef class _Filling:
    """The arrays of one chunk, and what writes into them."""

    cdef Plan plan
    cdef View view
    cdef StateColumn* columns       # one a reducer, then tenant, host and process
    cdef uint32_t count
    cdef Py_ssize_t rows
    cdef Cursor* cursors
    cdef list payloads
    cdef list arrays                # of each column, by name

    def __cinit__(self, Plan plan not None, list payloads not None):
        cdef Py_ssize_t row
        self.plan = plan
        self.payloads = payloads
        self.rows = len(payloads)
        self.count = plan.c.reducer_count + 3
        self.columns = <StateColumn*> calloc(self.count, sizeof(StateColumn))
        self.cursors = <Cursor*> calloc(self.rows + 1, sizeof(Cursor))
        if self.columns == NULL or self.cursors == NULL or not _init_view(&self.view, &plan.c):
            raise MemoryError("fastfold core")
        for row in range(self.rows):
            self.cursors[row] = _cursor(payloads[row])

    def __dealloc__(self):
        _free_view(&self.view)
        free(self.columns)
        free(self.cursors)

    cdef int run(self) except -1:
        """Read all payloads into arrays."""
        cdef Status status
        cdef Py_ssize_t row = 0
        cdef Cursor at
        # `payloads` keeps the bytes alive, `arrays` what they are written to; nobody else knows the arrays yet.
        with nogil:
            status = self._survey(&row, &at)
        if status != OK:
            raise _corrupt_of(status, at.at - at.start)
        self._make_room()
        with nogil:
            for row in range(self.rows):
                at = self.cursors[row]
                _decode_view(&self.plan.c, &at, &self.view)
                self._fill(row)
        return 0

    cdef Status _survey(self, Py_ssize_t* row, Cursor* at) noexcept nogil:
        cdef Status status
        cdef uint32_t i
        for row[0] in range(self.rows):
            at[0] = self.cursors[row[0]]
            status = _decode_view(&self.plan.c, at, &self.view)
            if status != OK:
                return status
            for i in range(self.count):
                self._measure(i)
        return OK

    cdef void _measure(self, uint32_t i) noexcept nogil:
        cdef const View* v = &self.view
        cdef const ReducerPlan* reducer = &self.plan.c.reducers[i]
        cdef StateColumn* column = &self.columns[i]
        cdef uint32_t j
        if i >= self.plan.c.reducer_count:
            column.text_bytes += v.identity_length[i - self.plan.c.reducer_count]
        elif not v.has[i]:
            return
        elif reducer.op == OP_SET:
            column.member_count += v.member_count[i]
            for j in range(v.member_count[i]):
                column.text_bytes += v.members[reducer.members + j].length
        elif reducer.op >= OP_FIRST:
            column.text_bytes += v.texts[i].length

    cdef int _make_room(self) except -1:
        cdef uint32_t i
        cdef Py_ssize_t rows = self.rows
        cdef StateColumn* column
        self.arrays = []
        for i in range(self.count):
            column = &self.columns[i]
            if column.text_bytes > TEXT_ENDS_MOST or column.member_count > TEXT_ENDS_MOST:
                raise OverflowError("the texts of one state do not fit into an Arrow column")
            op = self.plan.c.reducers[i].op if i < self.plan.c.reducer_count else OP_FIRST
            arrays = {"valid": numpy.zeros(rows, "u1")}
            column.valid = <uint8_t*> _address(arrays["valid"])
            if op < OP_FIRST:
                arrays["numbers"] = numpy.zeros((KIND_COUNT if op == OP_COUNT else 1, rows), "<i8")
                column.numbers = <int64_t*> _address(arrays["numbers"])
            else:
                arrays["ends"] = numpy.zeros(rows + 1, "<i4")
                arrays["text"] = numpy.empty(column.text_bytes, "u1")
                arrays["row_cut"] = numpy.zeros(rows, "u1")
                column.ends = <int32_t*> _address(arrays["ends"])
                column.text = <uint8_t*> _address(arrays["text"])
                column.row_cut = <uint8_t*> _address(arrays["row_cut"])
            if op == OP_SET:
                arrays["times"] = numpy.empty(column.member_count, "<i8")
                arrays["text_ends"] = numpy.zeros(column.member_count + 1, "<i4")
                arrays["cut"] = numpy.empty(column.member_count, "u1")
                arrays["row_more"] = numpy.zeros(rows, "u1")
                column.times = <int64_t*> _address(arrays["times"])
                column.text_ends = <int32_t*> _address(arrays["text_ends"])
                column.cut = <uint8_t*> _address(arrays["cut"])
                column.row_more = <uint8_t*> _address(arrays["row_more"])
            column.member_count = column.text_bytes = 0
            self.arrays.append(arrays)
        return 0

    cdef void _fill(self, Py_ssize_t row) noexcept nogil:
        """Write the state in `view` to its row."""
        cdef const View* v = &self.view
        cdef const ReducerPlan* reducer
        cdef StateColumn* column
        cdef uint32_t i, j
        for i in range(self.plan.c.reducer_count):
            reducer = &self.plan.c.reducers[i]
            column = &self.columns[i]
            if v.has[i]:
                column.valid[row] = 1
                if reducer.op == OP_COUNT:
                    for j in range(KIND_COUNT):
                        column.numbers[j * self.rows + row] = <int64_t> v.counts[i * KIND_ROOM + j]
                elif reducer.op == OP_SET:
                    column.row_more[row] = v.more[i]
                    for j in range(v.member_count[i]):
                        _append_member(column, row, &v.members[reducer.members + j])
                elif reducer.op >= OP_FIRST:
                    column.row_cut[row] = v.texts[i].cut != 0
                    _append_text(column, v.texts[i].at, v.texts[i].length)
                else:
                    column.numbers[row] = <int64_t> v.numbers[i]
            if reducer.op == OP_SET:
                column.ends[row + 1] = <int32_t> column.member_count
            elif reducer.op >= OP_FIRST:
                column.ends[row + 1] = <int32_t> column.text_bytes
        for i in range(3):
            column = &self.columns[self.plan.c.reducer_count + i]
            column.valid[row] = v.identity_length[i] != 0
            _append_text(column, v.identity[i], v.identity_length[i])
            column.ends[row + 1] = <int32_t> column.text_bytes


cdef void _append_text(StateColumn* column, const uint8_t* at, uint32_t length) noexcept nogil:
    if length:
        memcpy(column.text + column.text_bytes, at, length)
    column.text_bytes += length


cdef void _append_member(StateColumn* column, Py_ssize_t row, const TextRef* member) noexcept nogil:
    _append_text(column, member.at, member.length)
    column.times[column.member_count] = member.time
    column.cut[column.member_count] = member.cut != 0
    column.row_cut[row] |= column.cut[column.member_count]
    column.member_count += 1
    column.text_ends[column.member_count] = <int32_t> column.text_bytes


cdef Column _of_flags(str name, list names, list flags, Py_ssize_t rows):
    """For each row the names of the flags that are set, in order."""
    order = sorted(range(len(names)), key=names.__getitem__)
    which = numpy.zeros((rows, len(names)), "u1")
    for place, number in enumerate(order):
        which[:, place] = flags[number]
    ends = numpy.zeros(rows + 1, "<i4")
    numpy.cumsum(numpy.count_nonzero(which, axis=1), out=ends[1:])
    members = _of_strings("item", [names[order[place]] for place in numpy.nonzero(which)[1].tolist()])
    return _list(name, ends, members)


cdef Column _reducer_column(reducer, dict arrays):
    # Nothing counted is 0, nothing met is no member; only of what has no such value the absence is a null.
    present = arrays["valid"]
    if reducer.op == "count":
        children = [_numbers(kind, b"L", numbers) for kind, numbers in zip(KINDS, arrays["numbers"])]
        return _struct(reducer.name, len(present), children)
    if reducer.op == "set":
        cut = _column("cut", b"b", len(arrays["cut"]), (numpy.packbits(arrays["cut"], bitorder="little"),), (), None)
        member = _struct("item", len(arrays["times"]), [
            _numbers("time", b"tsn:UTC", arrays["times"]), _texts("text", arrays["text_ends"], arrays["text"]), cut
        ])
        return _list(reducer.name, arrays["ends"], member)
    if reducer.op in ("first", "last"):
        return _texts(reducer.name, arrays["ends"], arrays["text"], present)
    if reducer.op == "sum":
        return _numbers(reducer.name, b"L", arrays["numbers"][0])
    return _numbers(reducer.name, b"tsn:UTC" if reducer.column == "time" else b"L", arrays["numbers"][0], present)


cdef Column _state_chunk(Plan plan, list payloads):
    cdef _Filling filling = _Filling(plan, payloads)
    filling.run()
    reducers = plan.definition.reducers
    *of_reducers, tenant, host, process = filling.arrays
    columns = [_texts("tenant", tenant["ends"], tenant["text"], tenant["valid"])]
    columns += [_texts("host", host["ends"], host["text"]), _texts("process", process["ends"], process["text"])]
    for reducer, arrays in zip(reducers, of_reducers):
        columns.append(_reducer_column(reducer, arrays))
    for name, flag in (("more", "row_more"), ("cut", "row_cut")):
        having = [(reducer.name, arrays[flag]) for reducer, arrays in zip(reducers, of_reducers) if flag in arrays]
        columns.append(_of_flags(name, [each for each, _ in having], [flags for _, flags in having], filling.rows))
    return _struct("", filling.rows, columns)


def states_table(Plan plan not None, list payloads not None):
    """States as columns that other libraries take.

    Parameters
    ----------
    plan : Plan
    payloads : list of bytes
        In the order of the rows.

    Returns
    -------
    ArrowTable
        What `fastfold.States.to_arrow` gives.  A payload that is none of ours is found when the table is read.
    """
    def chunks():
        held = 0
        chunk = []
        for payload in payloads:
            chunk.append(payload)
            held += len(payload)
            if len(chunk) == CHUNK_ROWS or held >= CHUNK_BYTES:
                yield _state_chunk(plan, chunk)
                held = 0
                chunk = []
        if chunk:
            yield _state_chunk(plan, chunk)

    return _arrow_table(_state_chunk(plan, []), chunks, len(payloads))
