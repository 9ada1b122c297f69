/* Scanner for AVX2: two halves of 32 bytes a block. */

#define FF_AVX2 __attribute__((target("avx2,bmi,popcnt")))

FF_AVX2 static inline uint64_t ff_join_avx2(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

FF_AVX2 static inline uint64_t ff_equal_avx2(__m256i low, __m256i high, char byte)
{
    __m256i wanted = _mm256_set1_epi8(byte);
    return ff_join_avx2(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted));
}

FF_AVX2 static inline __m256i ff_control_avx2(__m256i half)
{
    __m256i top = _mm256_set1_epi8(0x1F);
    return _mm256_cmpeq_epi8(_mm256_max_epu8(half, top), top);
}

FF_AVX2 static inline __m256i ff_no_escape_avx2(__m256i half)
{
    /* A byte makes an escape when the table of its low nibble has the bit that its high nibble stands for:
     * 2x " / -> 1,  5x \ -> 2,  6x b f n -> 4,  7x r t -> 8.  Bytes from 0x80 on give 0. */
    const __m256i by_low = _mm256_setr_epi8(0, 0, 13, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1,
                                            0, 0, 13, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
    const __m256i by_high = _mm256_setr_epi8(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0,
                                             0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i nibble = _mm256_set1_epi8(0x0F);
    __m256i low = _mm256_shuffle_epi8(by_low, _mm256_and_si256(half, nibble));
    __m256i high = _mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(half, 4), nibble));
    return _mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256());
}

FF_AVX2 static inline void ff_masks_avx2(const uint8_t *block, ff_masks *m)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)block);
    __m256i high = _mm256_loadu_si256((const __m256i *)(block + 32));
    m->quote = ff_equal_avx2(low, high, '"');
    m->backslash = ff_equal_avx2(low, high, '\\');
    m->control = ff_join_avx2(ff_control_avx2(low), ff_control_avx2(high));
    m->escape = ~ff_join_avx2(ff_no_escape_avx2(low), ff_no_escape_avx2(high));
}

FF_AVX2 static inline uint32_t *ff_emit_avx2(uint32_t *out, uint32_t base, uint64_t mask)
{
    uint32_t count = (uint32_t)__builtin_popcountll(mask);
    uint32_t *end = out + count;
    /* Eight at a time without asking; what is written too much is overwritten by the next block. */
    while (mask) {
        for (int i = 0; i < 8; i++) {
            out[i] = base + (uint32_t)(mask ? __builtin_ctzll(mask) : 0);
            mask &= mask - 1;
        }
        out += 8;
    }
    return end;
}

#define FF_NAME ff_scan_avx2
#define FF_TARGET FF_AVX2
#define FF_MASKS ff_masks_avx2
#define FF_EMIT ff_emit_avx2
#include "scan_body.h"
