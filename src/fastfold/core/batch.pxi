# Batch: the door for those who want the events themselves, as numpy rows and distinct texts.


@cython.final
cdef class Rows:
    """Memory with event rows that was handed over; goes back to its reader when nobody looks at it any more."""

    def __dealloc__(self):
        free(self.rows)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.rows, self.count * sizeof(EventRow), False, flags)
        self.views += 1

    def __releasebuffer__(self, Py_buffer* buffer):
        self.views -= 1


cdef class EventReader(Reader):
    """What `Parser` and `EventFolder` share: the rows of a file are kept until its end, and lent.

    Notes
    -----
    The rows of a batch are not copied: the reader takes their memory again for the next file once the batch and all
    arrays made of its rows are gone, and else takes new memory.
    """

    cdef void _begin(self):
        cdef Rows lent = self.lent
        Reader._begin(self)
        self.lent = None
        if lent is not None and lent.views == 0:
            self.parse.rows = lent.rows
            self.parse.row_room = lent.room
            lent.rows = NULL

    cdef object _hand_over(self, Parse* p):
        """The rows that were parsed, as an array."""
        cdef Rows rows = Rows.__new__(Rows)
        if p.row_count == 0:
            return numpy.empty(0, dtype=EVENT_DTYPE)
        rows.rows = p.rows
        rows.room = p.row_room
        rows.count = p.row_count
        self.lent = rows
        p.rows = NULL
        p.row_count = p.row_room = 0
        return numpy.frombuffer(rows, dtype=EVENT_DTYPE)

    cdef int _finish_parse(self) except -1:
        cdef Parse* p = &self.parse
        with nogil:
            p.fault.status = self._end()
        self._raise_fault()
        return 0

    cdef object _texts(self):
        """The texts met so far."""
        cdef Strings* s = &self.parse.strings
        offsets = PyBytes_FromStringAndSize(<const char*> s.offsets, (s.count + 1) * sizeof(uint32_t))
        text = PyBytes_FromStringAndSize(<const char*> s.text.data, s.text.size)
        return Texts(text, numpy.frombuffer(offsets, dtype="<u4"))

    cdef object _batch(self, strings):
        """The rows and identities, with their texts."""
        cdef Parse* p = &self.parse
        return Batch(self._hand_over(p), strings, _halves(&p.hosts), _halves(&p.processes), self._counts())


@cython.final
cdef class Parser(EventReader):
    """Parses one file after the other into batches of event rows."""

    def finish(self):
        """End the file.

        Returns
        -------
        Batch

        Raises
        ------
        Reject
            The last line is malformed.
        """
        self._finish_parse()
        return self._batch(self._texts())


@cython.final
cdef class EventFolder(EventReader):
    """Folds one file after the other into deltas, and keeps its events.

    Parameters
    ----------
    plan : EventPlan
    window_bytes : int

    Notes
    -----
    A file is parsed once.  Both results are those of `Folder` and of `Parser`, which it is the sum of; but
    ``odd_text`` of the counts is that of all columns, in both.
    """

    def __cinit__(self, EventPlan plan not None, *args, **kwargs):
        if not _init_fold(&self.fold, &plan.c) or not _init_view(&self.view, &plan.c):
            raise MemoryError("fastfold core")

    def __dealloc__(self):
        _free_fold(&self.fold)
        _free_view(&self.view)

    def finish(self):
        """End the file and take its deltas and its events.

        Returns
        -------
        tuple of (Deltas, Batch)

        Raises
        ------
        Reject
            The last line is malformed.
        """
        cdef Parse* p = &self.parse
        cdef bint done
        self._finish_parse()
        # The fold adds texts that it has cut: those are not the batch's.
        strings = self._texts()
        _clear_fold(&self.fold)
        with nogil:
            done = _fold_rows(&self.fold, p)
        if not done:
            raise MemoryError("fastfold core")
        deltas = _take_deltas(self, &self.fold, &self.view)
        deltas.counts = self._counts()
        return deltas, self._batch(strings)


cdef object _halves(const Pairs* pairs):
    """The numbered pairs, as an array of two columns."""
    # The first number is 1.  A pair is one integer, its first half the high one: it comes second in memory.
    keys = PyBytes_FromStringAndSize(<const char*> (pairs.keys + 1), pairs.count * sizeof(uint64_t))
    return numpy.frombuffer(keys, dtype="<u4").reshape(-1, 2)[:, ::-1]


EVENT_DTYPE = numpy.dtype(
    {
        "names": [name for name, _, _ in EVENT_FIELDS],
        "formats": [kind for _, kind, _ in EVENT_FIELDS],
        "offsets": [offset for _, _, offset in EVENT_FIELDS],
        "itemsize": sizeof(EventRow),
    }
)


class Texts:
    r"""The distinct texts of a batch: one arena and offsets (the layout of an Arrow string column).

    Attributes
    ----------
    text : bytes
        All texts, one behind the other, UTF-8.
    offsets : numpy.ndarray of uint32, shape (codes + 1,)
        Text of code c is ``text[offsets[c] : offsets[c + 1]]``.

    Notes
    -----
    ``strings[code]`` is the text of a code, ``strings[codes]`` an array of those of an array of codes.  Code 0 is
    absent and gives ``None``.  Iterates over all texts in order of their codes, so that what is asked of a text is
    asked once, however many events have it.

    Examples
    --------
    >>> strings = Texts(b"a.exeb.dll", numpy.array([0, 0, 5, 10], "<u4"))
    >>> strings[1]
    'a.exe'
    >>> strings[numpy.array([2, 0, 2])]
    array(['b.dll', None, 'b.dll'], dtype=object)
    >>> wanted = numpy.array([text is not None and text.endswith(".exe") for text in strings])
    >>> wanted[numpy.array([2, 0, 1])]
    array([False, False,  True])
    """

    __slots__ = ("offsets", "text")

    def __init__(self, text, offsets):
        self.text = text
        self.offsets = offsets

    def __len__(self):
        return len(self.offsets) - 1

    def __repr__(self):
        return f"<Texts: {len(self) - 1:,} distinct, {len(self.text):,} bytes>"

    def __iter__(self):
        return iter(self._decode(range(len(self))))

    def __getitem__(self, code):
        if isinstance(code, numpy.ndarray):
            return self._take(code)
        if not 0 <= code < len(self):
            raise IndexError(f"code {code} of {len(self)}")
        return self._decode((code,))[0]

    def _take(self, codes):
        if codes.size and not (codes.min() >= 0 and codes.max() < len(self)):
            raise IndexError(f"codes {codes.min()} to {codes.max()} of {len(self)}")
        distinct, places = numpy.unique(codes, return_inverse=True)
        texts = numpy.empty(len(distinct), object)
        texts[:] = self._decode(distinct.tolist())
        return texts[places].reshape(codes.shape)

    def _decode(self, codes):
        cdef const uint32_t[::1] offsets = self.offsets
        cdef const uint8_t[::1] text = self.text
        cdef const char* start = <const char*> &text[0] if text.shape[0] else NULL
        cdef Py_ssize_t code
        texts = []
        for code in codes:
            texts.append(
                PyUnicode_DecodeUTF8(start + offsets[code], offsets[code + 1] - offsets[code], NULL) if code else None
            )
        return texts


class Batch:
    """The events of one file.

    Attributes
    ----------
    events : numpy.ndarray, shape (n,), dtype `EVENT_DTYPE`
        One row an event: ``time``, ``host`` and ``process`` (indices into `hosts` and `processes`), ``record``
        (line number from 1), ``kind`` (index into `fastfold.types.KINDS`), then a code into `strings` per column.
    strings : Texts
        Distinct texts; code 0 is absent.
    hosts : list of (str, str)
        Tenant and host, in order of first appearance.
    processes : list of (str, str, str)
        Tenant, host and process id, in order of first appearance.
    process_codes, host_codes : numpy.ndarray of uint32
        Code of the process id of each process, of the host id of each host.
    counts : FoldCounts

    Notes
    -----
    ``len()`` is the number of events.  Iteration gives one dict an event, for looking at a few of them; columns that
    an event does not have are left out.

    It has Arrow's PyCapsule methods: ``polars.DataFrame(batch)``, ``pyarrow.table(batch)`` and duckdb's
    ``from batch`` take it as it is; see `to_arrow`.
    """

    __slots__ = ("_host_pairs", "_hosts", "_process_pairs", "_processes", "counts", "events", "strings")

    def __init__(self, events, strings, host_pairs, process_pairs, counts):
        # Pairs of codes of tenant and host, and of a host's number from 1 and the code of a process.
        self.events = events
        self.strings = strings
        self.counts = counts
        self._host_pairs = host_pairs
        self._process_pairs = process_pairs
        self._hosts = None
        self._processes = None

    @property
    def hosts(self):
        if self._hosts is None:
            tenants, hosts = self._host_pairs.T.tolist()
            texts = self.strings._decode(tenants), self.strings._decode(hosts)
            self._hosts = [(tenant or "", host) for tenant, host in zip(*texts)]
        return self._hosts

    @property
    def processes(self):
        if self._processes is None:
            numbers, processes = self._process_pairs.T.tolist()
            hosts = self.hosts
            self._processes = [
                (*hosts[number - 1], process) for number, process in zip(numbers, self.strings._decode(processes))
            ]
        return self._processes

    @property
    def process_codes(self):
        return self._process_pairs[:, 1]

    @property
    def host_codes(self):
        return self._host_pairs[:, 1]

    def __len__(self):
        return len(self.events)

    def __repr__(self):
        processes, hosts = len(self._process_pairs), len(self._host_pairs)
        return f"<Batch: {len(self):,} events of {processes:,} processes on {hosts:,} hosts>"

    def __iter__(self):
        for row in self.events:
            time, _, process, record, kind, *codes = row.item()
            tenant, host, name = self.processes[process]
            event = {"time_ns": time, "kind": KINDS[kind], "tenant": tenant, "host": host, "process": name}
            event["record"] = record
            texts = self.strings._decode(codes)
            event.update((column, text) for column, text in zip(COLUMNS, texts) if text is not None)
            yield event

    def to_arrow(self):
        """The events as columns that other libraries take without a copy of the texts.

        Returns
        -------
        ArrowTable
            ``time`` (timestamp, ns, UTC), ``tenant``, ``host``, ``process``, ``kind``, ``record`` (uint32), then the
            columns of `fastfold.types.COLUMNS`.  Texts are dictionaries; all columns share the one of the batch.
            What an event does not have is null.
        """
        column = self._column()
        return _arrow_table(column, lambda: iter((column,)), len(self))

    def __arrow_c_schema__(self):
        """The types of the columns, as a capsule for another library."""
        return _schema_capsule(self._column())

    def __arrow_c_array__(self, requested_schema=None):
        """Types and rows, as capsules for another library; the types are ours, whatever is requested."""
        column = self._column()
        return _schema_capsule(column), _array_capsule(column)

    def __arrow_c_stream__(self, requested_schema=None):
        """The rows, as a capsule for another library; the types are ours, whatever is requested."""
        column = self._column()
        return _stream_capsule(column, iter((column,)))

    def _column(self):
        events = self.events
        texts = _texts("", self.strings.offsets, self.strings.text)
        kinds = _of_strings("", list(KINDS))
        host_pairs = self._host_pairs[events["host"]]
        codes = {
            "tenant": host_pairs[:, 0],
            "host": host_pairs[:, 1],
            "process": self.process_codes[events["process"]],
        }
        codes |= {name: events[name] for name in COLUMNS}
        # Signed, because not every library takes unsigned codes.
        coded = {name: _text_codes(name, column, texts) for name, column in codes.items()}
        return _struct("", len(events), [
            _numbers("time", b"tsn:UTC", events["time"].view("<i8")),
            coded.pop("tenant"),
            coded.pop("host"),
            coded.pop("process"),
            _coded("kind", b"c", events["kind"].view("i1"), kinds),
            _numbers("record", b"I", events["record"]),
            *coded.values(),
        ])


cdef Column _text_codes(str name, codes, Column texts):
    codes = numpy.ascontiguousarray(codes)
    return _coded(name, b"i", codes.view("<i4"), texts, None if name in ("host", "process") else codes != 0)
