/* The token scanner: one body (scan_body.h), several instruction sets, chosen when the module loads. */

#ifndef FASTFOLD_SCAN_H
#define FASTFOLD_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The scanner reads and writes in whole blocks, and a shape is compared as far behind a token as its record was
 * long there (shape.h): text and tokens need this much room behind their end. */
#define FF_SCAN_PADDING 256

enum { FF_SCAN_OK = 0, FF_SCAN_CONTROL, FF_SCAN_ESCAPE, FF_SCAN_UNTERMINATED };

/* One bit a byte of a block. */
typedef struct {
    uint64_t quote, backslash, space, control, op;
    uint64_t escapable;  /* may follow a backslash */
    uint64_t u;          /* does so with four digits behind it */
} ff_masks;

/* What a scan finds.  The caller gives room for length + FF_SCAN_PADDING tokens and as many lines as there are
 * line feeds. */
typedef struct {
    uint32_t *tokens;      /* positions in the text */
    uint32_t *lines;       /* of each line, the number of the token that is its line feed */
    uint32_t token_count;
    uint32_t line_count;
    uint32_t error_at;     /* position of the first fault */
} ff_tokens;

#define FF_RARE(condition) __builtin_expect((condition) != 0, 0)

static inline int ff_ctz(uint64_t mask) { return __builtin_ctzll(mask); }

static inline uint32_t ff_count(uint64_t mask) { return (uint32_t)__builtin_popcountll(mask); }

/* Note the lines that end in a block: of each line feed, its number among the tokens. */
static inline uint32_t *ff_note_lines(uint32_t *out, uint32_t first_token, uint64_t found, uint64_t feeds)
{
    for (; feeds; feeds &= feeds - 1)
        *out++ = first_token + ff_count(found & ((feeds & -feeds) - 1));
    return out;
}

static inline int ff_is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* A record ends with a line feed, which is no digit: this never reads past the padding. */
static inline int ff_four_hex(const uint8_t *at)
{
    return ff_is_hex(at[0]) && ff_is_hex(at[1]) && ff_is_hex(at[2]) && ff_is_hex(at[3]);
}

#include "scan_scalar.h"
#if defined(__x86_64__)
#include "scan_avx2.h"
#include "scan_avx512.h"
#elif defined(__aarch64__)
#include "scan_neon.h"
#endif

/* Scan whole lines: `length` bytes that end with a line feed, readable to FF_SCAN_PADDING behind it.  Returns
 * one of FF_SCAN_*; of a fault, the tokens before it are given. */
typedef int (*ff_scan_fn)(const uint8_t *text, uint32_t length, ff_tokens *result);

/* The scanner of this name, or NULL when this machine cannot run it. */
static inline ff_scan_fn ff_scan_named(const char *name)
{
    if (strcmp(name, "scalar") == 0)
        return ff_scan_scalar;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul"))
        return ff_scan_avx2;
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("pclmul"))
        return ff_scan_avx512;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0)
        return ff_scan_neon;
#endif
    return NULL;
}

#endif
