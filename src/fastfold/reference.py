"""The definition of right: parse, fold, merge, encode and decode, slow and obvious.

Everything here is plain Python over `json`, `zlib` and dicts, and nothing of it runs in
production: the tests hold the core against it, byte for byte.  It imports nothing of the core.
Read it as the specification, part by part::

    reference_inflate    stored file -> text
    reference_records    text -> lines -> records -> events
    reference_times      texts of times -> nanoseconds
    reference            events -> states <-> payloads
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastfold.errors import CorruptValue, IdentityClash
from fastfold.reference_inflate import inflate
from fastfold.reference_records import Event, Identity, Reading, parse_lines, read_lines
from fastfold.reference_times import TIME_MAX, TIME_MIN, parse_time
from fastfold.schema import FoldDefinition, Reducer, Schema
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS, OPS, Limits

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

U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1

_NS = 1_000_000_000


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
        states[identity] = State(*identity, values)
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
    return State(a.tenant, a.host, a.process, values)


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


# --- payload ---------------------------------------------------------------------------------

_UNITS = (1, 1_000, 1_000_000, _NS)


def encode(state: State, definition: FoldDefinition) -> bytes:
    """The canonical payload of a state.

    Parameters
    ----------
    state : State
    definition : FoldDefinition
    """
    times = _times(state, definition)
    unit = max(u for u in range(len(_UNITS)) if all(t % _UNITS[u] == 0 for t in times))
    base = min(times, default=0)

    def since(time_ns: int, from_ns: int = base) -> bytes:
        return _varint((time_ns - from_ns) // _UNITS[unit])

    out = b"".join(_lengthed(text.encode()) for text in (state.tenant, state.host, state.process))
    out += bytes([unit]) + _varint(_zigzag(base // _UNITS[unit]))
    for reducer in definition.reducers:
        value = state.values.get(reducer.name)
        if value is None:
            continue
        out += _varint(reducer.tag << 3 | OPS.index(reducer.op))
        if isinstance(value, dict):
            counts = sorted((KINDS.index(kind), count) for kind, count in value.items())
            out += _varint(len(counts)) + b"".join(bytes([kind]) + _varint(count) for kind, count in counts)
        elif isinstance(value, TextSet):
            out += _varint(len(value.members) << 1 | value.more)
            before = base
            for member in value.members:
                out += since(member.time_ns, before) + _text(member)
                before = member.time_ns
        elif isinstance(value, Text):
            out += since(value.time_ns) + _text(value)
        elif reducer.op == "sum":
            out += _varint(value)
        elif reducer.column == "time":
            out += b"\0" + since(value)
        else:
            out += b"\1" + _varint(value)
    return out


def _times(state: State, definition: FoldDefinition) -> list[int]:
    """Every time that is kept in a state."""
    times: list[int] = []
    for reducer in definition.reducers:
        value = state.values.get(reducer.name)
        if isinstance(value, TextSet):
            times += [member.time_ns for member in value.members]
        elif isinstance(value, Text):
            times.append(value.time_ns)
        elif isinstance(value, int) and reducer.column == "time":
            times.append(value)
    return times


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _lengthed(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _text(text: Text) -> bytes:
    data = text.text.encode()
    return _varint(len(data) << 1 | text.cut) + data


def decode(payload: bytes, definition: FoldDefinition) -> State:
    """The state of a payload; of all payloads only those that `encode` gives are accepted.

    Parameters
    ----------
    payload : bytes
    definition : FoldDefinition

    Raises
    ------
    CorruptValue
    """
    reader = _Reader(payload)
    tenant, host, process = (reader.text(reader.varint()) for _ in range(3))
    unit = reader.byte()
    if unit >= len(_UNITS):
        raise CorruptValue("unknown unit of time", offset=reader.at - 1)
    reader.unit_ns = _UNITS[unit]
    base = reader.varint()
    reader.base_ns = reader.checked_time((base >> 1 if base & 1 == 0 else -(base + 1 >> 1)) * reader.unit_ns)
    by_tag = {reducer.tag: reducer for reducer in definition.reducers}
    values: dict[str, Value] = {}
    while reader.at < len(payload):
        start = reader.at
        header = reader.varint()
        reducer = by_tag.get(header >> 3)
        if reducer is None or OPS.index(reducer.op) != header & 7:
            raise CorruptValue(f"unknown reducer {header >> 3} of op {header & 7}", offset=start)
        if reducer.name in values:
            raise CorruptValue(f"reducer {reducer.tag} stands twice", offset=start)
        values[reducer.name] = _decode_value(reader, reducer)
    ordered = {r.name: values[r.name] for r in definition.reducers if r.name in values}
    state = State(tenant, host, process, ordered)
    # What is left to be wrong is the choice among several ways to write the same: order of reducers
    # and kinds, length of varints, unit and base of times, values that should have been left out.
    if encode(state, definition) != payload:
        raise CorruptValue("not canonical")
    return state


def _decode_value(reader: _Reader, reducer: Reducer) -> Value:
    start = reader.at
    if reducer.op == "count":
        counts = {reader.kind(): reader.varint() for _ in range(reader.varint())}
        if not counts or 0 in counts.values():
            raise CorruptValue("a count of nothing", offset=start)
        return counts
    if reducer.op == "set":
        return _decode_set(reader, reducer)
    if reducer.op in ("first", "last"):
        return reader.member(reader.base_ns, reducer.text_bytes)
    if reducer.op == "sum":
        return reader.varint()
    if reader.byte() != (0 if reducer.column == "time" else 1):
        raise CorruptValue("a time where a number belongs, or the other way round", offset=start)
    if reducer.column == "time":
        return reader.time(reader.base_ns)
    number = reader.varint()
    if number > I64_MAX:
        raise CorruptValue("number out of range", offset=start)
    return number


def _decode_set(reader: _Reader, reducer: Reducer) -> TextSet:
    start = reader.at
    head = reader.varint()
    members: list[Text] = []
    before = reader.base_ns
    for _ in range(head >> 1):
        members.append(reader.member(before, reducer.text_bytes))
        before = members[-1].time_ns
    if not members or len(members) > reducer.limit:
        raise CorruptValue("a set that is empty or over its limit", offset=start)
    if members != sorted(members) or len({member[1:] for member in members}) != len(members):
        raise CorruptValue("members of a set out of order, or twice", offset=start)
    return TextSet(bool(head & 1), tuple(members))


class _Reader:
    """Takes a payload apart from front to back."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0
        self.unit_ns = 1
        self.base_ns = 0

    def take(self, count: int) -> bytes:
        if count > len(self.payload) - self.at:
            raise CorruptValue("truncated", offset=len(self.payload))
        self.at += count
        return self.payload[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        start = self.at
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise CorruptValue("varint too long", offset=start)
        if value > U64_MAX:
            raise CorruptValue("varint out of range", offset=start)
        return value

    def text(self, length: int) -> str:
        start = self.at
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise CorruptValue("invalid UTF-8", offset=start) from None

    def kind(self) -> str:
        number = self.byte()
        if number >= len(KINDS):
            raise CorruptValue(f"unknown kind {number}", offset=self.at - 1)
        return KINDS[number]

    def checked_time(self, time_ns: int) -> int:
        if not TIME_MIN <= time_ns <= TIME_MAX:
            raise CorruptValue("time out of range", offset=self.at)
        return time_ns

    def time(self, from_ns: int) -> int:
        return self.checked_time(from_ns + self.varint() * self.unit_ns)

    def member(self, from_ns: int, limit: int) -> Text:
        time_ns = self.time(from_ns)
        start = self.at
        head = self.varint()
        if not 0 < head >> 1 <= limit:
            raise CorruptValue("a text that is empty or over its limit", offset=start)
        return Text(time_ns, self.text(head >> 1), bool(head & 1))
