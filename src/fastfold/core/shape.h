/* Shapes: whether a record has the very layout of one that was walked before.
 *
 * Neighbours in a batch file differ in their values only.  Of a record that was walked, everything between two
 * values is kept as parts of at most 32 bytes; another record has its shape when it has as many marks (scan_body.h)
 * and the same bytes there:
 *
 *   record   {"EventID":10,"Hostname":"a","Task":10}\n
 *   marks     1       2    3        4 5 6 7    8    9
 *   parts    {"EventID":  ,"Hostname":"  ","Task":  }\n    said to start so many bytes from the n-th mark:
 *            1 - 1        3 - 1          6          9 - 1  the one before it, or behind a bare value the next one
 *   values             10            a           10
 *
 * A string goes from the quote that ends a part to the next mark, where the next part must have its closing
 * quote.  All that is no value is then known to be sound, all strings are, and which value belongs to which slot;
 * only bare values are still to be checked.  All parts are compared before anything is decided: one branch a
 * record, not one a key.
 */

#ifndef FASTFOLD_SHAPE_H
#define FASTFOLD_SHAPE_H

#include <stdint.h>
#include <string.h>

enum { FF_PART_BYTES = 32 };

typedef uint8_t ff_part_bytes __attribute__((vector_size(FF_PART_BYTES)));

typedef struct {
    uint16_t mark;    /* of the record */
    int16_t skip;     /* bytes from that mark to the part */
    uint16_t length;
} ff_part;

/* The bytes of ff_head_of(n) are all ones for n bytes, then zero. */
static const uint8_t ff_ones_then_zeros[2 * FF_PART_BYTES] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

#define FF_SHAPE_FITS(NAME, TARGET)                                                                           \
    TARGET static int NAME(const uint8_t *text, const uint32_t *marks, const ff_part *parts,                  \
                           const uint8_t *bytes, uint32_t count)                                              \
    {                                                                                                         \
        ff_part_bytes differences = {0};                                                                      \
        uint64_t words[FF_PART_BYTES / 8];                                                                    \
        for (uint32_t i = 0; i < count; i++) {                                                                \
            ff_part_bytes seen, wanted, head;                                                                 \
            /* Where the record has another shape, a part may lie before it; not before the text. */          \
            int64_t at = (int64_t)marks[parts[i].mark] + parts[i].skip;                                       \
            memcpy(&seen, text + (at < 0 ? 0 : at), FF_PART_BYTES);                                           \
            memcpy(&wanted, bytes + FF_PART_BYTES * i, FF_PART_BYTES);                                        \
            memcpy(&head, ff_ones_then_zeros + FF_PART_BYTES - parts[i].length, FF_PART_BYTES);               \
            differences |= (seen ^ wanted) & head;                                                            \
        }                                                                                                     \
        memcpy(words, &differences, FF_PART_BYTES);                                                           \
        return (words[0] | words[1] | words[2] | words[3]) == 0;                                              \
    }

FF_SHAPE_FITS(ff_shape_fits_plain, )
#if defined(__x86_64__)
FF_SHAPE_FITS(ff_shape_fits_avx2, __attribute__((target("avx2"))))
#endif

#undef FF_SHAPE_FITS

/* Compare all parts of a shape with a record.
 *
 * text     readable to FF_SCAN_PADDING behind the record, which is as far as a part may reach from its mark
 * marks    those of the record, from its first
 * parts, bytes, count   of the shape; FF_PART_BYTES bytes a part
 */
typedef int (*ff_shape_fits_fn)(const uint8_t *text, const uint32_t *marks, const ff_part *parts,
                                const uint8_t *bytes, uint32_t count);

/* The best on this machine that goes with a scanner of this name. */
static inline ff_shape_fits_fn ff_shape_fits_for(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "scalar") != 0)
        return ff_shape_fits_avx2;
#endif
    (void)name;
    return ff_shape_fits_plain;
}

#endif
