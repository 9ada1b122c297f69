/* Words: unaligned loads, the wide product of the hash, and a search that C compilers do not vectorise. */

#ifndef FASTFOLD_WORD_H
#define FASTFOLD_WORD_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline uint64_t ff_load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t ff_load32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint16_t ff_load16(const uint8_t *at)
{
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Both halves of the 128-bit product, folded. */
static inline uint64_t ff_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Whether some byte of the word is a backslash or not ASCII. */
static inline int ff_has_odd_byte(uint64_t word)
{
    uint64_t difference = word ^ 0x5C5C5C5C5C5C5C5CULL;
    uint64_t zero = (difference - 0x0101010101010101ULL) & ~difference;
    return ((zero | word) & 0x8080808080808080ULL) != 0;
}

/* Index of `wanted` in `words`, or `count`. */
static inline uint32_t ff_find32(const uint32_t *words, uint32_t count, uint32_t wanted)
{
    uint32_t i = 0;
#if defined(__SSE2__)
    const __m128i all = _mm_set1_epi32((int)wanted);
    for (; i + 4 <= count; i += 4) {
        __m128i same = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(words + i)), all);
        int bits = _mm_movemask_ps(_mm_castsi128_ps(same));
        if (bits)
            return i + (uint32_t)__builtin_ctz((unsigned)bits);
    }
#endif
    for (; i < count; i++)
        if (words[i] == wanted)
            return i;
    return count;
}

#endif
