/* The NEON scanner beside the scalar one: on a file, whole and damaged, and on texts made of what matters to
 * a scanner.  Prints what was compared; the first difference is printed and ends with status 1.
 *
 *     scan_neon FILE SEED TEXTS
 */

#include <stdio.h>
#include <stdlib.h>

#include "core/scan.h"

enum { ROOM = 1 << 20 };

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    /* xorshift64 of Marsaglia, "Xorshift RNGs" (2003). */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % below;
}

static ff_marks make_marks(void)
{
    ff_marks made = {0};
    made.marks = malloc((ROOM + FF_SCAN_PADDING) * sizeof *made.marks);
    made.lines = malloc((ROOM + FF_SCAN_PADDING) * sizeof *made.lines);
    return made;
}

static void compare(const uint8_t *text, uint32_t length)
{
    static ff_marks scalar, neon;
    if (!scalar.marks) {
        scalar = make_marks();
        neon = make_marks();
    }
    ff_scan_named("scalar")(text, length, &scalar);
    ff_scan_named("neon")(text, length, &neon);
    int same = scalar.mark_count == neon.mark_count && scalar.line_count == neon.line_count &&
               !memcmp(scalar.marks, neon.marks, scalar.mark_count * sizeof *scalar.marks) &&
               !memcmp(scalar.lines, neon.lines, scalar.line_count * sizeof *scalar.lines);
    if (!same) {
        printf("difference: marks %u and %u, in %u bytes: %.*s\n", scalar.mark_count, neon.mark_count, length,
               (int)length, (const char *)text);
        exit(1);
    }
}

int main(int count, char **arguments)
{
    static const char pieces[] = "\"\"\"\"\\\\\\\\{}[]:,,  \n\t\r\x01\x0c\x1a\x7f\x80\xba\xbb\xfe" "abfnrtu/0123456789";
    static uint8_t text[ROOM + FF_SCAN_PADDING];
    FILE *file = count == 4 ? fopen(arguments[1], "rb") : NULL;
    if (!file || !ff_scan_named("neon"))
        return 2;
    state = strtoull(arguments[2], NULL, 10) | 1;
    uint32_t length = (uint32_t)fread(text, 1, ROOM - 1, file);
    text[length++] = '\n';
    compare(text, length);
    unsigned long texts = strtoul(arguments[3], NULL, 10);
    for (unsigned long i = 0; i < texts; i++) {
        /* A stretch of the file with a few bytes changed, or a short text of odd pieces. */
        static uint8_t made[4096 + FF_SCAN_PADDING];
        uint32_t size = 1 + draw(i % 2 ? 300 : 4000);
        if (i % 2) {
            for (uint32_t at = 0; at < size; at++)
                made[at] = (uint8_t)pieces[draw(sizeof pieces - 1)];
        } else {
            size = size < length ? size : length;
            memcpy(made, text + draw(length - size + 1), size);
            for (uint32_t changes = draw(4); changes > 0; changes--)
                made[draw(size)] = (uint8_t)pieces[draw(sizeof pieces - 1)];
        }
        made[size++] = '\n';
        compare(made, size);
    }
    printf("%lu texts and a file of %u bytes: no difference\n", texts, length);
    return 0;
}
