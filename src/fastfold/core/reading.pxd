# Reading: what a file goes through on its way to events.

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
