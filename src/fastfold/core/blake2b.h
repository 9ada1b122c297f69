/* BLAKE2b of 64 bits, without a key: what names, and so keys, are made of.  After RFC 7693.
 *
 * hashlib computes the same; for a name, a call of it and base64 take four times as long as `state_keys`. */

#ifndef FASTFOLD_BLAKE2B_H
#define FASTFOLD_BLAKE2B_H

#include "word.h"

#define FF_BLAKE2B_BLOCK 128
#define FF_BLAKE2B_ROUNDS 12

static const uint64_t ff_blake2b_start[8] = {
    0x6A09E667F3BCC908ULL, 0xBB67AE8584CAA73BULL, 0x3C6EF372FE94F82BULL, 0xA54FF53A5F1D36F1ULL,
    0x510E527FADE682D1ULL, 0x9B05688C2B3E6C1FULL, 0x1F83D9ABFB41BD6BULL, 0x5BE0CD19137E2179ULL,
};

/* Which words of the block a round takes; the last two are the first two again. */
static const uint8_t ff_blake2b_order[FF_BLAKE2B_ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static inline uint64_t ff_turn_right(uint64_t word, int bits)
{
    return word >> bits | word << (64 - bits);
}

static inline void ff_blake2b_mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = ff_turn_right(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = ff_turn_right(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = ff_turn_right(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = ff_turn_right(v[b] ^ v[c], 63);
}

/* Take a block in; `count` bytes are in with it. */
static inline void ff_blake2b_take(uint64_t *h, const uint8_t *block, uint64_t count, int is_last)
{
    uint64_t v[16], m[16];
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = ff_blake2b_start[i];
    }
    for (int i = 0; i < 16; i++)
        m[i] = ff_load64(block + 8 * i);
    v[12] ^= count;
    if (is_last)
        v[14] = ~v[14];
#pragma GCC unroll 12
    for (int i = 0; i < FF_BLAKE2B_ROUNDS; i++) {
        const uint8_t *s = ff_blake2b_order[i];
        ff_blake2b_mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        ff_blake2b_mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        ff_blake2b_mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        ff_blake2b_mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        ff_blake2b_mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        ff_blake2b_mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        ff_blake2b_mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        ff_blake2b_mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

/* The 8 bytes of the digest as they stand in memory; `person` is 16 bytes long. */
static inline uint64_t ff_blake2b_64(const uint8_t *person, const uint8_t *data, size_t size)
{
    uint64_t h[8];
    uint8_t last[FF_BLAKE2B_BLOCK] = {0};
    size_t done = 0;
    memcpy(h, ff_blake2b_start, sizeof h);
    h[0] ^= 0x01010008; /* one leaf, no key, a digest of 8 bytes */
    h[6] ^= ff_load64(person);
    h[7] ^= ff_load64(person + 8);
    for (; size - done > FF_BLAKE2B_BLOCK; done += FF_BLAKE2B_BLOCK)
        ff_blake2b_take(h, data + done, done + FF_BLAKE2B_BLOCK, 0);
    if (size)
        memcpy(last, data + done, size - done);
    ff_blake2b_take(h, last, size, 1);
    return h[0];
}

#endif
