/* Token scanner without vector instructions: the oracle of the others, and what other machines run. */

static inline void ff_masks_scalar(const uint8_t *block, ff_masks *m)
{
    /* One bit a class; bits 0 to 6 in the order of the members below. */
    static const uint8_t classes[256] = {
        [0 ... 0x1F] = 8, ['"'] = 1 | 32, ['\\'] = 2 | 32, [' '] = 4, ['/'] = 32, ['b'] = 32, ['f'] = 32,
        ['n'] = 32, ['r'] = 32, ['t'] = 32, ['u'] = 32 | 64, ['{'] = 16, ['}'] = 16, ['['] = 16, [']'] = 16,
        [':'] = 16, [','] = 16};
    uint64_t *members[7] = {&m->quote, &m->backslash, &m->space, &m->control, &m->op, &m->escapable, &m->u};

    memset(m, 0, sizeof *m);
    for (int i = 0; i < 64; i += 8) {
        uint64_t eight = 0;
        for (int j = 0; j < 8; j++)
            eight |= (uint64_t)classes[block[i + j]] << (8 * j);
        /* The product gathers one bit of each of eight bytes in the top byte. */
        for (int k = 0; k < 7; k++)
            *members[k] |= ((eight >> k & 0x0101010101010101ULL) * 0x0102040810204080ULL >> 56) << i;
    }
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
#define FF_PREFIX_XOR ff_prefix_xor_scalar
#define FF_EMIT ff_emit_scalar
#include "scan_body.h"
