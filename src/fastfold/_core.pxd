# Structs, enums and extension types of the core: each stands here, once.
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


# --- status ---

cdef enum Status:
    OK = 0
    NO_MEMORY
    # the compressed stream
    MORE_INPUT          # no fault: the next piece of the file is wanted
    GZIP_HEADER
    GZIP_HEADER_CHECKSUM
    GZIP_DATA
    GZIP_CHECKSUM
    GZIP_TRUNCATED
    GZIP_TRAILING
    INFLATED_TOO_LARGE
    RATIO_TOO_LARGE
    # JSON
    JSON_CONTROL
    JSON_ESCAPE
    JSON_UNTERMINATED
    JSON_VALUE
    JSON_NUMBER
    JSON_LITERAL
    JSON_KEY
    JSON_COLON
    JSON_COMMA
    JSON_TRAILING
    JSON_ENDED
    JSON_DEPTH
    KEY_UTF8
    # records
    RECORD_TOO_LONG
    TIME_UNREADABLE
    TOO_MANY_PROCESSES
    TOO_MUCH_TEXT
    # payloads
    PAYLOAD_TRUNCATED
    PAYLOAD_VARINT
    PAYLOAD_UNIT
    PAYLOAD_TIME
    PAYLOAD_REDUCER
    PAYLOAD_ORDER
    PAYLOAD_KIND
    PAYLOAD_COUNT
    PAYLOAD_TEXT
    PAYLOAD_SET
    PAYLOAD_NUMBER
    PAYLOAD_FORM
    PAYLOAD_ID
    PAYLOAD_TRAILING
    PAYLOAD_NOT_CANONICAL
    IDENTITY_DIFFERS
    # values
    VALUE_SHORT
    VALUE_VERSION
    VALUE_DICTIONARY
    VALUE_FORM
    VALUE_FRAME
    VALUE_FRAME_FORM
    VALUE_NO_SIZE
    VALUE_EMPTY
    VALUE_HOST
    VALUE_CHECKSUM
    VALUE_TOO_LONG


cdef enum Place:
    # Where in a gzip file the next byte is.
    BEFORE = 0
    IN_MEMBER
    AT_TRAILER
    BETWEEN
    IN_ZEROS
    AT_END


ctypedef struct Fault:
    Status status
    uint64_t line       # from 1; 0 when there is none
    uint64_t offset
    uint64_t limit      # 0 when there is none


# --- bytes and strings ---

ctypedef struct Bytes:
    uint8_t* data
    size_t size
    size_t room


ctypedef struct RawText:
    uint64_t hash
    uint32_t at         # in Strings.raw_bytes
    uint32_t length
    uint32_t code
    uint8_t form        # number of a FormPlan
    uint8_t odd


ctypedef struct Strings:
    # Texts lie one after the other in `text`; code c has offsets[c] to offsets[c + 1]; code 0 is absent.
    Bytes text
    uint32_t* offsets
    uint64_t* hashes
    uint8_t* cut
    uint32_t count
    uint32_t room
    uint32_t* table
    uint32_t mask
    # What was met in files before it was decoded, so that a text that comes again is not decoded again.
    Bytes raw_bytes
    RawText* raws
    uint32_t raw_count
    uint32_t raw_room
    uint32_t* raw_table
    uint32_t raw_mask


ctypedef struct Memo:
    # A raw text that a slot had lately: neighbours often repeat it.
    uint32_t at                 # in Strings.raw_bytes
    uint32_t length             # 0 = none
    uint32_t code
    uint8_t form
    uint8_t odd


ctypedef struct Pairs:
    # A numbered set of pairs of uint32: (tenant code, host code) or (host index, process code).
    uint64_t* keys
    uint32_t count
    uint32_t room
    uint32_t* table
    uint32_t mask


# --- plan ---

ctypedef struct KeyEntry:
    uint32_t key_at     # in CPlan.key_bytes
    uint16_t key_length
    int16_t slot        # where the value goes, or NOWHERE
    int16_t child       # node of the keys below, or NOWHERE
    uint16_t below      # slots below: [below, below_end)
    uint16_t below_end
    uint8_t used
    uint8_t is_last     # `child` is for the last element of an array, not for an object


ctypedef struct Verdict:
    # What a test or the discriminator made of the text it met last.
    uint8_t bytes[80]           # VERDICT_BYTES and 16 to read over
    uint32_t length             # 0 = none
    bint holds
    const KeyEntry* entry


ctypedef struct Node:
    uint32_t first      # its hash table is entries[first .. first + mask]
    uint32_t mask


ctypedef struct Field:
    uint16_t first      # its alternatives are slots alternatives[first .. first + count)
    uint16_t count


ctypedef struct Literal:
    uint32_t at         # in CPlan.key_bytes
    uint32_t length


ctypedef struct Test:
    Field field
    uint16_t first      # its values are literals[first .. first + count)
    uint16_t count
    uint8_t op
    uint8_t negate
    uint16_t reason


ctypedef struct FormPlan:
    # What a raw text is to become.  Raw texts are remembered with the number of their form.
    uint8_t is_id
    uint16_t first_absent       # literals that count as absent
    uint16_t absent_count


ctypedef struct TimePlan:
    Field field
    uint8_t form


ctypedef struct IdPlan:
    Field field
    uint16_t first_part         # where the field is absent: parts are fields part_fields[first_part ..]
    uint16_t part_count


ctypedef struct ColumnPlan:
    uint8_t column
    uint8_t kind                # SOURCE_TEXT, ...
    uint8_t form
    IdPlan id                   # the paths, whatever the kind
    Field tail


ctypedef struct Mapping:
    uint8_t kind
    IdPlan process
    uint16_t first_test
    uint16_t test_count
    uint16_t first_column
    uint16_t column_count


ctypedef struct Wildcard:
    Literal text
    uint16_t mapping
    uint8_t is_end              # `text` is how the discriminator ends, else how it starts


ctypedef struct Embedded:
    int16_t slot                # of the string
    int16_t child               # node of the keys in it
    uint16_t below
    uint16_t below_end


ctypedef struct ReducerPlan:
    uint32_t tag
    uint8_t op
    uint8_t column      # number of a column, or COLUMN_TIME, or COLUMN_NONE
    uint32_t kinds      # one bit a kind
    uint32_t limit
    uint32_t text_bytes
    uint32_t read_bytes         # longest text in a payload: limits were larger once
    uint32_t full_bytes         # what members weigh when a set is full
    uint32_t reserve_bytes
    uint32_t place      # first word in the accumulator
    uint32_t members    # first member in a view


ctypedef struct CPlan:
    uint8_t* key_bytes
    KeyEntry* entries
    uint32_t entry_count
    Node* nodes
    uint16_t* alternatives
    uint16_t slot_count
    Literal* literals
    Test* tests
    uint16_t require_count      # the first tests are those every record must pass
    int16_t kinds_node          # discriminator text -> first mapping list
    uint16_t* mapping_lists     # count, then numbers of mappings
    Wildcard* wildcards         # in the order of the mappings
    uint16_t wildcard_count
    Mapping* mappings
    ColumnPlan* columns
    FormPlan* forms             # FORM_TEXT, FORM_ID, then those with texts that count as absent
    Field* part_fields
    Embedded* embedded
    uint16_t embedded_count
    TimePlan* times
    uint16_t time_count
    Field tenant
    Field host
    Field discriminator
    uint8_t id_form
    uint16_t test_count
    uint16_t reason_count
    # fold
    ReducerPlan* reducers
    uint32_t reducer_count
    uint32_t stride_words       # 64-bit words of an accumulator
    uint32_t member_room
    uint64_t pool_bytes         # what sets share, before the identity is taken off
    uint16_t* steps             # reducers of kind k: steps[k * reducer_count ..], ended by NO_STEP
    # limits
    uint64_t record_bytes
    uint64_t depth
    uint64_t processes
    uint64_t identity_bytes
    uint64_t text_total_bytes


# --- parse ---

# One row of Batch.events; its numpy twin is EVENT_FIELDS in layout.pxi.
ctypedef struct EventRow:
    int64_t time
    uint32_t host
    uint32_t process
    uint32_t record
    uint8_t kind
    uint8_t unused[3]
    uint32_t columns[14]


ctypedef struct ShapeScalar:
    # A bare value of a shape, with the text it had last: most are the same from record to record.
    uint16_t mark               # the one before it, and the bytes from there to the value
    uint16_t skip
    uint16_t end_mark           # the one behind it, and the bytes from the end of the value to there
    uint16_t end_skip
    int16_t slot                # or NOWHERE
    uint16_t behind_bracket     # bytes from the bracket of the array whose first element it is; else 0
    uint8_t known               # bytes in `last`, with the one behind the value; 0 when too long
    uint32_t length
    uint8_t last[32]
    uint8_t behind[16]          # read over


ctypedef struct ShapeText:
    # A wanted string of a shape.
    uint16_t mark               # the quote that opens it
    int16_t slot
    uint16_t behind_bracket


ctypedef struct Shape:
    uint32_t mark_count
    uint32_t lead               # bytes before the first mark
    int32_t node
    uint32_t part_count
    uint32_t scalar_count
    uint32_t text_count
    ff_part* parts
    uint8_t* part_bytes
    ShapeScalar* scalars
    ShapeText* texts


ctypedef struct Shapes:
    ff_shape_fits_fn fits
    Shape** ways                # SHAPE_SETS x SHAPE_WAYS, the one met last first; NULL = none
    uint32_t* sighted           # signatures of shapes that were seen once
    uint64_t learned
    uint64_t met
    # where a shape is put together
    Bytes parts
    Bytes part_bytes
    Bytes scalars
    Bytes texts


ctypedef struct Slot:
    # A wanted value: present in the record when `epoch` is the record's.
    uint32_t epoch
    uint32_t length
    const uint8_t* text
    const uint8_t* bracket      # of the array whose first element it is, or NULL
    # The code it was given in this record, in this form: two events of a record have texts in common.
    uint32_t code_epoch
    uint32_t code
    uint8_t code_form
    uint8_t code_odd
    # Where its value lies in records of this shape, be it empty or null: `writer_epoch` says whether anywhere.
    uint32_t writer_epoch
    uint32_t writer             # its place in the text


ctypedef struct Parse:
    const CPlan* plan
    ff_scan_fn scan
    # the window: [0, filled) holds text, at its end the start of a line whose end is still to come
    uint8_t* window
    size_t window_room
    size_t filled
    const uint8_t* text         # lines in work: in the window, or where the caller has them
    uint32_t text_size
    uint32_t taken              # bytes of the whole lines in it, when they are parsed
    ff_marks scanned
    size_t mark_room
    uint32_t epoch              # of the record in work: nothing is cleared between records
    Slot* slots
    uint32_t* entry_epoch
    Shapes shapes
    # JSON that was inside a string
    Bytes embedded
    ff_marks embedded_scanned
    size_t embedded_mark_room
    Memo* memos                 # MEMO_WAYS per slot
    Verdict* verdicts           # per test; the last is the discriminator's
    uint8_t time_text[40]
    uint32_t time_length
    uint32_t time_number        # of its TimePlan
    int64_t time_ns
    Strings strings
    Pairs hosts
    Pairs processes
    Bytes scratch
    Bytes joined
    EventRow* rows
    size_t row_count
    size_t row_room
    uint64_t offset             # of window[0] in the file
    uint64_t lines
    uint64_t records
    uint64_t events
    uint64_t odd_text
    uint64_t* outcomes          # per reason
    Fault fault


# --- fold ---

ctypedef struct SetHead:
    uint32_t block              # first word in Fold.pool
    uint16_t count
    uint16_t room               # 0 while there is no block
    uint16_t last               # index of the greatest member, when `sorted` is set
    uint8_t more
    uint8_t last_known
    uint32_t unused


ctypedef struct Fold:
    const CPlan* plan
    uint64_t* states            # accumulators, stride_words each
    size_t state_count
    size_t state_room
    uint64_t* blank             # an accumulator that saw nothing
    uint64_t* pool              # blocks of set members
    size_t pool_size
    size_t pool_room
    uint32_t free_blocks[16]    # by log2 of their room; 0 = none
    Bytes cut_text


# --- payloads ---

ctypedef struct TextRef:
    int64_t time
    const uint8_t* at
    uint32_t length
    uint32_t cut


ctypedef struct View:
    # A state taken apart; texts point into what it came from.
    const uint8_t* identity[3]
    uint32_t identity_length[3]
    uint8_t* has                # per reducer
    uint8_t* more
    uint8_t* form               # one of TEXT_ for all texts of a reducer
    uint64_t* numbers           # times are stored as their bits
    uint64_t* counts            # reducer x kind
    TextRef* texts
    TextRef* members
    uint32_t* member_count
    uint64_t* weight            # of the members of a set, and how many of them are kept, while sets are bounded
    uint32_t* kept
    Bytes arena                 # texts that had to be put together


ctypedef struct Piece:
    # One of several objects that a call works on; what is made of them lies one behind the other.
    const uint8_t* data         # NULL for None
    size_t size
    size_t end                  # of what is made of it


ctypedef struct Parts:
    # Of a payload of version 3.
    const uint8_t* name
    size_t name_size
    const uint8_t* texts
    size_t texts_size
    const uint8_t* numbers
    size_t numbers_size


# --- rules ---

ctypedef struct Pattern:
    uint8_t operator
    uint8_t cased               # also as written
    uint8_t is_gate             # met, it only says that the text must be looked at elsewhere
    uint32_t caseless_at        # in Automaton.bytes
    uint32_t caseless_length
    uint32_t written_at
    uint32_t written_length
    uint32_t next               # with the same caseless text, or NO_PATTERN


ctypedef struct Automaton:
    Pattern* patterns
    uint32_t pattern_count
    const uint8_t* bytes
    uint8_t classes[256]
    uint32_t class_count
    uint32_t state_count
    uint32_t* moves
    uint32_t* first
    uint32_t* shorter


ctypedef struct Sets:
    uint32_t* items
    size_t item_room
    uint64_t* ends
    uint32_t count
    uint32_t room
    uint32_t* table
    uint32_t mask


ctypedef struct CConditions:
    Automaton automaton
    const uint32_t* points      # code point -> its caseless one
    uint32_t point_count
    uint32_t pattern_count      # with those found elsewhere
    uint32_t atom_count
    uint32_t step_count
    uint32_t* use_ends          # uses of pattern p: [use_ends[p], use_ends[p + 1])
    uint32_t* use_places
    uint32_t* use_atoms
    uint32_t* guarded_ends      # steps that atom a guards, likewise
    uint32_t* guarded
    uint32_t* always
    uint32_t always_count
    uint32_t* step_nodes
    const int32_t* nodes


ctypedef struct Judged:
    # The combination in work: which atoms hold, which steps were judged, which were met.
    uint32_t key[18]            # KEY_WORDS
    uint32_t epoch
    uint32_t* atom_epochs
    uint32_t* step_epochs
    uint32_t* met
    uint32_t met_count


ctypedef struct Combinations:
    uint32_t* keys              # KEY_WORDS each
    uint32_t* met               # number of the set of steps
    uint32_t count
    uint32_t room
    uint32_t* table
    uint32_t mask


ctypedef struct Names:
    # Of processes and hosts by their numbers: codes of their texts, and times.
    const uint32_t* processes
    const uint32_t* hosts
    int64_t* newest


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


# --- Arrow: the structs of its C data interface ---

cdef struct ArrowSchema:
    const char* format
    const char* name
    const char* metadata
    int64_t flags
    int64_t n_children
    ArrowSchema** children
    ArrowSchema* dictionary
    void (*release)(ArrowSchema* schema) noexcept nogil
    void* private_data


cdef struct ArrowArray:
    int64_t length
    int64_t null_count
    int64_t offset
    int64_t n_buffers
    int64_t n_children
    const void** buffers
    ArrowArray** children
    ArrowArray* dictionary
    void (*release)(ArrowArray* array) noexcept nogil
    void* private_data


cdef struct ArrowArrayStream:
    int (*get_schema)(ArrowArrayStream* stream, ArrowSchema* out) noexcept nogil
    int (*get_next)(ArrowArrayStream* stream, ArrowArray* out) noexcept nogil
    const char* (*get_last_error)(ArrowArrayStream* stream) noexcept nogil
    void (*release)(ArrowArrayStream* stream) noexcept nogil
    void* private_data


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


# --- states to columns ---

ctypedef struct StateColumn:
    # Of one reducer: what the survey counts, and where the filling writes.
    size_t member_count         # of sets
    size_t text_bytes
    uint8_t* valid              # one byte a row, as all flags here
    int64_t* numbers            # times, sums, and counts: kind by kind, a row each
    int32_t* ends               # of a row's text, or of its members
    int64_t* times              # of members
    int32_t* text_ends          # of members
    uint8_t* text
    uint8_t* cut                # of members
    uint8_t* row_cut            # of rows: the text, or a member, was cut
    uint8_t* row_more


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
