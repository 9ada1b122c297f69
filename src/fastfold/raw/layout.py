"""Values field by field, with offsets and sizes: what `inspect --raw` prints.

A second reader of the format, on purpose: it follows the drawing in ARCHITECTURE.md, knows nothing of the core,
and goes on until the byte that is wrong, so that a damaged value can be looked at.  It shows and does not judge:
whether a payload is canonical is for the core to say.

A format version is one entry in `_VALUES`: a function that takes the walker of a payload over its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import zstandard

from fastfold.errors import CorruptValue
from fastfold.raw.layout2 import outer_2, version_2
from fastfold.raw.layout3 import outer_3, version_3
from fastfold.raw.walk import Field, Times, Walk, take_base, take_unit
from fastfold.schema import FoldDefinition
from fastfold.states import format_time
from fastfold.types import KINDS, OPS

__all__ = ["outer_fields", "payload_fields"]

_NS_PER_MS = 1_000_000
_HEADER_BYTES = 2
_FORM_3 = 32


def outer_fields(value: bytes) -> Iterator[Field]:
    """The outer form of a value, as far as it can be read."""
    if value and value[0] >= _FORM_3:
        yield from outer_3(value)
        return
    for offset, name in enumerate(("format version", "dictionary")):
        if offset < len(value):
            yield Field(offset, 1, name, str(value[offset]))
    if value[:1] == b"\x02":
        yield from outer_2(value)
        return
    frame = value[_HEADER_BYTES:]
    if not frame:
        return
    try:
        facts = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as error:
        yield Field(_HEADER_BYTES, len(frame), "no zstd frame", str(error))
        return
    checksum = "with checksum" if facts.has_checksum else "without checksum"
    size = "unknown size" if facts.content_size == zstandard.CONTENTSIZE_UNKNOWN else f"{facts.content_size} bytes"
    yield Field(_HEADER_BYTES, len(frame), "zstd frame", f"payload of {size}, {checksum}")


def payload_fields(version: int, payload: bytes, definition: FoldDefinition | None) -> Iterator[Field]:
    """The fields of a payload.

    Parameters
    ----------
    version : int
        Format version of the value.
    payload : bytes
    definition : FoldDefinition or None
        Names the reducers of a state; ``None`` for a host record.

    Raises
    ------
    CorruptValue
        At the first byte that does not fit; the fields before it have been given.
    """
    readers = _VALUES.get(version)
    if readers is None:
        raise CorruptValue(f"format version {version} has no layout here")
    walk = Walk(payload)
    yield from _host_record(walk) if definition is None else readers(walk, definition)


def _identity(walk: Walk, names: tuple[str, ...]) -> Iterator[Field]:
    for name in names:
        start = walk.at
        text = walk.take(walk.varint())
        yield walk.since(start, name, text.decode(errors="replace"))


def _text(walk: Walk, name: str) -> Field:
    start = walk.at
    head = walk.varint()
    text = walk.take(head >> 1)
    return walk.since(start, f"{name} text{', cut' if head & 1 else ''}", text.decode(errors="replace"))


def _version_1(walk: Walk, definition: FoldDefinition) -> Iterator[Field]:
    yield from _identity(walk, ("tenant", "host", "process"))
    unit_ns, unit = take_unit(walk)
    yield unit
    times, base = take_base(walk, unit_ns)
    yield base
    names = {reducer.tag: reducer.name for reducer in definition.reducers}
    while walk.rest:
        start = walk.at
        head = walk.varint()
        name, op = names.get(head >> 3, f"tag {head >> 3}"), OPS[head & 7]
        yield walk.since(start, name, f"tag {head >> 3}, {op}")
        yield from _BODIES[op](walk, times, name)


def _count(walk: Walk, times: Times, name: str) -> Iterator[Field]:
    start = walk.at
    filled = walk.varint()
    yield walk.since(start, f"{name} kinds", str(filled))
    for _ in range(filled):
        start = walk.at
        kind = walk.byte()
        yield walk.since(start, f"{name} kind", KINDS[kind] if kind < len(KINDS) else f"kind {kind}")
        start = walk.at
        number = walk.varint()
        yield walk.since(start, f"{name} count", str(number))


def _number(walk: Walk, times: Times, name: str) -> Iterator[Field]:
    start = walk.at
    is_number = walk.byte()
    yield walk.since(start, f"{name} form", "number" if is_number else "time")
    start = walk.at
    value = str(walk.varint()) if is_number else format_time(times.next_ns(times.base_ns))
    yield walk.since(start, name, value)


def _sum(walk: Walk, times: Times, name: str) -> Iterator[Field]:
    start = walk.at
    number = walk.varint()
    yield walk.since(start, name, str(number))


def _one_text(walk: Walk, times: Times, name: str) -> Iterator[Field]:
    start = walk.at
    time_ns = times.next_ns(times.base_ns)
    yield walk.since(start, f"{name} time", format_time(time_ns))
    yield _text(walk, name)


def _set(walk: Walk, times: Times, name: str) -> Iterator[Field]:
    start = walk.at
    head = walk.varint()
    yield walk.since(start, f"{name} members", f"{head >> 1}{', more were dropped' if head & 1 else ''}")
    time_ns = times.base_ns
    for _ in range(head >> 1):
        start = walk.at
        time_ns = times.next_ns(time_ns)
        yield walk.since(start, f"{name} time", format_time(time_ns))
        yield _text(walk, name)


def _marks(walk: Walk, times: Times, name: str) -> Iterator[Field]:
    raise CorruptValue("marks are not written by this version", offset=walk.at)


_Body = Callable[[Walk, Times, str], Iterator[Field]]
_BODIES: dict[str, _Body] = {
    "count": _count,
    "min": _number,
    "max": _number,
    "sum": _sum,
    "first": _one_text,
    "last": _one_text,
    "set": _set,
    "marks": _marks,
}

_VALUES: dict[int, Callable[[Walk, FoldDefinition], Iterator[Field]]] = {
    1: _version_1,
    2: version_2,
    3: version_3,
}


def _host_record(walk: Walk) -> Iterator[Field]:
    yield from _identity(walk, ("tenant", "host"))
    start = walk.at
    count = walk.varint()
    yield walk.since(start, "entries", str(count))
    time_ms = 0
    for _ in range(count):
        start = walk.at
        time_ms += walk.varint()
        yield walk.since(start, "batch time", format_time(time_ms * _NS_PER_MS))
        start = walk.at
        batch = walk.take(8)
        yield walk.since(start, "batch id", batch.hex())
        start = walk.at
        bits = walk.byte()
        yield walk.since(start, "chunk bits", str(bits))
        start = walk.at
        index = walk.varint()
        yield walk.since(start, "chunk", str(index))
    if walk.rest:
        raise CorruptValue(f"{walk.rest} bytes after the end", offset=walk.at)
