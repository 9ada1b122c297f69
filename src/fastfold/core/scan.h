/* The token scanner: one body (scan_body.h), several instruction sets, chosen when the module loads. */

#ifndef FASTFOLD_SCAN_H
#define FASTFOLD_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The scanner reads and writes in whole blocks: text and tokens need this much room behind their end. */
#define FF_SCAN_PADDING 64

enum { FF_SCAN_OK = 0, FF_SCAN_CONTROL, FF_SCAN_ESCAPE, FF_SCAN_UNTERMINATED };

/* One bit a byte of a block. */
typedef struct {
    uint64_t quote, backslash, space, control, op;
} ff_masks;

static inline int ff_ctz(uint64_t mask) { return __builtin_ctzll(mask); }

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
#endif

/* Scan whole lines.
 *
 * text          IN   `length` bytes that end with a line feed, readable to FF_SCAN_PADDING behind it
 * tokens        OUT  room for length + FF_SCAN_PADDING positions
 * token_count   OUT  positions written
 * error_at      OUT  position of the first fault, when the result is not FF_SCAN_OK
 */
typedef int (*ff_scan_fn)(const uint8_t *text, uint32_t length, uint32_t *tokens, uint32_t *token_count,
                          uint32_t *error_at);

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
#endif
    return NULL;
}

#endif
