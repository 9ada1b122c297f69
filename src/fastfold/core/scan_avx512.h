/* Token scanner for AVX-512 with VBMI2: one register a block, masks straight from comparisons. */

#define FF_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,pclmul,bmi,popcnt")))

FF_AVX512 static inline void ff_masks_avx512(const uint8_t *block, ff_masks *m)
{
    /* The same tables of nibbles as in scan_avx2.h. */
    const __m512i ops = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0));
    const __m512i by_low = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 13, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1));
    const __m512i by_high = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0));
    __m512i bytes = _mm512_loadu_si512(block);
    __m512i folded = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    __m512i nibble = _mm512_set1_epi8(0x0F);
    __m512i low = _mm512_shuffle_epi8(by_low, _mm512_and_si512(bytes, nibble));
    __m512i high = _mm512_shuffle_epi8(by_high, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble));
    m->quote = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"'));
    m->backslash = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\'));
    m->space = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(' '));
    m->control = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
    m->op = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(ops, bytes), folded);
    m->escapable = _mm512_test_epi8_mask(low, high);
    m->u = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('u'));
}

FF_AVX512 static inline uint64_t ff_prefix_xor_avx512(uint64_t mask)
{
    __m128i product = _mm_clmulepi64_si128(_mm_set_epi64x(0, (int64_t)mask), _mm_set1_epi8((char)0xFF), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

FF_AVX512 static inline uint32_t *ff_emit_avx512(uint32_t *out, uint32_t base, uint64_t mask)
{
    static const uint8_t positions[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    uint32_t count = (uint32_t)__builtin_popcountll(mask);
    __m512i packed = _mm512_maskz_compress_epi8(mask, _mm512_loadu_si512(positions));
    __m512i start = _mm512_set1_epi32((int)base);
    /* Sixteen positions without asking; what is written too much is overwritten by the next block. */
    _mm512_storeu_si512(out, _mm512_add_epi32(start, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(packed))));
    if (count > 16) {
        _mm512_storeu_si512(out + 16, _mm512_add_epi32(start, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, 1))));
        if (count > 32) {
            _mm512_storeu_si512(out + 32, _mm512_add_epi32(start, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, 2))));
            _mm512_storeu_si512(out + 48, _mm512_add_epi32(start, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, 3))));
        }
    }
    return out + count;
}

#define FF_NAME ff_scan_avx512
#define FF_TARGET FF_AVX512
#define FF_MASKS ff_masks_avx512
#define FF_PREFIX_XOR ff_prefix_xor_avx512
#define FF_EMIT ff_emit_avx512
#include "scan_body.h"
