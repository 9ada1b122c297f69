# Pack: payloads to and from the values that Redis holds, a host at a time.
#
#   version 1   01 | 00 | zstd frame with content size and checksum
#   version 2   02 | dictionary | varint (size << 2 | how) | body
#
#     how 0     one compressed block of zstd, without its header | checksum
#     how 1     the payload as it is                             | checksum
#     how 2     a zstd frame with content size and checksum
#
# What zstd would write around the one block of a short payload is known beforehand: 8 bytes of every value.  It
# is put back before zstd sees it, so that all of it is standard zstd:
#
#   28 b5 2f fd | 24, 64 or a4 | size in 1, 2 or 4 bytes | block header 3 | block | checksum 4
#
# A payload of version 2 is stored without its mark; any other bytes (of version 1, of a host record) in the form
# of version 1.

cdef enum:
    VALUE_HEAD_MOST = 12        # version, dictionary, varint
    FRAME_HEAD_MOST = 12        # magic, descriptor, size, block header
    BLOCK_HEAD = 3
    CHECKSUM = 4
    BLOCK_MOST = 1 << 17        # of zstd
    HOW_BLOCK = 0
    HOW_RAW = 1
    HOW_FRAME = 2
    ZSTD_RAW = 0
    ZSTD_COMPRESSED = 2

cdef uint32_t _ZSTD_MAGIC = 0xFD2FB528


cdef size_t _frame_head(uint8_t* out, size_t size) noexcept nogil:
    """The head of a frame, up to its first block; returns its length."""
    memcpy(out, &_ZSTD_MAGIC, 4)
    if size < 256:
        out[4] = 0x24
        out[5] = <uint8_t> size
        return 6
    if size < 65536 + 256:
        out[4] = 0x64
        out[5] = <uint8_t> (size - 256)
        out[6] = <uint8_t> ((size - 256) >> 8)
        return 7
    out[4] = 0xA4
    out[5] = <uint8_t> size
    out[6] = <uint8_t> (size >> 8)
    out[7] = <uint8_t> (size >> 16)
    out[8] = <uint8_t> (size >> 24)
    return 9


cdef void _put_block_head(uint8_t* out, uint32_t kind, size_t size) noexcept nogil:
    cdef uint32_t head = 1 | kind << 1 | <uint32_t> size << 3       # the last block
    out[0] = <uint8_t> head
    out[1] = <uint8_t> (head >> 8)
    out[2] = <uint8_t> (head >> 16)


@cython.final
cdef class Packer:
    """Packs payloads into values and back; for one thread at a time.

    Parameters
    ----------
    dictionaries : list of Dictionary
        To read with.
    write : int
        Id of the dictionary to write with; 0 for none.
    level : int
        Of zstd, where there is no dictionary: each has its own.
    value_bytes : int
        Largest payload to write or to read, bytes.
    """

    def __cinit__(self, list dictionaries not None, int write, int level, size_t value_bytes):
        cdef Dictionary dictionary
        _check_level(level)
        self.compressor = _zstd.make_cctx()
        self.expander = _zstd.make_dctx()
        if self.compressor == NULL or self.expander == NULL:
            raise MemoryError("fastfold core")
        self.value_bytes = value_bytes
        self.dictionaries = dictionaries
        for dictionary in dictionaries:
            self.expanding[dictionary.id] = dictionary.expanding
            if dictionary.id == write:
                self.compressing = dictionary.compressing
        if write and self.compressing == NULL:
            raise ValueError(f"dictionary {write} is not among those given")
        self.write = <uint8_t> write
        _zstd.set_parameter(self.compressor, ZSTD_LEVEL, level)
        _zstd.set_parameter(self.compressor, ZSTD_CONTENT_SIZE, 1)
        _zstd.set_parameter(self.compressor, ZSTD_CHECKSUM, 1)
        _zstd.set_parameter(self.compressor, ZSTD_DICT_ID, 0)

    def __dealloc__(self):
        if self.compressor != NULL:
            _zstd.free_cctx(self.compressor)
        if self.expander != NULL:
            _zstd.free_dctx(self.expander)
        free(self.frame.data)

    def pack(self, list payloads not None):
        """The values to store for payloads.

        Parameters
        ----------
        payloads : list of bytes

        Returns
        -------
        list of bytes

        Raises
        ------
        ParkError
            One is longer than the limit: it could not be read again.
        """
        cdef Py_ssize_t count = len(payloads)
        cdef Piece* pieces = <Piece*> calloc(count + 1, sizeof(Piece))
        cdef Bytes out
        cdef Status status
        cdef Py_ssize_t at = count
        memset(&out, 0, sizeof(Bytes))
        try:
            _fill_pieces(pieces, payloads)
            # `payloads` keeps the bytes alive.
            with nogil:
                status = self._pack(pieces, &at, &out)
            if status == VALUE_TOO_LONG:
                raise ParkError(f"value too long to store: {pieces[at].size} bytes, limit {self.value_bytes}")
            if status != OK:
                raise MemoryError("fastfold core")
            return _cut_pieces(pieces, payloads, &out)
        finally:
            free(pieces)
            free(out.data)

    def unpack(self, list values not None, list keys=None):
        """The payloads of stored values; ``None`` stays ``None``.

        Parameters
        ----------
        values : list of (bytes or None)
        keys : list of bytes, optional
            To name in errors.

        Returns
        -------
        list of (bytes or None)

        Raises
        ------
        CorruptValue
            A value is not ours, of a version that is not known here, damaged, or larger than the limit.  The size
            is looked at before anything is expanded.
        UnknownForm
            A value with a dictionary that is not known here.
        """
        cdef Py_ssize_t count = len(values)
        cdef Piece* pieces = <Piece*> calloc(count + 1, sizeof(Piece))
        cdef Bytes out
        cdef Status status
        cdef Py_ssize_t at = count
        memset(&out, 0, sizeof(Bytes))
        try:
            _fill_pieces(pieces, values)
            # `values` keeps the bytes alive.
            with nogil:
                status = self._unpack(pieces, &at, &out)
            if status == NO_MEMORY:
                raise MemoryError("fastfold core")
            if status != OK:
                raise _value_fault(status, values[at], pieces[at].size, self.value_bytes, keys[at] if keys else None)
            return _cut_pieces(pieces, values, &out)
        finally:
            free(pieces)
            free(out.data)

    cdef Status _pack(self, Piece* pieces, Py_ssize_t* count, Bytes* out) noexcept nogil:
        cdef Py_ssize_t i
        cdef Status status = OK
        for i in range(count[0]):
            if pieces[i].data == NULL:
                continue
            status = self._pack_one(pieces[i].data, pieces[i].size, out)
            if status != OK:
                count[0] = i
                return status
            pieces[i].end = out.size
        return OK

    cdef Status _pack_one(self, const uint8_t* payload, size_t size, Bytes* out) noexcept nogil:
        cdef bint is_marked = size >= MARK_BYTES and payload[0] == 0x80 and payload[1] == 0
        cdef size_t room, made
        cdef uint8_t* at
        if size > self.value_bytes:
            return VALUE_TOO_LONG
        if is_marked:
            payload += MARK_BYTES
            size -= MARK_BYTES
        room = _zstd.bound(size) + FRAME_HEAD_MOST
        if not _reserve(out, room + VALUE_HEAD_MOST):
            return NO_MEMORY
        at = out.data + out.size
        if not is_marked:
            _zstd.refer_cdict(self.compressor, NULL)
            made = _zstd.compress(self.compressor, at + 2, room, payload, size)
            if _zstd.is_error(made):
                return NO_MEMORY
            at[0] = 1
            at[1] = 0
            out.size += 2 + made
            return OK
        if not _reserve(&self.frame, room):
            return NO_MEMORY
        _zstd.refer_cdict(self.compressor, self.compressing)
        made = _zstd.compress(self.compressor, self.frame.data, room, payload, size)
        if _zstd.is_error(made):
            return NO_MEMORY
        at[0] = 2
        at[1] = self.write
        out.size = self._put_body(at + 2, size, made) - out.data
        return OK

    cdef uint8_t* _put_body(self, uint8_t* out, size_t size, size_t made) noexcept nogil:
        """Write the frame that was made, without what is known of it."""
        cdef uint8_t expected[FRAME_HEAD_MOST]
        cdef uint8_t* frame = self.frame.data
        cdef size_t head = _frame_head(expected, size)
        cdef size_t body = made - head - BLOCK_HEAD         # block and checksum
        cdef int how = HOW_FRAME
        if made > head + BLOCK_HEAD + CHECKSUM and memcmp(frame, expected, head) == 0:
            _put_block_head(expected, ZSTD_COMPRESSED, body - CHECKSUM)
            if memcmp(frame + head, expected, BLOCK_HEAD) == 0:
                how = HOW_BLOCK
            _put_block_head(expected, ZSTD_RAW, body - CHECKSUM)
            if memcmp(frame + head, expected, BLOCK_HEAD) == 0:
                how = HOW_RAW
        out = _put_varint(out, <uint64_t> size << 2 | how)
        if how != HOW_FRAME:
            frame += head + BLOCK_HEAD
            made = body
        memcpy(out, frame, made)
        return out + made

    cdef Status _unpack(self, Piece* pieces, Py_ssize_t* count, Bytes* out) noexcept nogil:
        cdef Py_ssize_t i
        cdef Status status
        for i in range(count[0]):
            if pieces[i].data == NULL:
                continue
            status = self._unpack_one(&pieces[i], out)
            if status != OK:
                count[0] = i
                return status
            pieces[i].end = out.size
        return OK

    cdef Status _unpack_one(self, Piece* piece, Bytes* out) noexcept nogil:
        """piece  IN/OUT  its size becomes that of the payload, as far as it is known."""
        cdef const uint8_t* value = piece.data
        cdef size_t size = piece.size
        if size < 2:
            return VALUE_SHORT
        if value[0] == 1:
            if value[1]:
                return VALUE_FORM
            _zstd.refer_ddict(self.expander, NULL)
            return self._expand(value + 2, size - 2, piece, 0, out)
        if value[0] != 2:
            return VALUE_VERSION
        return self._unpack_body(value[1], value + 2, size - 2, piece, out)

    cdef Status _unpack_body(
        self, uint8_t dictionary, const uint8_t* body, size_t size, Piece* piece, Bytes* out
    ) noexcept nogil:
        cdef Cursor c
        cdef uint64_t head
        cdef size_t start
        c.at = body
        c.end = body + size
        if _get_varint(&c, &head) != OK or head & 3 > HOW_FRAME:
            return VALUE_FORM
        size = c.end - c.at
        piece.size = head >> 2
        if piece.size + MARK_BYTES > self.value_bytes:
            return VALUE_TOO_LONG
        if piece.size == 0:
            return VALUE_EMPTY
        # Last of all: only what looks like one of our values is one whose dictionary is still to come.
        if dictionary and self.expanding[dictionary] == NULL:
            return VALUE_DICTIONARY
        _zstd.refer_ddict(self.expander, self.expanding[dictionary])
        if head & 3 == HOW_FRAME:
            return self._expand(c.at, size, piece, MARK_BYTES, out)
        if size < CHECKSUM or size - CHECKSUM > BLOCK_MOST:
            return VALUE_FRAME
        self.frame.size = 0
        if not _reserve(&self.frame, size + FRAME_HEAD_MOST):
            return NO_MEMORY
        start = _frame_head(self.frame.data, piece.size)
        _put_block_head(
            self.frame.data + start, ZSTD_COMPRESSED if head & 3 == HOW_BLOCK else ZSTD_RAW, size - CHECKSUM
        )
        memcpy(self.frame.data + start + BLOCK_HEAD, c.at, size)
        return self._expand(self.frame.data, start + BLOCK_HEAD + size, piece, MARK_BYTES, out)

    cdef Status _expand(self, const uint8_t* frame, size_t size, Piece* piece, size_t mark, Bytes* out) noexcept nogil:
        """Append the content of a frame, behind a mark or none."""
        cdef unsigned long long content = _zstd.content_size(frame, size)
        cdef size_t made
        if content == <unsigned long long> -1:
            return VALUE_NO_SIZE
        if content == <unsigned long long> -2:
            return VALUE_FRAME
        if frame[4] & 3 or not frame[4] & 4:
            return VALUE_FRAME_FORM
        if content == 0:
            return VALUE_EMPTY
        if mark == 0:
            piece.size = content
        if content + mark > self.value_bytes:
            return VALUE_TOO_LONG
        if content != piece.size or _zstd.frame_size(frame, size) != size:
            return VALUE_FRAME
        if not _reserve(out, content + mark):
            return NO_MEMORY
        if mark:
            out.data[out.size] = 0x80
            out.data[out.size + 1] = 0
        made = _zstd.decompress(self.expander, out.data + out.size + mark, content, frame, size)
        if _zstd.is_error(made) or made != content:
            return VALUE_FRAME
        out.size += mark + content
        return OK


cdef int _fill_pieces(Piece* pieces, list objects) except -1:
    cdef Py_ssize_t i
    cdef bytes data
    if pieces == NULL:
        raise MemoryError("fastfold core")
    for i in range(len(objects)):
        data = objects[i]
        if data is not None:
            pieces[i].data = <const uint8_t*> <const char*> data
            pieces[i].size = len(data)
    return 0


cdef list _cut_pieces(const Piece* pieces, list objects, const Bytes* out):
    """What was made of each object; ``None`` of ``None``."""
    cdef Py_ssize_t i
    cdef size_t start = 0
    made = []
    for i in range(len(objects)):
        if pieces[i].data == NULL:
            made.append(None)
            continue
        made.append(PyBytes_FromStringAndSize(<const char*> out.data + start, pieces[i].end - start))
        start = pieces[i].end
    return made


cdef object _value_fault(Status status, bytes value, size_t size, size_t limit, key):
    """The exception for a value that cannot be unpacked."""
    if status == VALUE_VERSION:
        return CorruptValue(f"format version {value[0]}, which is not known here", key=key)
    if status == VALUE_DICTIONARY:
        return UnknownForm(f"dictionary {value[1]}", key=key)
    if status == VALUE_SHORT:
        return CorruptValue(f"value of {len(value)} bytes", key=key)
    if status == VALUE_TOO_LONG:
        return CorruptValue(f"payload of {size} bytes, limit {limit}", key=key)
    return CorruptValue(_PHRASES[status], key=key)
