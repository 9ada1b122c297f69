/* Scanner for AVX-512 with VBMI: one register a block, masks straight from comparisons. */

#define FF_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,bmi,lzcnt,popcnt")))

FF_AVX512 static inline void ff_masks_avx512(const uint8_t *block, ff_masks *m)
{
    /* The top bit where a byte makes an escape, by its low seven bits: the eighth must not be set. */
    static const uint8_t escapes[128] = {['"'] = 0x80, ['\\'] = 0x80, ['/'] = 0x80, ['b'] = 0x80,
                                         ['f'] = 0x80, ['n'] = 0x80,  ['r'] = 0x80, ['t'] = 0x80};
    __m512i bytes = _mm512_loadu_si512(block);
    __m512i found = _mm512_permutex2var_epi8(_mm512_loadu_si512(escapes), bytes, _mm512_loadu_si512(escapes + 64));
    m->quote = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"'));
    m->backslash = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\'));
    m->control = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
    m->escape = _mm512_movepi8_mask(_mm512_andnot_si512(bytes, found));
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
    if (FF_RARE(count > 16)) {
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
#define FF_EMIT ff_emit_avx512
#include "scan_body.h"
