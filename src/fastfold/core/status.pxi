# Status: every way a leaf can end, its phrase, and the exception the caller gets.
#
# Leaves return a Status and write the place into a Fault; only the doors at the GIL (public functions
# and classes) turn them into exceptions, here.

_PHRASES = {
    GZIP_HEADER: "not a gzip header",
    GZIP_HEADER_CHECKSUM: "wrong checksum in a gzip header",
    GZIP_DATA: "damaged gzip data",
    GZIP_CHECKSUM: "wrong checksum or length in gzip data",
    GZIP_TRUNCATED: "truncated gzip data",
    GZIP_TRAILING: "bytes after the end of the gzip data",
    INFLATED_TOO_LARGE: "inflated file too large",
    RATIO_TOO_LARGE: "file inflates too far",
    JSON_CONTROL: "not JSON: control character",
    JSON_ESCAPE: "not JSON: invalid escape in a string",
    JSON_UNTERMINATED: "not JSON: a string does not end",
    JSON_VALUE: "not JSON: a value is expected",
    JSON_NUMBER: "not JSON: malformed number",
    JSON_LITERAL: "not JSON: neither true, false nor null",
    JSON_KEY: "not JSON: a key is expected",
    JSON_COLON: "not JSON: a colon is expected",
    JSON_COMMA: "not JSON: a comma or closing bracket is expected",
    JSON_TRAILING: "not JSON: something follows the value",
    JSON_ENDED: "not JSON: the record ends too early",
    JSON_DEPTH: "nested too deep",
    KEY_UTF8: "invalid UTF-8 in a key",
    RECORD_TOO_LONG: "record too long",
    TIME_UNREADABLE: "cannot be read as ",
    TOO_MANY_PROCESSES: "too many processes",
    TOO_MUCH_TEXT: "too much distinct text",
    PAYLOAD_TRUNCATED: "truncated",
    PAYLOAD_VARINT: "varint too long or out of range",
    PAYLOAD_UNIT: "unknown unit of time",
    PAYLOAD_TIME: "time out of range",
    PAYLOAD_REDUCER: "unknown reducer or op",
    PAYLOAD_ORDER: "reducers out of order",
    PAYLOAD_KIND: "unknown kind, or kinds out of order",
    PAYLOAD_COUNT: "a count out of range",
    PAYLOAD_TEXT: "a text that is empty, over its limit, no UTF-8 or holds NUL",
    PAYLOAD_SET: "a set that is empty, over its limit, out of order or with a member twice",
    PAYLOAD_NUMBER: "a number out of range, or one where a time belongs",
    PAYLOAD_FORM: "unknown form of a text",
    PAYLOAD_ID: "an id out of range",
    PAYLOAD_TRAILING: "bytes after the end",
    PAYLOAD_NOT_CANONICAL: "not canonical",
    VALUE_FORM: "not a value of this version",
    VALUE_FRAME: "damaged zstd data",
    VALUE_FRAME_FORM: "zstd frame of another form",
    VALUE_NO_SIZE: "zstd frame without content size",
    VALUE_EMPTY: "zstd frame without content",
    VALUE_HOST: "a state whose host is not known",
    VALUE_CHECKSUM: "wrong checksum: damaged, or of another host",
}


cdef object _reject_of(const Fault* fault, time_form=""):
    """The exception for a fault of a file; a time that cannot be read is told with the form it should have."""
    if fault.status == NO_MEMORY:
        return MemoryError("fastfold core")
    return Reject(
        f"{_PHRASES[fault.status]}{time_form}",
        line=fault.line if fault.line else None,
        offset=fault.offset,
        field="time" if fault.status == TIME_UNREADABLE else None,
        limit=fault.limit if fault.limit else None,
    )


cdef object _corrupt_of(Status status, size_t offset):
    """The exception for a fault of a payload."""
    if status == NO_MEMORY:
        return MemoryError("fastfold core")
    if status == IDENTITY_DIFFERS:
        return IdentityClash("states of two processes cannot be merged")
    return CorruptValue(_PHRASES[status], offset=offset)
