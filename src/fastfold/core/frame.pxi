# Frame: what zstd writes around blocks, and what stands around it in a value.
#
# What zstd would write around the one block of a short text is known beforehand.  It is left out of values, and put
# back before zstd sees it, so that all of it is standard zstd:
#
#   28 b5 2f fd | 20, 60 or a0, and 4 with checksum | size in 1, 2 or 4 bytes | block header 3 | block | [checksum 4]

cdef enum:
    VALUE_HEAD_MOST = 26        # version and dictionary, mark of a frame, two varints, checksum
    FRAME_HEAD_MOST = 12        # magic, descriptor, size, block header
    BLOCK_HEAD = 3
    CHECKSUM = 4
    BLOCK_MOST = 1 << 17        # of zstd
    HOW_BLOCK = 0
    HOW_RAW = 1
    HOW_FRAME = 2
    ZSTD_RAW = 0
    ZSTD_COMPRESSED = 2
    FORM_3 = 32                 # with dictionary 0 of those that come with fastfold
    FORM_3_OWN = 64             # from here on the id itself

cdef uint32_t _ZSTD_MAGIC = 0xFD2FB528


cdef size_t _frame_head(uint8_t* out, size_t size, bint has_checksum) noexcept nogil:
    """The head of a frame, up to its first block; returns its length."""
    cdef uint8_t checksum = 4 if has_checksum else 0
    memcpy(out, &_ZSTD_MAGIC, 4)
    if size < 256:
        out[4] = 0x20 | checksum
        out[5] = <uint8_t> size
        return 6
    if size < 65536 + 256:
        out[4] = 0x60 | checksum
        out[5] = <uint8_t> (size - 256)
        out[6] = <uint8_t> ((size - 256) >> 8)
        return 7
    out[4] = 0xA0 | checksum
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


cdef size_t _frame_bytes(size_t size) noexcept nogil:
    """What stands before the only block of a frame."""
    cdef uint8_t head[FRAME_HEAD_MOST]
    return _frame_head(head, size, False) + BLOCK_HEAD


cdef bint _is_one_block(
    const uint8_t* frame, size_t made, size_t size, bint has_checksum, uint32_t kind
) noexcept nogil:
    """Whether a frame is what can be put back, and its only block of that kind."""
    cdef uint8_t expected[FRAME_HEAD_MOST]
    cdef size_t head = _frame_head(expected, size, has_checksum)
    cdef size_t around = head + BLOCK_HEAD + (CHECKSUM if has_checksum else 0)
    if made <= around:
        return False
    _put_block_head(expected + head, kind, made - around)
    return memcmp(frame, expected, head + BLOCK_HEAD) == 0


cdef uint64_t _mix_part(uint64_t hash, const uint8_t* at, size_t length) noexcept nogil:
    cdef uint64_t word
    cdef size_t left = length
    while left >= 8:
        hash = ff_mix(hash ^ ff_load64(at), 0x9E3779B97F4A7C15u)
        at += 8
        left -= 8
    word = 0
    if left:
        memcpy(&word, at, left)
    hash = ff_mix(hash ^ word, 0x9E3779B97F4A7C15u)
    return ff_mix(hash ^ length, 0xD6E8FEB86659FD93u)


cdef uint32_t _checksum_3(const Parts* parts) noexcept nogil:
    """Of all parts of a payload, the name of its host among them: a value is read under no other name."""
    cdef uint64_t hash = _mix_part(0xA0761D6478BD642Fu, parts.name, parts.name_size)
    hash = _mix_part(hash, parts.texts, parts.texts_size)
    hash = _mix_part(hash, parts.numbers, parts.numbers_size)
    return <uint32_t> (hash ^ hash >> 32)


cdef bint _part_payload(const uint8_t* payload, size_t size, Parts* parts) noexcept nogil:
    """Find the parts of a payload of version 3; false when it is none."""
    cdef const uint8_t* end = payload + size
    cdef const uint8_t* at = payload + MARK_BYTES_3 + SIZE_BYTES
    cdef int i
    if size < MARK_BYTES_3 + SIZE_BYTES:
        return False
    parts.name = at
    for i in range(2):
        at = <const uint8_t*> memchr(at, 0, end - at) if at < end else NULL
        if at == NULL:
            return False
        at += 1
    parts.name_size = at - parts.name
    parts.texts = at
    parts.texts_size = ff_load32(payload + MARK_BYTES_3)
    if parts.texts_size > <size_t> (end - at):
        return False
    parts.numbers = at + parts.texts_size
    parts.numbers_size = end - parts.numbers
    return True
