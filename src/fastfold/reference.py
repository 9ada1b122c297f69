"""The definition of right: parse, fold, merge, encode and decode, slow and obvious.

Everything here is plain Python over `json`, `zlib` and dicts, and nothing of it runs in
production: the tests hold the core against it, byte for byte.  It imports nothing of the core.
Read it as the specification, top to bottom::

    inflate -> lines -> records -> events -> states <-> payloads

What a record gives, in this order:

1. a line that is too long, nested too deep, not JSON, or has invalid UTF-8 in a key: `Reject`;
2. not an object: counted "not_object";
3. a condition of `Schema.require` fails: counted under its reason;
4. no mapping for the discriminator holds: counted "kind";
5. no host: "host"; no mapping has a known process id: "process"; no time: "time";
6. a time that cannot be read: `Reject`;
7. no event's identity is within the limit: "identity".

Only what `Limits.text_total_bytes` bounds, the memory of the core, has no counterpart here.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from struct import unpack

import zstandard

from fastfold.errors import CorruptValue, IdentityClash, Reject
from fastfold.schema import (
    EVENTS_PER_RECORD,
    Condition,
    EventMapping,
    FoldDefinition,
    Reducer,
    Schema,
    Source,
)
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS, OPS, FoldCounts, Limits

__all__ = [
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

Identity = tuple[str, str, str]

U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1
# The smallest int64 is numpy's "not a time".
TIME_MIN = -I64_MAX
TIME_MAX = I64_MAX

_NS = 1_000_000_000
_REPLACEMENT = "\ufffd"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """What a schema makes of a record for one process; `columns` has only what is present."""

    time_ns: int
    tenant: str
    host: str
    process: str
    kind: str
    line: int
    columns: dict[str, str]

    @property
    def identity(self) -> Identity:
        """Tenant, host and process."""
        return self.tenant, self.host, self.process


@dataclass(frozen=True, slots=True)
class Reading:
    """The events of a text, and what else it held."""

    events: list[Event]
    counts: FoldCounts


# --- inflate ---------------------------------------------------------------------------------

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
_PIECE = 1 << 16


def inflate(data: bytes, limits: Limits | None = None) -> bytes:
    """The text of a file: gzip or zstd by its first bytes, else as it is.

    Parameters
    ----------
    data : bytes
    limits : Limits, optional

    Raises
    ------
    Reject
        Damaged, truncated, followed by other bytes, or larger than a limit.
    """
    limits = limits or Limits()
    if len(data) > limits.file_bytes:
        raise Reject("file too large", limit=limits.file_bytes)
    out = bytearray()
    offset = 0
    if data.startswith(_GZIP_MAGIC):
        # Members may follow each other; zero bytes may follow the last, as tapes and disks leave them.
        while offset == 0 or data.startswith(_GZIP_MAGIC, offset):
            offset = _inflate_member(data, offset, out, limits)
        if data[offset:].strip(b"\0"):
            raise Reject("bytes after the end of the gzip data", offset=offset)
    elif data.startswith(_ZSTD_MAGIC):
        while offset < len(data):
            offset = _inflate_frame(data, offset, out, limits)
    else:
        out += data
        _check_inflated(out, data, limits)
    return bytes(out)


def _inflate_member(data: bytes, start: int, out: bytearray, limits: Limits) -> int:
    """Append one gzip member (RFC 1952) to `out`; the offset behind it."""
    begin = _gzip_header_end(data, start)
    inflater = zlib.decompressobj(wbits=-15)
    crc = size = 0
    rest = data[begin:]
    while True:
        try:
            piece = inflater.decompress(rest, _PIECE)
        except zlib.error:
            raise Reject("damaged gzip data", offset=start) from None
        crc = zlib.crc32(piece, crc)
        size += len(piece)
        out += piece
        _check_inflated(out, data, limits)
        if inflater.eof:
            break
        rest = inflater.unconsumed_tail
        if not piece and not rest:
            raise Reject("truncated gzip data", offset=len(data))
    trailer = len(data) - len(inflater.unused_data)
    if trailer + 8 > len(data):
        raise Reject("truncated gzip data", offset=len(data))
    if unpack("<II", data[trailer : trailer + 8]) != (crc, size & 0xFFFFFFFF):
        raise Reject("wrong checksum or length in gzip data", offset=trailer)
    return trailer + 8


def _gzip_header_end(data: bytes, start: int) -> int:
    if start + 10 > len(data):
        raise Reject("truncated gzip data", offset=len(data))
    flags = data[start + 3]
    if data[start + 2] != 8 or flags & _RESERVED:
        raise Reject("not a gzip header", offset=start)
    end = start + 10
    if flags & _FEXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1 or len(data) + 1
    if flags & _FHCRC:
        if data[end : end + 2] != (zlib.crc32(data[start:end]) & 0xFFFF).to_bytes(2, "little"):
            raise Reject("wrong checksum in a gzip header", offset=start)
        end += 2
    if end > len(data):
        raise Reject("truncated gzip data", offset=len(data))
    return end


def _inflate_frame(data: bytes, start: int, out: bytearray, limits: Limits) -> int:
    """Append one zstd frame to `out`; the offset behind it."""
    if not data.startswith(_ZSTD_MAGIC, start):
        raise Reject("bytes after the end of the zstd data", offset=start)
    inflater = zstandard.ZstdDecompressor().decompressobj()
    at = start
    while not inflater.eof:
        if at >= len(data):
            raise Reject("truncated zstd data", offset=len(data))
        try:
            out += inflater.decompress(data[at : at + _PIECE])
        except zstandard.ZstdError:
            raise Reject("damaged zstd data", offset=start) from None
        at = min(at + _PIECE, len(data))
        _check_inflated(out, data, limits)
    return at - len(inflater.unused_data)


def _check_inflated(out: bytearray, data: bytes, limits: Limits) -> None:
    if len(out) > limits.inflated_bytes:
        raise Reject("inflated file too large", limit=limits.inflated_bytes)
    if len(out) > limits.ratio_from_bytes and len(out) > limits.ratio * len(data):
        raise Reject("file inflates too far", limit=limits.ratio)


# --- lines -----------------------------------------------------------------------------------


def parse_lines(
    data: bytes, schema: Schema, limits: Limits | None = None, columns: frozenset[str] | None = None
) -> list[Event]:
    """The events of an NDJSON text, in order of lines and, within a record, of mappings.

    Parameters
    ----------
    data : bytes
        Inflated text.
    schema : Schema
    limits : Limits, optional
    columns : frozenset of str, optional
        The columns to read; all of the schema by default.

    Raises
    ------
    Reject
    """
    return read_lines(data, schema, limits, columns).events


def read_lines(
    data: bytes, schema: Schema, limits: Limits | None = None, columns: frozenset[str] | None = None
) -> Reading:
    """The events of an NDJSON text with the counts; see `parse_lines`."""
    limits = limits or Limits()
    columns = schema.columns() if columns is None else columns
    events: list[Event] = []
    no_process: dict[str, int] = {}
    identities: set[Identity] = set()
    lines = records = odd_text = 0
    for number, offset, line in _split(data):
        lines = number
        if len(line) > limits.record_bytes:
            raise Reject("record too long", line=number, offset=offset, limit=limits.record_bytes)
        if not line.strip(b" \t\r"):
            continue
        records += 1
        try:
            record = load_record(line, limits.depth)
            found, odd, outcome = _events_of(record, schema, columns, limits, number)
        except Reject as reject:
            place = offset + (reject.offset or 0)
            raise Reject(reject.reason, line=number, offset=place, field=reject.field, limit=reject.limit) from None
        if not found:
            no_process[outcome] = no_process.get(outcome, 0) + 1
        identities.update(event.identity for event in found)
        if len(identities) > limits.processes:
            raise Reject("too many processes", line=number, offset=offset, limit=limits.processes)
        events += found
        odd_text += odd
    return Reading(events, FoldCounts(len(data), lines, records, len(events), odd_text, no_process))


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and bytes of every line, without its line feed; a BOM is no part of the first."""
    offset = len(_BOM) if data.startswith(_BOM) else 0
    number = 0
    while offset < len(data):
        number += 1
        end = data.find(b"\n", offset)
        end = len(data) if end < 0 else end
        yield number, offset, data[offset:end]
        offset = end + 1


# --- JSON ------------------------------------------------------------------------------------

# A whole string with the colon that makes it a key, or a bracket.
_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")([ \t\r]*:)?|([\[{])|[\]}]', re.DOTALL)
# Stands for invalid bytes until the text is cleaned; valid UTF-8 never decodes to a surrogate.
_INVALID = "\udc80"


def _mark(error: UnicodeError) -> tuple[str, int]:
    # Like "replace", which gives one U+FFFD for each call, so that the marks fall in the same places.
    assert isinstance(error, UnicodeDecodeError)
    return _INVALID, error.end


codecs.register_error("fastfold.mark", _mark)


def load_record(line: bytes, depth: int) -> object:
    """The value of a line; numbers are texts as written, and odd text is not cleaned yet.

    Raises
    ------
    Reject
        With the byte offset in the line, where it can be told.
    """
    level = 0
    for token in _TOKEN.finditer(line):
        string, colon, opening = token.groups()
        if opening:
            level += 1
            if level > depth:
                raise Reject("nested too deep", offset=token.start(), limit=depth)
        elif string is None:
            level -= 1
        elif colon and not _is_utf8(string):
            raise Reject("invalid UTF-8 in a key", offset=token.start())
    text = line.decode("utf-8", "fastfold.mark")
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = len(text[: error.pos].encode()) if _is_utf8(line) else 0
        raise Reject(f"not JSON: {error.msg}", offset=place) from None


def _refuse_constant(name: str) -> object:
    raise Reject(f"not JSON: {name}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _clean(text: str) -> str:
    """Surrogates, which stand for lone escapes or invalid bytes, and NUL become U+FFFD."""
    return re.sub("[\ud800-\udfff\0]", _REPLACEMENT, text)


# --- records ---------------------------------------------------------------------------------


class _Fields:
    """The fields of one record, and whether the texts taken of it were odd."""

    def __init__(self, record: dict[str, object], schema: Schema) -> None:
        self.record = record
        self.schema = schema

    def raw(self, paths: tuple[str, ...]) -> str:
        """The text of the first alternative that is present, as it stands; empty when none is."""
        for keys in self.schema.expand(paths):
            value: object = self.record
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            text = _scalar(value[0] if isinstance(value, list) and value else value)
            if text:
                return text
        return ""

    def text(self, paths: tuple[str, ...]) -> str:
        return _clean(self.raw(paths))

    def id(self, paths: tuple[str, ...]) -> str:
        """A process id in the schema's form; empty when absent or unknown."""
        text = self.text(paths)
        if self.schema.id_form == "guid":
            if text.startswith("{") and text.endswith("}"):
                text = text[1:-1]
            text = "".join(c.lower() if c.isascii() else c for c in text)
        return "" if text in self.schema.unknown_ids else text

    def column(self, source: Source) -> str:
        if source.form == "id":
            return self.id(source.paths)
        address = self.text(source.paths)
        if source.form == "text" or not address:
            return address
        port = self.text(source.port)
        if not port:
            return address
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def is_odd(self, source: Source) -> bool:
        """Whether something was replaced in the text of a column that is present."""
        raw = self.raw(source.paths) + self.raw(source.port)
        return bool(self.column(source)) and _clean(raw) != raw

    def holds(self, condition: Condition) -> bool:
        text = self.text(condition.paths)
        if condition.op == "equals":
            found = text in condition.values
        elif condition.op == "starts":
            found = text.startswith(condition.values)
        else:
            found = any(value in text for value in condition.values)
        return found != condition.negate


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def _events_of(
    record: object, schema: Schema, columns: frozenset[str], limits: Limits, line: int
) -> tuple[list[Event], int, str]:
    """The events of a record, how many of their texts were odd, and the outcome when there are none."""
    if not isinstance(record, dict):
        return [], 0, "not_object"
    fields = _Fields(record, schema)
    for condition in schema.require:
        if not fields.holds(condition):
            return [], 0, condition.reason
    mappings = _mappings_of(fields)
    if not mappings:
        return [], 0, "kind"
    host = fields.text(schema.host)
    if not host:
        return [], 0, "host"
    mappings = [mapping for mapping in mappings if fields.id(mapping.process)]
    if not mappings:
        return [], 0, "process"
    time_text = fields.text(schema.time_paths)
    if not time_text:
        return [], 0, "time"
    time_ns = parse_time(time_text, schema.time_form)
    if time_ns is None:
        raise Reject(f"cannot be read as {schema.time_form}", field="time")
    tenant = fields.text(schema.tenant)
    events: list[Event] = []
    odd = 0
    for mapping in mappings:
        process = fields.id(mapping.process)
        if max(len(text.encode()) for text in (tenant, host, process)) > limits.identity_bytes:
            continue
        wanted = {name: source for name, source in mapping.columns.items() if name in columns}
        texts = {name: text for name, source in wanted.items() if (text := fields.column(source))}
        events.append(Event(time_ns, tenant, host, process, mapping.kind, line, texts))
        odd += fields.is_odd(Source(schema.host)) + fields.is_odd(Source(mapping.process, "id"))
        odd += sum(fields.is_odd(source) for source in wanted.values())
    return events, odd, "identity"


def _mappings_of(fields: _Fields) -> list[EventMapping]:
    """The mappings that hold, at most `EVENTS_PER_RECORD`, in the order of the schema."""
    discriminator = fields.text(fields.schema.discriminator)
    holding = [
        mapping
        for mapping in fields.schema.events
        if discriminator in mapping.when and all(fields.holds(condition) for condition in mapping.where)
    ]
    return holding[:EVENTS_PER_RECORD]


# --- times -----------------------------------------------------------------------------------

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d)| \+0000 UTC)?",
    re.ASCII,
)
_SECONDS = re.compile(r"(-?)(\d{1,19})(?:\.(\d{1,9}))?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_EPOCH_UNITS = {"epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
_FILETIME_EPOCH = 116_444_736_000_000_000  # 1970 in steps of 100 ns since 1601


def parse_time(text: str, form: str) -> int | None:
    """Nanoseconds since 1970 UTC, or ``None`` when the text is not of the form or out of range.

    Parameters
    ----------
    text : str
    form : str
        One of `fastfold.schema.TIME_FORMS`.
    """
    if form == "iso":
        time_ns = _parse_iso(text)
    elif form == "epoch_s":
        found = _SECONDS.fullmatch(text)
        time_ns = None if found is None else int(found[2]) * _NS + _fraction(found[3])
        if time_ns is not None and found is not None and found[1]:
            time_ns = -time_ns
    elif _WHOLE.fullmatch(text) is None:
        time_ns = None
    elif form == "filetime":
        time_ns = (int(text) - _FILETIME_EPOCH) * 100
    else:
        time_ns = int(text) * _EPOCH_UNITS[form]
    return time_ns if time_ns is not None and TIME_MIN <= time_ns <= TIME_MAX else None


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


def _parse_iso(text: str) -> int | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    ahead_hours, ahead_minutes = int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or ahead_hours > 23 or ahead_minutes > 59:
        return None
    try:
        days = date(int(found[1]), int(found[2]), int(found[3])).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    ahead = (ahead_hours * 60 + ahead_minutes) * (-60 if found[8] == "-" else 60)
    return (days * 86_400 + hour * 3600 + minute * 60 + second - ahead) * _NS + _fraction(found[7])


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
