"""The definition of right, second part: the events of a text, by json and dicts.

What a record gives, in this order:

1. a line that is too long, nested too deep, not JSON, or has invalid UTF-8 in a key: `Reject`;
2. not an object: counted "not_object";
3. a condition of `Schema.require` fails: counted under its reason;
4. no mapping for the discriminator holds: counted "kind";
5. no host: "host"; no mapping has a known process id: "process"; no time: "time";
6. a time that cannot be read: `Reject`;
7. no event's identity is within the limit: "identity".

Only what `Limits.text_total_bytes` bounds, the memory of the core, has no counterpart here.
`fastfold.reference` is the whole.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from fastfold.errors import Reject
from fastfold.schema import EVENTS_PER_RECORD, Condition, EventMapping, Schema, Source
from fastfold.types import FoldCounts, Limits

__all__ = [
    "TIME_MAX",
    "TIME_MIN",
    "Event",
    "Identity",
    "Reading",
    "load_record",
    "parse_lines",
    "parse_time",
    "read_lines",
]

Identity = tuple[str, str, str]

# The smallest int64 is numpy's "not a time".
TIME_MAX = (1 << 63) - 1
TIME_MIN = -TIME_MAX

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
