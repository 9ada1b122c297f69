/* Token scanner without vector instructions: the oracle of the others, and what other machines run. */

static inline void ff_masks_scalar(const uint8_t *block, ff_masks *m)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < 64; i++) {
        uint64_t bit = 1ULL << i;
        uint8_t c = block[i];
        m->quote |= c == '"' ? bit : 0;
        m->backslash |= c == '\\' ? bit : 0;
        m->control |= c < 0x20 ? bit : 0;
        m->space |= c == ' ' ? bit : 0;
        m->op |= c == '{' || c == '}' || c == '[' || c == ']' || c == ':' || c == ',' ? bit : 0;
    }
}

static inline uint64_t ff_escapable_scalar(const uint8_t *block)
{
    uint64_t mask = 0;
    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)(block[i] != 0 && strchr("\"\\/bfnrtu", block[i]) != NULL) << i;
    return mask;
}

static inline uint64_t ff_prefix_xor_scalar(uint64_t mask)
{
    for (int shift = 1; shift < 64; shift <<= 1)
        mask ^= mask << shift;
    return mask;
}

static inline uint32_t *ff_emit_scalar(uint32_t *out, uint32_t base, uint64_t mask)
{
    for (; mask; mask &= mask - 1)
        *out++ = base + (uint32_t)ff_ctz(mask);
    return out;
}

#define FF_NAME ff_scan_scalar
#define FF_TARGET
#define FF_MASKS ff_masks_scalar
#define FF_ESCAPABLE ff_escapable_scalar
#define FF_PREFIX_XOR ff_prefix_xor_scalar
#define FF_EMIT ff_emit_scalar
#include "scan_body.h"
