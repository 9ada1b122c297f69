/* Scanner without vector instructions: the oracle of the others, and what other machines run. */

static inline void ff_masks_scalar(const uint8_t *block, ff_masks *m)
{
    /* One bit a class, in the order of the members below. */
    static const uint8_t classes[256] = {
        [0 ... 0x1F] = 4, ['"'] = 1 | 8, ['\\'] = 2 | 8, ['/'] = 8, ['b'] = 8, ['f'] = 8, ['n'] = 8, ['r'] = 8, ['t'] = 8};
    uint64_t *members[4] = {&m->quote, &m->backslash, &m->control, &m->escape};

    memset(m, 0, sizeof *m);
    for (int i = 0; i < 64; i += 8) {
        uint64_t eight = 0;
        for (int j = 0; j < 8; j++)
            eight |= (uint64_t)classes[block[i + j]] << (8 * j);
        /* The product gathers one bit of each of eight bytes in the top byte. */
        for (int k = 0; k < 4; k++)
            *members[k] |= ((eight >> k & 0x0101010101010101ULL) * 0x0102040810204080ULL >> 56) << i;
    }
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
#define FF_EMIT ff_emit_scalar
#include "scan_body.h"
