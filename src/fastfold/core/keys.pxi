# Keys: of a host record and of states, as `fastfold.store` defines them.
#
#   host record   namespace | { | tag of tenant and host | }
#   state         key of the host record | tag of the process
#   tag           64 bits of BLAKE2b in eleven characters of base64url
#
# A commit makes a key for every process: 0.5 us in Python, 0.12 here.

cdef enum:
    TAG_BYTES = 11
    SLOT_COUNT = 16384

cdef const char* _BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
cdef const char* _PERSON_HOST = b"fastfold.host\0\0\0"
cdef const char* _PERSON_PROCESS = b"fastfold.proc\0\0\0"


cdef uint8_t* _put_tag(uint8_t* out, const char* person, const uint8_t* data, size_t size) noexcept nogil:
    # Nine bytes are twelve characters with none left over; the ninth is 0, and the twelfth not written.
    cdef uint64_t digest[2]
    cdef const uint8_t* at = <const uint8_t*> digest
    cdef uint8_t text[12]
    cdef uint32_t three
    cdef int i
    digest[0] = ff_blake2b_64(<const uint8_t*> person, data, size)
    digest[1] = 0
    for i in range(3):
        three = <uint32_t> at[3 * i] << 16 | <uint32_t> at[3 * i + 1] << 8 | at[3 * i + 2]
        text[4 * i] = _BASE64URL[three >> 18]
        text[4 * i + 1] = _BASE64URL[three >> 12 & 63]
        text[4 * i + 2] = _BASE64URL[three >> 6 & 63]
        text[4 * i + 3] = _BASE64URL[three & 63]
    return _put_bytes(out, text, TAG_BYTES)


cdef int _slot_of(const uint8_t* tag, size_t size) noexcept nogil:
    """CRC-16 with the polynomial 0x1021, from 0, as of a Redis Cluster."""
    cdef uint32_t crc = 0
    cdef size_t i
    cdef int bit
    for i in range(size):
        crc ^= <uint32_t> tag[i] << 8
        for bit in range(8):
            crc = crc << 1 ^ (0x1021 if crc & 0x8000 else 0)
    return crc & (SLOT_COUNT - 1)


def name_host(str tenant not None, str host not None, bytes namespace not None):
    """How a host is named in Redis.

    Parameters
    ----------
    tenant, host : str
    namespace : bytes
        Of all keys; without braces.

    Returns
    -------
    tuple of (bytes, bytes, int)
        Its identity, with which its record begins: tenant and host, each behind its length; the key of its record;
        the slot of all its keys.
    """
    cdef Py_ssize_t tenant_bytes, host_bytes
    cdef const char* tenant_at = PyUnicode_AsUTF8AndSize(tenant, &tenant_bytes)
    cdef const char* host_at = PyUnicode_AsUTF8AndSize(host, &host_bytes)
    cdef size_t front = len(namespace)
    cdef bytes identity = PyBytes_FromStringAndSize(NULL, 2 * VARINT_MOST + tenant_bytes + host_bytes)
    cdef bytes key = PyBytes_FromStringAndSize(NULL, front + TAG_BYTES + 2)
    # Nobody else has seen these bytes yet.
    cdef uint8_t* start = <uint8_t*> <char*> identity
    cdef uint8_t* tag = _put_bytes(<uint8_t*> <char*> key, <const uint8_t*> <const char*> namespace, front)
    cdef uint8_t* end = _put_bytes(_put_varint(start, tenant_bytes), <const uint8_t*> tenant_at, tenant_bytes)
    end = _put_bytes(_put_varint(end, host_bytes), <const uint8_t*> host_at, host_bytes)
    tag[0] = 123                # {
    tag += 1
    _put_tag(tag, _PERSON_HOST, start, end - start)[0] = 125        # }
    return identity[: end - start], key, _slot_of(tag, TAG_BYTES)


def state_keys(bytes host_key not None, list processes not None):
    """The keys of states of a host.

    Parameters
    ----------
    host_key : bytes
        Of its record.
    processes : list of str

    Returns
    -------
    list of bytes
    """
    cdef Py_ssize_t size
    cdef const char* process_at
    cdef size_t front = len(host_key)
    cdef const char* front_at = host_key
    cdef bytes key
    cdef uint8_t* out
    keys = []
    for process in processes:
        process_at = PyUnicode_AsUTF8AndSize(process, &size)
        key = PyBytes_FromStringAndSize(NULL, front + TAG_BYTES)
        # Nobody else has seen these bytes yet.
        out = _put_bytes(<uint8_t*> <char*> key, <const uint8_t*> front_at, front)
        _put_tag(out, _PERSON_PROCESS, <const uint8_t*> process_at, size)
        keys.append(key)
    return keys
