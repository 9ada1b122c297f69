# Classes: the extension types, and what they hold.

cdef class Plan:
    cdef CPlan c
    cdef readonly object schema
    cdef readonly object definition
    cdef readonly object limits
    cdef list reasons
    cdef list kept              # buffers that the C plan points into
    cdef list views             # of merges that have ended, for those to come


cdef class EventPlan(Plan):
    pass


@cython.final
cdef class Inflater:
    cdef object file            # None when all of it is in memory
    cdef object source          # keeps `data`
    cdef const uint8_t[::1] view
    cdef const uint8_t* data
    cdef size_t size
    cdef size_t at
    cdef uint64_t base          # of data[0] in the file
    cdef uint64_t stored        # bytes of the file, if known before they are read
    cdef bint ended             # nothing of the file comes after `data`
    cdef bint is_gzip
    cdef int place
    cdef void* state
    cdef uint32_t crc
    cdef uint32_t member_bytes
    cdef uint64_t member_start
    cdef uint64_t total
    cdef uint64_t file_limit
    cdef uint64_t inflated_limit
    cdef uint64_t ratio_limit
    cdef uint64_t ratio_from
    cdef Fault fault

    cdef int _check_stored(self) except -1
    cdef int _read_more(self) except -1
    cdef Status _some(self, uint8_t* out, size_t wanted, size_t* made) noexcept nogil


cdef class Reader:
    cdef Parse parse
    cdef readonly Plan plan
    cdef bytearray window_buffer
    cdef bint at_start

    cdef int _make_window(self, size_t room) except -1
    cdef void _begin(self)
    cdef void _begin_file(self)
    cdef int _raise_fault(self) except -1
    cdef Status _advance(self) noexcept nogil
    cdef void _skip_bom(self) noexcept nogil
    cdef int _copy_in(self, const uint8_t* data, size_t size) except -1
    cdef Status _take_in_place(self, const uint8_t* data, size_t size) noexcept nogil
    cdef Status _take_lines(self, const uint8_t* text, size_t size) noexcept nogil
    cdef Status _end(self) noexcept nogil
    cdef object _counts(self)
    cdef list _identities(self)


@cython.final
cdef class Folder(Reader):
    cdef Fold fold
    cdef View view


@cython.final
cdef class Rows:
    cdef EventRow* rows
    cdef size_t room
    cdef size_t count
    cdef Py_ssize_t views


cdef class EventReader(Reader):
    cdef Rows lent

    cdef object _hand_over(self, Parse* p)
    cdef int _finish_parse(self) except -1
    cdef object _texts(self)
    cdef object _batch(self, strings)


@cython.final
cdef class Parser(EventReader):
    pass


@cython.final
cdef class EventFolder(EventReader):
    cdef Fold fold
    cdef View view


@cython.final
cdef class Deltas:
    cdef Bytes payloads
    cdef list identities
    cdef list ends              # of the payloads, by process
    cdef readonly object counts


cdef class Conditions:
    cdef CConditions c
    cdef list kept
    cdef const uint32_t[::1] points

    cdef int _keep_nodes(self, list words) except -1
    cdef int _keep_patterns(self, list patterns) except -1


@cython.final
cdef class Matching:
    cdef readonly Conditions conditions
    cdef uint32_t* pattern_epochs   # text for which a pattern was found last
    cdef uint32_t pattern_epoch
    cdef Bytes caseless
    # what was found in the texts of a batch: patterns, by code
    cdef uint32_t text_count
    cdef uint32_t* hits
    cdef size_t hit_count
    cdef size_t hit_room
    cdef uint64_t* hit_ends
    cdef size_t hit_end_room
    cdef uint32_t* pending          # code, pattern
    cdef size_t pending_count
    cdef size_t pending_room
    cdef uint32_t* scratch
    cdef uint32_t* column_atoms
    cdef Sets patterns
    cdef Sets atoms
    cdef Sets steps
    cdef uint32_t* text_sets        # code -> number of its set of patterns
    cdef size_t text_room
    cdef uint32_t* projected        # set of patterns -> KEY_WORDS sets of atoms
    cdef uint32_t projected_count
    cdef uint32_t projected_room
    cdef Judged judged
    cdef Combinations combinations
    cdef uint32_t* found            # event, step
    cdef size_t found_count
    cdef size_t found_room

    cdef bint _forget(self) noexcept nogil
    cdef bint _search_all(self, const uint8_t* text, const uint32_t* offsets, uint32_t count) noexcept nogil
    cdef bint _search(
        self, uint32_t code, const uint8_t* at, uint32_t length, const uint8_t* written, uint32_t written_length
    ) noexcept nogil
    cdef bint _report(
        self, uint32_t code, uint32_t state, uint32_t end, uint32_t length, const uint8_t* written,
        uint32_t written_length
    ) noexcept nogil
    cdef bint _add_pending(self, uint32_t code, uint32_t number) noexcept nogil
    cdef bint _number_texts(self, const uint32_t* more, size_t more_count) noexcept nogil
    cdef uint32_t _project(self, const uint32_t* patterns, uint32_t count) noexcept nogil
    cdef bint _look_up(self, const EventRow* rows, size_t count, const Names* names) noexcept nogil
    cdef uint32_t _atoms_of(self, uint32_t code, uint32_t word) noexcept nogil
    cdef uint32_t _steps_met(self) noexcept nogil
    cdef bint _note(self, uint32_t event, uint32_t met) noexcept nogil


@cython.final
@cython.auto_pickle(False)
cdef class Column:
    cdef bytes name
    cdef bytes format           # as the interface spells types
    cdef bint nullable
    cdef int64_t length
    cdef int64_t null_count
    cdef tuple buffers          # objects with their bytes, or None
    cdef tuple children         # of Column
    cdef Column dictionary


@cython.final
@cython.auto_pickle(False)
cdef class Chunks:
    cdef Column schema
    cdef object rest            # iterator of Column
    cdef bytes error


@cython.final
@cython.auto_pickle(False)
cdef class ArrowTable:
    cdef Column schema
    cdef object chunks          # gives an iterator of Column
    cdef Py_ssize_t rows


@cython.final
cdef class Compressor:
    cdef void* context
    cdef bint has_checksum      # as the context is set
    cdef bint is_wide

    cdef size_t compress(
        self, uint8_t* out, size_t room, const uint8_t* data, size_t size, bint has_checksum
    ) noexcept nogil


@cython.final
cdef class Dictionary:
    cdef bytes content
    cdef int level
    cdef list compressors       # of calls that have ended, for those to come
    cdef void* expanding
    cdef readonly int id

    cdef Compressor borrow(self)
    cdef void give_back(self, Compressor compressor) noexcept


@cython.final
cdef class Packer:
    cdef Dictionary dictionary  # to write with, or None
    cdef Compressor compressor  # lent by the dictionary for a call, or its own
    cdef Compressor light       # for version 1
    cdef void* expander
    cdef void* expanding[256]   # by id of the dictionary
    cdef list dictionaries      # kept alive
    cdef Bytes frame
    cdef Bytes made             # of all objects of a call
    cdef const uint8_t* name    # of the host whose values are unpacked, while they are
    cdef size_t name_size
    cdef size_t value_bytes
    cdef uint8_t write

    cdef void _clear(self) noexcept
    cdef Status _pack(self, Piece* pieces, Py_ssize_t* count, Bytes* out) noexcept nogil
    cdef Status _pack_one(self, const uint8_t* payload, size_t size, Bytes* out) noexcept nogil
    cdef size_t _squeeze(
        self, Compressor compressor, Bytes* out, size_t front, const uint8_t* data, size_t size, bint has_checksum
    ) noexcept nogil
    cdef size_t _squeeze_well(self, const uint8_t* data, size_t size, bint has_checksum) noexcept nogil
    cdef Status _pack_1(self, const uint8_t* payload, size_t size, Bytes* out) noexcept nogil
    cdef Status _pack_2(self, const uint8_t* payload, size_t size, Bytes* out) noexcept nogil
    cdef Status _pack_3(self, const Parts* parts, Bytes* out) noexcept nogil
    cdef Status _unpack(self, Piece* pieces, Py_ssize_t* count, Bytes* out) noexcept nogil
    cdef Status _unpack_one(self, Piece* piece, Bytes* out) noexcept nogil
    cdef Status _unpack_body(
        self, uint8_t dictionary, const uint8_t* body, size_t size, Piece* piece, Bytes* out
    ) noexcept nogil
    cdef Status _unpack_3(self, Piece* piece, Bytes* out) noexcept nogil
    cdef Status _put_parts(
        self, Parts* parts, const uint8_t* body, const uint8_t* end, bint is_frame, void* dictionary, Bytes* out
    ) noexcept nogil
    cdef Status _expand_texts(
        self, const uint8_t* body, size_t size, uint8_t* out, size_t texts, bint is_frame, void* dictionary
    ) noexcept nogil
    cdef Status _expand(self, const uint8_t* frame, size_t size, Piece* piece, size_t mark, Bytes* out) noexcept nogil
