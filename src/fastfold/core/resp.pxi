# RESP: commands to the packet in which they travel.
#
#   *3\r\n $5\r\nSETEX\r\n ...       an array of bulk strings; every part is bytes

cdef enum:
    BULK_MOST = 24          # $, a length, and two line ends


cdef uint8_t* _put_resp_head(uint8_t* out, uint8_t kind, size_t number) noexcept nogil:
    cdef uint8_t digits[20]
    cdef int count = 0
    out[0] = kind
    out += 1
    while True:
        digits[count] = <uint8_t> (48 + number % 10)
        count += 1
        number //= 10
        if not number:
            break
    while count:
        count -= 1
        out[0] = digits[count]
        out += 1
    out[0] = 13
    out[1] = 10
    return out + 2


def pack_commands(commands not None):
    """Commands in one packet.

    Parameters
    ----------
    commands : list of tuple of bytes

    Returns
    -------
    bytes
    """
    cdef size_t room = 0
    cdef tuple command
    cdef bytes part, packet
    cdef uint8_t* out
    for command in commands:
        room += BULK_MOST
        for part in command:
            room += BULK_MOST + len(part)
    packet = PyBytes_FromStringAndSize(NULL, room)
    # Nobody else has seen these bytes yet.
    out = <uint8_t*> <char*> packet
    for command in commands:
        out = _put_resp_head(out, 42, len(command))
        for part in command:
            out = _put_resp_head(out, 36, len(part))
            memcpy(out, <const char*> part, len(part))
            out += len(part)
            out[0] = 13
            out[1] = 10
            out += 2
    return packet[: out - <uint8_t*> <char*> packet]
