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


cdef Status _inflate_some(Inflater self, uint8_t* out, size_t room, size_t* made) noexcept nogil:
    """Fill `out` as far as the data goes; 0 bytes made means the verified end."""
    cdef IsalHead* head = <IsalHead*> self.state
    cdef Status status
    cdef size_t piece
    made[0] = 0
    while made[0] < room:
        if not self.in_member:
            if self.started and self.at == self.size:
                return OK
            if self.started and self.data[self.at] == 0:
                while self.at < self.size and self.data[self.at] == 0:
                    self.at += 1
                return OK if self.at == self.size else GZIP_TRAILING
            if self.started and (self.at + 1 >= self.size or ff_load16(self.data + self.at) != 0x8B1F):
                return GZIP_TRAILING
            self.started = True
            self.member_start = self.at
            status = _skip_header(self.data, self.size, self.at, &self.at)
            if status != OK:
                return status
            _isal_init(self.state)
            self.in_member = True
            self.crc = 0
            self.member_bytes = 0
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
            if self.at + 8 > self.size:
                return GZIP_TRUNCATED
            if ff_load32(self.data + self.at) != self.crc or ff_load32(self.data + self.at + 4) != self.member_bytes:
                return GZIP_CHECKSUM
            self.at += 8
            self.in_member = False
        elif piece == 0 and self.at == self.size:
            return GZIP_TRUNCATED
    return OK


@cython.final
cdef class Inflater:
    """Inflates one file, piece by piece, into buffers of the caller.

    Parameters
    ----------
    data : buffer
        The whole file as stored: gzip by its first two bytes, else plain text.
    limits : Limits

    Raises
    ------
    Reject
        The file is larger than ``limits.file_bytes``.
    """

    def __cinit__(self, data, limits):
        self.source = data
        self.view = memoryview(data).cast("B") if len(data) else None
        self.size = len(data)
        self.data = &self.view[0] if self.size else NULL
        self.inflated_limit = limits.inflated_bytes
        self.ratio_limit = limits.ratio
        self.ratio_from = limits.ratio_from_bytes
        if self.size > limits.file_bytes:
            raise Reject("file too large", offset=limits.file_bytes, limit=limits.file_bytes)
        self.is_gzip = self.size >= 2 and self.data[0] == 0x1F and self.data[1] == 0x8B
        if self.is_gzip:
            self.state = calloc(1, ISAL_STATE_ROOM)
            if self.state == NULL:
                raise MemoryError("fastfold core")

    def __dealloc__(self):
        free(self.state)

    def plain(self):
        """The whole file where it lies, if it is plain text.

        Returns
        -------
        memoryview or None

        Raises
        ------
        Reject
            Larger than a limit.
        """
        if self.is_gzip:
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
        with nogil:
            self.fault.status = self._some(&out[0], wanted, &made)
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
            self.at += made[0]
        self.total += made[0]
        self.fault.offset = self.member_start if status in (GZIP_HEADER, GZIP_HEADER_CHECKSUM) else self.at
        self.fault.limit = 0
        if status == OK and self.total > self.inflated_limit:
            self.fault.limit = self.inflated_limit
            return INFLATED_TOO_LARGE
        if status == OK and self.total > self.ratio_from and self.total > self.ratio_limit * self.size:
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
