# Numbers and literals: the grammar of bare values (RFC 8259, sections 3 and 6), and decimal text.


cdef bint _is_digit(uint8_t byte) noexcept nogil:
    return byte >= c'0' and byte <= c'9'


cdef bint _is_space(uint8_t byte) noexcept nogil:
    return byte == c' ' or byte == c'\t' or byte == c'\r' or byte == c'\n'


cdef bint _is_punctuation(uint8_t byte) noexcept nogil:
    return byte in (c',', c'}', c']', c':', c'{', c'[')


cdef uint32_t _skip_space(const uint8_t* text, uint32_t at) noexcept nogil:
    """Place of the first byte from `at` on that is no white space within a line."""
    while text[at] == c' ' or text[at] == c'\t' or text[at] == c'\r':
        at += 1
    return at


cdef Status _check_scalar(const uint8_t* text, uint32_t at, uint32_t* end) noexcept nogil:
    """Check the bare value at `at`; what follows it must be white space or punctuation.

    Never reads past the line feed that ends the record: it is no part of any bare value.
    """
    cdef uint32_t i = at
    cdef uint8_t first = text[at]
    if first == c'-' or _is_digit(first):
        if first == c'-':
            i += 1
        if text[i] == c'0':
            i += 1
        elif _is_digit(text[i]):
            while _is_digit(text[i]):
                i += 1
        else:
            return JSON_NUMBER
        if text[i] == c'.':
            i += 1
            if not _is_digit(text[i]):
                return JSON_NUMBER
            while _is_digit(text[i]):
                i += 1
        if text[i] == c'e' or text[i] == c'E':
            i += 1
            if text[i] == c'+' or text[i] == c'-':
                i += 1
            if not _is_digit(text[i]):
                return JSON_NUMBER
            while _is_digit(text[i]):
                i += 1
        end[0] = i
        return OK if _is_space(text[i]) or _is_punctuation(text[i]) else JSON_NUMBER
    if first == c't' and text[i + 1] == c'r' and text[i + 2] == c'u' and text[i + 3] == c'e':
        i += 4
    elif first == c'n' and text[i + 1] == c'u' and text[i + 2] == c'l' and text[i + 3] == c'l':
        i += 4
    elif first == c'f' and text[i + 1] == c'a' and text[i + 2] == c'l' and text[i + 3] == c's' and text[i + 4] == c'e':
        i += 5
    else:
        return JSON_LITERAL if first == c't' or first == c'n' or first == c'f' else JSON_VALUE
    end[0] = i
    return OK if _is_space(text[i]) or _is_punctuation(text[i]) else JSON_LITERAL


cdef bint _parse_whole(const uint8_t* text, uint32_t length, uint32_t* at, uint64_t* value) noexcept nogil:
    """1 to 19 digits from `at` on, which is moved behind them."""
    cdef uint32_t start = at[0]
    value[0] = 0
    while at[0] < length and _is_digit(text[at[0]]) and at[0] - start < 19:
        value[0] = value[0] * 10 + (text[at[0]] - c'0')
        at[0] += 1
    return at[0] > start and not (at[0] < length and _is_digit(text[at[0]]))


cdef bint _parse_number(const uint8_t* text, uint32_t length, uint64_t* value) noexcept nogil:
    """The value of a number column: digits only, at most 2^63 - 1."""
    cdef uint32_t at = 0
    return _parse_whole(text, length, &at, value) and at == length and value[0] <= <uint64_t> INT64_MAX
