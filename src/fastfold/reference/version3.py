"""The definition of right: version 3 of a payload.

Texts stand as in version 2.  All else is a stream of bits behind them, the lowest bit of a byte first:
zstd finds nothing in it, and the texts alone suit the tables of a dictionary better.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fastfold.errors import CorruptValue
from fastfold.reference.bytes import NS, UNITS
from fastfold.reference.version2 import (
    GUID,
    PLAIN,
    Head,
    Reader2,
    Writer2,
    form_of,
    guid_of,
    guid_text,
    ipv4_of,
    ipv4_text,
    is_guid,
    keeps_text,
    value_of,
)
from fastfold.schema import FoldDefinition, Reducer
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS

__all__ = ["MARK_3", "Reader3", "Writer3"]

MARK_3 = b"\x80\x80\x00"
"""What version 3 begins with: a zero again, written longer still."""

_SHORT_LENGTHS = 31
_GROUP_BITS = 3
_COUNTERS = 1 << 16
_COUNT_MOST = (1 << 64) - 1
_LAST_IDS = 4
_SESSIONS = ((b"\0\0\0\0", 4, 5), (b"\0\x10", 2, 5))
"""Sessions of which a part is known: how they begin, and the bytes that are written; the last is 0."""


class _Id(NamedTuple):
    """What another GUID is written beside."""

    seconds: int
    counter: int


class _Bits:
    """Writes bits, the lowest first."""

    def __init__(self) -> None:
        self._bits = 0
        self._count = 0

    def bits(self, value: int, count: int) -> None:
        """The low bits of a number."""
        self._bits |= value << self._count
        self._count += count

    def number(self, value: int) -> None:
        """Bit 0 for 0; else bit 1, how many bits the number has, and those below its highest."""
        self.bits(value > 0, 1)
        if value:
            below = value.bit_length() - 1
            self.bits(min(below, _SHORT_LENGTHS), 5)
            if below >= _SHORT_LENGTHS:
                self.bits(below, 6)
            self.bits(value - (1 << below), below)

    def signed(self, value: int) -> None:
        """The absolute value, and unless it is 0 a bit for below."""
        self.number(abs(value))
        if value:
            self.bits(value < 0, 1)

    def groups(self, value: int) -> None:
        """Three bits at a time, the lowest first, each with a bit that says whether more follow."""
        while True:
            rest = value >> _GROUP_BITS
            self.bits(value & (1 << _GROUP_BITS) - 1 | (rest > 0) << _GROUP_BITS, _GROUP_BITS + 1)
            if not rest:
                return
            value = rest

    def data(self, data: bytes) -> None:
        """Whole bytes."""
        self.bits(int.from_bytes(data, "little"), 8 * len(data))

    def done(self) -> bytes:
        """All of it, filled up with zeros."""
        return self._bits.to_bytes((self._count + 7) // 8, "little")


class _Ids:
    """The GUIDs that another is written beside: the last ones, newest first, and behind them the earliest of all."""

    def __init__(self) -> None:
        self._last: list[_Id] = []
        self._earliest: _Id | None = None

    def all(self) -> list[_Id]:
        """None twice at the end: the earliest may be among the last."""
        if self._earliest is None:
            return [_Id(0, 0)]
        return self._last if self._earliest in self._last else [*self._last, self._earliest]

    def nearest(self, seconds: int) -> int:
        """The place of the one whose distance has the fewest bits, of several the first."""
        spans = [abs(seconds - one.seconds).bit_length() for one in self.all()]
        return spans.index(min(spans))

    def add(self, one: _Id) -> None:
        """The next one is beside this."""
        self._last = [one, *self._last[: _LAST_IDS - 1]]
        if self._earliest is None or one.seconds < self._earliest.seconds:
            self._earliest = one


class Writer3(Writer2):
    """Writes one state."""

    def __init__(self, state: State, definition: FoldDefinition) -> None:
        super().__init__(state, definition)
        self.out = _Bits()
        self.ids = _Ids()

    def write(self) -> bytes:
        """The payload."""
        process = self.state.process
        parts = [self.parts(reducer, value) for reducer, value in self.values]
        own = b"\1" if is_guid(process) else b"\0" + process.encode() + b"\0"
        texts = own + b"".join(part[0] for part in parts) + b"\0" + b"".join(part[1] for part in parts)
        name = self.state.tenant.encode() + b"\0" + self.state.host.encode() + b"\0"
        self._put_numbers()
        return MARK_3 + len(texts).to_bytes(4, "little") + name + texts + self.out.done()

    def _put_numbers(self) -> None:
        out = self.out
        out.bits(self.unit, 2)
        if is_guid(self.state.process):
            self._own(self.state.process)
        out.signed(self._units(self.base_ns - self.ids.all()[0].seconds * NS))
        for reducer, value in self.values:
            for number in _numbers_of(reducer, value):
                out.number(number)
        self._put_times()
        for _, value in self.values:
            members = value.members if isinstance(value, TextSet) else (value,) if isinstance(value, Text) else ()
            form = form_of(members) if members else PLAIN
            for member in members if form != PLAIN else ():
                if form == GUID:
                    self._beside(member.text)
                else:
                    out.data(ipv4_of(member.text) or b"")

    def _put_times(self) -> None:
        """Of sets since the member before, of all others since base; the greatest last, beside those before them."""
        latest_ns = self.base_ns
        for reducer, value in self.values:
            if _is_latest(reducer):
                continue
            before_ns = self.base_ns
            for time_ns in _times_of(reducer, value):
                self.out.number(self._units(time_ns - before_ns))
                latest_ns = max(latest_ns, time_ns)
                before_ns = time_ns
        for reducer, value in self.values:
            if _is_latest(reducer):
                assert isinstance(value, int)
                self.out.signed(self._units(value - latest_ns))
                latest_ns = max(latest_ns, value)

    def _units(self, difference_ns: int) -> int:
        return difference_ns // UNITS[self.unit]

    def _own(self, text: str) -> None:
        self.guid_host, seconds, counter, self.guid_session = guid_of(text)
        number = int.from_bytes(counter, "little")
        self.out.data(self.guid_host)
        self.out.bits(seconds, 32)
        self.out.number(number)
        self._session(self.guid_session)
        self.ids.add(_Id(seconds, number))

    def _session(self, session: bytes) -> None:
        for form, (start, begin, end) in enumerate(_SESSIONS):
            if session.startswith(start) and session[5] == 0:
                self.out.bits((1 << form) - 1, form + 1)
                self.out.data(session[begin:end])
                return
        self.out.bits((1 << len(_SESSIONS)) - 1, len(_SESSIONS))
        self.out.data(session)

    def _beside(self, text: str) -> None:
        host, seconds, data, session = guid_of(text)
        others = host != self.guid_host, session != self.guid_session
        self.out.bits(any(others), 1)
        if any(others):
            self.out.bits(others[0] | others[1] << 1, 2)
        if others[0]:
            self.out.data(host)
        if others[1]:
            self._session(session)
        known = self.ids.all()
        place = self.ids.nearest(seconds)
        # So many ones, and a zero unless none is left.
        self.out.bits((1 << place) - 1, min(place + 1, len(known) - 1))
        counter = int.from_bytes(data, "little")
        step = (counter - known[place].counter) % _COUNTERS
        self.out.signed(seconds - known[place].seconds)
        self.out.groups(step << 1 if step < _COUNTERS // 2 else (_COUNTERS - step << 1) - 1)
        self.ids.add(_Id(seconds, counter))


def _is_latest(reducer: Reducer) -> bool:
    return reducer.op == "max" and reducer.column == "time"


def _numbers_of(reducer: Reducer, value: Value) -> Iterable[int]:
    if isinstance(value, dict):
        # No kind is counted 0 times.
        return [value[kind] - 1 for kind in KINDS if kind in value]
    return [value] if isinstance(value, int) and (reducer.op == "sum" or reducer.column != "time") else []


def _times_of(reducer: Reducer, value: Value) -> list[int]:
    if isinstance(value, TextSet):
        return [member.time_ns for member in value.members]
    if isinstance(value, Text):
        return [value.time_ns]
    return [value] if isinstance(value, int) and reducer.op == "min" and reducer.column == "time" else []


class Reader3(Reader2):
    """Reads one payload."""

    def __init__(self, payload: bytes, definition: FoldDefinition) -> None:
        super().__init__(payload, definition)
        self.ids = _Ids()
        self.bits_at = 0
        self.bits_end = 0

    def read(self) -> State:
        """The state."""
        self.take(len(MARK_3))
        size = int.from_bytes(self.take(4), "little")
        tenant, host = (self.text(self.ended()) for _ in range(2))
        if size > len(self.payload) - self.at:
            raise self.fault("truncated")
        whole, end = self.payload, self.at + size
        self.bits_at, self.bits_end = 8 * end, 8 * len(whole)
        self.payload = whole[:end]
        form = self.byte()
        if form > 1:
            raise self.fault("unknown form of a text")
        process = "" if form else self.text(self.ended())
        heads = self._heads()
        texts = {one.tag: self._texts(one, head) for one, head in heads if keeps_text(one) and head.form == PLAIN}
        if self.at != end:
            raise self.fault("bytes after the end")
        self.payload = whole
        process = self._first_bits(form == 1) or process
        numbers = {one.tag: self._numbers(one, head) for one, head in heads}
        times = self._all_times(heads)
        for one, head in heads:
            if keeps_text(one) and head.form != PLAIN:
                texts[one.tag] = [self._beside() if head.form == GUID else self._endpoint() for _ in head.cuts]
        if self.bits_end - self.bits_at >= 8:
            raise self.fault("bytes after the end")
        values: dict[str, Value] = {}
        for one, head in heads:
            value = value_of(one, head, texts.get(one.tag, []), numbers[one.tag], times.get(one.tag, []))
            values[one.name] = self.checked(one, value)
        return self.state((tenant, host, process), values)

    def fault(self, reason: str) -> CorruptValue:
        """What to raise of the place that was read to."""
        return CorruptValue(reason, offset=max(self.at, self.bits_at // 8))

    # Bits

    def bits(self, count: int) -> int:
        """That many bits."""
        if count > self.bits_end - self.bits_at:
            raise self.fault("truncated")
        start, self.bits_at = self.bits_at, self.bits_at + count
        word = int.from_bytes(self.payload[start // 8 : (self.bits_at + 7) // 8], "little")
        return word >> start % 8 & (1 << count) - 1

    def number(self) -> int:
        """One unsigned number."""
        if not self.bits(1):
            return 0
        below = self.bits(5)
        if below == _SHORT_LENGTHS:
            below = self.bits(6)
        return 1 << below | self.bits(below)

    def signed(self) -> int:
        """One signed number."""
        value = self.number()
        return -value if value and self.bits(1) else value

    def groups(self) -> int:
        """A number in groups of bits."""
        value = 0
        for shift in range(0, 18, _GROUP_BITS):
            group = self.bits(_GROUP_BITS + 1)
            value |= (group & (1 << _GROUP_BITS) - 1) << shift
            if not group >> _GROUP_BITS:
                return value
        raise self.fault("an id out of range")

    def data(self, count: int) -> bytes:
        """Whole bytes."""
        return self.bits(8 * count).to_bytes(count, "little")

    # Parts

    def _first_bits(self, has_guid: bool) -> str:
        """Unit, the process where it is a GUID, smallest time."""
        self.unit_ns = UNITS[self.bits(2)]
        process = self._own() if has_guid else ""
        self.base_ns = self.checked_time(self.ids.all()[0].seconds * NS + self.signed() * self.unit_ns)
        return process

    def _own(self) -> str:
        self.guid_host = self.data(4)
        seconds = self.bits(32)
        counter = self.number()
        if counter >= _COUNTERS:
            raise self.fault("an id out of range")
        self.guid_session = self._session()
        self.ids.add(_Id(seconds, counter))
        return guid_text(self.guid_host, seconds, counter.to_bytes(2, "little"), self.guid_session)

    def _session(self) -> bytes:
        for start, begin, end in _SESSIONS:
            if not self.bits(1):
                return start + self.data(end - begin) + b"\0"
        return self.data(6)

    def _numbers(self, reducer: Reducer, head: Head) -> list[int]:
        if reducer.op == "count":
            return [self._count() for _ in head.kinds]
        is_number = reducer.op == "sum" or (reducer.op in ("min", "max") and reducer.column != "time")
        return [self.number()] if is_number else []

    def _count(self) -> int:
        count = self.number() + 1
        if count > _COUNT_MOST:
            raise self.fault("a count out of range")
        return count

    def _all_times(self, heads: list[tuple[Reducer, Head]]) -> dict[int, list[int]]:
        times: dict[int, list[int]] = {}
        latest_ns = self.base_ns
        for one, head in heads:
            if _is_latest(one):
                continue
            count = 1 if one.op == "min" and one.column == "time" else len(head.cuts)
            before_ns = self.base_ns
            times[one.tag] = []
            for _ in range(count):
                before_ns = self.checked_time(before_ns + self.number() * self.unit_ns)
                latest_ns = max(latest_ns, before_ns)
                times[one.tag].append(before_ns)
        for one, _ in heads:
            if _is_latest(one):
                time_ns = self.checked_time(latest_ns + self.signed() * self.unit_ns)
                latest_ns = max(latest_ns, time_ns)
                times[one.tag] = [time_ns]
        return times

    def _beside(self) -> str:
        others = self.bits(2) if self.bits(1) else 0
        host = self.data(4) if others & 1 else self.guid_host
        session = self._session() if others & 2 else self.guid_session
        known = self.ids.all()
        place = 0
        while place < len(known) - 1 and self.bits(1):
            place += 1
        seconds = known[place].seconds + self.signed()
        if not 0 <= seconds < 1 << 32:
            raise self.fault("an id out of range")
        step = self.groups()
        counter = (known[place].counter + (step >> 1 if step & 1 == 0 else -(step + 1 >> 1))) % _COUNTERS
        self.ids.add(_Id(seconds, counter))
        return guid_text(host, seconds, counter.to_bytes(2, "little"), session)

    def _endpoint(self) -> str:
        return ipv4_text(self.data(6))
