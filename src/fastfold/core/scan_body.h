/* The scanner of marks, once for every instruction set.
 *
 * A set's header (scan_scalar.h, scan_avx2.h, scan_avx512.h, scan_neon.h) defines
 *
 *   FF_NAME        name of the function made here
 *   FF_TARGET      target attribute of every function of the set
 *   FF_MASKS       classify 64 bytes into a ff_masks
 *   FF_EMIT        append the positions of the set bits of a mask
 *
 * and includes this file.  The text is taken in blocks of 64 bytes; of each, in masks with one bit a byte:
 *
 *   text       {  "  p  a  t  h  "  :  "  C  :  \  \  a  \  "  "  ,  "  n  "  :  -  1  2  }  LF
 *   backslash  .  .  .  .  .  .  .  .  .  .  .  1  1  .  1  .  .  .  .  .  .  .  .  .  .  .  .
 *   escaped    .  .  .  .  .  .  .  .  .  .  .  .  1  .  .  1  .  .  .  .  .  .  .  .  .  .  .
 *   marks      .  1  .  .  .  .  1  .  1  .  .  .  .  .  .  .  1  .  1  .  1  .  .  .  .  .  1
 *
 * A mark is a quote that is not escaped, a control character (every line feed is one), or what is no escape
 * but follows a backslash that escapes.  So between the two quotes of a string of which no mark lies
 * inside there is nothing at fault, however long it is, and nobody needs to look.  What lies outside strings is a
 * few bytes, for which a look costs no more than a mask: what brackets, colons and commas are, and which strings
 * they are in, is left to those who compare a record with a shape (shape.h) or walk it.
 */

FF_TARGET static void FF_NAME(const uint8_t *text, uint32_t length, ff_marks *result)
{
    uint32_t *const marks = result->marks;
    uint32_t *out = marks;
    uint32_t *line_out = result->lines;
    uint64_t escape_carry = 0;  /* 1 when the last byte of the block before was a backslash that escapes */
    uint8_t last[64];

    /* Hardly a branch depends on the text: a wrong guess costs as much as a block. */
    for (uint32_t base = 0; base < length; base += 64) {
        const uint8_t *block = text + base;
        if (FF_RARE(length - base < 64)) {
            memset(last, ' ', sizeof last);
            memcpy(last, block, length - base);
            block = last;
        }
        ff_masks m;
        /* Text of the caller's own is read here for the first time; the processor's own guesses end with a page. */
        __builtin_prefetch(block + FF_PREFETCH);
        FF_MASKS(block, &m);

        /* A backslash escapes what follows, unless it is escaped itself.  In a run of backslashes every second
         * one is: subtracting the run from its odd bits shifted by one borrows through it, and leaves
         * alternating bits. */
        const uint64_t odd = 0xAAAAAAAAAAAAAAAAULL;
        uint64_t backslash = m.backslash & ~escape_carry;
        uint64_t alternating = (((backslash << 1) | odd) - backslash) ^ odd;
        uint64_t escaped = alternating ^ (backslash | escape_carry);
        /* The length of the run at the end says the same as `alternating`, and does not wait for the block before:
         * only a block that is all backslashes, which are even in number, hands on what it was handed. */
        if (!FF_RARE(m.backslash == ~0ULL))
            escape_carry = (uint64_t)__builtin_clzll(~m.backslash) & 1;

        uint64_t fault = escaped & ~m.escape;
        if (FF_RARE(fault)) {
            for (uint64_t rest = fault; rest; rest &= rest - 1)
                if (ff_is_escape_u(text + base + ff_ctz(rest)))
                    fault &= ~(rest & -rest);
        }
        uint64_t found = (m.quote & ~escaped) | m.control | fault;
        if (FF_RARE(m.control))
            line_out = ff_note_lines(line_out, (uint32_t)(out - marks), found, m.control, block);
        out = FF_EMIT(out, base, found);
    }
    result->mark_count = (uint32_t)(out - marks);
    result->line_count = (uint32_t)(line_out - result->lines);
}

#undef FF_NAME
#undef FF_TARGET
#undef FF_MASKS
#undef FF_EMIT
