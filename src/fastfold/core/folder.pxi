# Folder: the door for those who want states.  Files are folded one by one or on top of each other, and taken as
# payloads.


cdef bint _encode_all(
    const Parse* p, const Fold* fold, View* v, const uint32_t* numbers, Py_ssize_t count, Bytes* out, size_t* ends
) noexcept nogil:
    cdef uint64_t process, host
    cdef uint32_t codes[3]
    cdef Py_ssize_t i
    cdef int part
    for i in range(count):
        process = p.processes.keys[numbers[i] + 1]
        host = p.hosts.keys[process >> 32]
        codes[0] = <uint32_t> (host >> 32)
        codes[1] = <uint32_t> host
        codes[2] = <uint32_t> process
        for part in range(3):
            v.identity[part] = _text_at(&p.strings, codes[part])
            v.identity_length[part] = _text_length(&p.strings, codes[part])
        _view_state(fold, &p.strings, numbers[i], v)
        _bound_sets(fold.plan, v)
        if not _encode_view(fold.plan, v, out):
            return False
        ends[i] = out.size
    return True


cdef int _encode_deltas(Deltas deltas, list order, const Parse* p, const Fold* fold, View* view) except -1:
    """Write the payloads of all processes, in order, one behind the other."""
    cdef Py_ssize_t count = len(order)
    cdef uint32_t* numbers = <uint32_t*> calloc(count + 1, sizeof(uint32_t))
    cdef size_t* ends = <size_t*> calloc(count + 1, sizeof(size_t))
    cdef Py_ssize_t i
    cdef bint done
    try:
        if numbers == NULL or ends == NULL:
            raise MemoryError("fastfold core")
        for i in range(count):
            numbers[i] = order[i]
        with nogil:
            done = _encode_all(p, fold, view, numbers, count, &deltas.payloads, ends)
        if not done:
            raise MemoryError("fastfold core")
        deltas.ends = [ends[i] for i in range(count)]
    finally:
        free(numbers)
        free(ends)
    return 0


cdef Deltas _take_deltas(Reader reader, const Fold* fold, View* view):
    """What was folded, in order of identity."""
    cdef Deltas deltas = Deltas.__new__(Deltas)
    deltas.counts = FoldCounts()
    identities = reader._identities()
    order = sorted(range(len(identities)), key=identities.__getitem__)
    deltas.identities = [identities[number] for number in order]
    deltas.ends = []
    _encode_deltas(deltas, order, &reader.parse, fold, view)
    return deltas


@cython.final
cdef class Folder(Reader):
    """Folds one file after the other into deltas."""

    def __cinit__(self, Plan plan not None, *args, **kwargs):
        if not _init_fold(&self.fold, &plan.c) or not _init_view(&self.view, &plan.c):
            raise MemoryError("fastfold core")

    def __dealloc__(self):
        _free_fold(&self.fold)
        _free_view(&self.view)

    def begin(self):
        """Forget the file before and start with the next."""
        self._begin()
        _clear_fold(&self.fold)

    cdef Status _take_lines(self, const uint8_t* text, size_t size) noexcept nogil:
        cdef Status status = _parse_lines(&self.parse, text, <uint32_t> size)
        if status == OK:
            if not _fold_rows(&self.fold, &self.parse):
                return NO_MEMORY
            self.parse.row_count = 0
        return status

    def go_on(self):
        """Start with the next file and keep what was folded."""
        self._begin_file()

    def end(self):
        """End the file.

        Returns
        -------
        FoldCounts

        Raises
        ------
        Reject
            The last line is malformed.
        """
        with nogil:
            self.parse.fault.status = self._end()
        self._raise_fault()
        return self._counts()

    @property
    def held_bytes(self):
        """Bytes of text and states held for what was folded."""
        cdef Parse* p = &self.parse
        cdef size_t words = self.fold.state_count * self.plan.c.stride_words + self.fold.pool_size
        return p.strings.text.size + p.strings.raw_bytes.size + words * sizeof(uint64_t)

    def finish(self):
        """End the file and take what was folded.

        Returns
        -------
        Deltas
            With the counts of this file.

        Raises
        ------
        Reject
            The last line is malformed.
        """
        counts = self.end()
        deltas = self.take()
        (<Deltas> deltas).counts = counts
        return deltas

    def take(self):
        """What was folded of all files since `begin`.

        Returns
        -------
        Deltas
        """
        return _take_deltas(self, &self.fold, &self.view)


@cython.final
cdef class Deltas:
    """The deltas of files, in order of tenant, host and process.

    Attributes
    ----------
    counts : FoldCounts
        What the file held; nothing where `Folder.take` gave the deltas of several.

    Notes
    -----
    ``len()`` is the number of processes; iteration gives `HostDeltas`.
    """

    def __dealloc__(self):
        free(self.payloads.data)

    def __len__(self):
        return len(self.identities)

    def __iter__(self):
        cdef Py_ssize_t i = 0
        cdef Py_ssize_t count = len(self.identities)
        cdef size_t start = 0
        cdef size_t end
        while i < count:
            tenant, host, _ = self.identities[i]
            processes = []
            payloads = []
            while i < count:
                identity = self.identities[i]
                if identity[1] != host or identity[0] != tenant:
                    break
                processes.append(identity[2])
                end = self.ends[i]
                payloads.append(PyBytes_FromStringAndSize(<const char*> self.payloads.data + start, end - start))
                start = end
                i += 1
            yield HostDeltas(tenant, host, processes, payloads)
