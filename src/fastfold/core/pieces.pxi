# Pieces: what a call over several payloads or values works on, what it gives back, and what it says of a fault.


cdef int _fill_pieces(Piece* pieces, list objects) except -1:
    cdef Py_ssize_t i
    cdef bytes data
    if pieces == NULL:
        raise MemoryError("fastfold core")
    for i in range(len(objects)):
        data = objects[i]
        if data is not None:
            pieces[i].data = <const uint8_t*> <const char*> data
            pieces[i].size = len(data)
    return 0


cdef list _cut_pieces(const Piece* pieces, list objects, const Bytes* out):
    """What was made of each object; ``None`` of ``None``."""
    cdef Py_ssize_t i
    cdef size_t start = 0
    made = []
    for i in range(len(objects)):
        if pieces[i].data == NULL:
            made.append(None)
            continue
        made.append(PyBytes_FromStringAndSize(<const char*> out.data + start, pieces[i].end - start))
        start = pieces[i].end
    return made


cdef int _dictionary_of(bytes value):
    """Of a value of version 2 or 3."""
    cdef int form = value[0]
    if form < FORM_3:
        return value[1]
    return form if form >= FORM_3_OWN else form - FORM_3


cdef object _value_fault(Status status, bytes value, size_t size, size_t limit, key):
    """The exception for a value that cannot be unpacked."""
    if status == VALUE_VERSION:
        return CorruptValue(f"format version {value[0]}, which is not known here", key=key)
    if status == VALUE_DICTIONARY:
        return UnknownForm(f"dictionary {_dictionary_of(value)}", key=key)
    if status == VALUE_SHORT:
        return CorruptValue(f"value of {len(value)} bytes", key=key)
    if status == VALUE_TOO_LONG:
        return CorruptValue(f"payload of {size} bytes, limit {limit}", key=key)
    return CorruptValue(_PHRASES[status], key=key)
