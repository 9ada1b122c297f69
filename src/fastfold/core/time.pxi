# Time: text to nanoseconds since 1970 UTC, in the grammars that vendors use.

cdef enum:
    NS_PER_SECOND = 1_000_000_000
    SECONDS_PER_DAY = 86_400

# The 1970 epoch in FILETIME steps of 100 ns since 1601.
cdef int64_t FILETIME_EPOCH = 116_444_736_000_000_000


cdef int64_t _days_from_civil(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Days since 1970 of a Gregorian date; years are counted from March, so that leap days come last."""
    cdef int64_t shifted = year - (1 if month <= 2 else 0)
    cdef int64_t era = (shifted if shifted >= 0 else shifted - 399) // 400
    cdef int64_t year_of_era = shifted - era * 400
    cdef int64_t day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


cdef int64_t _days_in_month(int64_t year, int64_t month) noexcept nogil:
    if month == 2:
        return 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef int64_t _digits(const uint8_t* text, uint32_t count) noexcept nogil:
    """The value of exactly `count` digits, or -1."""
    cdef int64_t value = 0
    cdef uint32_t i
    for i in range(count):
        if not _is_digit(text[i]):
            return -1
        value = value * 10 + (text[i] - c'0')
    return value


cdef bint _in_range(int128 time_ns, int64_t* out) noexcept nogil:
    # The smallest int64 is numpy's "not a time".
    if time_ns > <int128> INT64_MAX or time_ns < -<int128> INT64_MAX:
        return False
    out[0] = <int64_t> time_ns
    return True


cdef bint _parse_fraction(const uint8_t* text, uint32_t length, uint32_t* at, int64_t* ns) noexcept nogil:
    """An optional point with 1 to 9 digits, as nanoseconds."""
    cdef uint32_t count = 0
    ns[0] = 0
    if at[0] >= length or text[at[0]] != c'.':
        return True
    at[0] += 1
    while at[0] < length and _is_digit(text[at[0]]) and count < 9:
        ns[0] = ns[0] * 10 + (text[at[0]] - c'0')
        at[0] += 1
        count += 1
    if count == 0 or (at[0] < length and _is_digit(text[at[0]])):
        return False
    while count < 9:
        ns[0] *= 10
        count += 1
    return True


cdef bint _parse_zone(const uint8_t* text, uint32_t length, uint32_t at, int64_t* ahead) noexcept nogil:
    """Nothing, ``Z``, ``+HH:MM``, ``+HHMM`` or ``+0000 UTC`` behind a space; seconds ahead of UTC."""
    cdef uint32_t left = length - at
    cdef uint32_t colon
    cdef int64_t hours, minutes
    ahead[0] = 0
    if left == 0 or (left == 1 and text[at] == c'Z'):
        return True
    if left == 10 and memcmp(text + at, b" +0000 UTC", 10) == 0:
        return True
    if (text[at] != c'+' and text[at] != c'-') or (left != 5 and left != 6):
        return False
    colon = left - 5
    if colon and text[at + 3] != c':':
        return False
    hours = _digits(text + at + 1, 2)
    minutes = _digits(text + at + 3 + colon, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return False
    ahead[0] = (hours * 60 + minutes) * (60 if text[at] == c'+' else -60)
    return True


cdef bint _parse_iso(const uint8_t* text, uint32_t length, int64_t* out) noexcept nogil:
    cdef int64_t year, month, day, hour, minute, second, fraction, ahead
    cdef uint32_t at = 19
    if length < 19 or text[4] != c'-' or text[7] != c'-' or text[13] != c':' or text[16] != c':':
        return False
    if text[10] != c' ' and text[10] != c'T':
        return False
    year = _digits(text, 4)
    month = _digits(text + 5, 2)
    day = _digits(text + 8, 2)
    hour = _digits(text + 11, 2)
    minute = _digits(text + 14, 2)
    second = _digits(text + 17, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _days_in_month(year, month):
        return False
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return False
    if not _parse_fraction(text, length, &at, &fraction) or not _parse_zone(text, length, at, &ahead):
        return False
    second += _days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 - ahead
    return _in_range(<int128> second * NS_PER_SECOND + fraction, out)


cdef bint _is_filetime(const uint8_t* text, uint32_t length) noexcept nogil:
    """Whether a time in seconds can only be a FILETIME: a whole number, and beyond any date in seconds."""
    cdef uint32_t at = 0
    cdef uint64_t whole
    return _parse_whole(text, length, &at, &whole) and at == length and whole > 0x0100000000000000u


cdef bint _cut_serial(const uint8_t* text, uint32_t* length) noexcept nogil:
    """Take the serial number off an audit id, ``<seconds>:<serial>``."""
    cdef const uint8_t* colon = <const uint8_t*> memchr(text, c':', length[0])
    cdef uint32_t i
    if colon == NULL or colon + 1 == text + length[0]:
        return False
    for i in range(<uint32_t> (colon - text) + 1, length[0]):
        if not _is_digit(text[i]):
            return False
    length[0] = <uint32_t> (colon - text)
    return True


cdef bint _parse_time(const uint8_t* text, uint32_t length, int form, int64_t* out) noexcept nogil:
    """Read a time of one of the TIME_ forms.

    text, length  IN
    out           OUT  nanoseconds since 1970 UTC
    """
    cdef uint32_t at = 0
    cdef bint negative = False
    cdef uint64_t whole
    cdef int64_t fraction = 0
    cdef int128 value
    if form == TIME_ISO:
        return _parse_iso(text, length, out)
    if form == TIME_AUDIT:
        form = TIME_EPOCH_S
        if not _cut_serial(text, &length):
            return False
    elif form == TIME_EPOCH_S_OR_FILETIME:
        form = TIME_FILETIME if _is_filetime(text, length) else TIME_EPOCH_S
    if length and text[0] == c'-':
        negative = True
        at = 1
    if not _parse_whole(text, length, &at, &whole):
        return False
    if form == TIME_EPOCH_S and not _parse_fraction(text, length, &at, &fraction):
        return False
    if at != length:
        return False
    value = <int128> whole
    if form == TIME_EPOCH_S:
        value = value * NS_PER_SECOND + fraction
    if negative:
        value = -value
    if form == TIME_EPOCH_MS:
        value *= 1_000_000
    elif form == TIME_EPOCH_US:
        value *= 1_000
    elif form == TIME_FILETIME:
        value = (value - FILETIME_EPOCH) * 100
    return _in_range(value, out)
