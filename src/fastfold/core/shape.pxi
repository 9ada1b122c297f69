# Shape: records laid out like one before are taken without being walked (shape.h says how they are compared).
#
# A record that was walked leaves its shape behind: what lies between its values, and which of them belong to
# which slot.  Shapes are found by their number of tokens, SHAPE_WAYS to a set, the one met last first.  They
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


cdef Shape** _shape_set(const Shapes* s, uint32_t token_count, int node) noexcept nogil:
    return s.ways + SHAPE_WAYS * ((token_count + 7 * <uint32_t> node) & (SHAPE_SETS - 1))


# --- taking ---

cdef bint _take_scalars(const uint8_t* text, const uint32_t* tokens, Shape* shape) noexcept nogil:
    """Check the bare values; false when one is none."""
    cdef ShapeScalar* scalar
    cdef uint32_t i, at
    cdef uint32_t end = 0
    for i in range(shape.scalar_count):
        scalar = &shape.scalars[i]
        at = tokens[scalar.token]
        if scalar.known and ff_same_text(text + at, scalar.last, scalar.known):
            continue
        if _check_scalar(text, at, &end) != OK:
            return False
        scalar.length = end - at
        scalar.known = 0
        if scalar.length < sizeof(scalar.last):
            memcpy(scalar.last, text + at, scalar.length + 1)
            scalar.known = <uint8_t> (scalar.length + 1)
    return True


cdef void _note_shape(Parse* p, const uint8_t* text, const uint32_t* tokens, const Shape* shape) noexcept nogil:
    """Note the wanted values of a record that has this shape."""
    cdef const ShapeScalar* scalar
    cdef const ShapeText* wanted
    cdef uint32_t i, at, end
    cdef const uint8_t* bracket
    for i in range(shape.scalar_count):
        scalar = &shape.scalars[i]
        if scalar.slot != NOWHERE:
            at = tokens[scalar.token]
            bracket = text + at - scalar.behind_bracket if scalar.behind_bracket else NULL
            _note(&p.slots[scalar.slot], p.epoch, text + at, 0 if text[at] == c'n' else scalar.length, bracket)
    for i in range(shape.text_count):
        wanted = &shape.texts[i]
        at = tokens[wanted.token]
        end = _string_end(text, tokens[wanted.token + 1])
        bracket = text + at - wanted.behind_bracket if wanted.behind_bracket else NULL
        _note(&p.slots[wanted.slot], p.epoch, text + at + 1, end - at - 1, bracket)


cdef bint _take_shape(Parse* p, const uint8_t* text, const uint32_t* tokens, uint32_t count, int node) noexcept nogil:
    """Take a record of `count` tokens if its shape is known."""
    cdef Shape** ways = _shape_set(&p.shapes, count, node)
    cdef Shape* shape
    cdef int i
    for i in range(SHAPE_WAYS):
        shape = ways[i]
        if shape == NULL:
            return False
        if shape.token_count != count or shape.node != node:
            continue
        if p.shapes.fits(text, tokens, shape.parts, shape.part_bytes, shape.part_count):
            if not _take_scalars(text, tokens, shape):
                return False
            _note_shape(p, text, tokens, shape)
            p.shapes.met += 1
            ways[i] = ways[0]
            ways[0] = shape
            return True
    return False


# --- learning ---

cdef bint _add_parts(Shapes* s, const uint8_t* text, uint32_t from_token, uint32_t start, uint32_t end) noexcept nogil:
    """Cut text[start, end), which begins at a token, into parts."""
    cdef ff_part* part
    cdef uint32_t at = start
    while at < end:
        # Compared where another record has that token, perhaps its last: no farther than can be read there.
        if at - start > FF_SCAN_PADDING - FF_PART_BYTES or not _reserve(&s.parts, sizeof(ff_part)):
            return False
        if not _reserve(&s.part_bytes, FF_PART_BYTES):
            return False
        part = <ff_part*> (s.parts.data + s.parts.size)
        part.token = <uint16_t> from_token
        part.skip = <uint16_t> (at - start)
        part.length = <uint16_t> min(end - at, <uint32_t> FF_PART_BYTES)
        memcpy(s.part_bytes.data + s.part_bytes.size, text + at, part.length)
        memset(s.part_bytes.data + s.part_bytes.size + part.length, 0, FF_PART_BYTES - part.length)
        s.parts.size += sizeof(ff_part)
        s.part_bytes.size += FF_PART_BYTES
        at += part.length
    return True


cdef int _slot_written(const Parse* p, uint32_t token, uint32_t first_slot, uint32_t end_slot) noexcept nogil:
    """The slot whose value starts at this token, or NOWHERE."""
    cdef uint32_t slot
    for slot in range(first_slot, end_slot):
        if p.slots[slot].writer_epoch == p.epoch and p.slots[slot].writer == token:
            return slot
    return NOWHERE


cdef bint _add_value(Parse* p, const uint8_t* text, uint32_t at, uint32_t token, int slot) noexcept nogil:
    """Note a value that a record of the shape has."""
    cdef Shapes* s = &p.shapes
    cdef ShapeScalar* scalar
    cdef ShapeText* wanted
    cdef size_t behind_bracket = 0
    if slot != NOWHERE and p.slots[slot].bracket != NULL:
        behind_bracket = text + at - p.slots[slot].bracket
        if behind_bracket > 0xFFFF:
            return False
    if text[at] != c'"':
        if not _reserve(&s.scalars, sizeof(ShapeScalar)):
            return False
        scalar = <ShapeScalar*> (s.scalars.data + s.scalars.size)
        memset(scalar, 0, sizeof(ShapeScalar))
        scalar.token = <uint16_t> token
        scalar.slot = <int16_t> slot
        scalar.behind_bracket = <uint16_t> behind_bracket
        s.scalars.size += sizeof(ShapeScalar)
    elif slot != NOWHERE:
        if not _reserve(&s.texts, sizeof(ShapeText)):
            return False
        wanted = <ShapeText*> (s.texts.data + s.texts.size)
        wanted.token = <uint16_t> token
        wanted.slot = <int16_t> slot
        wanted.behind_bracket = <uint16_t> behind_bracket
        s.texts.size += sizeof(ShapeText)
    return True


cdef bint _describe(
    Parse* p, const uint8_t* text, const uint32_t* tokens, uint32_t count, uint32_t first_slot, uint32_t end_slot
) noexcept nogil:
    """Put the shape of a record together that was just walked."""
    cdef Shapes* s = &p.shapes
    cdef uint32_t token = 0
    cdef uint32_t from_token = 0
    cdef uint8_t byte
    s.parts.size = s.part_bytes.size = s.scalars.size = s.texts.size = 0
    while token < count:
        byte = text[tokens[token]]
        if byte == c'"' and text[tokens[token + 1]] == c':':
            token += 2
            continue
        if byte in (c'{', c'}', c'[', c']', c',', c':'):
            token += 1
            continue
        # A value: the quote that opens a string belongs to what is before it.
        if not _add_parts(s, text, from_token, tokens[from_token], tokens[token] + (byte == c'"')):
            return False
        if not _add_value(p, text, tokens[token], token, _slot_written(p, token, first_slot, end_slot)):
            return False
        token += 1
        from_token = token
    return _add_parts(s, text, from_token, tokens[from_token], tokens[count - 1] + 1)


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


cdef bint _is_seen_again(Shapes* s, const uint8_t* text, const uint32_t* tokens, uint32_t count) noexcept nogil:
    """Whether a record with these first bytes of tokens was seen before, as far as is remembered."""
    cdef uint32_t signature = 1
    cdef uint32_t i
    for i in range(count):
        signature = 31 * signature + text[tokens[i]]
    i = (signature ^ signature >> 16) & (SHAPE_SIGHTS - 1)
    if s.sighted[i] == signature:
        return True
    s.sighted[i] = signature
    return False


cdef void _learn_shape(
    Parse* p, const uint8_t* text, const uint32_t* tokens, uint32_t count, int node,
    uint32_t first_slot, uint32_t end_slot
) noexcept nogil:
    """Remember the shape of an object that was just walked; without memory or room nothing is lost but speed."""
    cdef Shapes* s = &p.shapes
    cdef Shape** ways = _shape_set(s, count, node)
    cdef Shape* shape
    cdef int i
    if count > SHAPE_TOKENS or s.learned >= SHAPES_FREE + s.met // 4:
        return
    if not _is_seen_again(s, text, tokens, count):
        return
    if not _describe(p, text, tokens, count, first_slot, end_slot):
        return
    shape = _new_shape(s)
    if shape == NULL:
        return
    shape.token_count = count
    shape.node = node
    s.learned += 1
    free(ways[SHAPE_WAYS - 1])
    for i in range(SHAPE_WAYS - 1, 0, -1):
        ways[i] = ways[i - 1]
    ways[0] = shape
