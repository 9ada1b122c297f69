"""Whatever a schema says, the core reads as the reference does: schemas and records drawn together.

The schemas are made of every word of the language over a few keys, the records of the same keys in
all places where a path may lead, so that most paths are met, and many are met in a wrong shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastfold._core import Batch, ParsePlan, Parser
from fastfold.errors import Reject
from fastfold.reference import Event, Reading, read_lines
from fastfold.schema import (
    CONDITION_OPS,
    ID_FORMS,
    TIME_FORMS,
    Condition,
    EventMapping,
    Schema,
    Source,
    TimeSource,
    load_schema,
)
from fastfold.types import COLUMNS, KINDS, Limits
from property.strategies import ODD_PIECES, SCALARS, STRINGS, VALUES, damaged

T = TypeVar("T")
LIMITS = Limits()
TIGHT_LIMITS = Limits(depth=6, identity_bytes=4)
WINDOWS = st.one_of(st.integers(64, 300), st.just(4096))

# --- schemas -------------------------------------------------------------------------------------

# J and K may hold JSON in strings; v and w are arrays of objects where they have keys below.
PATHS = ["a", "b", "o.a", "o.b", "o.p.a", "v[-1].a", "v[-1].b", "v[-1].w[-1].a", "o.v[-1].a", "v", "w[-1].a", "J.a"]
TEXTS = ["a", "ab", "abc", "A", "A | ab", "a|b", "0", "{A}", "\ufffd", "true", "1.50"]
WHENS = ["ab", "ab", "abc", "a*", "*b", "*c", "*"]


def seldom(strategy: st.SearchStrategy[T], else_: T) -> st.SearchStrategy[T]:
    """The strategy, one time in eight; a branch of `one_of` may have any weight."""
    return st.sampled_from([False] * 7 + [True]).flatmap(lambda wanted: strategy if wanted else st.just(else_))


paths = st.lists(st.sampled_from(PATHS), min_size=1, max_size=2, unique=True).map(tuple)
texts = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True).map(tuple)
part_lists = st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True).map(tuple)
ids = st.one_of(
    st.builds(Source, paths, st.just("id")),
    st.builds(Source, st.one_of(st.just(()), paths), st.just("id"), st.just(()), part_lists),
)
columns = st.one_of(
    ids,
    st.builds(Source, paths, st.sampled_from(["text", "words"]), absent=st.one_of(st.just(()), texts)),
    st.builds(Source, paths, st.sampled_from(["endpoint", "registry"]), paths, absent=st.one_of(st.just(()), texts)),
)
conditions = st.builds(Condition, paths, st.sampled_from(CONDITION_OPS), texts, st.booleans())
required = st.builds(
    Condition, paths, st.sampled_from(CONDITION_OPS), texts, st.booleans(), st.sampled_from(["dropped", "left out"])
)
mappings = st.builds(
    EventMapping,
    st.lists(st.sampled_from(WHENS), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from(KINDS),
    seldom(ids, Source(("id", "a"), "id")),
    seldom(st.lists(conditions, max_size=2).map(tuple), ()),
    st.dictionaries(st.sampled_from(COLUMNS), columns, min_size=1, max_size=6).map(
        lambda given: {name: given[name] for name in COLUMNS if name in given}
    ),
)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    roots = draw(st.sampled_from([("",), ("", "J"), ("", "o", "J"), ("", "J", "K"), ("K", "")]))
    # A place is embedded when some path leads into it: "" leads to J by "J.a", a root by all.
    embedded = ["J", *(["K"] if "K" in roots else [])]
    forms = draw(st.lists(st.sampled_from(TIME_FORMS), min_size=2, max_size=2))
    return Schema(
        name="drawn",
        version=1,
        description="",
        roots=roots,
        tenant=draw(st.sampled_from([(), ("b",)])),
        host=("h", "J.a"),
        discriminator=("k",),
        times=(TimeSource(("t", "J.t"), forms[0]), TimeSource(("u",), forms[1])),
        require=draw(seldom(st.lists(required, max_size=2).map(tuple), ())),
        id_form=draw(st.sampled_from(ID_FORMS)),
        unknown_ids=draw(st.sampled_from([(), ("0",), ("a", "\ufffd")])),
        events=tuple(draw(st.lists(mappings, min_size=1, max_size=4))),
        embedded=tuple(draw(st.lists(st.sampled_from(embedded), unique=True, max_size=2))),
    )


# --- records -------------------------------------------------------------------------------------

SOUND: dict[str, list[bytes]] = {
    "iso": [b'"2020-10-23 00:36:51.890"', b'"2020-10-23T00:36:51.8901234Z"', b'"2020-10-23 00:36:51 +0000 UTC"'],
    "epoch_s": [b"1600000000", b'"1600000000.123"', b"-1.5"],
    "epoch_ms": [b"1600000000123", b'"1600000000123"'],
    "epoch_us": [b"1600000000123456"],
    "epoch_ns": [b'"1600000000123456789"'],
    "filetime": [b"132478870118900000"],
    "epoch_s_or_filetime": [b'"1600000000.123"', b'"132478870118900000"', b"72057594037927937", b"0"],
    "audit": [b'"1600000000.123:4711"', b'"1600000000:0"'],
}
KEYS = ["a", "b", "o", "p", "v", "w", "J", "K", "o.a", "o.p", "p.a", "v.a", "J.a", "o.v", "unwanted"]


def _string(text: str) -> bytes:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    quoted = quoted.replace("\t", "\\t").replace("\0", "\\u0000")
    controls = {character: f"\\u{ord(character):04x}" for character in quoted if character < " "}
    for character, escape in controls.items():
        quoted = quoted.replace(character, escape)
    return b'"' + quoted.encode("utf-8", "surrogateescape") + b'"'


scalars = st.one_of(st.sampled_from([_string(text) for text in TEXTS]), SCALARS)


def _array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


@st.composite
def objects(draw: st.DrawFn, deep: int, also: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    pairs = [(name, draw(values(deep))) for name in draw(st.lists(st.sampled_from(KEYS), min_size=deep, max_size=8))]
    pairs = draw(st.permutations([*also, *pairs]))
    space = draw(st.sampled_from([b"", b"", b" "]))
    return b"{" + b",".join(_string(name) + b":" + space + value for name, value in pairs) + b"}"


@st.composite
def embedded_texts(draw: st.DrawFn, deep: int) -> bytes:
    """A string that holds JSON, or nearly."""
    inner = draw(
        st.one_of(
            objects(deep),
            objects(deep),
            objects(deep),
            damaged(objects(deep)),
            st.sampled_from([b"", b" ", b"[]", b"{", b"{}{}", b"\xef\xbb\xbf{}", b'{"a":NaN}', b'{"a":01}', b"{},"]),
            VALUES,
        )
    )
    space = st.sampled_from(["", "", "\n", " \r\n\t", "\0", "\ufeff"])
    quoted = _string(draw(space) + inner.decode("utf-8", "surrogateescape") + draw(space))
    # Somewhere in it, odd text of the outer string: perhaps in a key, in a number, between tokens.
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(1, len(quoted) - 1))
        while quoted[at - 1 : at] == b"\\":
            at -= 1
        quoted = quoted[:at] + draw(ODD_PIECES) + quoted[at:]
    return quoted


def values(deep: int) -> st.SearchStrategy[bytes]:
    if deep == 0:
        return st.one_of(scalars, STRINGS.map(lambda text: b'"' + text + b'"'))
    return st.one_of(
        scalars,
        scalars,
        st.lists(scalars, max_size=3).map(_array),
        objects(deep - 1),
        st.lists(st.one_of(objects(deep - 1), objects(deep - 1), scalars), max_size=2).map(_array),
        embedded_texts(deep - 1),
    )


@st.composite
def lines(draw: st.DrawFn, schema: Schema) -> bytes:
    """Mostly records that give events by the schema."""

    def time(source: TimeSource) -> bytes:
        return draw(seldom(scalars, draw(st.sampled_from(SOUND[source.form]))))

    pairs = [
        ("h", draw(st.sampled_from([*[b'"h"'] * 6, b'"i"', b'""', b'"\\ud800"']))),
        ("k", draw(st.sampled_from([*[b'"ab"'] * 9, b'"abc"', b'"xb"', b'"x"', b"null", b'["ab"]', b'"b\\u0000"']))),
        (draw(st.sampled_from(["t", "t", "t", "x"])), time(schema.times[0])),
        ("u", time(schema.times[1])),
        ("id", draw(st.sampled_from([b'"p"', b'"p"', b'"{Q}"', b"7", b'"0"', b"null", b'"\\udc00"']))),
    ]
    return draw(objects(3, tuple(pairs)))


@st.composite
def files(draw: st.DrawFn, schema: Schema) -> bytes:
    return b"\n".join(draw(st.lists(lines(schema), min_size=1, max_size=4)))


# --- the law -------------------------------------------------------------------------------------


def core_reading(text: bytes, schema: Schema, limits: Limits, window_bytes: int) -> Reading:
    parser = Parser(ParsePlan(schema, limits), window_bytes)
    parser.begin()
    at = 0
    while at < len(text):
        room = parser.window()
        count = min(len(room), len(text) - at)
        room[:count] = text[at : at + count]
        parser.advance(count)
        at += count
    batch = parser.finish()
    return Reading([_event(row, batch) for row in batch.events], batch.counts)


def _event(row: Any, batch: Batch) -> Event:
    found = {name: batch.strings[int(row[name])] for name in COLUMNS}
    return Event(
        int(row["time"].astype("int64")),
        *batch.processes[int(row["process"])],
        KINDS[int(row["kind"])],
        int(row["record"]),
        {name: text for name, text in found.items() if text is not None},
    )


def outcome(read: Callable[[], Reading]) -> Reading | tuple[int | None, str | None]:
    """What is read, or the line and field of the reject."""
    try:
        return read()
    except Reject as reject:
        return reject.line, reject.field


@given(data=st.data())
def test_the_core_reads_what_the_reference_reads(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    text = data.draw(files(schema))
    limits = data.draw(st.sampled_from([LIMITS, LIMITS, TIGHT_LIMITS]))
    window_bytes = data.draw(WINDOWS)
    expected = outcome(lambda: read_lines(text, schema, limits))
    assert outcome(lambda: core_reading(text, schema, limits, window_bytes)) == expected


@given(data=st.data())
def test_damaged_files_are_rejected_at_the_same_line(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    text = data.draw(damaged(files(schema)))
    window_bytes = data.draw(WINDOWS)
    expected = outcome(lambda: read_lines(text, schema))
    assert outcome(lambda: core_reading(text, schema, LIMITS, window_bytes)) == expected


@pytest.mark.parametrize("name", ["sysmon", "crowdstrike", "laurel", "ocsf"])
@given(text=st.lists(objects(3), max_size=3).map(b"\n".join))
@example(text=b"")
def test_a_schema_of_the_package_reads_records_of_no_sense(name: str, text: bytes) -> None:
    schema = load_schema(name)
    assert outcome(lambda: core_reading(text, schema, LIMITS, 4096)) == outcome(lambda: read_lines(text, schema))
