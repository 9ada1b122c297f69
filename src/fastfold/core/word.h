/* Words: unaligned loads, the wide product of the hash, and loops that C compilers do not vectorise well. */

#ifndef FASTFOLD_WORD_H
#define FASTFOLD_WORD_H

#include <stddef.h>
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

static inline void ff_store64(uint8_t *at, uint64_t word)
{
    memcpy(at, &word, sizeof word);
}

/* Place of the highest bit of a word that is not 0. */
static inline int ff_top_bit(uint64_t word)
{
    return 63 - __builtin_clzll(word);
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

/* Whether `length` bytes are the same; both are readable to 16 bytes behind their end.  Texts are short: a call
 * of memcmp would take longer than the comparison. */
static inline int ff_same_text(const uint8_t *a, const uint8_t *b, uint32_t length)
{
#if defined(__SSE2__)
    for (; length > 16; length -= 16, a += 16, b += 16) {
        __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)a), _mm_loadu_si128((const __m128i *)b));
        if (_mm_movemask_epi8(same) != 0xFFFF)
            return 0;
    }
    __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)a), _mm_loadu_si128((const __m128i *)b));
    return ((_mm_movemask_epi8(same) | 0xFFFF << length) & 0xFFFF) == 0xFFFF;
#else
    for (; length > 8; length -= 8, a += 8, b += 8)
        if (ff_load64(a) != ff_load64(b))
            return 0;
    return memcmp(a, b, length) == 0;
#endif
}

/* Bytes up to and with the last line feed; 0 when there is none. */
static inline size_t ff_whole_lines(const uint8_t *text, size_t size)
{
    while (size >= 8) {
        uint64_t word = ff_load64(text + size - 8) ^ 0x0A0A0A0A0A0A0A0AULL;
        if ((word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL)
            break;
        size -= 8;
    }
    while (size > 0 && text[size - 1] != '\n')
        size--;
    return size;
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
