"""An episode: some texts through readers of the core that are kept, each answer held against the reference.

Readers are used for one text after the other, as a worker uses them: what one text leaves behind must not
change the next.  An episode is the unit that is written down, made smaller and played again.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from fastfold import reference
from fastfold._core import Folder, ParsePlan, Parser, Plan, use_simd
from fastfold.errors import Reject
from fastfold.types import COLUMNS, KINDS, FoldCounts, Limits
from fuzz.formats import SCHEMAS
from property.strategies import DEFINITIONS

__all__ = [
    "LIMITS",
    "Difference",
    "Episode",
    "Variant",
    "differences",
    "dumps",
    "load",
    "loads",
    "only",
    "read_text",
    "reference_answer",
    "save",
]

LIMITS = {
    "default": Limits(),
    "tight": Limits(record_bytes=600, depth=5, identity_bytes=8, processes=3),
    "short": Limits(record_bytes=2000, depth=2, identity_bytes=36),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to have a text read.

    Attributes
    ----------
    simd : str
        The instruction set.
    window_bytes : int
        Of the first window.
    sizes : tuple of int
        Of the pieces, in turn.
    in_place : bool
        Whether pieces are parsed where they lie, or written into the window.
    """

    simd: str
    window_bytes: int
    sizes: tuple[int, ...]
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """Texts and how they are read.

    Attributes
    ----------
    schema, limits : str
        Names in `SCHEMAS` and `LIMITS`.
    definition : str
        A name in `DEFINITIONS`; empty to parse and compare events instead of states.
    variants : tuple of Variant
    texts : tuple of bytes
    """

    schema: str
    definition: str
    limits: str
    variants: tuple[Variant, ...]
    texts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What the core made of a text, and what it should have."""

    text: int
    variant: Variant
    expected: object
    found: object


Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A file that is refused, and what the reference says of it."""

    line: int | None
    field: str | None
    reason: str


# --- both sides --------------------------------------------------------------------------------


def reference_answer(text: bytes, episode: Episode) -> object:
    """What the reference makes of a text: states or events with the counts, or a refusal."""
    definition = DEFINITIONS[episode.definition] if episode.definition else None
    schema, limits = SCHEMAS[episode.schema], LIMITS[episode.limits]
    try:
        reading = reference.read_lines(text, schema, limits, definition.columns() if definition else None)
    except Reject as reject:
        return _Refusal(reject.line, reject.field, reject.reason)
    if definition is None:
        events = [
            (e.time_ns, e.identity, KINDS.index(e.kind), e.line, {COLUMNS.index(c): t for c, t in e.columns.items()})
            for e in reading.events
        ]
        return events, reading.counts
    states = reference.fold_events(reading.events, definition)
    return {name: reference.encode(state, definition) for name, state in states.items()}, reading.counts


_Read: TypeAlias = Callable[[], object]


def _make_reader(episode: Episode, variant: Variant) -> tuple[Folder | Parser, _Read]:
    use_simd(variant.simd)  # type: ignore[arg-type]  # names come from files
    if not episode.definition:
        parser = Parser(_plan(episode.schema, "", episode.limits), variant.window_bytes)
        return parser, lambda: _events(parser)
    folder = Folder(_plan(episode.schema, episode.definition, episode.limits), variant.window_bytes)
    return folder, lambda: _states(folder)


_plans: dict[tuple[str, str, str], Plan] = {}


def _plan(schema: str, definition: str, limits: str) -> Plan:
    key = (schema, definition, limits)
    if key not in _plans:
        if definition:
            _plans[key] = Plan(SCHEMAS[schema], DEFINITIONS[definition], LIMITS[limits])
        else:
            _plans[key] = ParsePlan(SCHEMAS[schema], LIMITS[limits])
    return _plans[key]


def _states(folder: Folder) -> tuple[object, FoldCounts]:
    deltas = folder.finish()
    payloads = {
        (host.tenant, host.host, process): payload
        for host in deltas
        for process, payload in zip(host.processes, host.payloads, strict=True)
    }
    return payloads, deltas.counts


def _events(parser: Parser) -> tuple[object, FoldCounts]:
    batch = parser.finish()
    processes, strings = list(batch.processes), batch.strings
    events = []
    for time_ns, process, kind, record, codes in zip(
        batch.events["time"].astype("int64").tolist(),
        batch.events["process"].tolist(),
        batch.events["kind"].tolist(),
        batch.events["record"].tolist(),
        zip(*(batch.events[name].tolist() for name in COLUMNS), strict=True),
        strict=True,
    ):
        columns = {number: strings[code] for number, code in enumerate(codes) if code}
        events.append((time_ns, processes[process], kind, record, columns))
    return events, batch.counts


def read_text(reader: Folder | Parser, read: _Read, text: bytes, variant: Variant) -> object:
    """The answer of the core, or its refusal as it came."""
    try:
        reader.begin()
        at = 0
        for size in itertools.cycle(variant.sizes):
            if at == len(text):
                return read()
            at += (_feed if variant.in_place else _write)(reader, text, at, size)
    except Reject as reject:
        return reject
    raise AssertionError


def _write(reader: Folder | Parser, text: bytes, at: int, size: int) -> int:
    room = reader.window()
    count = min(size, len(room), len(text) - at)
    room[:count] = text[at : at + count]
    reader.advance(count)
    return count


def _feed(reader: Folder | Parser, text: bytes, at: int, size: int) -> int:
    # A piece of its own: what lies behind it is not the file's.
    piece = bytes(bytearray(text[at : at + size]))
    reader.feed(piece)
    return len(piece)


# --- compared -------------------------------------------------------------------------------------


def differences(episode: Episode) -> Iterator[Difference | None]:
    """What differs: one answer for each text and variant, ``None`` where nothing does."""
    readers = [(*_make_reader(episode, variant), variant) for variant in episode.variants]
    for number, text in enumerate(episode.texts):
        expected = reference_answer(text, episode)
        oracles: dict[Variant, tuple[object, ...]] = {}
        for reader, read, variant in readers:
            found = read_text(reader, read, text, variant)
            wrong = _fault(text, expected, found)
            if isinstance(found, Reject) and not wrong:
                # Whatever the instruction set, the same refusal to the byte.
                said = (found.reason, found.line, found.offset, found.field, found.limit)
                wrong = oracles.setdefault(replace(variant, simd=""), said) != said
            yield Difference(number, variant, expected, found) if wrong else None


def _fault(text: bytes, expected: object, found: object) -> bool:
    if not isinstance(found, Reject):
        return found != expected
    if not isinstance(expected, _Refusal) or found.line != expected.line:
        return True
    # Of a record that is too long the core may have met another fault first: that depends on its window.
    if found.field != expected.field and expected.reason != "record too long":
        return True
    # The place lies in the line that is named.
    offset = found.offset
    return offset is None or not 0 <= offset <= len(text) or text.count(b"\n", 0, offset) + 1 != found.line


# --- written down ---------------------------------------------------------------------------------


def save(episode: Episode, path: Path) -> None:
    """Write an episode down."""
    path.write_text(dumps(episode) + "\n")


def dumps(episode: Episode) -> str:
    """An episode as one line of JSON; texts that are no ASCII are base64."""
    return json.dumps(
        {
            "schema": episode.schema,
            "definition": episode.definition,
            "limits": episode.limits,
            "variants": [[v.simd, v.window_bytes, list(v.sizes), v.in_place] for v in episode.variants],
            "texts": [base64.b64encode(text).decode() for text in episode.texts],
        }
    )


def load(path: Path) -> Episode:
    """Read an episode."""
    return loads(path.read_text())


def loads(line: str) -> Episode:
    """The episode of `dumps`."""
    given = json.loads(line)
    variants = tuple(Variant(simd, window, tuple(sizes), place) for simd, window, sizes, place in given["variants"])
    texts = tuple(base64.b64decode(text) for text in given["texts"])
    return Episode(given["schema"], given["definition"], given["limits"], variants, texts)


def only(episode: Episode, difference: Difference) -> Episode:
    """The episode up to the difference, and with no more variants than show it."""
    variants = (difference.variant,)
    if isinstance(difference.found, Reject) and isinstance(difference.expected, _Refusal):
        same = replace(difference.variant, simd="")
        first = next(v for v in episode.variants if replace(v, simd="") == same)
        variants = (first, difference.variant) if first != difference.variant else variants
    return replace(episode, variants=variants, texts=episode.texts[: difference.text + 1])
