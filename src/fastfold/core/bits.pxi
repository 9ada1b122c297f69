# Bits: numbers without whole bytes, for what zstd finds nothing in.  The lowest bit of a byte comes first.
#
#   number   0                                        for 0; else, with n bits below its highest one
#            1 | 5: n | n: the bits below             n < 31
#            1 | 5: 31 | 6: n | n: the bits below
#   signed   the number of its absolute value; unless 0, one bit: below 0
#   groups   3 bits, the lowest first | 1: more follow
#
# Differences of times and ids are 0, or of any length with much the same chance: so one code does for all.

cdef enum:
    BITS_AT_ONCE = 56           # what is left over from before, and these, fit a word
    LENGTH_BITS = 5
    LENGTH_LONG = 31
    LONG_BITS = 6
    GROUP_BITS = 3
    BITS_ROOM = 8               # written to behind the last bit

ctypedef struct BitWriter:
    uint8_t* out
    uint64_t word
    int count                   # bits in the word, less than 8 between two calls

ctypedef struct BitReader:
    const uint8_t* start
    uint64_t at                 # in bits
    uint64_t end
    bint is_short               # more was wanted than there is; zeros were given


# --- write ---

cdef void _put_bits(BitWriter* b, uint64_t value, int count) noexcept nogil:
    """Append the low bits of a number that has no others, BITS_AT_ONCE at most."""
    cdef int whole
    b.word |= value << b.count
    b.count += count
    ff_store64(b.out, b.word)
    whole = b.count >> 3
    b.out += whole
    b.word >>= 8 * whole
    b.count &= 7


cdef void _put_number(BitWriter* b, uint64_t value) noexcept nogil:
    cdef int below
    if value == 0:
        _put_bits(b, 0, 1)
        return
    below = ff_top_bit(value)
    value ^= <uint64_t> 1 << below
    if below < LENGTH_LONG:
        _put_bits(b, value << (1 + LENGTH_BITS) | <uint64_t> below << 1 | 1, 1 + LENGTH_BITS + below)
        return
    _put_bits(b, <uint64_t> below << (1 + LENGTH_BITS) | LENGTH_LONG << 1 | 1, 1 + LENGTH_BITS + LONG_BITS)
    _put_bits(b, value & 0x7FFFFFFF, LENGTH_LONG)
    _put_bits(b, value >> LENGTH_LONG, below - LENGTH_LONG)


cdef void _put_signed(BitWriter* b, int128 value) noexcept nogil:
    """A number whose absolute value fits 64 bits."""
    _put_number(b, <uint64_t> (-value if value < 0 else value))
    if value != 0:
        _put_bits(b, value < 0, 1)


cdef void _put_groups(BitWriter* b, uint32_t value) noexcept nogil:
    while value >> GROUP_BITS:
        _put_bits(b, value & 7 | 8, GROUP_BITS + 1)
        value >>= GROUP_BITS
    _put_bits(b, value, GROUP_BITS + 1)


cdef void _put_whole(BitWriter* b, const uint8_t* at, int length) noexcept nogil:
    """Append up to 7 bytes."""
    cdef uint64_t word = 0
    memcpy(&word, at, length)
    _put_bits(b, word, 8 * length)


cdef uint8_t* _end_bits(BitWriter* b) noexcept nogil:
    """Fill the last byte up with zeros; returns what follows it."""
    return b.out + (b.count + 7) // 8


# --- read ---

cdef uint64_t _peek(const BitReader* b) noexcept nogil:
    """A word of which at least BITS_AT_ONCE bits are those that come next, with zeros behind the end."""
    cdef uint64_t left = b.end - (b.at & ~<uint64_t> 7)
    if left >= 64:
        return ff_load64(b.start + (b.at >> 3)) >> (b.at & 7)
    # There is a mark, and more, before the first bit: the last eight bytes are all of the payload.
    return ff_load64(b.start + (b.end >> 3) - 8) >> (64 - left) >> (b.at & 7) if left else 0


cdef bint _has_bits(BitReader* b, int count) noexcept nogil:
    if b.end - b.at < <uint64_t> count:
        b.is_short = True
        b.at = b.end
    return not b.is_short


cdef uint64_t _get_bits(BitReader* b, int count) noexcept nogil:
    """The next bits, BITS_AT_ONCE at most."""
    cdef uint64_t word = _peek(b)
    if not _has_bits(b, count):
        return 0
    b.at += count
    return word & ((<uint64_t> 1 << count) - 1)


cdef uint64_t _get_number(BitReader* b) noexcept nogil:
    cdef uint64_t word = _peek(b)
    cdef int below
    if not word & 1:
        return _get_bits(b, 1)
    below = word >> 1 & LENGTH_LONG
    if below < LENGTH_LONG:
        if not _has_bits(b, 1 + LENGTH_BITS + below):
            return 0
        b.at += 1 + LENGTH_BITS + below
        return <uint64_t> 1 << below | word >> (1 + LENGTH_BITS) & ((<uint64_t> 1 << below) - 1)
    below = <int> (_get_bits(b, 1 + LENGTH_BITS + LONG_BITS) >> (1 + LENGTH_BITS))
    word = _get_bits(b, min(below, LENGTH_LONG))
    if below > LENGTH_LONG:
        word |= _get_bits(b, below - LENGTH_LONG) << LENGTH_LONG
    return <uint64_t> 1 << below | word


cdef int128 _get_signed(BitReader* b) noexcept nogil:
    cdef int128 value = <int128> _get_number(b)
    if value != 0 and _get_bits(b, 1):
        return -value
    return value


cdef uint32_t _get_groups(BitReader* b) noexcept nogil:
    """A number of up to 18 bits; more groups are refused by who compares what is written again."""
    cdef uint64_t group = 8
    cdef uint32_t value = 0
    cdef int shift = 0
    while group & 8 and shift < 18:
        group = _get_bits(b, GROUP_BITS + 1)
        value |= <uint32_t> (group & 7) << shift
        shift += GROUP_BITS
    return value


cdef void _get_whole(BitReader* b, uint8_t* out, int length) noexcept nogil:
    """The next bytes, up to 7."""
    cdef uint64_t word = _get_bits(b, 8 * length)
    memcpy(out, &word, length)
