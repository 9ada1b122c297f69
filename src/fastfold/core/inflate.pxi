# Inflate: gzip members, one after the other, straight into the window of the parser.
#
# The work is ISA-L's.  The `isal` package links it into its extension module and exports its functions, so
# they are called where they are, without the GIL and without a bytes object per piece.  Only the head of
# ISA-L's inflate state is known here (it has not moved since 2.19); the rest is room that ISA-L fills.
#
#   +----------+-----------+-----------+---------+---------+----------+----------------+ - - - -
#   | next_out | avail_out | total_out | next_in | read_in | avail_in | read_in_length | tables, history
#   | 8        | 4         | 4         | 8       | 8       | 4        | 4 (bits)       |
#   +----------+-----------+-----------+---------+---------+----------+----------------+ - - - -
#
# That this holds is tried when the module loads, on a file of a few hundred bytes in windows of seven.
#
# A member (RFC 1952) is header, deflate data, CRC and length.  All are checked.  Members may follow each
# other; zero bytes may follow the last, as tapes and disks leave them; any other byte is a fault.

cdef enum:
    ISAL_STATE_ROOM = 1 << 18      # inflate_state has 87 KiB in ISA-L 2.31
    ISAL_BLOCK_STATE_AT = 21160
    ISAL_BLOCK_FINISHED = 5
    ISAL_PIECE = 1 << 30           # its counters have 32 bits
    INPUT_BYTES = 1 << 18          # of a file that is read piece by piece
    INPUT_LEAST = 1024             # enough for most headers
    INPUT_KEPT = 16                # behind the place: what ISA-L may give back

ctypedef struct IsalHead:
    uint8_t* next_out
    uint32_t avail_out
    uint32_t total_out
    const uint8_t* next_in
    uint64_t read_in
    uint32_t avail_in
    int32_t read_in_length

ctypedef void (*isal_init_fn)(void* state) noexcept nogil
ctypedef int (*isal_inflate_fn)(void* state) noexcept nogil
ctypedef uint32_t (*isal_crc_fn)(uint32_t crc, const uint8_t* data, uint64_t size) noexcept nogil

cdef isal_init_fn _isal_init
cdef isal_inflate_fn _isal_inflate
cdef isal_crc_fn _isal_crc


cdef int _bind_isal() except -1:
    global _isal_init, _isal_inflate, _isal_crc
    library = ctypes.CDLL(isal_zlib.__file__)
    try:
        addresses = [
            ctypes.cast(library[name], ctypes.c_void_p).value
            for name in ("isal_inflate_init", "isal_inflate", "crc32_gzip_refl")
        ]
    except AttributeError as error:
        raise ImportError(
            f"fastfold: this build of the isal package does not export ISA-L's functions ({error}); "
            "install the wheel from PyPI"
        ) from None
    _isal_init = <isal_init_fn> <size_t> addresses[0]
    _isal_inflate = <isal_inflate_fn> <size_t> addresses[1]
    _isal_crc = <isal_crc_fn> <size_t> addresses[2]
    return 0


cdef bint _isal_finished(void* state) noexcept nogil:
    return (<uint32_t*> (<uint8_t*> state + ISAL_BLOCK_STATE_AT))[0] == ISAL_BLOCK_FINISHED


cdef Status _skip_header(const uint8_t* data, size_t size, size_t start, size_t* end) noexcept nogil:
    """Where the deflate data of a member begins.  RFC 1952, section 2.3."""
    cdef size_t at = start + 10
    cdef uint8_t flags
    cdef int name
    if at > size:
        return GZIP_TRUNCATED
    flags = data[start + 3]
    if data[start] != 0x1F or data[start + 1] != 0x8B or data[start + 2] != 8 or flags & 0xE0:
        return GZIP_HEADER
    if flags & 4:                                   # extra field
        if at + 2 > size:
            return GZIP_TRUNCATED
        at += 2 + data[at] + (<size_t> data[at + 1] << 8)
    for name in range(2):                           # file name, comment: each ends with a zero byte
        if flags & (8 << name):
            while at < size and data[at] != 0:
                at += 1
            at += 1
    if flags & 2:                                   # checksum of the header
        if at + 2 > size:
            return GZIP_TRUNCATED
        if (_isal_crc(0, data + start, at - start) & 0xFFFF) != (data[at] | (<uint32_t> data[at + 1] << 8)):
            return GZIP_HEADER_CHECKSUM
        at += 2
    if at > size:
        return GZIP_TRUNCATED
    end[0] = at
    return OK


cdef Status _end_member(Inflater self) noexcept nogil:
    """Check the length and the CRC behind the data of a member."""
    if self.at + 8 > self.size:
        return GZIP_TRUNCATED if self.ended else MORE_INPUT
    if ff_load32(self.data + self.at) != self.crc or ff_load32(self.data + self.at + 4) != self.member_bytes:
        return GZIP_CHECKSUM
    self.at += 8
    self.place = BETWEEN
    return OK


cdef Status _begin_member(Inflater self) noexcept nogil:
    """Read the header of the next member; at the end of the file, place is AT_END."""
    cdef Status status
    if not self.ended and self.size - self.at < INPUT_LEAST:
        return MORE_INPUT
    if self.place == BETWEEN and (self.at == self.size or self.data[self.at] == 0):
        self.place = IN_ZEROS
    if self.place == IN_ZEROS:
        while self.at < self.size and self.data[self.at] == 0:
            self.at += 1
        if self.at < self.size:
            return GZIP_TRAILING
        if not self.ended:
            return MORE_INPUT
        self.place = AT_END
        return OK
    if self.place == BETWEEN and (self.at + 1 >= self.size or ff_load16(self.data + self.at) != 0x8B1F):
        return GZIP_TRAILING
    self.member_start = self.base + self.at
    status = _skip_header(self.data, self.size, self.at, &self.at)
    if status != OK:
        return MORE_INPUT if status == GZIP_TRUNCATED and not self.ended else status
    _isal_init(self.state)
    self.place = IN_MEMBER
    self.crc = 0
    self.member_bytes = 0
    return OK


cdef Status _inflate_some(Inflater self, uint8_t* out, size_t room, size_t* made) noexcept nogil:
    """Fill `out` as far as the input goes; 0 bytes made with OK means the verified end."""
    cdef IsalHead* head = <IsalHead*> self.state
    cdef Status status
    cdef size_t piece
    made[0] = 0
    while made[0] < room and self.place != AT_END:
        if self.place != IN_MEMBER:
            status = _end_member(self) if self.place == AT_TRAILER else _begin_member(self)
            if status != OK:
                return status
            continue
        head.next_in = self.data + self.at
        head.avail_in = <uint32_t> min(self.size - self.at, <size_t> ISAL_PIECE)
        head.next_out = out + made[0]
        head.avail_out = <uint32_t> min(room - made[0], <size_t> ISAL_PIECE)
        if _isal_inflate(self.state) < 0:
            return GZIP_DATA
        piece = head.next_out - (out + made[0])
        self.at = head.next_in - self.data
        self.crc = _isal_crc(self.crc, out + made[0], piece)
        self.member_bytes += <uint32_t> piece
        made[0] += piece
        if _isal_finished(self.state):
            # Whole bytes that it took in beyond the end are given back.
            self.at -= head.read_in_length // 8
            self.place = AT_TRAILER
        elif piece == 0 and self.at == self.size:
            return GZIP_TRUNCATED if self.ended else MORE_INPUT
    return OK


cdef size_t _stored_bytes(file) except? 0:
    """Size of a file, as far as it can be told before it is read."""
    try:
        return os.fstat(file.fileno()).st_size
    except (AttributeError, OSError):
        return 0


@cython.final
cdef class Inflater:
    """Inflates one file, piece by piece, into buffers of the caller.

    Parameters
    ----------
    data : buffer or binary file
        The whole file as stored, or where to read it from (``readinto``), a piece at a time: gzip by its first two
        bytes, else plain text.
    limits : Limits

    Raises
    ------
    Reject
        The file is larger than ``limits.file_bytes``.
    """

    def __cinit__(self, data, limits):
        self.inflated_limit = limits.inflated_bytes
        self.ratio_limit = limits.ratio
        self.ratio_from = limits.ratio_from_bytes
        self.file_limit = limits.file_bytes
        self.place = BEFORE
        self.ended = not hasattr(data, "readinto")
        if self.ended:
            self.source = data
            self.view = memoryview(data).cast("B") if len(data) else None
            self.size = len(data)
            self.data = &self.view[0] if self.size else NULL
            self._check_stored()
        else:
            self.file = data
            self.stored = _stored_bytes(data)
            while not self.ended and self.size < 2:
                self._read_more()
        self.is_gzip = self.size >= 2 and self.data[0] == 0x1F and self.data[1] == 0x8B
        if self.is_gzip:
            self.state = calloc(1, ISAL_STATE_ROOM)
            if self.state == NULL:
                raise MemoryError("fastfold core")

    def __dealloc__(self):
        free(self.state)

    cdef int _check_stored(self) except -1:
        if self.base + self.size > self.file_limit:
            raise Reject("file too large", offset=self.file_limit, limit=self.file_limit)
        return 0

    cdef int _read_more(self) except -1:
        """Read the next piece of the file behind what is still to be inflated."""
        cdef size_t kept = self.at - min(self.at, <size_t> INPUT_KEPT)
        cdef size_t room = max(2 * (self.size - kept), <size_t> INPUT_BYTES)
        cdef uint8_t[::1] piece
        fresh = self.source
        if fresh is None or <size_t> len(fresh) < room:
            fresh = bytearray(room)
        piece = fresh
        if self.size > kept:
            memmove(&piece[0], self.data + kept, self.size - kept)
        self.base += kept
        self.at -= kept
        self.size -= kept
        self.source = fresh
        self.view = piece
        self.data = &piece[0]
        count = self.file.readinto(memoryview(fresh)[self.size :])
        self.size += count
        self.ended = count == 0
        return self._check_stored()

    def plain(self):
        """The whole file where it lies, if it is plain text in memory.

        Returns
        -------
        memoryview or None

        Raises
        ------
        Reject
            Larger than a limit.
        """
        if self.is_gzip or self.file is not None:
            return None
        if self.size > self.inflated_limit:
            raise Reject("inflated file too large", offset=self.inflated_limit, limit=self.inflated_limit)
        return memoryview(self.source).cast("B")

    def readinto(self, room):
        """Fill a buffer with the next inflated bytes.

        Parameters
        ----------
        room : writable buffer of bytes

        Returns
        -------
        int
            Bytes written; 0 when the file has ended and everything has been checked.

        Raises
        ------
        Reject
            Damaged, truncated, followed by other bytes, or larger than a limit.
        """
        cdef uint8_t[::1] out = room
        cdef size_t wanted = out.shape[0]
        cdef size_t made = 0
        if wanted == 0:
            raise ValueError("no room to inflate into")
        # `out` and `self.view` keep both buffers alive; the caller must not touch `room` meanwhile.
        while True:
            with nogil:
                self.fault.status = self._some(&out[0], wanted, &made)
            if self.fault.status != MORE_INPUT:
                break
            self._read_more()
            if made:
                return made
        if self.fault.status != OK:
            raise _reject_of(&self.fault)
        return made

    cdef Status _some(self, uint8_t* out, size_t wanted, size_t* made) noexcept nogil:
        cdef Status status = OK
        if self.is_gzip:
            status = _inflate_some(self, out, wanted, made)
        else:
            made[0] = min(wanted, self.size - self.at)
            if made[0]:
                memcpy(out, self.data + self.at, made[0])
            elif not self.ended:
                status = MORE_INPUT
            self.at += made[0]
        self.total += made[0]
        self.fault.offset = self.base + self.at
        if status in (GZIP_HEADER, GZIP_HEADER_CHECKSUM):
            self.fault.offset = self.member_start
        self.fault.limit = 0
        if status != OK and status != MORE_INPUT:
            return status
        if self.total > self.inflated_limit:
            self.fault.limit = self.inflated_limit
            return INFLATED_TOO_LARGE
        if self.total > self.ratio_from and self.total > self.ratio_limit * max(self.stored, self.base + self.size):
            self.fault.limit = self.ratio_limit
            return RATIO_TOO_LARGE
        return status


cdef int _check_isal() except -1:
    """Try what this file believes of ISA-L on a small file, in windows of seven bytes."""
    text = b"".join(b"line %d of a small file\n" % number for number in range(40))
    packed = gzip.compress(text) + gzip.compress(text[::-1])
    inflater = Inflater(packed, Limits())
    room = bytearray(7)
    out = bytearray()
    while True:
        made = inflater.readinto(room)
        if not made:
            break
        out += room[:made]
    if out != text + text[::-1]:
        raise ImportError("fastfold: ISA-L in the isal package is not as expected; install isal >= 1.7")
    return 0
