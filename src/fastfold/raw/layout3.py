"""The layout of format version 3: texts as in version 2, then all else in bits.

In memory a payload of this version begins with a mark, the size of the texts and the name of its host, none of which
is stored.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from fastfold.errors import CorruptValue
from fastfold.raw.bits import BitWalk
from fastfold.raw.layout2 import GUID, PLAIN, Head, kind_name, take_head, take_texts, told
from fastfold.raw.walk import UNIT_NAMES, UNITS_NS, Field, Walk
from fastfold.schema import FoldDefinition
from fastfold.states import format_time

__all__ = ["outer_3", "version_3"]

_MARK_BYTES = 3
_OWN_IDS = 64
_SHIPPED_IDS = 32
_NS_PER_SECOND = 1_000_000_000
_LAST_IDS = 4
_COUNTERS = 1 << 16


def outer_3(value: bytes) -> Iterator[Field]:
    """The outer form of a value."""
    walk = Walk(value)
    form = walk.byte()
    dictionary = form if form >= _OWN_IDS else form - _SHIPPED_IDS
    yield walk.since(0, "format version and dictionary", f"3, {dictionary}")
    how = "one zstd block"
    if value[1:2] == b"\0":
        walk.take(1)
        how = "zstd frame"
        yield walk.since(1, "form", how)
    sizes = []
    for name in ("texts", "numbers"):
        if not walk.rest:
            return
        start = walk.at
        try:
            sizes.append(walk.varint())
        except CorruptValue:
            yield Field(start, len(value) - start, f"size of {name}", "unreadable")
            return
        yield walk.since(start, f"size of {name}", f"{sizes[-1]} bytes")
    for name, size in (("checksum", 4), ("numbers", sizes[1])):
        start = walk.at
        data = walk.take(min(size, walk.rest))
        if data:
            yield walk.since(start, name, data.hex() if name == "checksum" else f"{len(data)} bytes")
    if walk.rest:
        told = "as they are" if walk.rest == sizes[0] and how == "one zstd block" else how
        yield Field(walk.at, walk.rest, "texts", told)


def version_3(walk: Walk, definition: FoldDefinition) -> Iterator[Field]:
    """The fields of a payload.

    Raises
    ------
    CorruptValue
    """
    whole = walk.payload
    walk.take(_MARK_BYTES)
    yield walk.since(0, "mark", "version 3, not stored")
    start = walk.at
    size = int.from_bytes(walk.take(4), "little")
    yield walk.since(start, "size of texts", f"{size} bytes, not stored here")
    for name in ("tenant", "host"):
        start = walk.at
        yield walk.since(start, name, walk.ended().decode(errors="replace") + ", not stored")
    end = walk.at + size
    texts = Walk(whole[:end], walk.at)
    heads: list[Head] = []
    is_guid = yield from _texts(texts, heads, {reducer.tag: reducer.name for reducer in definition.reducers})
    if texts.at != end:
        raise CorruptValue(f"{end - texts.at} bytes after the end of the texts", offset=texts.at)
    yield from _Numbers(BitWalk(whole, end), heads).fields(is_guid)


def _texts(walk: Walk, heads: list[Head], names: dict[int, str]) -> Generator[Field, None, bool]:
    """All that is compressed; says whether the process is a GUID, which stands with the numbers."""
    start = walk.at
    form = walk.byte()
    if form not in (PLAIN, GUID):
        raise CorruptValue("unknown form of a text", offset=start)
    if form == GUID:
        yield walk.since(start, "form of the process", "a GUID")
    else:
        yield walk.since(start, "process", walk.ended().decode(errors="replace"))
    while True:
        start = walk.at
        tag = walk.varint()
        if not tag:
            yield walk.since(start, "end of heads", "")
            break
        head = take_head(walk, tag, names)
        heads.append(head)
        yield walk.since(start, f"{head.name} head", f"tag {tag >> 3}, {told(head)}")
    for head in heads:
        yield from take_texts(walk, head)
    return form == GUID


class _Numbers:
    """Reads what is in bits.

    Parameters
    ----------
    walk : BitWalk
    heads : list of Head
    """

    def __init__(self, walk: BitWalk, heads: list[Head]) -> None:
        self._walk = walk
        self._heads = heads
        self._own = bytes(16)
        self._last: list[tuple[int, int]] = []
        self._earliest: tuple[int, int] | None = None
        self._unit_ns = 1
        self._base_ns = 0

    def fields(self, is_guid: bool) -> Iterator[Field]:
        """All of them.

        Raises
        ------
        CorruptValue
        """
        walk = self._walk
        start = walk.at
        unit = walk.take(2)
        self._unit_ns = UNITS_NS[unit]
        yield walk.since(start, "unit", UNIT_NAMES[unit])
        if is_guid:
            start = walk.at
            yield walk.since(start, "process", self._own_guid())
        start = walk.at
        seconds = self._last[0][0] if self._last else 0
        self._base_ns = seconds * _NS_PER_SECOND + walk.signed() * self._unit_ns
        yield walk.since(start, "base", format_time(self._base_ns))
        for head in self._heads:
            yield from self._numbers(head)
        yield from self._times()
        for head in self._heads:
            for _ in range(head.count if head.form != PLAIN else 0):
                start = walk.at
                text = self._guid() if head.form == GUID else self._endpoint()
                yield walk.since(start, f"{head.name} text", text)
        if walk.rest >= 8:
            raise CorruptValue(f"{walk.rest // 8} bytes after the end", offset=walk.offset)
        if walk.rest:
            start = walk.at
            walk.take(walk.rest)
            yield walk.since(start, "end of bits", "")

    def _numbers(self, head: Head) -> Iterator[Field]:
        for kind in head.kinds:
            start = self._walk.at
            yield self._walk.since(start, f"{head.name} {kind_name(kind)}", str(self._walk.number() + 1))
        if head.op == "sum" or (head.op in ("min", "max") and not head.is_time):
            start = self._walk.at
            yield self._walk.since(start, head.name, str(self._walk.number()))

    def _times(self) -> Iterator[Field]:
        walk, latest_ns = self._walk, self._base_ns
        for head in self._heads:
            is_least = head.op == "min" and head.is_time
            time_ns = self._base_ns
            for _ in range(1 if is_least else head.count):
                start = walk.at
                time_ns += walk.number() * self._unit_ns
                latest_ns = max(latest_ns, time_ns)
                yield walk.since(start, head.name if is_least else f"{head.name} time", format_time(time_ns))
        for head in self._heads:
            if head.op == "max" and head.is_time:
                start = walk.at
                time_ns = latest_ns + walk.signed() * self._unit_ns
                latest_ns = max(latest_ns, time_ns)
                yield walk.since(start, head.name, format_time(time_ns))

    def _session(self) -> bytes:
        walk = self._walk
        if not walk.take(1):
            return bytes(4) + walk.data(1) + b"\0"
        return walk.data(6) if walk.take(1) else b"\0\x10" + walk.data(3) + b"\0"

    def _own_guid(self) -> str:
        walk = self._walk
        host, seconds, counter = walk.data(4), walk.take(32), walk.number()
        return self._named(host, seconds, counter, self._session(), is_own=True)

    def _guid(self) -> str:
        walk = self._walk
        others = walk.take(2) if walk.take(1) else 0
        host = walk.data(4) if others & 1 else self._own[:4]
        session = self._session() if others & 2 else self._own[10:]
        known = self._last or [(0, 0)]
        if self._earliest is not None and self._earliest not in known:
            known = [*known, self._earliest]
        place = 0
        while place < len(known) - 1 and walk.take(1):
            place += 1
        seconds = known[place][0] + walk.signed()
        step = walk.groups()
        counter = (known[place][1] + ((step >> 1) ^ -(step & 1))) % _COUNTERS
        return self._named(host, seconds, counter, session)

    def _named(self, host: bytes, seconds: int, counter: int, session: bytes, *, is_own: bool = False) -> str:
        """The text of a GUID, beside which the next may stand."""
        if not 0 <= seconds < 1 << 32 or counter >= _COUNTERS:
            raise CorruptValue("an id out of range", offset=self._walk.offset)
        time = seconds.to_bytes(4, "big")
        data = host + time[2:] + time[:2] + counter.to_bytes(2, "little") + session
        self._own = data if is_own else self._own
        self._last = [(seconds, counter), *self._last[: _LAST_IDS - 1]]
        if self._earliest is None or seconds < self._earliest[0]:
            self._earliest = seconds, counter
        text = data.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def _endpoint(self) -> str:
        data = self._walk.data(6)
        return ".".join(map(str, data[:4])) + f":{int.from_bytes(data[4:], 'big')}"
