"""What the layouts of all format versions are read with."""

from __future__ import annotations

from typing import NamedTuple

from fastfold.errors import CorruptValue
from fastfold.states import format_time

__all__ = ["UNITS_NS", "UNIT_NAMES", "Field", "Times", "Walk", "take_base", "take_unit"]

UNITS_NS = (1, 1_000, 1_000_000, 1_000_000_000)
UNIT_NAMES = ("1 ns", "1 us", "1 ms", "1 s")


class Field(NamedTuple):
    """A part of a value.

    Attributes
    ----------
    offset, size : int
        In bytes.
    name : str
        What it is.
    value : str
        What it says; a text of others is in it as it is.
    bit, bits : int
        Of what does not stand in whole bytes: the bit of its first byte with which it begins, and its size beyond
        whole bytes.
    """

    offset: int
    size: int
    name: str
    value: str
    bit: int = 0
    bits: int = 0


class Walk:
    """Takes numbers and bytes from the front of a payload.

    Parameters
    ----------
    payload : bytes
    at : int
        Where to begin.
    """

    def __init__(self, payload: bytes, at: int = 0) -> None:
        self.at = at
        self.payload = payload

    @property
    def rest(self) -> int:
        """Bytes that are left."""
        return len(self.payload) - self.at

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def take(self, size: int) -> bytes:
        """So many bytes.

        Raises
        ------
        CorruptValue
            If there are fewer.
        """
        if size > self.rest:
            raise CorruptValue(f"{size} bytes wanted, {self.rest} left", offset=self.at)
        self.at += size
        return self.payload[self.at - size : self.at]

    def varint(self) -> int:
        """A LEB128 number.

        Raises
        ------
        CorruptValue
        """
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise CorruptValue("varint longer than 64 bits", offset=self.at)

    def ended(self) -> bytes:
        """Bytes up to a NUL, which is taken too.

        Raises
        ------
        CorruptValue
            If there is none.
        """
        end = self.payload.find(b"\0", self.at)
        if end < 0:
            raise CorruptValue("a text without end", offset=self.at)
        return self.take(end + 1 - self.at)[:-1]

    def since(self, start: int, name: str, value: str) -> Field:
        """The field from `start` to here."""
        return Field(start, self.at - start, name, value)


class Times:
    """Times of a payload: differences, in one unit."""

    def __init__(self, walk: Walk, base_ns: int, unit_ns: int) -> None:
        self.base_ns = base_ns
        self._walk = walk
        self._unit_ns = unit_ns

    def next_ns(self, since_ns: int) -> int:
        """The next time, which is written as the difference to another."""
        return since_ns + self._walk.varint() * self._unit_ns


def take_unit(walk: Walk) -> tuple[int, Field]:
    """The unit of all times, in nanoseconds.

    Raises
    ------
    CorruptValue
    """
    start = walk.at
    unit = walk.byte()
    if unit >= len(UNITS_NS):
        raise CorruptValue("unknown unit of time", offset=start)
    return UNITS_NS[unit], walk.since(start, "unit", UNIT_NAMES[unit])


def take_base(walk: Walk, unit_ns: int) -> tuple[Times, Field]:
    """The smallest time, and what reads the others."""
    start = walk.at
    zigzag = walk.varint()
    times = Times(walk, ((zigzag >> 1) ^ -(zigzag & 1)) * unit_ns, unit_ns)
    return times, walk.since(start, "base", format_time(times.base_ns))
