"""What the properties are tried on: events, states, records and files, odd ones with preference.

Pools are small on purpose: a law about equal times, equal texts and full sets is only tried where
they meet.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace

import zstandard
from hypothesis import strategies as st

from fastfold.bounds import least_value_bytes
from fastfold.reference import TIME_MAX, TIME_MIN, Event, Identity, fold_events
from fastfold.schema import (
    Condition,
    EventMapping,
    FoldDefinition,
    Reducer,
    Schema,
    Source,
    TimeSource,
    load_definition,
    load_schema,
)
from fastfold.states import State, Text, TextSet, Value, format_time
from fastfold.types import COLUMNS, KINDS

SYSMON = load_schema("sysmon")
PROCESS = load_definition("process")
CHANNEL = "Microsoft-Windows-Sysmon/Operational"

# What no set of these is ever full with.
ROOM = 1 << 20

# Limits so small that every example meets them, and every op on every sort of column.
TIGHT = FoldDefinition(
    "tight",
    1,
    "",
    (
        Reducer(1, "first", "min", "time", (), 0, 0),
        Reducer(2, "last", "max", "time", ("other", "pipe"), 0, 0),
        Reducer(3, "counts", "count", None, (), 0, 0),
        Reducer(4, "some", "count", None, ("file_write", "process_start"), 0, 0),
        Reducer(5, "image", "first", "image", (), 0, 4),
        Reducer(6, "user", "last", "user", (), 0, 7),
        Reducer(7, "files", "set", "file", (), 3, 6, ROOM, ROOM),
        Reducer(20, "one", "set", "file", ("file_write",), 1, 4, ROOM, ROOM),
        Reducer(300, "low", "min", "detail", (), 0, 0),
        Reducer(301, "high", "max", "detail", (), 0, 0),
        Reducer(1 << 20, "total", "sum", "detail", (), 0, 0),
    ),
)
# Sets that share so little that every few events use it up: full by number, by weight, with and without a reserve.
_NARROW = FoldDefinition(
    "narrow",
    1,
    "",
    (
        Reducer(1, "first", "min", "time", (), 0, 0),
        Reducer(2, "files", "set", "file", (), 12, 12, 70, 30),
        Reducer(3, "domains", "set", "domain", (), 2, 12, 60, 1),
        Reducer(4, "targets", "set", "target", ("other", "pipe", "file_write"), 8, 9, 200, 40),
        Reducer(5, "written", "set", "file", ("file_write",), 3, 4, 25, 25),
    ),
)
NARROW, *NARROWER = (
    replace(_NARROW, value_bytes=least_value_bytes(_NARROW) + pool)
    for pool in (75, 5, 30, 60, 120, 160, 180, 200, 220, 240, 260)
)
DEFINITIONS = {"tight": TIGHT, "process": PROCESS, "narrow": NARROW}

# Everything that sysmon does not have: tenants, ids as text, several columns of one path, dotted
# paths three deep, times as numbers, conditions of every kind, more mappings than events.
OWN = Schema(
    name="own",
    version=1,
    description="",
    roots=("", "a.b", "c"),
    tenant=("org",),
    host=("host", "a.host"),
    discriminator=("type",),
    times=(TimeSource(("at",), "epoch_ns"),),
    require=(
        Condition(("drop", "c.drop"), "equals", ("yes", "true"), True, "dropped"),
        Condition(("text",), "contains", ("z", "\ufffdy"), True, "text"),
    ),
    id_form="text",
    unknown_ids=("0", "-"),
    events=(
        EventMapping(
            ("1", "x"),
            "other",
            Source(("pid",), "id"),
            (Condition(("text",), "starts", ("a", "b")),),
            {"file": Source(("text",))},
        ),
        EventMapping(
            ("1", "y"),
            "pipe",
            Source(("pid", "ppid"), "id"),
            (),
            {"detail": Source(("n",)), "image": Source(("text",)), "remote": Source(("ip",), "endpoint", ("n",))},
        ),
        EventMapping(
            ("1",),
            "file_write",
            Source(("ppid",), "id"),
            (),
            {"file": Source(("text",)), "parent": Source(("pid",), "id")},
        ),
    ),
)
SCHEMAS = {"sysmon": SYSMON, "own": OWN}

# --- events and states ---------------------------------------------------------------------------

TIMES = st.one_of(
    st.integers(-2, 3).map(lambda n: n * 1_000_000_000),
    st.integers(0, 3).map(lambda n: 1_600_000_000_000_000_000 + n * 1_000_000),
    st.integers(0, 3).map(lambda n: 1_600_000_000_000_000_000 + n * 1_000),
    st.sampled_from([TIME_MIN, TIME_MAX, 0, 1, -1]),
    st.integers(TIME_MIN, TIME_MAX),
)
# Process ids of Sysmon and others like them, and what is nearly one.
LOWER_GUIDS = st.one_of(
    st.builds(
        "{}-{}-{}-{}-{}".format,
        st.sampled_from(["39e4a257", "00000000", "ffffffff"]),
        st.sampled_from(["79fb", "0000", "ffff"]),
        st.sampled_from(["5f92", "0000", "ffff"]),
        st.sampled_from(["7117", "0000"]),
        st.sampled_from(["000000000700", "00000000abcd"]),
    ),
    st.uuids().map(str),
    st.sampled_from(["39E4A257-79fb-5f92-7117-000000000700", "39e4a257-79fb-5f92-7117-00000000070", "-" * 36]),
)
ENDPOINTS = st.one_of(
    st.builds("{}.{}.0.1:{}".format, st.integers(0, 256), st.integers(0, 11), st.integers(0, 65536)),
    st.sampled_from(
        ["0.0.0.0:0", "255.255.255.255:65535", "01.2.3.4:5", "1.2.3.4:05", "1.2.3.4", "1.2.3.4:", "1.2.3.4:5:6"]
    ),
)
PATHS = st.lists(st.sampled_from(["C:", "Windows", "Win", "System32", "\u00e9", "\u00ea"]), min_size=1, max_size=4).map(
    "\\".join
)
# Surrogates are no text; a pool of short ones, some equal once cut, and anything else.
TEXTS = st.one_of(
    LOWER_GUIDS,
    ENDPOINTS,
    PATHS,
    st.sampled_from(["a", "b", "ab", "abcd", "abcde", "abcdé", "aé€😀", "\ufffd", "\uffff", "\U00010000", "é" * 9]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
)
NUMBERS = st.one_of(
    st.sampled_from(["0", "7", "007", str((1 << 63) - 1), str(1 << 63), "-1", "1.0", "1e3", "0" * 20, "\u0661"]),
    st.integers(0, 1 << 64).map(str),
)
IDENTITIES: st.SearchStrategy[Identity] = st.sampled_from(
    [("", "h", "p"), ("", "h", "q"), ("t", "h", "p"), ("t", "é", ""), ("", "h", "39e4a257-79fb-5f92-7117-000000000700")]
)


def columns(pool: tuple[str, ...] = COLUMNS) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from(pool), TEXTS, max_size=3)


@st.composite
def events(draw: st.DrawFn, identities: st.SearchStrategy[Identity] = IDENTITIES) -> Event:
    tenant, host, process = draw(identities)
    texts = draw(columns(("image", "user", "file", "domain", "target")))
    if draw(st.booleans()):
        texts["detail"] = draw(NUMBERS)
    kind = draw(st.sampled_from(("file_write", "other", "pipe", "dns_query", "child_start", *KINDS)))
    return Event(draw(TIMES), tenant, host, process, kind, 1, texts)


ONE_PROCESS = events(st.just(("t", "h", "p")))


@st.composite
def crowds(draw: st.DrawFn) -> list[Event]:
    """Events of one process that fill its sets, many at the same time."""
    times = draw(st.lists(TIMES, min_size=1, max_size=3))
    count = draw(st.integers(60, 140))
    order = draw(st.randoms(use_true_random=False))
    made = [
        Event(order.choice(times), "t", "h", "p", "file_write", 1, {"file": f"f{order.randrange(count)}"})
        for _ in range(count)
    ]
    return made + draw(st.lists(ONE_PROCESS, max_size=3))


@st.composite
def rushes(draw: st.DrawFn) -> list[Event]:
    """Events of one process whose texts, of all lengths, are met at many times: what sets share runs out."""
    order = draw(st.randoms(use_true_random=False))
    texts = ["abcdefghijklmnop"[: order.randrange(1, 15)] + str(number % 5) for number in range(30)]
    made = []
    for _ in range(draw(st.integers(1, 40))):
        names = order.sample(("file", "domain", "target"), order.randrange(1, 4))
        given = {name: order.choice(texts) for name in names}
        made.append(Event(order.randrange(6), "t", "h", "p", order.choice(("file_write", "other")), 1, given))
    return made


def states(definition: FoldDefinition) -> st.SearchStrategy[State]:
    """States of one process, as folds make them."""
    some = st.one_of(st.lists(ONE_PROCESS, min_size=1, max_size=8), crowds(), rushes())
    return some.map(lambda given: next(iter(fold_events(given, definition).values())))


PROCESS_IDS = st.one_of(st.just("p"), st.just(""), LOWER_GUIDS)


def arbitrary_states(
    definition: FoldDefinition, process: st.SearchStrategy[str] = PROCESS_IDS
) -> st.SearchStrategy[State]:
    """States that no small fold would give: large counts, every reducer on its own."""

    def text(reducer: Reducer, texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Text]:
        kept = texts.map(lambda t: t.encode()[: reducer.text_bytes].decode("utf-8", "ignore")).filter(bool)
        return st.builds(Text, TIMES, kept, st.booleans())

    def value(reducer: Reducer) -> st.SearchStrategy[Value]:
        if reducer.op == "count":
            counts = st.dictionaries(st.sampled_from(KINDS), st.integers(1, (1 << 64) - 1), min_size=1)
            return counts.map(lambda given: {kind: given[kind] for kind in KINDS if kind in given})
        if reducer.op == "set":
            # Often all of one form, as the sets of a real fold are.
            pools = st.sampled_from([TEXTS, LOWER_GUIDS, ENDPOINTS, PATHS])
            most = min(reducer.limit, 5)
            members = pools.flatmap(
                lambda pool: st.lists(text(reducer, pool), min_size=1, max_size=most, unique_by=lambda t: t[1:])
            )
            return st.builds(TextSet, st.booleans(), members.map(lambda given: tuple(sorted(given))))
        if reducer.op in ("first", "last"):
            return text(reducer)
        if reducer.column == "time":
            return TIMES
        return st.integers(0, (1 << 64 if reducer.op == "sum" else 1 << 63) - 1)

    values = st.fixed_dictionaries({}, optional={r.name: value(r) for r in definition.reducers})
    # Hypothesis puts optional keys in any order; states have the order of tags.
    ordered = values.map(lambda given: {r.name: given[r.name] for r in definition.reducers if r.name in given})
    return st.builds(State, st.sampled_from(["", "t"]), st.just("h"), process, ordered)


# --- JSON text -----------------------------------------------------------------------------------

# Pieces of what stands between the quotes of a string: plain, escaped and odd.
PLAIN_PIECES = st.sampled_from(
    [b"a", b"b", b"x" * 40, b" ", b"/", b"{", b"]", b",", b":", "é".encode(), "😀".encode(), b"\x7f"]
)
ESCAPED_PIECES = st.sampled_from(
    [
        rb"\"",
        rb"\\",
        rb"\/",
        rb"\b",
        rb"\n",
        rb"\u0041",
        rb"\u00e9",
        rb"\uD83D\uDe00",
        rb"\ufffd",
        rb"\\u0041",
        rb"\\\"",
    ]
)
ODD_PIECES = st.sampled_from(
    [
        rb"\u0000",
        rb"\ud800",
        rb"\udc00",
        rb"\ud83d\u0041",
        b"\xff",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"\xc0\x80",
    ]
)
STRINGS = st.lists(st.one_of(PLAIN_PIECES, ESCAPED_PIECES, ODD_PIECES), max_size=6).map(b"".join)
KEYS = st.lists(st.one_of(PLAIN_PIECES, ESCAPED_PIECES), max_size=2).map(b"".join)
SPACE = st.sampled_from([b""] * 6 + [b" ", b"\t", b"\r", b"  \r\t"])
SCALARS = st.one_of(
    STRINGS.map(lambda text: b'"' + text + b'"'),
    st.sampled_from([b"0", b"-0", b"12", b"1.50", b"-1e+5", b"9" * 30, b"true", b"false", b"null", b'""', b'"yes"']),
)


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    return b"[" + draw(SPACE) + b",".join(draw(st.lists(inner, max_size=3))) + draw(SPACE) + b"]"


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[bytes], keys: st.SearchStrategy[bytes]) -> bytes:
    pairs = draw(st.lists(st.tuples(keys, SPACE, inner, SPACE), max_size=4))
    return b"{" + b",".join(b'"' + k + b'"' + s + b":" + v + e for k, s, v, e in pairs) + b"}"


VALUES = st.recursive(SCALARS, lambda inner: st.one_of(_arrays(inner), _objects(inner, KEYS)), max_leaves=5)

# --- records -------------------------------------------------------------------------------------

GUIDS = ["{AB000000-0000-0000-0000-000000000001}", "{ab000000-0000-0000-0000-000000000001}", "ab-2", "{AB-3}"]
NULL_GUID = "{00000000-0000-0000-0000-000000000000}"


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()


def _pool(*texts: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from([_quoted(text) for text in texts])


PROCESSES = _pool(*GUIDS, *GUIDS, *GUIDS, NULL_GUID, "{}", "")
CLOCKS = st.sampled_from([1_600_000_000_000_000_000 + n for n in (0, 0, 1, 10**6, 10**9, -(10**9))])
ISO = st.one_of(
    CLOCKS.map(lambda t: _quoted(format_time(t)[:23].replace("T", " "))),
    TIMES.filter(lambda t: TIME_MIN <= t <= TIME_MAX).map(lambda t: _quoted(format_time(t))),
)
FREE = st.one_of(_pool("a", "b", "c:\\x.exe", "abcdefghij", "é" * 20), SCALARS, VALUES)
FIELDS = sorted(
    {path for event in SYSMON.events for source in event.columns.values() for path in (*source.paths, *source.tail)}
)
ACTORS = sorted({path for event in SYSMON.events for path in event.process.paths})


def _object(pairs: list[tuple[str, bytes]]) -> bytes:
    return b"{" + b",".join(_quoted(key) + b":" + value for key, value in pairs) + b"}"


@st.composite
def sysmon_records(draw: st.DrawFn) -> bytes:
    """A record in shape A, B or C, mostly sound, with its keys in any order and some of them twice."""
    data = [(name, draw(FREE)) for name in draw(st.lists(st.sampled_from(FIELDS), max_size=5))]
    data += [(name, draw(PROCESSES)) for name in [*draw(st.lists(st.sampled_from(ACTORS), max_size=3)), "ProcessGuid"]]
    data.append(("UtcTime", draw(ISO)))
    data.append(("Initiated", draw(st.sampled_from([b"true", b'"true"', b'"false"', b'"True"', b"null"]))))
    data.append(("EventType", draw(_pool("DeleteKey", "DeleteValue", "CreateKey", "SetValue"))))
    data += [("unwanted", draw(VALUES))] * draw(st.integers(0, 1))
    number = draw(st.sampled_from([1, 1, 3, 5, 7, 8, 10, 10, 11, 12, 13, 15, 17, 22, 23, 29, 6, 255]))
    event_id = draw(st.sampled_from([b"%d", b"%d", b'"%d"', b"[%d]"])) % number
    host = draw(_pool("h1", "h1", "h1", "h2", "H1", "", "h\0"))
    channel = _quoted(draw(st.sampled_from([CHANNEL] * 9 + ["Security"])))
    data = draw(st.permutations(data))
    if draw(st.booleans()):
        top = [("log_name", channel), ("event_id", event_id), ("computer_name", host), ("event_data", _object(data))]
        return _object(draw(st.permutations(top)))
    return _object([("Channel", channel), ("EventID", event_id), *data, ("Hostname", host)])


@st.composite
def own_records(draw: st.DrawFn) -> bytes:
    names = ["org", "host", "type", "at", "drop", "text", "pid", "ppid", "n", "ip"]
    pools = {
        "org": _pool("t", "u", ""),
        "host": _pool("h", "i"),
        "type": st.sampled_from([b"1", b"1", b'"1"', b'"x"', b'"y"', b"2"]),
        "at": st.one_of(TIMES.map(lambda t: b"%d" % t), TIMES.map(lambda t: b'"%d"' % t)),
        "drop": st.sampled_from([b'"no"', b"false", b'"no"', b"true"]),
        "text": FREE,
        "pid": _pool("p", "q", "0", "{P}"),
        "ppid": _pool("p", "r", "-"),
        "n": st.one_of(NUMBERS.filter(lambda n: n.isascii()).map(_quoted), SCALARS),
        "ip": _pool("10.0.0.1", "::1", ""),
    }
    top: list[tuple[str, bytes]] = []
    below: dict[str, list[tuple[str, bytes]]] = {"a": [], "c": [], "b": []}
    for name in names + draw(st.lists(st.sampled_from(names), max_size=4)):
        place = draw(st.sampled_from(["top", "top", "top", "a", "b", "c", "a.b.", "c.", "skip"]))
        pair = (name, draw(pools[name]))
        if place == "top":
            top.append(pair)
        elif place in below:
            below[place].append(pair)
        elif place != "skip":
            top.append((place + name, pair[1]))
    below["a"].append(("b", _object(below["b"])))
    top += [("a", _object(below["a"])), ("c", _object(below["c"]))]
    return _object(draw(st.permutations(top)))


RECORDS = {"sysmon": sysmon_records(), "own": own_records()}

# --- files ---------------------------------------------------------------------------------------


def lines(schema: Schema) -> st.SearchStrategy[list[bytes]]:
    """Lines of a sound file, without their line feeds."""
    other = st.one_of(VALUES, st.sampled_from([b"", b" \t", b"\r"]))
    line = st.one_of(RECORDS[schema.name], RECORDS[schema.name], RECORDS[schema.name], other)
    ended = st.tuples(line, st.sampled_from([b"", b"", b"\r", b" "])).map(b"".join)
    return st.lists(ended, max_size=12)


@st.composite
def texts(draw: st.DrawFn, schema: Schema) -> bytes:
    """The text of a sound file."""
    bom = draw(st.sampled_from([b""] * 5 + [b"\xef\xbb\xbf"]))
    return bom + b"\n".join(draw(lines(schema))) + draw(st.sampled_from([b"\n", b"\n", b""]))


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """The same with a few bytes changed, left out, put in or moved."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        to = draw(st.integers(at, min(len(data), at + 9)))
        data[at:to] = draw(
            st.one_of(
                st.sampled_from(
                    [b"", b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\n", b"0", b"-", b"\0", b"\xff", b"e"]
                ),
                st.binary(max_size=3),
            )
        )
    return bytes(data)


SQUEEZERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip members": lambda data: b"".join(gzip.compress(data[at : at + 100]) for at in range(0, len(data) + 1, 100)),
    "zstd": zstandard.compress,
}


@st.composite
def chunks(draw: st.DrawFn, most: int = 400) -> list[int]:
    """Sizes in which a text is handed over."""
    return draw(st.lists(st.integers(1, most), min_size=1, max_size=8))
