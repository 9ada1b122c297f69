# States: what events are folded into, what of it is stored, shown and matched.

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
