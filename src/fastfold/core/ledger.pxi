# Ledger: one look at the host record, and the record with one more entry.
#
#   record   | len tenant | len host | count | entry | entry | ...          in ascending order
#   entry    varint time in ms, the first whole, then the difference | 8 bytes batch id | u8 bits | varint chunk
#
# Every commit does this, over some hundred entries.  `fastfold.ledger.HostRecord` is the definition of it; what
# this unit does not read as a record of the host, for whatever reason, it leaves to that.

cdef enum:
    LEDGER_WRITE = 0
    LEDGER_APPLIED = 1
    LEDGER_RECUT = 2
    LEDGER_LATE = 3
    LEDGER_UNREAD = 4
    ID_BYTES = 8

cdef uint64_t _TIME_MOST = 1 << 62

ctypedef struct LedgerEntry:
    uint64_t time_ms
    const uint8_t* id
    uint8_t bits
    uint64_t chunk


cdef bint _get_entry(Cursor* c, uint64_t before_ms, LedgerEntry* entry) noexcept nogil:
    """Read one entry; false where it is none."""
    cdef uint64_t step_ms
    if _get_varint(c, &step_ms) != OK or step_ms > _TIME_MOST - before_ms:
        return False
    if _get_bytes(c, ID_BYTES, &entry.id) != OK or _get_byte(c, &entry.bits) != OK:
        return False
    if _get_varint(c, &entry.chunk) != OK or entry.bits > 64:
        return False
    entry.time_ms = before_ms + step_ms
    return entry.bits == 64 or entry.chunk >> entry.bits == 0


cdef int _order_entries(const LedgerEntry* a, const LedgerEntry* b) noexcept nogil:
    cdef int order
    if a.time_ms != b.time_ms:
        return -1 if a.time_ms < b.time_ms else 1
    order = memcmp(a.id, b.id, ID_BYTES)
    if order:
        return order
    if a.bits != b.bits:
        return -1 if a.bits < b.bits else 1
    return (a.chunk > b.chunk) - (a.chunk < b.chunk)


cdef uint8_t* _put_entry(uint8_t* out, const LedgerEntry* entry, uint64_t* before_ms) noexcept nogil:
    out = _put_bytes(_put_varint(out, entry.time_ms - before_ms[0]), entry.id, ID_BYTES)
    out[0] = entry.bits
    before_ms[0] = entry.time_ms
    return _put_varint(out + 1, entry.chunk)


cdef int _look(Cursor* c, uint64_t count, const LedgerEntry* wanted, uint64_t* newest_ms, int64_t* bits) noexcept nogil:
    """Read all entries: is the wanted one among them, and with which bits was its batch begun (-1: it was not)."""
    cdef LedgerEntry entry, before
    cdef uint64_t i
    cdef bint found = False
    before.time_ms = 0
    bits[0] = -1
    for i in range(count):
        if not _get_entry(c, before.time_ms, &entry):
            return LEDGER_UNREAD
        if i and _order_entries(&before, &entry) >= 0:
            return LEDGER_UNREAD
        if memcmp(entry.id, wanted.id, ID_BYTES) == 0:
            if bits[0] < 0:
                bits[0] = entry.bits
            found |= entry.bits == wanted.bits and entry.chunk == wanted.chunk
        before = entry
    if c.at != c.end:
        return LEDGER_UNREAD
    newest_ms[0] = before.time_ms
    return LEDGER_APPLIED if found else LEDGER_WRITE


cdef uint8_t* _put_ledger(
    uint8_t* out, Cursor* c, uint64_t count, const LedgerEntry* added, uint64_t oldest_ms
) noexcept nogil:
    """Write the count and the entries that are not older, with one more in its place."""
    cdef Cursor start = c[0]
    cdef LedgerEntry entry
    cdef uint64_t read_ms = 0
    cdef uint64_t written_ms = 0
    cdef uint64_t dropped = 0
    cdef uint64_t i
    cdef bint is_added = False
    for i in range(count):
        _get_entry(&start, read_ms, &entry)
        if entry.time_ms >= oldest_ms:
            break
        read_ms = entry.time_ms
        dropped += 1
        c.at = start.at
    out = _put_varint(out, count - dropped + 1)
    for i in range(count - dropped):
        _get_entry(c, read_ms, &entry)
        read_ms = entry.time_ms
        if not is_added and _order_entries(added, &entry) < 0:
            out = _put_entry(out, added, &written_ms)
            is_added = True
        out = _put_entry(out, &entry, &written_ms)
    return out if is_added else _put_entry(out, added, &written_ms)


def step_ledger(
    bytes payload, bytes identity not None, uint64_t time_ms, bytes batch not None, uint8_t bits, uint64_t chunk,
    uint64_t window_ms,
):
    """What a host record says of a chunk of a batch, and the record with it.

    Parameters
    ----------
    payload : bytes or None
        The host record, ``None`` where there is none yet.
    identity : bytes
        How the record of the host begins: tenant and host, each behind its length.
    time_ms : int
        Of the batch.
    batch : bytes
        Its id.
    bits, chunk : int
        The chunk.
    window_ms : int
        Of the ledger.

    Returns
    -------
    tuple of (int, object) or None
        ``(0, record)``: the record to write; ``(1, None)``: the chunk is applied; ``(2, bits)``: the batch was begun
        with these; ``(3, behind_ms)``: it is late.  ``None`` where the payload is no record of the host.
    """
    cdef bytes held = identity if payload is None else payload
    cdef const char* data = held
    cdef Cursor c
    cdef LedgerEntry entry
    cdef uint64_t count = 0
    cdef uint64_t newest_ms = 0
    cdef int64_t bits_found = -1
    cdef Py_ssize_t head = len(identity)
    cdef uint8_t* out
    cdef bytes record
    cdef Cursor entries
    cdef int found
    if len(batch) != ID_BYTES or time_ms > _TIME_MOST or len(held) < head:
        return None
    entry.time_ms = time_ms
    entry.id = <const uint8_t*> <const char*> batch
    entry.bits = bits
    entry.chunk = chunk
    c.start = c.at = <const uint8_t*> data
    c.end = c.start + len(held)
    if memcmp(c.at, <const char*> identity, head) != 0:
        return None
    c.at += head
    if payload is not None and _get_varint(&c, &count) != OK:
        return None
    entries = c
    found = _look(&c, count, &entry, &newest_ms, &bits_found)
    if found == LEDGER_UNREAD:
        return None
    if bits_found >= 0 and bits_found != bits:
        return LEDGER_RECUT, bits_found
    if found == LEDGER_APPLIED:
        return LEDGER_APPLIED, None
    if count and newest_ms > time_ms and newest_ms - time_ms > window_ms:
        return LEDGER_LATE, newest_ms - time_ms
    if time_ms > newest_ms:
        newest_ms = time_ms
    # Two more varints than before at most, and the entry.
    record = PyBytes_FromStringAndSize(NULL, len(held) + ID_BYTES + 40)
    out = <uint8_t*> <char*> record
    memcpy(out, <const char*> identity, head)
    out = _put_ledger(out + head, &entries, count, &entry, newest_ms - window_ms if newest_ms > window_ms else 0)
    return LEDGER_WRITE, record[: out - <uint8_t*> <char*> record]
