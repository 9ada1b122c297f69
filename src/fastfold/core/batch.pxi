# Batch: the door for those who want the events themselves, as numpy rows and distinct texts.


@cython.final
cdef class Parser(Reader):
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
        cdef Parse* p = &self.parse
        with nogil:
            p.fault.status = self._end()
        self._raise_fault()
        rows = PyBytes_FromStringAndSize(<const char*> p.rows, p.row_count * sizeof(EventRow)) if p.row_count else b""
        events = numpy.frombuffer(rows, dtype=EVENT_DTYPE)
        offsets = PyBytes_FromStringAndSize(<const char*> p.strings.offsets, (p.strings.count + 1) * sizeof(uint32_t))
        text = PyBytes_FromStringAndSize(<const char*> p.strings.text.data, p.strings.text.size)
        identities = self._identities()
        hosts = list(dict.fromkeys((tenant, host) for tenant, host, _ in identities))
        return Batch(
            events, Texts(text, numpy.frombuffer(offsets, dtype="<u4")), hosts, identities, self._counts()
        )


EVENT_DTYPE = numpy.dtype(
    {
        "names": [name for name, _, _ in EVENT_FIELDS],
        "formats": [kind for _, kind, _ in EVENT_FIELDS],
        "offsets": [offset for _, _, offset in EVENT_FIELDS],
        "itemsize": sizeof(EventRow),
    }
)


class Texts:
    """The distinct texts of a batch: one arena and offsets (the layout of an Arrow string column).

    ``strings[code]`` is the text of a code; code 0 is absent and gives ``None``.

    Attributes
    ----------
    text : bytes
        All texts, one behind the other, UTF-8.
    offsets : numpy.ndarray of uint32, shape (codes + 1,)
        Text of code c is ``text[offsets[c] : offsets[c + 1]]``.
    """

    __slots__ = ("offsets", "text")

    def __init__(self, text, offsets):
        self.text = text
        self.offsets = offsets

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, code):
        if not 0 <= code < len(self):
            raise IndexError(f"code {code} of {len(self)}")
        if code == 0:
            return None
        return self.text[self.offsets[code] : self.offsets[code + 1]].decode()


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
    counts : FoldCounts
    """

    __slots__ = ("counts", "events", "hosts", "processes", "strings")

    def __init__(self, events, strings, hosts, processes, counts):
        self.events = events
        self.strings = strings
        self.hosts = hosts
        self.processes = processes
        self.counts = counts

    def __len__(self):
        return len(self.events)
