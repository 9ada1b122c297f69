# Structs, enums and extension types of the core: each stands once, here or in what is included.
#
# What is written in C lies in core/*.h: the scanner in several instruction sets (scan.h), words (word.h) and a hash
# (blake2b.h).

cimport cython
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "core/word.h" nogil:
    uint64_t ff_load64(const uint8_t* at)
    uint16_t ff_load16(const uint8_t* at)
    uint32_t ff_load32(const uint8_t* at)
    void ff_store64(uint8_t* at, uint64_t word)
    int ff_top_bit(uint64_t word)
    uint64_t ff_mix(uint64_t a, uint64_t b)
    bint ff_has_odd_byte(uint64_t word)
    bint ff_same_text(const uint8_t* a, const uint8_t* b, uint32_t length)
    size_t ff_whole_lines(const uint8_t* text, size_t size)
    uint32_t ff_find32(const uint32_t* words, uint32_t count, uint32_t wanted)


cdef extern from "core/blake2b.h" nogil:
    uint64_t ff_blake2b_64(const uint8_t* person, const uint8_t* data, size_t size)


cdef extern from "core/scan.h" nogil:
    enum:
        FF_SCAN_PADDING
    ctypedef struct ff_marks:
        uint32_t* marks
        uint32_t* lines
        uint32_t mark_count
        uint32_t line_count
    ctypedef void (*ff_scan_fn)(const uint8_t* text, uint32_t length, ff_marks* result) noexcept nogil
    ff_scan_fn ff_scan_named(const char* name)


cdef extern from "core/shape.h" nogil:
    enum:
        FF_PART_BYTES
    ctypedef struct ff_part:
        uint16_t mark
        int16_t skip
        uint16_t length
    ctypedef int (*ff_shape_fits_fn)(
        const uint8_t* text, const uint32_t* marks, const ff_part* parts, const uint8_t* bytes, uint32_t count
    ) noexcept nogil
    ff_shape_fits_fn ff_shape_fits_for(const char* name)


cdef extern from "Python.h" nogil:
    int Py_IsInitialized()


cdef extern from *:
    """
    typedef __int128 ff_int128;
    """
    # Wide enough for any product of a time and a unit; to Cython it is some integer.
    ctypedef long long int128 "ff_int128"


include "core/reading.pxd"
include "core/states.pxd"
include "core/classes.pxd"
