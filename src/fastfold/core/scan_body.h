/* The token scanner, once for every instruction set.
 *
 * A set's header (scan_scalar.h, scan_avx2.h, scan_avx512.h) defines
 *
 *   FF_NAME        name of the function made here
 *   FF_TARGET      target attribute of every function of the set
 *   FF_MASKS       classify 64 bytes into a ff_masks
 *   FF_PREFIX_XOR  running parity of a 64-bit mask, bit 0 first
 *   FF_EMIT        append the positions of the set bits of a mask
 *
 * and includes this file.  The text is taken in blocks of 64 bytes; of each, in masks with one bit a byte:
 *
 *   text       {  "  p  a  t  h  "  :  "  C  :  \  \  a  "  ,  "  n  "  :  -  1  2  }
 *   quote      .  1  .  .  .  .  1  .  1  .  .  .  .  .  1  .  1  .  1  .  .  .  .  .     not escaped
 *   inside     .  1  1  1  1  1  .  .  1  1  1  1  1  1  .  .  1  1  .  .  .  .  .  .     parity of quotes
 *   ops        1  .  .  .  .  .  .  1  .  .  .  .  .  .  .  1  .  .  .  1  .  .  .  1     outside strings
 *   scalar     .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  1  1  1  .     anything else outside
 *   tokens     1  1  .  .  .  .  .  1  1  .  .  .  .  .  .  1  1  .  .  1  1  .  .  1
 *
 * A token is a bracket, colon, comma or line feed outside strings, an opening quote, or the first byte of
 * a run of anything else.  What lies between a token and the next is then the rest of one string or scalar,
 * and white space: the parser needs no other look at skipped values.  Checked here, because here it costs
 * nothing per string: control characters, escapes, and that no string goes on over a line feed.
 *
 * The idea of stage 1 is that of Langdale and Lemire, "Parsing gigabytes of JSON per second" (2019).
 */

FF_TARGET static int FF_NAME(const uint8_t *text, uint32_t length, ff_tokens *result)
{
    uint32_t *const tokens = result->tokens;
    uint32_t *out = tokens;
    uint32_t *line_out = result->lines;
    uint64_t inside_carry = 0;  /* all ones when the block before ended inside a string */
    uint64_t escape_carry = 0;  /* 1 when its last byte was a backslash that escapes */
    uint64_t scalar_carry = 0;  /* 1 when its last byte was part of a scalar */
    int status = FF_SCAN_OK;
    uint8_t last[64];

    /* Hardly a branch depends on the text: a wrong guess costs as much as half a block. */
    for (uint32_t base = 0; base < length; base += 64) {
        const uint8_t *block = text + base;
        if (FF_RARE(length - base < 64)) {
            memset(last, ' ', sizeof last);
            memcpy(last, block, length - base);
            block = last;
        }
        ff_masks m;
        /* Text of the caller's own is read here for the first time. */
        __builtin_prefetch(block + 1024);
        FF_MASKS(block, &m);

        /* A backslash escapes what follows, unless it is escaped itself.  In a run of backslashes every second
         * one is: subtracting the run from its odd bits shifted by one borrows through it, and leaves
         * alternating bits. */
        const uint64_t odd = 0xAAAAAAAAAAAAAAAAULL;
        uint64_t backslash = m.backslash & ~escape_carry;
        uint64_t alternating = (((backslash << 1) | odd) - backslash) ^ odd;
        uint64_t escaped = alternating ^ (backslash | escape_carry);
        escape_carry = (alternating & backslash) >> 63;

        uint64_t quote = m.quote & ~escaped;
        uint64_t inside = FF_PREFIX_XOR(quote) ^ inside_carry;
        inside_carry = (uint64_t)((int64_t)inside >> 63);

        uint64_t bad = 0;
        uint64_t space = m.space;
        uint64_t feed = 0;
        if (FF_RARE(m.control)) {
            uint64_t white = 0;
            for (uint64_t rest = m.control; rest; rest &= rest - 1) {
                int bit = ff_ctz(rest);
                uint8_t byte = block[bit];
                uint64_t one = 1ULL << bit;
                if (byte == '\n')
                    feed |= one;
                if (byte == '\n' || byte == '\r' || byte == '\t')
                    white |= one;
            }
            bad = m.control & (inside | ~white);
            space |= white;
        }
        uint64_t check = escaped & inside;
        uint64_t bad_escape = check & ~m.escapable;
        if (FF_RARE(check & m.u)) {
            for (uint64_t rest = check & m.u; rest; rest &= rest - 1) {
                int bit = ff_ctz(rest);
                if (!ff_four_hex(text + base + bit + 1))
                    bad_escape |= 1ULL << bit;
            }
        }
        uint64_t ops = m.op & ~inside;
        uint64_t scalar = ~(inside | quote | ops | space);
        uint64_t starts = scalar & ~((scalar << 1) | scalar_carry);
        uint64_t found = ops | feed | (quote & inside) | starts;
        scalar_carry = scalar >> 63;
        if (FF_RARE(bad | bad_escape)) {
            /* The lines before the faulty one may end in this block: their tokens are wanted. */
            int bit = ff_ctz(bad | bad_escape);
            uint64_t before = (1ULL << bit) - 1;
            line_out = ff_note_lines(line_out, (uint32_t)(out - tokens), found, feed & before);
            out = FF_EMIT(out, base, found & before);
            result->error_at = base + (uint32_t)bit;
            status = bad_escape >> bit & 1 ? FF_SCAN_ESCAPE
                     : block[bit] == '\n'  ? FF_SCAN_UNTERMINATED
                                           : FF_SCAN_CONTROL;
            break;
        }
        if (FF_RARE(m.control))
            line_out = ff_note_lines(line_out, (uint32_t)(out - tokens), found, feed);
        out = FF_EMIT(out, base, found);
    }
    result->token_count = (uint32_t)(out - tokens);
    result->line_count = (uint32_t)(line_out - result->lines);
    return status;
}

#undef FF_NAME
#undef FF_TARGET
#undef FF_MASKS
#undef FF_PREFIX_XOR
#undef FF_EMIT
