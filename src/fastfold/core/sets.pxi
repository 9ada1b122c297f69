# Sets: sets of numbers, each kept once and numbered from 1 in order of first appearance.
#
#   items  [ 3 9 | 1 | 2 5 9 ]      ascending; set n is [ends[n - 1], ends[n])
#   table  hash & mask -> number, 0 = free


cdef bint _init_sets(Sets* s) noexcept nogil:
    if not _grow32(<void**> &s.ends, sizeof(uint64_t), &s.room, 256):
        return False
    if not _grow(<void**> &s.items, sizeof(uint32_t), &s.item_room, 1024):
        return False
    if not _new_table(&s.table, &s.mask, 512):
        return False
    _clear_sets(s)
    return True


cdef void _clear_sets(Sets* s) noexcept nogil:
    s.count = 0
    s.ends[0] = 0
    _clear_table(s.table, s.mask)


cdef void _free_sets(Sets* s) noexcept nogil:
    free(s.items)
    free(s.ends)
    free(s.table)


cdef const uint32_t* _set_items(const Sets* s, uint32_t number, uint32_t* count) noexcept nogil:
    count[0] = <uint32_t> (s.ends[number] - s.ends[number - 1])
    return s.items + s.ends[number - 1]


cdef uint64_t _set_hash(const uint32_t* items, uint32_t count) noexcept nogil:
    return _hash(<const uint8_t*> items, count * sizeof(uint32_t))


cdef bint _rebuild_sets(Sets* s) noexcept nogil:
    cdef uint32_t number, slot, count
    cdef const uint32_t* items
    if not _new_table(&s.table, &s.mask, 2 * (s.mask + 1)):
        return False
    for number in range(1, s.count + 1):
        items = _set_items(s, number, &count)
        slot = <uint32_t> _set_hash(items, count) & s.mask
        while s.table[slot] != 0:
            slot = (slot + 1) & s.mask
        s.table[slot] = number
    return True


cdef uint32_t _number_set(Sets* s, const uint32_t* items, uint32_t count) noexcept nogil:
    """Number of a set, given in ascending order; 0 when there is no memory."""
    cdef uint32_t slot = <uint32_t> _set_hash(items, count) & s.mask
    cdef uint32_t number, other_count
    cdef const uint32_t* other
    while s.table[slot] != 0:
        number = s.table[slot]
        other = _set_items(s, number, &other_count)
        if other_count == count and memcmp(other, items, count * sizeof(uint32_t)) == 0:
            return number
        slot = (slot + 1) & s.mask
    number = s.count + 1
    if not _grow32(<void**> &s.ends, sizeof(uint64_t), &s.room, <size_t> number + 1):
        return 0
    if not _grow(<void**> &s.items, sizeof(uint32_t), &s.item_room, s.ends[number - 1] + count):
        return 0
    memcpy(s.items + s.ends[number - 1], items, count * sizeof(uint32_t))
    s.ends[number] = s.ends[number - 1] + count
    s.count = number
    s.table[slot] = number
    if 2 * number > s.mask and not _rebuild_sets(s):
        return 0
    return number


cdef void _sort_numbers(uint32_t* items, uint32_t count) noexcept nogil:
    """Sort a few distinct numbers; many by a heap, so that no text makes it slow."""
    cdef uint32_t i, j, item
    if count > 32:
        _heap_sort(items, count)
        return
    for i in range(1, count):
        item = items[i]
        j = i
        while j > 0 and items[j - 1] > item:
            items[j] = items[j - 1]
            j -= 1
        items[j] = item


cdef void _sink(uint32_t* items, uint32_t place, uint32_t count) noexcept nogil:
    cdef uint32_t item = items[place]
    cdef uint32_t below = 2 * place + 1
    while below < count:
        if below + 1 < count and items[below + 1] > items[below]:
            below += 1
        if items[below] <= item:
            break
        items[place] = items[below]
        place = below
        below = 2 * place + 1
    items[place] = item


cdef void _heap_sort(uint32_t* items, uint32_t count) noexcept nogil:
    cdef uint32_t i, last
    for i in range(count // 2, 0, -1):
        _sink(items, i - 1, count)
    for i in range(count - 1, 0, -1):
        last = items[i]
        items[i] = items[0]
        items[0] = last
        _sink(items, 0, i)
