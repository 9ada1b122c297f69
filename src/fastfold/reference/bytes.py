"""The definition of right: what both versions of a payload are written and read with."""

from __future__ import annotations

from fastfold.bounds import READ_BYTES
from fastfold.errors import CorruptValue
from fastfold.reference.times import TIME_MAX, TIME_MIN
from fastfold.schema import FoldDefinition, Reducer
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS, OPS

__all__ = ["I64_MAX", "NS", "U64_MAX", "UNITS", "Reader", "Writer", "all_texts", "unzigzag", "varint", "zigzag"]

U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1
NS = 1_000_000_000

UNITS = (1, 1_000, 1_000_000, NS)


def all_texts(state: State) -> list[Text]:
    """Every text that a state keeps beside its identity."""
    texts: list[Text] = []
    for value in state.values.values():
        if isinstance(value, TextSet):
            texts += value.members
        elif isinstance(value, Text):
            texts.append(value)
    return texts


def varint(value: int) -> bytes:
    """LEB128 of an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """An unsigned number for a signed one: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value: int) -> int:
    """The signed number of an unsigned one."""
    return value >> 1 if value & 1 == 0 else -(value + 1 >> 1)


class Writer:
    """Writes one state."""

    def __init__(self, state: State, definition: FoldDefinition) -> None:
        self.state = state
        self.values = [(one, state.values[one.name]) for one in definition.reducers if one.name in state.values]
        times = self._times()
        self.unit = max(u for u in range(len(UNITS)) if all(t % UNITS[u] == 0 for t in times))
        self.base_ns = min(times, default=0)

    def _times(self) -> list[int]:
        """Every time that is kept in the state."""
        times = [member.time_ns for member in all_texts(self.state)]
        return times + [value for reducer, value in self.values if isinstance(value, int) and reducer.column == "time"]

    def base(self) -> bytes:
        """Unit and smallest time."""
        return bytes([self.unit]) + varint(zigzag(self.base_ns // UNITS[self.unit]))

    def since(self, time_ns: int, from_ns: int) -> bytes:
        """A time, as units since another."""
        return varint((time_ns - from_ns) // UNITS[self.unit])


class Reader:
    """Takes a payload apart from front to back."""

    def __init__(self, payload: bytes, definition: FoldDefinition) -> None:
        self.payload = payload
        self.definition = definition
        self.by_tag = {reducer.tag: reducer for reducer in definition.reducers}
        self.at = 0
        self.unit_ns = 1
        self.base_ns = 0

    def fault(self, reason: str) -> CorruptValue:
        """What to raise of the place that was read to."""
        return CorruptValue(reason, offset=self.at)

    def take(self, count: int) -> bytes:
        """That many bytes."""
        if count > len(self.payload) - self.at:
            raise self.fault("truncated")
        self.at += count
        return self.payload[self.at - count : self.at]

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """One unsigned number."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise self.fault("varint too long")
        if value > U64_MAX:
            raise self.fault("varint out of range")
        return value

    def text(self, data: bytes) -> str:
        """Bytes that must be UTF-8."""
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault("invalid UTF-8") from None

    def ended(self) -> bytes:
        """Bytes up to a NUL, which is skipped."""
        end = self.payload.find(b"\0", self.at)
        if end < 0:
            raise self.fault("truncated")
        data = self.payload[self.at : end]
        self.at = end + 1
        return data

    def checked_time(self, time_ns: int) -> int:
        """A time that fits int64."""
        if not TIME_MIN <= time_ns <= TIME_MAX:
            raise self.fault("time out of range")
        return time_ns

    def time(self, from_ns: int) -> int:
        """A time, written as units since another."""
        return self.checked_time(from_ns + self.varint() * self.unit_ns)

    def base(self) -> None:
        """Unit and smallest time."""
        unit = self.byte()
        if unit >= len(UNITS):
            raise self.fault("unknown unit of time")
        self.unit_ns = UNITS[unit]
        self.base_ns = self.checked_time(unzigzag(self.varint()) * self.unit_ns)

    def reducer(self, header: int) -> Reducer:
        """The reducer of tag and op."""
        reducer = self.by_tag.get(header >> 3)
        if reducer is None or OPS.index(reducer.op) != header & 7:
            raise self.fault(f"unknown reducer {header >> 3} of op {header & 7}")
        return reducer

    def checked(self, reducer: Reducer, value: Value) -> Value:
        """The value, if a fold could have made it."""
        members = value.members if isinstance(value, TextSet) else (value,) if isinstance(value, Text) else ()
        most = max(reducer.text_bytes, READ_BYTES)
        if not all(0 < len(member.text.encode()) <= most for member in members):
            raise self.fault("a text that is empty or over its limit")
        if isinstance(value, TextSet):
            if not members or len(members) > reducer.limit:
                raise self.fault("a set that is empty or over its limit")
            if list(members) != sorted(members) or len({member[1:] for member in members}) != len(members):
                raise self.fault("members of a set out of order, or twice")
        if isinstance(value, dict) and (not value or 0 in value.values()):
            raise self.fault("a count out of range")
        if isinstance(value, int) and reducer.op != "sum" and value > I64_MAX:
            raise self.fault("number out of range")
        return value

    def state(self, identity: tuple[str, str, str], values: dict[str, Value]) -> State:
        """The state, its values in order of tags."""
        ordered = {one.name: values[one.name] for one in self.definition.reducers if one.name in values}
        return State(*identity, ordered)

    def kind(self, number: int) -> str:
        """The kind of a number."""
        if number >= len(KINDS):
            raise self.fault(f"unknown kind {number}")
        return KINDS[number]

    def mark(self, reducer: Reducer) -> None:
        """See that the value is what the reducer keeps, a time or a number."""
        if self.byte() != (0 if reducer.column == "time" else 1):
            raise self.fault("a time where a number belongs, or the other way round")
