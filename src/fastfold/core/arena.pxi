# Arena: growable bytes and arrays, kept from file to file, because a page fault costs more than its bytes.

cdef enum:
    KEPT_BYTES = 1 << 20        # most that is kept from commit to commit: one large state is no reason to hold more


cdef bint _reserve(Bytes* bytes, size_t more) noexcept nogil:
    """Make room for `more` bytes and FF_PART_BYTES to read over; false when there is no memory."""
    cdef size_t wanted = bytes.size + more + FF_PART_BYTES
    cdef size_t room = bytes.room if bytes.room else 4096
    cdef uint8_t* grown
    if wanted <= bytes.room:
        return True
    while room < wanted:
        room *= 2
    grown = <uint8_t*> realloc(bytes.data, room)
    if grown == NULL:
        return False
    bytes.data = grown
    bytes.room = room
    return True


cdef bint _grow(void** array, size_t item_bytes, size_t* room, size_t wanted) noexcept nogil:
    """Make an array hold `wanted` items, at least doubling it; new items are not set."""
    cdef size_t grown_room = room[0] * 2 if room[0] else 64
    cdef void* grown
    if wanted <= room[0]:
        return True
    if grown_room < wanted:
        grown_room = wanted
    grown = realloc(array[0], grown_room * item_bytes)
    if grown == NULL:
        return False
    array[0] = grown
    room[0] = grown_room
    return True


cdef bint _grow32(void** array, size_t item_bytes, uint32_t* room, size_t wanted) noexcept nogil:
    cdef size_t wide = room[0]
    if not _grow(array, item_bytes, &wide, wanted):
        return False
    room[0] = <uint32_t> wide
    return True


# Hash of bytes: 16 at a time through a 64 x 64 -> 128 bit product, with a secret of this process, so that
# nobody can choose texts that collide.
cdef uint64_t _secret[4]


cdef int _choose_secret() except -1:
    cdef bytes drawn = os.urandom(32)
    cdef int i
    for i in range(4):
        _secret[i] = int.from_bytes(drawn[8 * i : 8 * i + 8], "little") | 1
    return 0


_choose_secret()


cdef uint64_t _hash(const uint8_t* at, size_t length) noexcept nogil:
    """Never reads outside [at, at + length)."""
    cdef uint64_t state = _secret[0] ^ length
    cdef uint64_t a, b
    cdef size_t left = length
    if length >= 16:
        while left > 16:
            state = ff_mix(ff_load64(at) ^ _secret[1], ff_load64(at + 8) ^ state)
            at += 16
            left -= 16
        a = ff_load64(at + left - 16)
        b = ff_load64(at + left - 8)
    elif length >= 8:
        a = ff_load64(at)
        b = ff_load64(at + length - 8)
    elif length >= 4:
        a = ff_load32(at)
        b = ff_load32(at + length - 4)
    elif length:
        a = (<uint64_t> at[0] << 16) | (<uint64_t> at[length >> 1] << 8) | at[length - 1]
        b = 0
    else:
        a = b = 0
    return ff_mix(_secret[2], ff_mix(a ^ _secret[1], b ^ state))


cdef int _compare(const uint8_t* a, uint32_t a_length, const uint8_t* b, uint32_t b_length) noexcept nogil:
    """Order of bytes, as of Python's bytes."""
    cdef int order = memcmp(a, b, min(a_length, b_length))
    if order != 0:
        return order
    return 0 if a_length == b_length else (-1 if a_length < b_length else 1)
