# Text: from the bytes between two quotes to valid UTF-8.
#
# The scanner has checked escapes and control characters.  Odd text is accepted, and what cannot be kept
# becomes U+FFFD: a lone surrogate escape and NUL one each, invalid bytes as Python's "replace" does it (one
# for each longest beginning of a character; Unicode standard, section 3.9, "maximal subpart").


cdef uint8_t* _put_replacement(uint8_t* out) noexcept nogil:
    out[0] = 0xEF
    out[1] = 0xBF
    out[2] = 0xBD
    return out + 3


cdef uint8_t* _put_character(uint8_t* out, uint32_t point) noexcept nogil:
    if point < 0x80:
        out[0] = <uint8_t> point
        return out + 1
    if point < 0x800:
        out[0] = <uint8_t> (0xC0 | point >> 6)
        out[1] = <uint8_t> (0x80 | point & 0x3F)
        return out + 2
    if point < 0x10000:
        out[0] = <uint8_t> (0xE0 | point >> 12)
        out[1] = <uint8_t> (0x80 | point >> 6 & 0x3F)
        out[2] = <uint8_t> (0x80 | point & 0x3F)
        return out + 3
    out[0] = <uint8_t> (0xF0 | point >> 18)
    out[1] = <uint8_t> (0x80 | point >> 12 & 0x3F)
    out[2] = <uint8_t> (0x80 | point >> 6 & 0x3F)
    out[3] = <uint8_t> (0x80 | point & 0x3F)
    return out + 4


cdef uint32_t _hex4(const uint8_t* at) noexcept nogil:
    cdef uint32_t value = 0
    cdef int i
    for i in range(4):
        value = value << 4 | ((at[i] & 0xF) + (9 if at[i] > c'9' else 0))
    return value


cdef uint32_t _utf8_length(const uint8_t* at, uint32_t left, bint* valid) noexcept nogil:
    """Bytes of the character at `at`, or of the longest beginning of one when it is not valid."""
    cdef uint8_t first = at[0]
    cdef uint8_t low = 0x80
    cdef uint8_t high = 0xBF
    cdef uint32_t count, i
    valid[0] = False
    if first < 0x80:
        valid[0] = True
        return 1
    if first < 0xC2 or first > 0xF4:
        return 1
    count = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    if first == 0xE0:
        low = 0xA0
    elif first == 0xED:
        high = 0x9F
    elif first == 0xF0:
        low = 0x90
    elif first == 0xF4:
        high = 0x8F
    for i in range(1, count):
        if i >= left or at[i] < low or at[i] > high:
            return i
        low = 0x80
        high = 0xBF
    valid[0] = True
    return count


cdef bint _is_utf8(const uint8_t* at, uint32_t length) noexcept nogil:
    cdef uint32_t i = 0
    cdef bint valid
    while i < length:
        i += _utf8_length(at + i, length - i, &valid)
        if not valid:
            return False
    return True


cdef bint _is_plain(const uint8_t* at, uint32_t length) noexcept nogil:
    """Whether the bytes are ASCII without a backslash, that is, their own decoded text."""
    cdef uint32_t i = 0
    while i + 8 <= length:
        if ff_has_odd_byte(ff_load64(at + i)):
            return False
        i += 8
    while i < length:
        if at[i] >= 0x80 or at[i] == c'\\':
            return False
        i += 1
    return True


cdef uint8_t _unescape(uint8_t letter) noexcept nogil:
    if letter == c'b':
        return 8
    if letter == c't':
        return 9
    if letter == c'n':
        return 10
    if letter == c'f':
        return 12
    if letter == c'r':
        return 13
    return letter


cdef uint32_t _decode_text(const uint8_t* raw, uint32_t length, uint8_t* out, bint* odd) noexcept nogil:
    """Decode a checked string.

    raw, length  IN
    out          OUT  room for 3 * length + 8 bytes
    odd          OUT  whether something became U+FFFD
    """
    cdef uint8_t* start = out
    cdef uint32_t i = 0
    cdef uint32_t count, point, low
    cdef uint64_t word
    cdef bint valid
    odd[0] = False
    while i < length:
        while i + 8 <= length:
            word = ff_load64(raw + i)
            if ff_has_odd_byte(word):
                break
            memcpy(out, &word, 8)
            out += 8
            i += 8
        if i >= length:
            break
        if raw[i] != c'\\':
            count = _utf8_length(raw + i, length - i, &valid)
            if valid:
                memcpy(out, raw + i, count)
                out += count
            else:
                out = _put_replacement(out)
                odd[0] = True
            i += count
        elif raw[i + 1] != c'u':
            out[0] = _unescape(raw[i + 1])
            out += 1
            i += 2
        else:
            point = _hex4(raw + i + 2)
            i += 6
            if 0xD800 <= point < 0xDC00 and i + 6 <= length and raw[i] == c'\\' and raw[i + 1] == c'u':
                low = _hex4(raw + i + 2)
                if 0xDC00 <= low < 0xE000:
                    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
                    i += 6
            if point == 0 or 0xD800 <= point < 0xE000:
                out = _put_replacement(out)
                odd[0] = True
            else:
                out = _put_character(out, point)
    return <uint32_t> (out - start)


cdef uint32_t _id_form(uint8_t* text, uint32_t length) noexcept nogil:
    """A GUID as text, in place: without one pair of braces, ASCII letters in lower case."""
    cdef uint32_t i
    cdef uint32_t start = 0
    if length >= 2 and text[0] == c'{' and text[length - 1] == c'}':
        start = 1
        length -= 2
    for i in range(length):
        text[i] = text[start + i] | 0x20 if c'A' <= text[start + i] <= c'Z' else text[start + i]
    return length


cdef uint32_t _cut_length(const uint8_t* text, uint32_t length, uint32_t limit) noexcept nogil:
    """The most bytes up to `limit` that end between characters of a valid text."""
    if length <= limit:
        return length
    while limit > 0 and (text[limit] & 0xC0) == 0x80:
        limit -= 1
    return limit
