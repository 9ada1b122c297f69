/* The scanner of marks: one body (scan_body.h), several instruction sets, chosen when the module loads. */

#ifndef FASTFOLD_SCAN_H
#define FASTFOLD_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The scanner reads and writes in whole blocks, and a shape is compared as far behind a mark as its record was
 * long there (shape.h): text and marks need this much room behind their end. */
#define FF_SCAN_PADDING 256

enum { FF_PREFETCH = 4096 };

/* One bit a byte of a block. */
typedef struct {
    uint64_t quote, backslash, control;
    uint64_t escape;  /* makes an escape behind a backslash; u does not by itself */
} ff_masks;

/* What a scan finds.  The caller gives room for length + FF_SCAN_PADDING marks and as many lines as there are
 * line feeds. */
typedef struct {
    uint32_t *marks;       /* positions in the text */
    uint32_t *lines;       /* of each line, the number of the mark that is its line feed */
    uint32_t mark_count;
    uint32_t line_count;
} ff_marks;

#define FF_RARE(condition) __builtin_expect((condition) != 0, 0)

static inline int ff_ctz(uint64_t mask) { return __builtin_ctzll(mask); }

static inline uint32_t ff_count(uint64_t mask) { return (uint32_t)__builtin_popcountll(mask); }

/* Note the lines that end in a block: of each line feed, its number among the marks. */
static inline uint32_t *ff_note_lines(uint32_t *out, uint32_t first, uint64_t found, uint64_t control, const uint8_t *block)
{
    for (; control; control &= control - 1)
        if (block[ff_ctz(control)] == '\n')
            *out++ = first + ff_count(found & ((control & -control) - 1));
    return out;
}

static inline int ff_is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Whether an escape by number starts here.  A record ends with a line feed, which is no digit: this never reads
 * past the padding. */
static inline int ff_is_escape_u(const uint8_t *at)
{
    return at[0] == 'u' && ff_is_hex(at[1]) && ff_is_hex(at[2]) && ff_is_hex(at[3]) && ff_is_hex(at[4]);
}

#include "scan_scalar.h"
#if defined(__x86_64__)
#include "scan_avx2.h"
#include "scan_avx512.h"
#elif defined(__aarch64__)
#include "scan_neon.h"
#endif

/* Scan whole lines: `length` bytes that end with a line feed, readable to FF_SCAN_PADDING behind it. */
typedef void (*ff_scan_fn)(const uint8_t *text, uint32_t length, ff_marks *result);

/* The scanner of this name, or NULL when this machine cannot run it. */
static inline ff_scan_fn ff_scan_named(const char *name)
{
    if (strcmp(name, "scalar") == 0)
        return ff_scan_scalar;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2"))
        return ff_scan_avx2;
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"))
        return ff_scan_avx512;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0)
        return ff_scan_neon;
#endif
    return NULL;
}

#endif
