# Shape: records laid out like one before are taken without being walked (shape.h says how they are compared).
#
# A record that was walked leaves its shape behind: what lies between its values, and which of them belong to
# which slot.  Shapes are found by their number of marks, SHAPE_WAYS to a set, the one met last first.  They
# stay from file to file.  Learning costs a few times what a walk does, so a shape is learned when it is seen a
# second time, and beyond SHAPES_FREE learning must have paid: a file whose records all differ is walked.


cdef bint _init_shapes(Shapes* s) noexcept nogil:
    s.ways = <Shape**> calloc(SHAPE_SETS * SHAPE_WAYS, sizeof(Shape*))
    s.sighted = <uint32_t*> calloc(SHAPE_SIGHTS, sizeof(uint32_t))
    # Not even no bytes may be copied from NULL: a shape may have no texts, or no bare values.
    return s.ways != NULL and s.sighted != NULL and _reserve(&s.scalars, 1) and _reserve(&s.texts, 1)


cdef void _free_shapes(Shapes* s) noexcept nogil:
    cdef int i
    if s.ways != NULL:
        for i in range(SHAPE_SETS * SHAPE_WAYS):
            free(s.ways[i])
    free(s.ways)
    free(s.sighted)
    free(s.parts.data)
    free(s.part_bytes.data)
    free(s.scalars.data)
    free(s.texts.data)


cdef Shape** _shape_set(const Shapes* s, uint32_t mark_count, int node) noexcept nogil:
    return s.ways + SHAPE_WAYS * ((mark_count + 7 * <uint32_t> node) & (SHAPE_SETS - 1))


# --- taking ---

cdef bint _take_scalars(const uint8_t* text, const uint32_t* marks, Shape* shape) noexcept nogil:
    """Check the bare values; false when one is none."""
    cdef ShapeScalar* scalar
    cdef uint32_t i, at
    cdef uint32_t checked = 0
    cdef int64_t end
    for i in range(shape.scalar_count):
        scalar = &shape.scalars[i]
        at = marks[scalar.mark] + scalar.skip
        end = <int64_t> marks[scalar.end_mark] - scalar.end_skip
        # The parts before and behind it are where they should be, but they may overlap.
        if end <= at:
            return False
        scalar.length = <uint32_t> (end - at)
        if scalar.length == scalar.known and ff_same_text(text + at, scalar.last, scalar.known):
            continue
        if _check_scalar(text, at, &checked) != OK or checked != end:
            return False
        scalar.known = 0
        if scalar.length <= sizeof(scalar.last):
            memcpy(scalar.last, text + at, scalar.length)
            scalar.known = <uint8_t> scalar.length
    return True


cdef void _note_shape(Parse* p, const uint8_t* text, const uint32_t* marks, const Shape* shape) noexcept nogil:
    """Note the wanted values of a record that has this shape."""
    cdef const ShapeScalar* scalar
    cdef const ShapeText* wanted
    cdef uint32_t i, at
    cdef const uint8_t* bracket
    for i in range(shape.scalar_count):
        scalar = &shape.scalars[i]
        if scalar.slot != NOWHERE:
            at = marks[scalar.mark] + scalar.skip
            bracket = text + at - scalar.behind_bracket if scalar.behind_bracket else NULL
            _note(&p.slots[scalar.slot], p.epoch, text + at, 0 if text[at] == c'n' else scalar.length, bracket)
    for i in range(shape.text_count):
        wanted = &shape.texts[i]
        at = marks[wanted.mark]
        bracket = text + at - wanted.behind_bracket if wanted.behind_bracket else NULL
        _note(&p.slots[wanted.slot], p.epoch, text + at + 1, marks[wanted.mark + 1] - at - 1, bracket)


cdef bint _take_shape(
    Parse* p, const uint8_t* text, uint32_t start, const uint32_t* marks, uint32_t count, int node
) noexcept nogil:
    """Take the record that starts at `start`, with `count` marks before its line feed, if its shape is known."""
    cdef Shape** ways = _shape_set(&p.shapes, count, node)
    cdef Shape* shape
    cdef int i
    for i in range(SHAPE_WAYS):
        shape = ways[i]
        if shape == NULL:
            return False
        if shape.mark_count != count or shape.node != node or shape.lead != marks[0] - start:
            continue
        if p.shapes.fits(text, marks, shape.parts, shape.part_bytes, shape.part_count):
            if not _take_scalars(text, marks, shape):
                return False
            _note_shape(p, text, marks, shape)
            p.shapes.met += 1
            ways[i] = ways[0]
            ways[0] = shape
            return True
    return False


# --- learning ---

cdef bint _add_parts(
    Shapes* s, const uint8_t* text, const uint32_t* marks, uint32_t mark, uint32_t start, uint32_t end
) noexcept nogil:
    """Cut text[start, end) into parts, which are found from a mark in it or at its end."""
    cdef ff_part* part
    cdef uint32_t at = start
    cdef int64_t skip
    while at < end:
        skip = <int64_t> at - marks[mark]
        # Compared where another record has that mark, perhaps its last: no farther than can be read there.
        if not -FF_SCAN_PADDING <= skip <= FF_SCAN_PADDING - FF_PART_BYTES:
            return False
        if not _reserve(&s.parts, sizeof(ff_part)) or not _reserve(&s.part_bytes, FF_PART_BYTES):
            return False
        part = <ff_part*> (s.parts.data + s.parts.size)
        part.mark = <uint16_t> mark
        part.skip = <int16_t> skip
        part.length = <uint16_t> min(end - at, <uint32_t> FF_PART_BYTES)
        memcpy(s.part_bytes.data + s.part_bytes.size, text + at, part.length)
        memset(s.part_bytes.data + s.part_bytes.size + part.length, 0, FF_PART_BYTES - part.length)
        s.parts.size += sizeof(ff_part)
        s.part_bytes.size += FF_PART_BYTES
        at += part.length
    return True


cdef int _slot_written(const Parse* p, uint32_t at, uint32_t first_slot, uint32_t end_slot) noexcept nogil:
    """The slot whose value starts at this place, or NOWHERE."""
    cdef uint32_t slot
    for slot in range(first_slot, end_slot):
        if p.slots[slot].writer_epoch == p.epoch and p.slots[slot].writer == at:
            return slot
    return NOWHERE


cdef bint _behind_bracket(
    const Parse* p, const uint8_t* text, uint32_t at, int slot, uint16_t* distance
) noexcept nogil:
    """How far behind the bracket of its array a value starts; 0 when the array is not wanted."""
    cdef size_t found = 0
    if slot != NOWHERE and p.slots[slot].bracket != NULL:
        found = text + at - p.slots[slot].bracket
    distance[0] = <uint16_t> found
    return found <= 0xFFFF


cdef bint _add_text(Parse* p, const uint8_t* text, uint32_t at, uint32_t mark, int slot) noexcept nogil:
    """Note a string that a record of the shape has, if it is wanted."""
    cdef Shapes* s = &p.shapes
    cdef ShapeText* wanted
    if slot == NOWHERE:
        return True
    if not _reserve(&s.texts, sizeof(ShapeText)):
        return False
    wanted = <ShapeText*> (s.texts.data + s.texts.size)
    wanted.mark = <uint16_t> mark
    wanted.slot = <int16_t> slot
    s.texts.size += sizeof(ShapeText)
    return _behind_bracket(p, text, at, slot, &wanted.behind_bracket)


cdef ShapeScalar* _add_scalar(Parse* p, const uint8_t* text, uint32_t at, int slot) noexcept nogil:
    """Note a bare value that a record of the shape has; where it ends is for the caller to say."""
    cdef Shapes* s = &p.shapes
    cdef ShapeScalar* scalar
    if not _reserve(&s.scalars, sizeof(ShapeScalar)):
        return NULL
    scalar = <ShapeScalar*> (s.scalars.data + s.scalars.size)
    memset(scalar, 0, sizeof(ShapeScalar))
    scalar.slot = <int16_t> slot
    s.scalars.size += sizeof(ShapeScalar)
    return scalar if _behind_bracket(p, text, at, slot, &scalar.behind_bracket) else NULL


cdef bint _describe(
    Parse* p, const uint8_t* text, uint32_t start, const uint32_t* marks, uint32_t count,
    uint32_t first_slot, uint32_t end_slot
) noexcept nogil:
    """Put the shape of a record together that was just walked."""
    cdef Shapes* s = &p.shapes
    cdef ShapeScalar* scalar
    cdef uint32_t at = start
    cdef uint32_t mark = 0          # the next
    cdef uint32_t part = start      # where the parts in work start, and the mark they are found from
    cdef uint32_t from_mark = 0
    cdef uint32_t end
    s.parts.size = s.part_bytes.size = s.scalars.size = s.texts.size = 0
    while at < marks[count]:
        while marks[mark] < at:
            mark += 1
        if text[at] == c'"':
            end = marks[mark + 1]
            if text[_skip_space(text, end + 1)] != c':':
                # The quotes of a value belong to what is around it.
                if not _add_parts(s, text, marks, from_mark, part, at + 1):
                    return False
                if not _add_text(p, text, at, mark, _slot_written(p, at, first_slot, end_slot)):
                    return False
                part = end
                from_mark = mark + 1
            at = end + 1
        elif _is_space(text[at]) or _is_punctuation(text[at]):
            at += 1
        else:
            # Two bare values with no mark between them: where the first ends could not be told.
            if at < marks[from_mark] or not _add_parts(s, text, marks, from_mark, part, at):
                return False
            scalar = _add_scalar(p, text, at, _slot_written(p, at, first_slot, end_slot))
            if scalar == NULL or _check_scalar(text, at, &end) != OK:
                return False
            scalar.mark = <uint16_t> from_mark
            scalar.skip = <uint16_t> (at - marks[from_mark])
            scalar.end_mark = <uint16_t> mark
            scalar.end_skip = <uint16_t> (marks[mark] - end)
            part = at = end
            from_mark = mark
    return _add_parts(s, text, marks, from_mark, part, at + 1)


cdef Shape* _new_shape(const Shapes* s) noexcept nogil:
    """What was put together, in one piece of memory; NULL when there is none."""
    cdef size_t texts_at = sizeof(Shape) + s.part_bytes.size + s.scalars.size
    cdef size_t parts_at = texts_at + s.texts.size
    cdef uint8_t* memory = <uint8_t*> malloc(parts_at + s.parts.size)
    cdef Shape* shape = <Shape*> memory
    if memory == NULL:
        return NULL
    # From the member with the widest alignment to that with the narrowest.
    shape.scalars = <ShapeScalar*> (memory + sizeof(Shape))
    shape.part_bytes = memory + sizeof(Shape) + s.scalars.size
    shape.texts = <ShapeText*> (memory + texts_at)
    shape.parts = <ff_part*> (memory + parts_at)
    memcpy(shape.scalars, s.scalars.data, s.scalars.size)
    memcpy(shape.part_bytes, s.part_bytes.data, s.part_bytes.size)
    memcpy(shape.texts, s.texts.data, s.texts.size)
    memcpy(shape.parts, s.parts.data, s.parts.size)
    shape.scalar_count = <uint32_t> (s.scalars.size // sizeof(ShapeScalar))
    shape.text_count = <uint32_t> (s.texts.size // sizeof(ShapeText))
    shape.part_count = <uint32_t> (s.parts.size // sizeof(ff_part))
    return shape


cdef bint _is_seen_again(Shapes* s, const uint8_t* text, const uint32_t* marks, uint32_t count) noexcept nogil:
    """Whether a record with these bytes behind its marks was seen before, as far as is remembered."""
    cdef uint32_t signature = 1
    cdef uint32_t i
    # What follows every second quote is mostly no part of a value.
    for i in range(1, count, 2):
        signature = 31 * signature + text[marks[i] + 1]
    i = (signature ^ signature >> 16) & (SHAPE_SIGHTS - 1)
    if s.sighted[i] == signature:
        return True
    s.sighted[i] = signature
    return False


cdef void _learn_shape(
    Parse* p, const uint8_t* text, uint32_t start, const uint32_t* marks, uint32_t count, int node,
    uint32_t first_slot, uint32_t end_slot
) noexcept nogil:
    """Remember the shape of an object that was just walked; without memory or room nothing is lost but speed."""
    cdef Shapes* s = &p.shapes
    cdef Shape** ways = _shape_set(s, count, node)
    cdef Shape* shape
    cdef int i
    if count > SHAPE_MARKS or s.learned >= SHAPES_FREE + s.met // 4:
        return
    if not _is_seen_again(s, text, marks, count):
        return
    if not _describe(p, text, start, marks, count, first_slot, end_slot):
        return
    shape = _new_shape(s)
    if shape == NULL:
        return
    shape.mark_count = count
    shape.lead = marks[0] - start
    shape.node = node
    s.learned += 1
    free(ways[SHAPE_WAYS - 1])
    for i in range(SHAPE_WAYS - 1, 0, -1):
        ways[i] = ways[i - 1]
    ways[0] = shape
