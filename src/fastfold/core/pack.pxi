# Pack: payloads to and from the values that Redis holds, a host at a time.
#
#   version 1   01 | 00 | zstd frame with content size and checksum
#   version 2   02 | dictionary | varint (size << 2 | how) | body
#
#     how 0     one compressed block of zstd, without its header | checksum
#     how 1     the payload as it is                             | checksum
#     how 2     a zstd frame with content size and checksum
#
#   version 3   form | varint size of texts | varint size of numbers | u32 checksum | numbers | body
#
#     form      the dictionary: 32 + id where it comes with fastfold (0: none), the id itself of one's own
#     body      one compressed block of the texts, or as long as they are: the texts as they are
#               with a 0 before the sizes: a zstd frame with content size
#
# A payload of version 2 is stored without its mark, one of version 3 also without the name of its host, which the
# checksum covers; any other bytes (of version 1, of a host record) in the form of version 1.


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
        if FORM_3 <= write < FORM_3_OWN:
            raise ValueError(f"dictionary {write} cannot be written with: its id is between ours and one's own")
        self.expander = _zstd.make_dctx()
        if self.expander == NULL:
            raise MemoryError("fastfold core")
        self.value_bytes = value_bytes
        self.dictionaries = dictionaries
        for dictionary in dictionaries:
            self.expanding[dictionary.id] = dictionary.expanding
            if dictionary.id == write:
                self.dictionary = dictionary
        if write and self.dictionary is None:
            raise ValueError(f"dictionary {write} is not among those given")
        self.write = <uint8_t> write
        if self.dictionary is None:
            self.compressor = Compressor(level)
        else:
            # One that nothing can be compressed with is to be found now.
            self.dictionary.give_back(self.dictionary.borrow())
        # A host record is ids of batches, which are random.  240 of them: 2,679 bytes and 4 us to pack and read at this
        # level, 2,368 bytes and 20 us at level 1, 2,339 bytes and 33 us at level 5.
        self.light = Compressor(ZSTD_LEVEL_LIGHT)

    def __dealloc__(self):
        if self.expander != NULL:
            _zstd.free_dctx(self.expander)
        free(self.frame.data)
        free(self.made.data)

    cdef void _clear(self) noexcept:
        """Forget what the last call has made, and its room where that is large."""
        self.made.size = 0
        if self.made.room > KEPT_BYTES:
            free(self.made.data)
            memset(&self.made, 0, sizeof(Bytes))

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
        cdef Piece* pieces
        cdef Status status
        cdef Py_ssize_t at = count
        if self.dictionary is not None:
            self.compressor = self.dictionary.borrow()
        pieces = <Piece*> calloc(count + 1, sizeof(Piece))
        try:
            _fill_pieces(pieces, payloads)
            # `payloads` keeps the bytes alive.
            with nogil:
                status = self._pack(pieces, &at, &self.made)
            if status == VALUE_TOO_LONG:
                raise ParkError(f"value too long to store: {pieces[at].size} bytes, limit {self.value_bytes}")
            if status != OK:
                raise MemoryError("fastfold core")
            return _cut_pieces(pieces, payloads, &self.made)
        finally:
            if self.dictionary is not None:
                self.dictionary.give_back(self.compressor)
            free(pieces)
            self._clear()

    def unpack(self, list values not None, list keys=None, bytes name=None):
        """The payloads of stored values; ``None`` stays ``None``.

        Parameters
        ----------
        values : list of (bytes or None)
        keys : list of bytes, optional
            To name in errors.
        name : bytes, optional
            Tenant and host of all of them, each with a NUL behind it; values of version 3 are read with it.

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
        cdef Status status
        cdef Py_ssize_t at = count
        cdef const char* given = NULL
        if name is not None:
            given = name
        self.name = <const uint8_t*> given
        self.name_size = 0 if name is None else len(name)
        try:
            _fill_pieces(pieces, values)
            # `values` and `name` keep the bytes alive.
            with nogil:
                status = self._unpack(pieces, &at, &self.made)
            if status == NO_MEMORY:
                raise MemoryError("fastfold core")
            if status != OK:
                raise _value_fault(status, values[at], pieces[at].size, self.value_bytes, keys[at] if keys else None)
            return _cut_pieces(pieces, values, &self.made)
        finally:
            free(pieces)
            self._clear()

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
        cdef Cursor c
        cdef Parts parts
        cdef int version
        c.at = payload
        c.end = payload + size
        version = _version_of(&c)
        if size > self.value_bytes:
            return VALUE_TOO_LONG
        if version == 3 and _part_payload(payload, size, &parts):
            return self._pack_3(&parts, out)
        if version == 2:
            return self._pack_2(payload + MARK_BYTES, size - MARK_BYTES, out)
        return self._pack_1(payload, size, out)

    cdef size_t _squeeze(
        self, Compressor compressor, Bytes* out, size_t front, const uint8_t* data, size_t size, bint has_checksum
    ) noexcept nogil:
        """Make a frame behind what `out` holds and some bytes more; returns its length, 0 when there is no memory."""
        cdef size_t room = _zstd.bound(size) + FRAME_HEAD_MOST
        cdef size_t made
        if not _reserve(out, front + room):
            return 0
        made = compressor.compress(out.data + out.size + front, room, data, size, has_checksum)
        return 0 if _zstd.is_error(made) else made

    cdef size_t _squeeze_well(self, const uint8_t* data, size_t size, bint has_checksum) noexcept nogil:
        """Make a frame with the dictionary, in `self.frame`; returns as `_squeeze` does."""
        self.frame.size = 0
        return self._squeeze(self.compressor, &self.frame, 0, data, size, has_checksum)

    cdef Status _pack_1(self, const uint8_t* payload, size_t size, Bytes* out) noexcept nogil:
        cdef size_t made = self._squeeze(self.light, out, 2, payload, size, True)
        if made == 0:
            return NO_MEMORY
        out.data[out.size] = 1
        out.data[out.size + 1] = 0
        out.size += 2 + made
        return OK

    cdef Status _pack_2(self, const uint8_t* payload, size_t size, Bytes* out) noexcept nogil:
        cdef size_t made
        cdef size_t around = 0
        cdef int how = HOW_FRAME
        cdef uint8_t* at
        made = self._squeeze_well(payload, size, True)
        if made == 0 or not _reserve(out, VALUE_HEAD_MOST + made):
            return NO_MEMORY
        if _is_one_block(self.frame.data, made, size, True, ZSTD_COMPRESSED):
            how = HOW_BLOCK
        elif _is_one_block(self.frame.data, made, size, True, ZSTD_RAW):
            how = HOW_RAW
        if how != HOW_FRAME:
            around = _frame_bytes(size)
        at = out.data + out.size
        at[0] = 2
        at[1] = self.write
        at = _put_varint(at + 2, <uint64_t> size << 2 | how)
        memcpy(at, self.frame.data + around, made - around)
        out.size = at - out.data + made - around
        return OK

    cdef Status _pack_3(self, const Parts* parts, Bytes* out) noexcept nogil:
        cdef size_t made
        cdef size_t around = 0
        cdef uint32_t checksum = _checksum_3(parts)
        cdef uint8_t* at
        made = self._squeeze_well(parts.texts, parts.texts_size, False)
        if made == 0 or not _reserve(out, VALUE_HEAD_MOST + parts.numbers_size + made):
            return NO_MEMORY
        at = out.data + out.size
        at[0] = self.write if self.write >= FORM_3_OWN else FORM_3 + self.write
        at += 1
        if (
            _is_one_block(self.frame.data, made, parts.texts_size, False, ZSTD_COMPRESSED)
            or _is_one_block(self.frame.data, made, parts.texts_size, False, ZSTD_RAW)
        ):
            around = _frame_bytes(parts.texts_size)
        else:
            at[0] = 0
            at += 1
        at = _put_varint(_put_varint(at, parts.texts_size), parts.numbers_size)
        memcpy(at, &checksum, CHECKSUM)
        memcpy(at + CHECKSUM, parts.numbers, parts.numbers_size)
        at += CHECKSUM + parts.numbers_size
        memcpy(at, self.frame.data + around, made - around)
        out.size = at - out.data + made - around
        return OK

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
        if value[0] >= FORM_3:
            return self._unpack_3(piece, out)
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
        start = _frame_head(self.frame.data, piece.size, True)
        _put_block_head(
            self.frame.data + start, ZSTD_COMPRESSED if head & 3 == HOW_BLOCK else ZSTD_RAW, size - CHECKSUM
        )
        memcpy(self.frame.data + start + BLOCK_HEAD, c.at, size)
        return self._expand(self.frame.data, start + BLOCK_HEAD + size, piece, MARK_BYTES, out)

    cdef Status _unpack_3(self, Piece* piece, Bytes* out) noexcept nogil:
        cdef uint8_t form = piece.data[0]
        cdef uint8_t dictionary = form if form >= FORM_3_OWN else form - FORM_3
        cdef Cursor c
        cdef Parts parts
        cdef uint64_t texts, numbers
        cdef bint is_frame
        cdef Status status
        c.at = piece.data + 1
        c.end = piece.data + piece.size
        is_frame = c.at[0] == 0
        c.at += is_frame
        if _get_varint(&c, &texts) != OK or _get_varint(&c, &numbers) != OK:
            return VALUE_FORM
        if texts == 0:
            return VALUE_EMPTY
        if texts > self.value_bytes or numbers > self.value_bytes or texts + numbers > self.value_bytes:
            piece.size = max(texts, numbers, texts + numbers)
            return VALUE_TOO_LONG
        if <uint64_t> (c.end - c.at) < CHECKSUM + numbers:
            return VALUE_FORM
        # Last of all: only what looks like one of our values is one whose dictionary is still to come.
        if dictionary and self.expanding[dictionary] == NULL:
            return VALUE_DICTIONARY
        if self.name == NULL:
            return VALUE_HOST
        parts.name = self.name
        parts.name_size = self.name_size
        parts.texts_size = texts
        parts.numbers = c.at + CHECKSUM
        parts.numbers_size = numbers
        status = self._put_parts(&parts, parts.numbers + numbers, c.end, is_frame, self.expanding[dictionary], out)
        if status == OK and _checksum_3(&parts) != ff_load32(c.at):
            return VALUE_CHECKSUM
        return status

    cdef Status _put_parts(
        self, Parts* parts, const uint8_t* body, const uint8_t* end, bint is_frame, void* dictionary, Bytes* out
    ) noexcept nogil:
        """Append a payload of its parts, of which the texts are still to be expanded."""
        cdef size_t front = MARK_BYTES_3 + SIZE_BYTES + parts.name_size
        cdef uint32_t size = <uint32_t> parts.texts_size
        cdef uint8_t* at
        cdef Status status
        if not _reserve(out, front + parts.texts_size + parts.numbers_size):
            return NO_MEMORY
        at = out.data + out.size
        at[0] = at[1] = 0x80
        at[2] = 0
        memcpy(at + MARK_BYTES_3, &size, SIZE_BYTES)
        memcpy(at + MARK_BYTES_3 + SIZE_BYTES, parts.name, parts.name_size)
        at += front
        status = self._expand_texts(body, end - body, at, parts.texts_size, is_frame, dictionary)
        if status != OK:
            return status
        memcpy(at + parts.texts_size, parts.numbers, parts.numbers_size)
        parts.texts = at
        out.size += front + parts.texts_size + parts.numbers_size
        return OK

    cdef Status _expand_texts(
        self, const uint8_t* body, size_t size, uint8_t* out, size_t texts, bint is_frame, void* dictionary
    ) noexcept nogil:
        cdef size_t start, made
        if not is_frame:
            if size > texts or size > BLOCK_MOST:
                return VALUE_FRAME
            if size == texts:
                memcpy(out, body, size)
                return OK
            self.frame.size = 0
            if not _reserve(&self.frame, size + FRAME_HEAD_MOST):
                return NO_MEMORY
            start = _frame_head(self.frame.data, texts, False)
            _put_block_head(self.frame.data + start, ZSTD_COMPRESSED, size)
            memcpy(self.frame.data + start + BLOCK_HEAD, body, size)
            body = self.frame.data
            size += start + BLOCK_HEAD
        elif _zstd.content_size(body, size) != texts or body[4] & 7 or _zstd.frame_size(body, size) != size:
            return VALUE_FRAME_FORM
        _zstd.refer_ddict(self.expander, dictionary)
        made = _zstd.decompress(self.expander, out, texts, body, size)
        return VALUE_FRAME if _zstd.is_error(made) or made != texts else OK

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
