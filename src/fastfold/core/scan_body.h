/* The token scanner, once for every instruction set.
 *
 * A set's header (scan_scalar.h, scan_avx2.h, scan_avx512.h) defines
 *
 *   FF_NAME        name of the function made here
 *   FF_TARGET      target attribute of every function of the set
 *   FF_MASKS       classify 64 bytes into a ff_masks
 *   FF_ESCAPABLE   mask of the bytes that may follow a backslash
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

FF_TARGET static int FF_NAME(const uint8_t *text, uint32_t length, uint32_t *tokens, uint32_t *token_count,
                             uint32_t *error_at)
{
    uint32_t *out = tokens;
    uint64_t inside_carry = 0;  /* all ones when the block before ended inside a string */
    uint64_t escape_carry = 0;  /* 1 when its last byte was a backslash that escapes */
    uint64_t scalar_carry = 0;  /* 1 when its last byte was part of a scalar */
    uint8_t last[64];

    for (uint32_t base = 0; base < length; base += 64) {
        const uint8_t *block = text + base;
        if (length - base < 64) {
            memset(last, ' ', sizeof last);
            memcpy(last, block, length - base);
            block = last;
        }
        ff_masks m;
        FF_MASKS(block, &m);

        /* Most bytes are the middle of long strings: nothing of interest in the whole block. */
        if (inside_carry && !(m.quote | m.backslash | m.control | escape_carry))
            continue;

        uint64_t escaped = 0;
        if (m.backslash | escape_carry) {
            /* A backslash escapes unless it is escaped itself.  Runs that start on an odd bit are added to
             * the mask of odd bits, so that the carry runs to the first byte behind the run. */
            const uint64_t odd = 0xAAAAAAAAAAAAAAAAULL;
            uint64_t backslash = m.backslash & ~escape_carry;
            uint64_t follows = (backslash << 1) | escape_carry;
            uint64_t odd_starts = backslash & odd & ~follows;
            uint64_t sums = odd_starts + backslash;
            uint64_t overflow = sums < backslash;
            uint64_t invert = sums << 1;
            escaped = (0x5555555555555555ULL ^ invert) & follows;
            escape_carry = overflow;
        }

        uint64_t quote = m.quote & ~escaped;
        uint64_t inside = FF_PREFIX_XOR(quote) ^ inside_carry;
        inside_carry = (uint64_t)((int64_t)inside >> 63);

        uint64_t bad = 0;
        uint64_t space = m.space;
        uint64_t feed = 0;
        if (m.control) {
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
        uint64_t bad_escape = 0;
        if (escaped & inside) {
            uint64_t check = escaped & inside;
            bad_escape = check & ~FF_ESCAPABLE(block);
            for (uint64_t rest = check & ~bad_escape; rest; rest &= rest - 1) {
                int bit = ff_ctz(rest);
                if (block[bit] == 'u' && !ff_four_hex(text + base + bit + 1))
                    bad_escape |= 1ULL << bit;
            }
        }
        uint64_t ops = m.op & ~inside;
        uint64_t scalar = ~(inside | quote | ops | space);
        uint64_t starts = scalar & ~((scalar << 1) | scalar_carry);
        uint64_t found = ops | feed | (quote & inside) | starts;
        scalar_carry = scalar >> 63;
        if (bad | bad_escape) {
            /* The lines before the faulty one may end in this block: their tokens are wanted. */
            int bit = ff_ctz(bad | bad_escape);
            out = FF_EMIT(out, base, found & ((1ULL << bit) - 1));
            *error_at = base + (uint32_t)bit;
            *token_count = (uint32_t)(out - tokens);
            if (bad_escape >> bit & 1)
                return FF_SCAN_ESCAPE;
            return block[bit] == '\n' ? FF_SCAN_UNTERMINATED : FF_SCAN_CONTROL;
        }
        out = FF_EMIT(out, base, found);
    }
    *token_count = (uint32_t)(out - tokens);
    return FF_SCAN_OK;
}

#undef FF_NAME
#undef FF_TARGET
#undef FF_MASKS
#undef FF_ESCAPABLE
#undef FF_PREFIX_XOR
#undef FF_EMIT
