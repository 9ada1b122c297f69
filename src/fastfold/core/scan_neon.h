/* Scanner for aarch64, where NEON always is: four registers of 16 bytes a block. */

#include <arm_neon.h>

/* One bit a byte of four registers whose bytes are all ones or zero. */
static inline uint64_t ff_join_neon(uint8x16x4_t parts)
{
    const uint8x16_t weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    /* Adding neighbours three times gathers the bits of eight bytes in one. */
    uint8x16_t first = vpaddq_u8(vandq_u8(parts.val[0], weights), vandq_u8(parts.val[1], weights));
    uint8x16_t second = vpaddq_u8(vandq_u8(parts.val[2], weights), vandq_u8(parts.val[3], weights));
    uint8x16_t sums = vpaddq_u8(first, second);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

static inline uint64_t ff_equal_neon(uint8x16x4_t bytes, uint8_t byte)
{
    uint8x16x4_t same;
    for (int i = 0; i < 4; i++)
        same.val[i] = vceqq_u8(bytes.val[i], vdupq_n_u8(byte));
    return ff_join_neon(same);
}

static inline void ff_masks_neon(const uint8_t *block, ff_masks *m)
{
    /* The same tables of nibbles as in scan_avx2.h. */
    const uint8x16_t by_low = {0, 0, 13, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1};
    const uint8x16_t by_high = {0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
    uint8x16x4_t bytes, control, escape;
    for (int i = 0; i < 4; i++) {
        uint8x16_t part = vld1q_u8(block + 16 * i);
        uint8x16_t low = vandq_u8(part, vdupq_n_u8(0x0F));
        bytes.val[i] = part;
        control.val[i] = vcltq_u8(part, vdupq_n_u8(0x20));
        escape.val[i] = vtstq_u8(vqtbl1q_u8(by_low, low), vqtbl1q_u8(by_high, vshrq_n_u8(part, 4)));
    }
    m->quote = ff_equal_neon(bytes, '"');
    m->backslash = ff_equal_neon(bytes, '\\');
    m->control = ff_join_neon(control);
    m->escape = ff_join_neon(escape);
}

static inline uint32_t *ff_emit_neon(uint32_t *out, uint32_t base, uint64_t mask)
{
    uint32_t *end = out + ff_count(mask);
    /* Eight at a time without asking; what is written too much is overwritten by the next block. */
    while (mask) {
        for (int i = 0; i < 8; i++) {
            out[i] = base + (uint32_t)(mask ? ff_ctz(mask) : 0);
            mask &= mask - 1;
        }
        out += 8;
    }
    return end;
}

#define FF_NAME ff_scan_neon
#define FF_TARGET
#define FF_MASKS ff_masks_neon
#define FF_EMIT ff_emit_neon
#include "scan_body.h"
