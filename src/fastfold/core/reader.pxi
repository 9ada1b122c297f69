# Reader: the door to parse and fold.  A reader owns a window and everything a file needs; it is used for one
# file after the other and keeps its memory.
#
#   window   | start of a line | free room ................ | padding |
#            0             filled                           room      room + FF_SCAN_PADDING
#
# The caller writes into the free room (`window`), then says how much (`advance`): whole lines are parsed and
# dropped, the start of the next line moves to the front.  A line longer than the room makes it grow.  Text that
# lies in memory already is parsed where it is (`feed`), but for its ends: what the scanner may read behind a line
# must be readable, and the last line may go on.

cdef ff_scan_fn _scan = NULL
cdef ff_shape_fits_fn _shape_fits = NULL
_simd_name = ""


def use_simd(name=None):
    """Choose the instruction set of the scanner for readers made from now on.

    Parameters
    ----------
    name : {"avx512", "avx2", "neon", "scalar"}, optional
        The best this machine has when left out.

    Returns
    -------
    str
        The set in use.

    Raises
    ------
    ConfigError
        No such set, or not on this machine.
    """
    global _scan, _shape_fits, _simd_name
    cdef ff_scan_fn found
    for candidate in (name,) if name else ("avx512", "avx2", "neon", "scalar"):
        found = ff_scan_named(candidate.encode())
        if found != NULL:
            _scan = found
            _shape_fits = ff_shape_fits_for(candidate.encode())
            _simd_name = candidate
            return candidate
    raise ConfigError(f"FASTFOLD_SIMD is {name!r}: not on this machine, or not one of avx512, avx2, neon, scalar")


def simd():
    """Name of the instruction set that the scanner uses."""
    return _simd_name


cdef size_t _line_length(const uint8_t* data, size_t size) noexcept nogil:
    """Bytes of the first line with its line feed; all when there is none."""
    cdef const uint8_t* feed = <const uint8_t*> memchr(data, c'\n', size)
    return size if feed == NULL else feed - data + 1


cdef str _text_of(const Strings* s, uint32_t code):
    return PyUnicode_DecodeUTF8(<const char*> _text_at(s, code), _text_length(s, code), NULL)


cdef class Reader:
    """What `Folder` and `Parser` share: a window and the parser behind it.

    Parameters
    ----------
    plan : Plan
        With a schema.
    window_bytes : int
        Room for text, at least 64; grows to hold the longest record.

    Notes
    -----
    Owned by one thread at a time; different readers may work at once, the GIL is released.
    """

    def __cinit__(self, Plan plan not None, size_t window_bytes=WINDOW_BYTES, *args, **kwargs):
        if plan.schema is None:
            raise ConfigError("a plan to read with needs a schema")
        if not 64 <= window_bytes <= MAX_RECORD_BYTES:
            raise ConfigError(f"window_bytes is {window_bytes}, allowed is 64 to {MAX_RECORD_BYTES}")
        self.plan = plan
        self.parse.plan = &plan.c
        self.parse.scan = _scan
        self.parse.shapes.fits = _shape_fits
        self._make_window(window_bytes)
        # calloc: nothing is present before the first record, whose epoch is 1.
        self.parse.slots = <Slot*> calloc(plan.c.slot_count + 1, sizeof(Slot))
        self.parse.entry_epoch = <uint32_t*> calloc(plan.c.entry_count + 1, sizeof(uint32_t))
        self.parse.memos = <Memo*> calloc(MEMO_WAYS * (plan.c.slot_count + 1), sizeof(Memo))
        self.parse.verdicts = <Verdict*> calloc(plan.c.test_count + 1, sizeof(Verdict))
        self.parse.outcomes = <uint64_t*> calloc(plan.c.reason_count + 1, sizeof(uint64_t))
        if (
            self.parse.slots == NULL or self.parse.entry_epoch == NULL or self.parse.memos == NULL
            or self.parse.verdicts == NULL or self.parse.outcomes == NULL or not _init_shapes(&self.parse.shapes)
            or not _init_strings(&self.parse.strings)
            or not _init_pairs(&self.parse.hosts) or not _init_pairs(&self.parse.processes)
        ):
            raise MemoryError("fastfold core")
        self._begin()

    def __dealloc__(self):
        free(self.parse.scanned.marks)
        free(self.parse.scanned.lines)
        free(self.parse.embedded_scanned.marks)
        free(self.parse.embedded_scanned.lines)
        free(self.parse.embedded.data)
        free(self.parse.slots)
        free(self.parse.entry_epoch)
        free(self.parse.memos)
        free(self.parse.verdicts)
        free(self.parse.outcomes)
        free(self.parse.rows)
        free(self.parse.scratch.data)
        free(self.parse.joined.data)
        _free_shapes(&self.parse.shapes)
        _free_strings(&self.parse.strings)
        _free_pairs(&self.parse.hosts)
        _free_pairs(&self.parse.processes)

    cdef int _make_window(self, size_t room) except -1:
        """Replace the window by a larger one; views of the old one keep the old one alive."""
        cdef uint8_t[::1] view
        fresh = bytearray(room + FF_SCAN_PADDING)
        view = fresh
        if self.parse.filled:
            memcpy(&view[0], self.parse.window, self.parse.filled)
        self.window_buffer = fresh
        self.parse.window = &view[0]
        self.parse.window_room = room
        return 0

    cdef void _begin(self):
        """Forget everything: the next file is the first."""
        cdef Parse* p = &self.parse
        p.time_length = 0
        memset(p.memos, 0, MEMO_WAYS * self.plan.c.slot_count * sizeof(Memo))
        if p.epoch > 0x80000000u:
            # Epochs are 32 bits: start again before they come round to a value that a slot may still hold.
            p.epoch = 0
            memset(p.slots, 0, self.plan.c.slot_count * sizeof(Slot))
            memset(p.entry_epoch, 0, self.plan.c.entry_count * sizeof(uint32_t))
        _clear_strings(&p.strings)
        _clear_pairs(&p.hosts)
        _clear_pairs(&p.processes)
        self._begin_file()

    cdef void _begin_file(self):
        cdef Parse* p = &self.parse
        p.filled = 0
        p.offset = p.lines = p.records = p.events = p.odd_text = 0
        p.row_count = 0
        memset(&p.fault, 0, sizeof(Fault))
        memset(p.outcomes, 0, self.plan.c.reason_count * sizeof(uint64_t))
        self.at_start = True

    def begin(self):
        """Forget the file before and start with the next."""
        self._begin()

    def window(self):
        """The free room to write the next bytes of the file into.

        Returns
        -------
        memoryview
            Writable, at least one byte, until the next `advance`.
        """
        if self.parse.filled == self.parse.window_room:
            self._make_window(2 * self.parse.window_room)
        return memoryview(self.window_buffer)[self.parse.filled : self.parse.window_room]

    def advance(self, size_t count):
        """Parse what was written into the window.

        Parameters
        ----------
        count : int
            Bytes written.

        Raises
        ------
        Reject
            A malformed record, or a limit passed: with line and byte offset.
        """
        if count > self.parse.window_room - self.parse.filled:
            raise ValueError(f"{count} bytes are more than the window has room for")
        self.parse.filled += count
        # The window is ours; a view that the caller still has must not be written to meanwhile.
        with nogil:
            self.parse.fault.status = self._advance()
        self._raise_fault()

    def feed(self, const uint8_t[::1] text not None):
        """Parse the next bytes of a file where they are.

        Parameters
        ----------
        text : buffer
            Must not change meanwhile.

        Raises
        ------
        Reject
            As of `advance`.
        """
        cdef size_t size = text.shape[0]
        cdef size_t at = 0
        cdef size_t end
        cdef const uint8_t* data
        if size == 0:
            return
        data = &text[0]
        # The first line of the file, and the rest of a line begun before.
        while at < size and (self.at_start or self.parse.filled):
            end = at + _line_length(data + at, size - at)
            self._copy_in(data + at, end - at)
            at = end
        end = at + ff_whole_lines(data + at, size - at - min(size - at, <size_t> FF_SCAN_PADDING))
        with nogil:
            self.parse.fault.status = self._take_in_place(data + at, end - at)
        self._raise_fault()
        self._copy_in(data + end, size - end)

    cdef int _copy_in(self, const uint8_t* data, size_t size) except -1:
        """Parse bytes by way of the window."""
        cdef size_t count
        while size:
            if self.parse.filled == self.parse.window_room:
                self._make_window(2 * self.parse.window_room)
            count = min(size, self.parse.window_room - self.parse.filled)
            memcpy(self.parse.window + self.parse.filled, data, count)
            self.advance(count)
            data += count
            size -= count
        return 0

    cdef Status _take_in_place(self, const uint8_t* data, size_t size) noexcept nogil:
        """Parse whole lines, some at a time, so that what is found in them stays in cache."""
        cdef Parse* p = &self.parse
        cdef size_t some
        cdef Status status
        while size:
            # Where its last line ends is found by the scan: to search for it here would be to wait for memory.
            status = self._take_lines(data, min(size, <size_t> WINDOW_BYTES))
            if status == OK and p.taken == 0:
                some = _line_length(data, size)
                if some > p.plan.record_bytes + 1:
                    p.fault.offset = 0
                    p.fault.limit = p.plan.record_bytes
                    return RECORD_TOO_LONG
                status = self._take_lines(data, some)
            if status != OK:
                return status
            p.offset += p.taken
            data += p.taken
            size -= p.taken
        return OK

    cdef int _raise_fault(self) except -1:
        cdef Fault* fault = &self.parse.fault
        if fault.status != OK:
            fault.line = self.parse.lines + 1
            fault.offset += self.parse.offset
            is_time = fault.status == TIME_UNREADABLE
            raise _reject_of(fault, _TIMES[self.plan.c.times[self.parse.time_number].form] if is_time else "")
        return 0

    cdef Status _advance(self) noexcept nogil:
        cdef Parse* p = &self.parse
        cdef size_t end
        cdef Status status
        if self.at_start:
            if p.filled < 3:
                return OK
            self._skip_bom()
        end = ff_whole_lines(p.window, p.filled)
        if end == 0:
            if p.filled > p.plan.record_bytes:
                p.fault.offset = 0
                p.fault.limit = p.plan.record_bytes
                return RECORD_TOO_LONG
            return OK
        status = self._take_lines(p.window, end)
        if status == OK:
            p.filled -= end
            p.offset += end
            memmove(p.window, p.window + end, p.filled)
        return status

    cdef void _skip_bom(self) noexcept nogil:
        """A byte order mark at the start of a file is no part of its first record."""
        cdef Parse* p = &self.parse
        self.at_start = False
        if p.filled >= 3 and memcmp(p.window, b"\xef\xbb\xbf", 3) == 0:
            p.filled -= 3
            p.offset += 3
            memmove(p.window, p.window + 3, p.filled)

    cdef Status _take_lines(self, const uint8_t* text, size_t size) noexcept nogil:
        """Parse the whole lines of a text; `Folder` folds them too."""
        return _parse_lines(&self.parse, text, <uint32_t> size)

    cdef Status _end(self) noexcept nogil:
        """Parse the last line, which needs no line feed."""
        cdef Parse* p = &self.parse
        cdef size_t end
        cdef Status status
        if self.at_start:
            self._skip_bom()
        if p.filled == 0:
            return OK
        if p.filled > p.plan.record_bytes:
            p.fault.offset = 0
            p.fault.limit = p.plan.record_bytes
            return RECORD_TOO_LONG
        # Only a file too short to tell a byte order mark still has its line feed here.
        end = p.filled
        if p.window[end - 1] != c'\n':
            p.window[end] = c'\n'
            end += 1
        status = self._take_lines(p.window, end)
        if status == OK:
            p.offset += p.filled
            p.filled = 0
        return status

    cdef object _counts(self):
        cdef Parse* p = &self.parse
        reasons = self.plan.reasons
        no_process = {reasons[i]: p.outcomes[i] for i in range(len(reasons)) if p.outcomes[i]}
        return FoldCounts(p.offset, p.lines, p.records, p.events, p.odd_text, no_process)

    cdef list _identities(self):
        """(tenant, host, process) of every process, by its number."""
        cdef Parse* p = &self.parse
        cdef uint32_t number
        cdef uint64_t pair
        hosts = [None]
        for number in range(1, p.hosts.count + 1):
            pair = p.hosts.keys[number]
            hosts.append((_text_of(&p.strings, <uint32_t> (pair >> 32)), _text_of(&p.strings, <uint32_t> pair)))
        identities = []
        for number in range(1, p.processes.count + 1):
            pair = p.processes.keys[number]
            tenant, host = hosts[pair >> 32]
            identities.append((tenant, host, _text_of(&p.strings, <uint32_t> pair)))
        return identities
