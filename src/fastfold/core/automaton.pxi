# Automaton: all plain texts of all rules, found in one pass over a text (Aho and Corasick).
#
# States are numbered from the root in order of their depth; a state is a beginning of some pattern.
#
#   moves    [ state x class ]   place of the next row, and in its highest bit whether patterns end there
#   classes  [ byte ]            bytes that no pattern has are one class; upper and lower case of ASCII are one
#   first    [ state ]           the patterns that the state spells: a list through Pattern.next
#   shorter  [ state ]           the longest shorter state that a pattern ends in, or 0
#
# Patterns are caseless (caseless.py); a text that is not ASCII is made caseless before it is searched, one that is
# goes through the classes as it is.  A pattern where case counts is found so, too, then compared as written.
#
# A text costs one load a byte, whatever is in it and however many patterns there are.


cdef enum:
    PATTERN_CONTAINS = 0
    PATTERN_STARTS = 1
    PATTERN_ENDS = 2
    PATTERN_EQUALS = 3
    REPORTS = 0x80000000
    NO_PATTERN = 0xFFFFFFFF
    ROW_MOST = 0x40000000       # places of a table of moves

# Operators of rules/types.py, by the numbers above.
cdef tuple _PATTERN_OPERATORS = ("contains", "startswith", "endswith", "equals")


cdef void _free_automaton(Automaton* a) noexcept nogil:
    free(a.moves)
    free(a.first)
    free(a.shorter)


cdef void _number_classes(Automaton* a) noexcept nogil:
    """Give each byte of the patterns a class of its own."""
    cdef const Pattern* pattern
    cdef uint32_t i, j
    a.class_count = 1
    for i in range(a.pattern_count):
        pattern = &a.patterns[i]
        for j in range(pattern.caseless_length):
            if a.classes[a.bytes[pattern.caseless_at + j]] == 0:
                a.classes[a.bytes[pattern.caseless_at + j]] = <uint8_t> a.class_count
                a.class_count += 1
    for i in range(26):
        a.classes[c'A' + i] = a.classes[c'a' + i]


cdef bint _add_state(Automaton* a, size_t* room) noexcept nogil:
    cdef size_t wanted = <size_t> a.state_count + 1
    cdef size_t other = room[0]
    if wanted * a.class_count > ROW_MOST:
        return False
    if not _grow(<void**> &a.first, sizeof(uint32_t), &other, wanted):
        return False
    other = room[0]
    if not _grow(<void**> &a.shorter, sizeof(uint32_t), &other, wanted):
        return False
    if not _grow(<void**> &a.moves, a.class_count * sizeof(uint32_t), room, wanted):
        return False
    memset(a.moves + a.state_count * a.class_count, 0, a.class_count * sizeof(uint32_t))
    a.first[a.state_count] = NO_PATTERN
    a.shorter[a.state_count] = 0
    a.state_count += 1
    return True


cdef bint _spell_patterns(Automaton* a, size_t* room) noexcept nogil:
    """The tree of all patterns: moves are numbers of states, 0 where there is none."""
    cdef Pattern* pattern
    cdef uint32_t i, j, state, place
    if not _add_state(a, room):
        return False
    for i in range(a.pattern_count):
        pattern = &a.patterns[i]
        state = 0
        for j in range(pattern.caseless_length):
            place = state * a.class_count + a.classes[a.bytes[pattern.caseless_at + j]]
            if a.moves[place] == 0:
                if not _add_state(a, room):
                    return False
                a.moves[place] = a.state_count - 1
            state = a.moves[place]
        pattern.next = a.first[state]
        a.first[state] = i
    return True


cdef bint _link_states(Automaton* a) noexcept nogil:
    """Fill the moves that leave the tree: to the longest end of what was read that is in the tree."""
    cdef uint32_t* queue = <uint32_t*> malloc(a.state_count * sizeof(uint32_t))
    cdef uint32_t* back = <uint32_t*> calloc(a.state_count, sizeof(uint32_t))
    cdef uint32_t head = 0
    cdef uint32_t tail = 0
    cdef uint32_t state, after, over, c
    if queue == NULL or back == NULL:
        free(queue)
        free(back)
        return False
    for c in range(a.class_count):
        if a.moves[c]:
            queue[tail] = a.moves[c]
            tail += 1
    while head < tail:
        state = queue[head]
        head += 1
        over = back[state]
        a.shorter[state] = over if a.first[over] != NO_PATTERN else a.shorter[over]
        for c in range(a.class_count):
            after = a.moves[state * a.class_count + c]
            if after:
                back[after] = a.moves[over * a.class_count + c]
                queue[tail] = after
                tail += 1
            else:
                a.moves[state * a.class_count + c] = a.moves[over * a.class_count + c]
    free(queue)
    free(back)
    return True


cdef void _finish_moves(Automaton* a) noexcept nogil:
    """Moves to places of rows, marked where patterns end."""
    cdef size_t i
    cdef uint32_t state
    for i in range(<size_t> a.state_count * a.class_count):
        state = a.moves[i]
        a.moves[i] = state * a.class_count
        if a.first[state] != NO_PATTERN or a.shorter[state]:
            a.moves[i] |= REPORTS


cdef bint _build_automaton(Automaton* a) noexcept nogil:
    """Build from `patterns` and `bytes`; false when there is no memory, or it would be too large."""
    cdef size_t room = 0
    _number_classes(a)
    if not _spell_patterns(a, &room) or not _link_states(a):
        return False
    _finish_moves(a)
    return True


cdef uint32_t _point_at(const uint8_t* at, uint32_t count) noexcept nogil:
    """The code point of a valid character of `count` bytes."""
    cdef uint32_t point = at[0]
    cdef uint32_t i
    if count == 1:
        return point
    point &= 0x7F >> count
    for i in range(1, count):
        point = point << 6 | (at[i] & 0x3F)
    return point


cdef uint32_t _make_caseless(
    const uint32_t* points, uint32_t point_count, const uint8_t* at, uint32_t length, uint8_t* out
) noexcept nogil:
    """Put the caseless form of a text.

    points   IN   for each code point below `point_count` its caseless one
    out      OUT  room for 3 * length bytes
    """
    cdef uint8_t* start = out
    cdef uint32_t i = 0
    cdef uint32_t count, point
    cdef bint valid
    while i < length:
        count = _utf8_length(at + i, length - i, &valid)
        if valid:
            point = _point_at(at + i, count)
            out = _put_character(out, points[point] if point < point_count else point)
        else:
            memcpy(out, at + i, count)
            out += count
        i += count
    return <uint32_t> (out - start)


cdef bint _is_ascii(const uint8_t* at, uint32_t length) noexcept nogil:
    cdef uint32_t i = 0
    while i + 8 <= length:
        if ff_load64(at + i) & 0x8080808080808080u:
            return False
        i += 8
    while i < length:
        if at[i] & 0x80:
            return False
        i += 1
    return True


cdef bint _has_as_written(
    const Automaton* a, const Pattern* pattern, const uint8_t* at, uint32_t length
) noexcept nogil:
    """Whether a text meets a pattern where case counts."""
    cdef const uint8_t* wanted = a.bytes + pattern.written_at
    cdef uint32_t count = pattern.written_length
    cdef const uint8_t* found
    cdef const uint8_t* end
    if length < count:
        return False
    if pattern.operator == PATTERN_STARTS:
        return memcmp(at, wanted, count) == 0
    if pattern.operator == PATTERN_ENDS:
        return memcmp(at + length - count, wanted, count) == 0
    if pattern.operator == PATTERN_EQUALS:
        return length == count and memcmp(at, wanted, count) == 0
    end = at + length - count + 1
    while at < end:
        found = <const uint8_t*> memchr(at, wanted[0], end - at)
        if found == NULL:
            return False
        if memcmp(found, wanted, count) == 0:
            return True
        at = found + 1
    return False
