"""The definition of right: parse, fold, merge, encode and decode, slow and obvious.

Everything here is plain Python over `json`, `zlib` and dicts, and nothing of it runs in
production: the tests hold the core against it, byte for byte.  It imports nothing of the core.
Read it as the specification, part by part::

    inflate      stored file -> text
    records      text -> lines -> records -> events
    times        texts of times -> nanoseconds
    (here)       events -> states, states -> states
    bounds       what the sets of a state may keep together
    payload      states <-> payloads, in their three versions
    matching     which events meet a condition
    detection    what rules find on a host
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastfold.errors import IdentityClash
from fastfold.reference.bounds import bounded
from fastfold.reference.bytes import I64_MAX, U64_MAX
from fastfold.reference.inflate import inflate
from fastfold.reference.payload import decode, encode
from fastfold.reference.records import Event, Identity, Reading, parse_lines, read_lines
from fastfold.reference.times import TIME_MAX, TIME_MIN, parse_time
from fastfold.schema import FoldDefinition, Reducer, Schema
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS, Limits

__all__ = [
    "TIME_MAX",
    "TIME_MIN",
    "Event",
    "Identity",
    "Reading",
    "decode",
    "encode",
    "fold",
    "fold_events",
    "inflate",
    "merge_states",
    "parse_lines",
    "parse_time",
    "read_lines",
]


# --- fold ------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\d{1,19}", re.ASCII)


def fold(
    data: bytes, schema: Schema, definition: FoldDefinition, limits: Limits | None = None
) -> dict[Identity, State]:
    """The states of a file.

    Parameters
    ----------
    data : bytes
        As stored: plain, gzip or zstd.
    schema : Schema
    definition : FoldDefinition
    limits : Limits, optional

    Raises
    ------
    Reject
    """
    limits = limits or Limits()
    events = parse_lines(inflate(data, limits), schema, limits, definition.columns())
    return fold_events(events, definition)


def fold_events(events: Iterable[Event], definition: FoldDefinition) -> dict[Identity, State]:
    """The state of every process, in order of identities."""
    groups: dict[Identity, list[Event]] = {}
    for event in events:
        groups.setdefault(event.identity, []).append(event)
    states: dict[Identity, State] = {}
    for identity in sorted(groups):
        values: dict[str, Value] = {}
        for reducer in definition.reducers:
            seen = [e for e in groups[identity] if not reducer.kinds or e.kind in reducer.kinds]
            value = _reduce(reducer, seen)
            if value is not None:
                values[reducer.name] = value
        states[identity] = bounded(State(*identity, values), definition)
    return states


def _reduce(reducer: Reducer, events: list[Event]) -> Value | None:
    """The value of one reducer over the events of its kinds; ``None`` when it saw nothing."""
    if reducer.op == "count":
        return _join_counts([{event.kind: 1} for event in events])
    if reducer.op in ("min", "max", "sum"):
        return _join_numbers(reducer.op, _numbers(reducer, events))
    texts = [
        _cut(event.time_ns, event.columns[reducer.column], reducer.text_bytes)
        for event in events
        if reducer.column in event.columns
    ]
    if reducer.op == "set":
        return _join_sets(reducer, [TextSet(False, (text,)) for text in texts])
    return _join_texts(reducer.op, texts)


def _numbers(reducer: Reducer, events: list[Event]) -> list[int]:
    if reducer.column == "time":
        return [event.time_ns for event in events]
    texts = [event.columns[reducer.column] for event in events if reducer.column in event.columns]
    return [int(text) for text in texts if _NUMBER.fullmatch(text) and int(text) <= I64_MAX]


def _cut(time_ns: int, text: str, limit: int) -> Text:
    data = text.encode()
    if len(data) <= limit:
        return Text(time_ns, text, False)
    return Text(time_ns, data[:limit].decode("utf-8", "ignore"), True)


# Each value of a state is the join of the values of its parts, so that folding and merging are one
# rule.  Python compares `Text` by time, text, cut, and str by code point, which is the order of
# UTF-8 bytes.


def _join_counts(parts: list[dict[str, int]]) -> dict[str, int] | None:
    totals = {kind: min(sum(part.get(kind, 0) for part in parts), U64_MAX) for kind in KINDS}
    return {kind: total for kind, total in totals.items() if total} or None


def _join_numbers(op: str, numbers: list[int]) -> int | None:
    if not numbers:
        return None
    if op == "sum":
        return min(sum(numbers), U64_MAX)
    return min(numbers) if op == "min" else max(numbers)


def _join_texts(op: str, texts: list[Text]) -> Text | None:
    if not texts:
        return None
    return min(texts) if op == "first" else max(texts)


def _join_sets(reducer: Reducer, parts: list[TextSet]) -> TextSet | None:
    if not parts:
        return None
    earliest: dict[tuple[str, bool], int] = {}
    for part in parts:
        for time_ns, text, cut in part.members:
            earliest[text, cut] = min(time_ns, earliest.get((text, cut), time_ns))
    members = sorted(Text(time_ns, text, cut) for (text, cut), time_ns in earliest.items())
    more = len(members) > reducer.limit or any(part.more for part in parts)
    return TextSet(more, tuple(members[: reducer.limit]))


def merge_states(a: State, b: State, definition: FoldDefinition) -> State:
    """The fold of the events of both.

    Raises
    ------
    IdentityClash
        They are not of one process.
    """
    if (a.tenant, a.host, a.process) != (b.tenant, b.host, b.process):
        raise IdentityClash(f"states of two processes: {a.host!r} {a.process!r} and {b.host!r} {b.process!r}")
    values: dict[str, Value] = {}
    for reducer in definition.reducers:
        parts = [state.values[reducer.name] for state in (a, b) if reducer.name in state.values]
        if parts:
            values[reducer.name] = _join(reducer, parts)
    return bounded(State(a.tenant, a.host, a.process, values), definition)


def _join(reducer: Reducer, parts: list[Value]) -> Value:
    joined: Value | None
    if reducer.op == "count":
        joined = _join_counts([part for part in parts if isinstance(part, dict)])
    elif reducer.op == "set":
        joined = _join_sets(reducer, [part for part in parts if isinstance(part, TextSet)])
    elif reducer.op in ("first", "last"):
        joined = _join_texts(reducer.op, [part for part in parts if isinstance(part, Text)])
    else:
        joined = _join_numbers(reducer.op, [part for part in parts if isinstance(part, int)])
    assert joined is not None
    return joined
