# Layout: the numbers and dtypes that the core shares with Python, checked when the module loads.
#
# EventRow (in _core.pxd) and EVENT_FIELDS are one declaration in two languages:
#
#   0        8        12       16       20   21    24                          80
#   | time   | host   | process| record |kind| 0   | one code per column ...    |
#   | <M8[ns]| <u4    | <u4    | <u4    | u1 |     | <u4 x 14, the last unused  |


cdef enum:
    NOWHERE = -1
    IN_ARRAY = -2
    ROOT = 0
    KIND_ROOM = 32
    KIND_COUNT = 21         # len(KINDS), checked below
    WINDOW_BYTES = 1 << 18
    COLUMN_ROOM = 14
    COLUMN_TIME = 0xFF
    COLUMN_NONE = 0xFE
    NO_STEP = 0xFFFF
    EVENTS_MOST = 2         # schema.EVENTS_PER_RECORD, checked below
    MEMBER_LIMIT = 1024     # room for set members, a power of two; schema.py holds definitions to it

    SHAPE_SETS = 128
    SHAPE_WAYS = 8
    SHAPE_MARKS = 4096      # of the longest record that is remembered as a shape
    SHAPE_SIGHTS = 1024
    SHAPES_FREE = 64        # that are learned before they must have paid

    MEMO_WAYS = 16          # a power of two
    VERDICT_BYTES = 64      # of the longest text that a verdict is remembered for

    FORM_TEXT = 0
    FORM_ID = 1

    SOURCE_TEXT = 0
    SOURCE_ID = 1
    SOURCE_ENDPOINT = 2
    SOURCE_REGISTRY = 3
    SOURCE_WORDS = 4

    TEST_EQUALS = 0
    TEST_STARTS = 1
    TEST_ENDS = 2
    TEST_CONTAINS = 3
    TEST_HAS = 4

    TIME_ISO = 0
    TIME_EPOCH_S = 1
    TIME_EPOCH_MS = 2
    TIME_EPOCH_US = 3
    TIME_EPOCH_NS = 4
    TIME_FILETIME = 5
    TIME_EPOCH_S_OR_FILETIME = 6
    TIME_AUDIT = 7

    OP_COUNT = 0
    OP_MIN = 1
    OP_MAX = 2
    OP_SUM = 3
    OP_FIRST = 4
    OP_LAST = 5
    OP_SET = 6

# Positions in the words of schema_types.py are the numbers above.
cdef tuple _SOURCES = ("text", "id", "endpoint", "registry", "words")
cdef tuple _TESTS = ("equals", "starts", "ends", "contains", "has")
cdef tuple _TIMES = (
    "iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "epoch_s_or_filetime", "audit"
)

# Outcomes of records without an event that the core itself tells; those of `require` follow.
cdef enum:
    OUTCOME_NOT_OBJECT = 0
    OUTCOME_KIND = 1
    OUTCOME_HOST = 2
    OUTCOME_PROCESS = 3
    OUTCOME_TIME = 4
    OUTCOME_IDENTITY = 5
    OUTCOME_EMBEDDED = 6
    OUTCOME_REQUIRE = 7

cdef tuple _OUTCOMES = ("not_object", "kind", "host", "process", "time", "identity", "embedded")

#: Fields of ``Batch.events`` with their dtypes and byte offsets; 80 bytes a row.
EVENT_FIELDS = (
    ("time", "<M8[ns]", 0),
    ("host", "<u4", 8),
    ("process", "<u4", 12),
    ("record", "<u4", 16),
    ("kind", "u1", 20),
) + tuple((name, "<u4", 24 + 4 * number) for number, name in enumerate(COLUMNS))


cdef int _check_layout() except -1:
    cdef EventRow row
    cdef char* base = <char*> &row
    offsets = (
        <char*> &row.time - base,
        <char*> &row.host - base,
        <char*> &row.process - base,
        <char*> &row.record - base,
        <char*> &row.kind - base,
    ) + tuple(<char*> &row.columns[number] - base for number in range(len(COLUMNS)))
    if offsets != tuple(offset for _, _, offset in EVENT_FIELDS) or sizeof(EventRow) != 80:
        raise ImportError(f"fastfold: the layout of an event row is {offsets}, not that of EVENT_FIELDS")
    if len(COLUMNS) > COLUMN_ROOM or len(KINDS) != KIND_COUNT or KIND_COUNT > KIND_ROOM:
        raise ImportError("fastfold: columns or kinds of types.py are not those the core was built for")
    if OPS.index("count") != OP_COUNT or OPS.index("set") != OP_SET:
        raise ImportError("fastfold: the numbers of the ops differ from types.OPS")
    if (_SOURCES, _TESTS, _TIMES, _OUTCOMES) != (SOURCE_FORMS, CONDITION_OPS, TIME_FORMS, OUTCOMES):
        raise ImportError("fastfold: the words of schemas are not those the core was built for")
    if EVENTS_PER_RECORD != EVENTS_MOST:
        raise ImportError("fastfold: EVENTS_PER_RECORD of schema.py is not what the core was built for")
    return 0


_check_layout()
