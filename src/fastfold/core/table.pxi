# Table: numbered sets.  Texts of a batch (Strings), and pairs of numbers that name hosts and processes (Pairs).
#
# Both are open addressing with linear probing over arrays of numbers; what is numbered lies elsewhere:
#
#   table  [ 0 | 3 | 0 | 1 | 2 | 0 | 0 | 4 ]      hash & mask -> number, 0 = free
#   hashes [ - | h1 | h2 | h3 | h4 ]              by number
#   text   C:\Windows\...explorer.exeSYSTEM...    text of number n is [offsets[n], offsets[n + 1])
#
# A table is at most half full, so a search ends soon.


cdef bint _new_table(uint32_t** table, uint32_t* mask, uint32_t size) noexcept nogil:
    cdef uint32_t* fresh = <uint32_t*> calloc(size, sizeof(uint32_t))
    if fresh == NULL:
        return False
    free(table[0])
    table[0] = fresh
    mask[0] = size - 1
    return True


cdef void _clear_table(uint32_t* table, uint32_t mask) noexcept nogil:
    memset(table, 0, (<size_t> mask + 1) * sizeof(uint32_t))


# --- pairs ---

cdef uint32_t _pair_home(const Pairs* pairs, uint64_t key) noexcept nogil:
    return <uint32_t> ff_mix(key ^ _secret[0], _secret[3]) & pairs.mask


cdef uint32_t _pair_slot(const Pairs* pairs, uint64_t key) noexcept nogil:
    cdef uint32_t slot = _pair_home(pairs, key)
    while pairs.table[slot] != 0 and pairs.keys[pairs.table[slot]] != key:
        slot = (slot + 1) & pairs.mask
    return slot


cdef bint _init_pairs(Pairs* pairs) noexcept nogil:
    return _grow32(<void**> &pairs.keys, sizeof(uint64_t), &pairs.room, 64) and _new_table(
        &pairs.table, &pairs.mask, 128
    )


cdef void _clear_pairs(Pairs* pairs) noexcept nogil:
    pairs.count = 0
    _clear_table(pairs.table, pairs.mask)


cdef void _free_pairs(Pairs* pairs) noexcept nogil:
    free(pairs.keys)
    free(pairs.table)


cdef uint32_t _number_pair(Pairs* pairs, uint32_t first, uint32_t second) noexcept nogil:
    """Number of a pair, from 1 in order of first appearance; 0 when there is no memory."""
    cdef uint64_t key = <uint64_t> first << 32 | second
    cdef uint32_t slot = _pair_slot(pairs, key)
    cdef uint32_t number
    if pairs.table[slot] != 0:
        return pairs.table[slot]
    number = pairs.count + 1
    if not _grow32(<void**> &pairs.keys, sizeof(uint64_t), &pairs.room, <size_t> number + 1):
        return 0
    pairs.keys[number] = key
    pairs.count = number
    pairs.table[slot] = number
    if 2 * number > pairs.mask and not _rebuild_pairs(pairs):
        return 0
    return number


cdef bint _rebuild_pairs(Pairs* pairs) noexcept nogil:
    cdef uint32_t number
    if not _new_table(&pairs.table, &pairs.mask, 2 * (pairs.mask + 1)):
        return False
    for number in range(1, pairs.count + 1):
        pairs.table[_pair_slot(pairs, pairs.keys[number])] = number
    return True


# --- strings ---

cdef bint _init_strings(Strings* s) noexcept nogil:
    if not _grow_strings(s, 256) or not _new_table(&s.table, &s.mask, 512):
        return False
    if not _grow32(<void**> &s.raws, sizeof(RawText), &s.raw_room, 256):
        return False
    if not _new_table(&s.raw_table, &s.raw_mask, 512) or not _reserve(&s.text, 1) or not _reserve(&s.raw_bytes, 1):
        return False
    _clear_strings(s)
    return True


cdef bint _grow_strings(Strings* s, uint32_t wanted) noexcept nogil:
    cdef uint32_t room = s.room
    if wanted + 1 <= room:
        return True
    if not _grow32(<void**> &s.offsets, sizeof(uint32_t), &room, <size_t> wanted + 1):
        return False
    room = s.room
    if not _grow32(<void**> &s.hashes, sizeof(uint64_t), &room, <size_t> wanted + 1):
        return False
    room = s.room
    if not _grow32(<void**> &s.cut, sizeof(uint8_t), &room, <size_t> wanted + 1):
        return False
    s.room = room
    return True


cdef void _clear_strings(Strings* s) noexcept nogil:
    s.text.size = 0
    s.raw_bytes.size = 0
    s.count = 1
    s.raw_count = 0
    s.offsets[0] = s.offsets[1] = 0
    s.cut[0] = 0
    _clear_table(s.table, s.mask)
    _clear_table(s.raw_table, s.raw_mask)


cdef void _free_strings(Strings* s) noexcept nogil:
    free(s.text.data)
    free(s.offsets)
    free(s.hashes)
    free(s.cut)
    free(s.table)
    free(s.raw_bytes.data)
    free(s.raws)
    free(s.raw_table)


cdef const uint8_t* _text_at(const Strings* s, uint32_t code) noexcept nogil:
    return s.text.data + s.offsets[code]


cdef uint32_t _text_length(const Strings* s, uint32_t code) noexcept nogil:
    return s.offsets[code + 1] - s.offsets[code]


cdef uint32_t _intern(Strings* s, const uint8_t* at, uint32_t length, bint cut) noexcept nogil:
    """Code of a decoded text that is not empty; 0 when there is no memory.

    at    IN  not inside s.text, which may move
    cut   IN  a text that was cut is another than the same text whole
    """
    cdef uint64_t hash = _hash(at, length) ^ cut
    cdef uint32_t slot = <uint32_t> hash & s.mask
    cdef uint32_t code
    while s.table[slot] != 0:
        code = s.table[slot]
        if s.hashes[code] == hash and s.cut[code] == cut and _text_length(s, code) == length:
            if memcmp(_text_at(s, code), at, length) == 0:
                return code
        slot = (slot + 1) & s.mask
    code = s.count
    if not _grow_strings(s, code + 2) or not _reserve(&s.text, length):
        return 0
    memcpy(s.text.data + s.text.size, at, length)
    s.text.size += length
    s.offsets[code + 1] = <uint32_t> s.text.size
    s.hashes[code] = hash
    s.cut[code] = cut
    s.table[slot] = code
    s.count += 1
    if 2 * s.count > s.mask and not _rebuild_strings(s):
        return 0
    return code


cdef bint _rebuild_strings(Strings* s) noexcept nogil:
    cdef uint32_t code, slot
    if not _new_table(&s.table, &s.mask, 2 * (s.mask + 1)):
        return False
    for code in range(1, s.count):
        slot = <uint32_t> s.hashes[code] & s.mask
        while s.table[slot] != 0:
            slot = (slot + 1) & s.mask
        s.table[slot] = code
    return True


cdef uint32_t _find_raw(
    const Strings* s, const uint8_t* at, uint32_t length, int form, uint64_t hash, uint32_t* slot
) noexcept nogil:
    """1 + number of a raw text met before, or 0 and the free slot for it."""
    cdef const RawText* raw
    slot[0] = <uint32_t> hash & s.raw_mask
    while s.raw_table[slot[0]] != 0:
        raw = &s.raws[s.raw_table[slot[0]] - 1]
        if raw.hash == hash and raw.length == length and raw.form == form:
            if ff_same_text(s.raw_bytes.data + raw.at, at, length):
                return s.raw_table[slot[0]]
        slot[0] = (slot[0] + 1) & s.raw_mask
    return 0


cdef uint32_t _add_raw(Strings* s, const uint8_t* at, uint32_t length, uint64_t hash, uint32_t slot) noexcept nogil:
    """1 + number of a raw text not met before; its code is for the caller to set."""
    cdef RawText* raw
    if not _grow32(<void**> &s.raws, sizeof(RawText), &s.raw_room, <size_t> s.raw_count + 1):
        return 0
    if not _reserve(&s.raw_bytes, length):
        return 0
    raw = &s.raws[s.raw_count]
    raw.hash = hash
    raw.at = <uint32_t> s.raw_bytes.size
    raw.length = length
    memcpy(s.raw_bytes.data + s.raw_bytes.size, at, length)
    s.raw_bytes.size += length
    s.raw_count += 1
    s.raw_table[slot] = s.raw_count
    if 2 * s.raw_count > s.raw_mask and not _rebuild_raws(s):
        return 0
    return s.raw_count


cdef bint _rebuild_raws(Strings* s) noexcept nogil:
    cdef uint32_t number, slot
    if not _new_table(&s.raw_table, &s.raw_mask, 2 * (s.raw_mask + 1)):
        return False
    for number in range(1, s.raw_count + 1):
        slot = <uint32_t> s.raws[number - 1].hash & s.raw_mask
        while s.raw_table[slot] != 0:
            slot = (slot + 1) & s.raw_mask
        s.raw_table[slot] = number
    return True
