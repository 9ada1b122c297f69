"""The definition of right, second part: the events of a text, by json and dicts.

What a record gives, in this order:

1. a line that is too long, nested too deep, not JSON, or has invalid UTF-8 in a key: `Reject`;
2. not an object: counted "not_object";
3. a condition of `Schema.require` fails: counted under its reason;
4. a string that should hold an object is not JSON: counted "embedded";
5. no mapping for the discriminator holds: counted "kind";
6. no host: "host"; no mapping has a known process id: "process"; no time: "time";
7. a time that cannot be read: `Reject`;
8. no event's identity is within the limit: "identity".

Only what `Limits.text_total_bytes` bounds, the memory of the core, has no counterpart here.
`fastfold.reference` is the whole.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastfold.errors import Reject
from fastfold.reference.times import parse_time
from fastfold.schema import EVENTS_PER_RECORD, LAST, Condition, EventMapping, Schema, Source
from fastfold.types import FoldCounts, Limits

__all__ = [
    "Event",
    "Identity",
    "Reading",
    "load_record",
    "parse_lines",
    "read_lines",
]

Identity = tuple[str, str, str]

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


class _Number(str):
    """A number as it is written, told from a string."""

    __slots__ = ()


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
        return json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant)
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

    def value(self, paths: tuple[str, ...]) -> object:
        """The value of the first alternative that is present: has a text; ``None`` when none is."""
        for keys in self.schema.expand(paths):
            value: object = self.record
            for key in keys:
                value = _below(value, key)
            if _scalar(_first(value)):
                return value
        return None

    def raw(self, paths: tuple[str, ...]) -> str:
        """The text of a field as it stands; empty when absent."""
        return _scalar(_first(self.value(paths)))

    def text(self, paths: tuple[str, ...]) -> str:
        return _clean(self.raw(paths))

    def words(self, paths: tuple[str, ...]) -> str:
        """All texts of an array as they stand, with a space between; of any other value its text."""
        value = self.value(paths)
        items = value if isinstance(value, list) else [value]
        return " ".join(text for item in items if (text := _scalar(item)))

    def id(self, source: Source) -> str:
        """A process id in the schema's form; empty when absent or unknown."""
        if text := self.text(source.paths):
            return self._known(self._id_form(text))
        parts = [self._id_form(self.text((part,))) for part in source.parts]
        if not parts or not self._known(parts[0]):
            return ""
        return ":".join(part for part in parts if part)

    def _id_form(self, text: str) -> str:
        if self.schema.id_form != "guid":
            return text
        if text.startswith("{") and text.endswith("}"):
            text = text[1:-1]
        return "".join(c.lower() if c.isascii() else c for c in text)

    def _known(self, text: str) -> str:
        return "" if text in self.schema.unknown_ids else text

    def column(self, source: Source) -> str:
        if source.form == "id":
            return self.id(source)
        text = _clean(self.words(source.paths)) if source.form == "words" else self.text(source.paths)
        if not text or text in source.absent:
            return ""
        tail = self.text(source.tail)
        if not tail:
            return text
        if source.form == "registry":
            return f"{text}\\{tail}"
        return f"[{text}]:{tail}" if ":" in text else f"{text}:{tail}"

    def is_odd(self, source: Source) -> bool:
        """Whether something was replaced in what the text of a column that is present was made of."""
        if not self.column(source):
            return False
        raw = self.words(source.paths) if source.form == "words" else self.raw(source.paths)
        if not raw:
            raw = " ".join(self.raw((part,)) for part in source.parts)
        raw += self.raw(source.tail)
        return _clean(raw) != raw

    def holds(self, condition: Condition) -> bool:
        text = self.text(condition.paths)
        if condition.op == "equals":
            found = text in condition.values
        elif condition.op == "starts":
            found = text.startswith(condition.values)
        elif condition.op == "ends":
            found = text.endswith(condition.values)
        elif condition.op == "contains":
            found = any(value in text for value in condition.values)
        else:
            found = any(part.strip(" ") in condition.values for part in text.split("|"))
        return found != condition.negate


def _below(value: object, key: str) -> object:
    """What stands under a key of an object, or under one of the last object of an array."""
    if not isinstance(value, dict):
        return None
    if not key.endswith(LAST):
        return value.get(key)
    array = value.get(key.removesuffix(LAST))
    return array[-1] if isinstance(array, list) and array else None


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def _open_embedded(record: dict[str, object], schema: Schema, depth: int) -> tuple[dict[str, object], bool]:
    """The record with objects for the strings that hold them, and whether some string is none.

    What was replaced when the string itself was cleaned does not make the texts in it odd.
    """
    is_bad = False
    for name in schema.embedded:
        text = record.get(name)
        if isinstance(text, str) and not isinstance(text, _Number) and text:
            try:
                inner = load_record(_clean(text).encode(), depth)
            except Reject:
                inner = None
            is_bad = is_bad or not isinstance(inner, dict)
            record = {**record, name: inner}
    return record, is_bad


def _events_of(
    record: object, schema: Schema, columns: frozenset[str], limits: Limits, line: int
) -> tuple[list[Event], int, str]:
    """The events of a record, how many of their texts were odd, and the outcome when there are none."""
    if not isinstance(record, dict):
        return [], 0, "not_object"
    record, is_bad = _open_embedded(record, schema, limits.depth)
    fields = _Fields(record, schema)
    for condition in schema.require:
        if not fields.holds(condition):
            return [], 0, condition.reason
    if is_bad:
        return [], 0, "embedded"
    mappings = _mappings_of(fields)
    if not mappings:
        return [], 0, "kind"
    host = fields.text(schema.host)
    if not host:
        return [], 0, "host"
    mappings = [mapping for mapping in mappings if fields.id(mapping.process)]
    if not mappings:
        return [], 0, "process"
    time_ns = _time_of(fields)
    if time_ns is None:
        return [], 0, "time"
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
        odd += fields.is_odd(Source(schema.host)) + fields.is_odd(mapping.process)
        odd += sum(fields.is_odd(source) for source in wanted.values())
    return events, odd, "identity"


def _time_of(fields: _Fields) -> int | None:
    """The time by the first source that is present; ``None`` when none is."""
    for source in fields.schema.times:
        if text := fields.text(source.paths):
            time_ns = parse_time(text, source.form)
            if time_ns is None:
                raise Reject(f"cannot be read as {source.form}", field="time")
            return time_ns
    return None


def _mappings_of(fields: _Fields) -> list[EventMapping]:
    """The mappings that hold, at most `EVENTS_PER_RECORD`, in the order of the schema."""
    discriminator = fields.text(fields.schema.discriminator)
    if not discriminator:
        return []
    holding = [
        mapping
        for mapping in fields.schema.events
        if mapping.is_for(discriminator) and all(fields.holds(condition) for condition in mapping.where)
    ]
    return holding[:EVENTS_PER_RECORD]
