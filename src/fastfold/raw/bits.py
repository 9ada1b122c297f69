"""What the layout of format version 3 has in bits, the lowest of a byte first."""

from __future__ import annotations

from fastfold.errors import CorruptValue
from fastfold.raw.walk import Field

__all__ = ["BitWalk"]

_LONG = 31
_COUNTER_BITS = 18


class BitWalk:
    """Takes numbers from the bits of a payload.

    Parameters
    ----------
    payload : bytes
    offset : int
        Where they begin, in bytes.
    """

    def __init__(self, payload: bytes, offset: int) -> None:
        self.at = 8 * offset
        self._payload = payload

    @property
    def rest(self) -> int:
        """Bits that are left."""
        return 8 * len(self._payload) - self.at

    @property
    def offset(self) -> int:
        """The byte that is read from."""
        return self.at // 8

    def take(self, count: int) -> int:
        """So many bits.

        Raises
        ------
        CorruptValue
            If there are fewer.
        """
        if count > self.rest:
            raise CorruptValue(f"{count} bits wanted, {self.rest} left", offset=self.offset)
        start, self.at = self.at, self.at + count
        word = int.from_bytes(self._payload[start // 8 : (self.at + 7) // 8], "little")
        return word >> start % 8 & (1 << count) - 1

    def data(self, count: int) -> bytes:
        """Whole bytes."""
        return self.take(8 * count).to_bytes(count, "little")

    def number(self) -> int:
        """0, or how many bits are below the highest, and those."""
        if not self.take(1):
            return 0
        below = self.take(5)
        if below == _LONG:
            below = self.take(6)
        return 1 << below | self.take(below)

    def signed(self) -> int:
        """A number and, unless it is 0, whether it is below."""
        number = self.number()
        return -number if number and self.take(1) else number

    def groups(self) -> int:
        """Three bits at a time, each with one that says whether more follow.

        Raises
        ------
        CorruptValue
            If they are too many.
        """
        number = 0
        for shift in range(0, _COUNTER_BITS, 3):
            group = self.take(4)
            number |= (group & 7) << shift
            if not group & 8:
                return number
        raise CorruptValue("an id out of range", offset=self.offset)

    def since(self, start: int, name: str, value: str) -> Field:
        """The field from the bit `start` to here."""
        return Field(start // 8, 0, name, value, start % 8, self.at - start)
