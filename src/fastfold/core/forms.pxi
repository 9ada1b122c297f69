# Forms: texts that have a shorter way to be written, from which they come back byte for byte.
#
#   TEXT_PLAIN      any text
#   TEXT_GUID       aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee in lower case: 16 bytes
#   TEXT_IPV4       10.0.0.1:443 without leading zeros: 4 bytes, and the port in 2, big-endian
#
# Sysmon's process ids, and those of others after it, hold a host, a start time and a counter:
#
#   39e4a257-79fb-5f92-7117-000000000700
#   host     |low  high|     logon session
#             seconds   counter
#
# Whatever the text means, its parts are told apart in this way; nothing is lost where it means something else.

cdef enum:
    TEXT_PLAIN = 0
    TEXT_GUID = 1
    TEXT_IPV4 = 2
    TEXT_FORMS = 3
    GUID_LENGTH = 36
    IPV4_LENGTH_MOST = 21

cdef int8_t _hex_value[256]
cdef const char* _hex_digits = b"0123456789abcdef"


cdef int _fill_hex_values() except -1:
    cdef int i
    for i in range(256):
        _hex_value[i] = -1
    for i in range(16):
        _hex_value[<uint8_t> _hex_digits[i]] = <int8_t> i
    return 0


_fill_hex_values()


cdef bint _read_guid(const uint8_t* at, uint32_t length, uint8_t* out) noexcept nogil:
    """The 16 bytes of a GUID; false when it is none."""
    cdef int i
    cdef int place = 0
    cdef int high, low
    if length != GUID_LENGTH or at[8] != c'-' or at[13] != c'-' or at[18] != c'-' or at[23] != c'-':
        return False
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            place += 1
        high = _hex_value[at[place]]
        low = _hex_value[at[place + 1]]
        if (high | low) < 0:
            return False
        out[i] = <uint8_t> (high << 4 | low)
        place += 2
    return True


cdef void _write_guid(const uint8_t* guid, uint8_t* out) noexcept nogil:
    """The 36 characters of a GUID."""
    cdef int i
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            out[0] = c'-'
            out += 1
        out[0] = <uint8_t> _hex_digits[guid[i] >> 4]
        out[1] = <uint8_t> _hex_digits[guid[i] & 15]
        out += 2


cdef uint32_t _guid_seconds(const uint8_t* guid) noexcept nogil:
    return <uint32_t> guid[6] << 24 | <uint32_t> guid[7] << 16 | <uint32_t> guid[4] << 8 | guid[5]


cdef void _set_guid_seconds(uint8_t* guid, uint32_t seconds) noexcept nogil:
    guid[6] = <uint8_t> (seconds >> 24)
    guid[7] = <uint8_t> (seconds >> 16)
    guid[4] = <uint8_t> (seconds >> 8)
    guid[5] = <uint8_t> seconds


cdef bint _read_decimal(const uint8_t** at, const uint8_t* end, uint32_t most, uint32_t* value) noexcept nogil:
    """A decimal number without leading zeros, up to `most`."""
    cdef const uint8_t* start = at[0]
    value[0] = 0
    while at[0] < end and c'0' <= at[0][0] <= c'9' and at[0] - start < 5:
        value[0] = value[0] * 10 + (at[0][0] - c'0')
        at[0] += 1
    return at[0] > start and value[0] <= most and (start[0] != c'0' or at[0] - start == 1)


cdef bint _read_ipv4(const uint8_t* at, uint32_t length, uint8_t* out) noexcept nogil:
    """The 6 bytes of an IPv4 endpoint; false when it is none."""
    cdef const uint8_t* end = at + length
    cdef uint32_t value
    cdef int i
    if length > IPV4_LENGTH_MOST:
        return False
    for i in range(5):
        if not _read_decimal(&at, end, 255 if i < 4 else 65535, &value):
            return False
        if i == 4:
            out[4] = <uint8_t> (value >> 8)
            out[5] = <uint8_t> value
            return at == end
        out[i] = <uint8_t> value
        if at == end or at[0] != (c'.' if i < 3 else c':'):
            return False
        at += 1
    return False


cdef uint8_t* _write_decimal(uint8_t* out, uint32_t value) noexcept nogil:
    cdef uint32_t scale = 1
    while value // scale >= 10:
        scale *= 10
    while scale:
        out[0] = <uint8_t> (c'0' + value // scale % 10)
        out += 1
        scale //= 10
    return out


cdef uint32_t _write_ipv4(const uint8_t* endpoint, uint8_t* out) noexcept nogil:
    """The text of an endpoint; returns its length."""
    cdef uint8_t* start = out
    cdef int i
    for i in range(4):
        out = _write_decimal(out, endpoint[i])
        out[0] = c'.' if i < 3 else c':'
        out += 1
    return <uint32_t> (_write_decimal(out, <uint32_t> endpoint[4] << 8 | endpoint[5]) - start)


cdef uint8_t _form_of(const TextRef* texts, uint32_t count) noexcept nogil:
    """The form that all these texts have."""
    cdef uint8_t room[16]
    cdef uint8_t form = TEXT_PLAIN
    cdef uint32_t i
    if _read_guid(texts[0].at, texts[0].length, room):
        form = TEXT_GUID
    elif _read_ipv4(texts[0].at, texts[0].length, room):
        form = TEXT_IPV4
    for i in range(1, count):
        if form == TEXT_GUID:
            if not _read_guid(texts[i].at, texts[i].length, room):
                return TEXT_PLAIN
        elif form == TEXT_IPV4:
            if not _read_ipv4(texts[i].at, texts[i].length, room):
                return TEXT_PLAIN
        else:
            break
    return form
