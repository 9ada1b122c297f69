"""The layout of format version 2: what is alike stands together, all heads, then texts, numbers, times and ids.

In memory a payload of this version begins with a mark, which is not stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastfold.errors import CorruptValue
from fastfold.raw.walk import Field, Times, Walk, take_base, take_unit
from fastfold.schema import FoldDefinition
from fastfold.states import format_time
from fastfold.types import KINDS, OPS

__all__ = ["GUID", "PLAIN", "Head", "kind_name", "outer_2", "take_head", "take_texts", "told", "version_2"]

_MARK_BYTES = 2
PLAIN, GUID, _IPV4 = range(3)
_FORMS = ("texts", "GUIDs", "IPv4 endpoints")
_HOW = ("one zstd block and its checksum", "as it is, and a checksum", "zstd frame")
_TEXT_OPS = ("first", "last", "set")
_NS_PER_SECOND = 1_000_000_000


def outer_2(value: bytes) -> Iterator[Field]:
    """The outer form of a value after its version and dictionary."""
    walk = Walk(value)
    walk.take(_MARK_BYTES)
    if not walk.rest:
        return
    start = walk.at
    head = walk.varint()
    how = _HOW[head & 3] if head & 3 < len(_HOW) else f"form {head & 3}"
    yield walk.since(start, "size and form", f"payload of {head >> 2} bytes, {how}")
    if walk.rest:
        yield Field(walk.at, walk.rest, "body", how)


@dataclass(slots=True)
class Head:
    """What the head of a payload says of one reducer."""

    name: str
    op: str
    kinds: tuple[int, ...] = ()
    form: int = PLAIN
    count: int = 0
    is_time: bool = False
    cut: bool = False
    more: bool = False


def version_2(walk: Walk, definition: FoldDefinition) -> Iterator[Field]:
    """The fields of a payload.

    Raises
    ------
    CorruptValue
    """
    start = walk.at
    walk.take(_MARK_BYTES)
    yield walk.since(start, "mark", "version 2, not stored")
    unit_ns, unit = take_unit(walk)
    yield unit
    times, base = take_base(walk, unit_ns)
    yield base
    ids = _Ids(walk, times.base_ns // _NS_PER_SECOND)
    start = walk.at
    yield walk.since(start, "process", _process(walk, ids))
    for name in ("tenant", "host"):
        start = walk.at
        yield walk.since(start, name, walk.ended().decode(errors="replace"))
    heads: list[Head] = []
    names = {reducer.tag: reducer.name for reducer in definition.reducers}
    while True:
        start = walk.at
        tag = walk.varint()
        if not tag:
            yield walk.since(start, "end of heads", "")
            break
        head = take_head(walk, tag, names)
        heads.append(head)
        yield walk.since(start, f"{head.name} head", f"tag {tag >> 3}, {told(head)}")
    for part in (take_texts, _numbers, _times):
        for head in heads:
            yield from part(walk, head, times)
    for head in heads:
        for _ in range(head.count if head.form != PLAIN else 0):
            start = walk.at
            text = ids.guid() if head.form == GUID else _endpoint(walk)
            yield walk.since(start, f"{head.name} text", text)
    if walk.rest:
        raise CorruptValue(f"{walk.rest} bytes after the end", offset=walk.at)


def _process(walk: Walk, ids: _Ids) -> str:
    start = walk.at
    form = walk.byte()
    if form == PLAIN:
        return walk.ended().decode(errors="replace")
    if form != GUID:
        raise CorruptValue("unknown form of a text", offset=start)
    return ids.first()


class _Ids:
    """GUIDs, each beside the one before it."""

    def __init__(self, walk: Walk, seconds: int) -> None:
        self._walk = walk
        self._seconds = seconds
        self._host = bytes(4)
        self._session = bytes(6)

    def first(self) -> str:
        self._host = self._walk.take(4)
        self._step(self._walk.varint())
        counter = self._walk.take(2)
        self._session = self._walk.take(6)
        return self._text(self._host, counter, self._session)

    def guid(self) -> str:
        head = self._walk.varint()
        self._step(head >> 2)
        host = self._walk.take(4) if head & 1 else self._host
        counter = self._walk.take(2)
        return self._text(host, counter, self._walk.take(6) if head & 2 else self._session)

    def _step(self, zigzag: int) -> None:
        self._seconds += (zigzag >> 1) ^ -(zigzag & 1)
        if not 0 <= self._seconds < 1 << 32:
            raise CorruptValue("an id out of range", offset=self._walk.at)

    def _text(self, host: bytes, counter: bytes, session: bytes) -> str:
        time = self._seconds.to_bytes(4, "big")
        text = (host + time[2:] + time[:2] + counter + session).hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _endpoint(walk: Walk) -> str:
    data = walk.take(6)
    return ".".join(map(str, data[:4])) + f":{int.from_bytes(data[4:], 'big')}"


def take_head(walk: Walk, tag: int, names: dict[int, str]) -> Head:
    """The head of a reducer, behind its tag.

    Raises
    ------
    CorruptValue
    """
    head = Head(names.get(tag >> 3, f"tag {tag >> 3}"), OPS[tag & 7])
    start = walk.at
    if head.op == "count":
        bits = walk.varint()
        head.kinds = tuple(kind for kind in range(64) if bits >> kind & 1)
    elif head.op in ("first", "last"):
        mark = walk.byte()
        head.form, head.count, head.cut = mark >> 1, 1, bool(mark & 1)
    elif head.op == "set":
        number = walk.varint()
        head.count, head.form, head.more = number >> 4, number >> 1 & 3, bool(number & 1)
        head.cut = bool(number >> 3 & 1)
        if head.cut:
            walk.take((head.count + 7) // 8)
    elif head.op in ("min", "max"):
        head.is_time = not walk.byte()
    elif head.op != "sum":
        raise CorruptValue("marks are not written by this version", offset=start)
    if head.form >= len(_FORMS):
        raise CorruptValue("unknown form of a text", offset=start)
    return head


def told(head: Head) -> str:
    """A head in words."""
    if head.op == "count":
        return "count of " + ", ".join(map(kind_name, head.kinds))
    if head.op not in _TEXT_OPS:
        return head.op
    marks = (", some cut" if head.cut else "") + (", more were dropped" if head.more else "")
    return f"{head.op} of {head.count} {_FORMS[head.form]}{marks}"


def kind_name(number: int) -> str:
    """A kind by its number."""
    return KINDS[number] if number < len(KINDS) else f"kind {number}"


def take_texts(walk: Walk, head: Head, times: Times | None = None) -> Iterator[Field]:
    """The texts of a reducer that stand as they are.

    Raises
    ------
    CorruptValue
    """
    before = b""
    for place in range(head.count if head.form == PLAIN else 0):
        start = walk.at
        shared = walk.varint() if place else 0
        if shared > len(before):
            raise CorruptValue("more shared bytes than there are", offset=start)
        before = before[:shared] + walk.ended()
        yield walk.since(start, f"{head.name} text", before.decode(errors="replace"))


def _numbers(walk: Walk, head: Head, times: Times) -> Iterator[Field]:
    for kind in head.kinds:
        start = walk.at
        number = walk.varint()
        yield walk.since(start, f"{head.name} {kind_name(kind)}", str(number))
    if head.op == "sum" or (head.op in ("min", "max") and not head.is_time):
        start = walk.at
        number = walk.varint()
        yield walk.since(start, head.name, str(number))


def _times(walk: Walk, head: Head, times: Times) -> Iterator[Field]:
    time_ns = times.base_ns
    for _ in range(1 if head.is_time else head.count):
        start = walk.at
        time_ns = times.next_ns(time_ns)
        yield walk.since(start, head.name if head.is_time else f"{head.name} time", format_time(time_ns))
