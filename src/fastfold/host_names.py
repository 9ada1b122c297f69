"""Whose a state is: tenant and host, which stand once, in the record of the host, and not in each of its states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fastfold.errors import CorruptValue
from fastfold.ledger import read_text
from fastfold.values import Codec, Host

__all__ = ["HostNames"]

_REMEMBERED = 10_000

GetMany = Callable[[Sequence[bytes]], Sequence[bytes | CorruptValue | None]]


class HostNames:
    """Reads and remembers the names of hosts.

    Parameters
    ----------
    get_many : callable
        Values of several keys.
    codec : Codec
    """

    def __init__(self, get_many: GetMany, codec: Codec) -> None:
        self._get_many = get_many
        self._codec = codec
        self._known: dict[bytes, Host | CorruptValue] = {}

    def know(self, record: bytes, host: Host) -> None:
        """Remember whose a key of a host record is, from who asked for that host."""
        self._known[record] = host

    def learn(self, keys: Iterable[bytes]) -> None:
        """Read the records of all hosts that keys of states belong to, in one packet."""
        wanted = list(dict.fromkeys(key for key in map(_record_key, keys) if key not in self._known))
        if len(self._known) + len(wanted) > _REMEMBERED:
            self._known.clear()
        for key, found in zip(wanted, self._get_many(wanted) if wanted else (), strict=True):
            self._known[key] = self._name(key, found)

    def of(self, key: bytes) -> Host:
        """Tenant and host of the key of a state.

        Raises
        ------
        CorruptValue
            With the key, if the record of its host is not there, or cannot be read.
        """
        record = _record_key(key)
        found = self._known.get(record)
        if found is None or isinstance(found, CorruptValue):
            # It may have come since.
            self._known.pop(record, None)
            self.learn([key])
            found = self._known[record]
        if isinstance(found, CorruptValue):
            raise CorruptValue(f"the record of its host, {record!r}, has its name and {found.reason}", key=key)
        return found

    def _name(self, key: bytes, value: bytes | CorruptValue | None) -> Host | CorruptValue:
        if value is None:
            return CorruptValue("is not there")
        if isinstance(value, CorruptValue):
            return CorruptValue(f"is {value.reason}")
        try:
            payload = self._codec.unpack(value, key)
            tenant, at = read_text(payload, 0)
            host, _ = read_text(payload, at)
        except IndexError:
            return CorruptValue("is truncated")
        except CorruptValue as error:
            return CorruptValue(f"is damaged: {error.reason}")
        return tenant, host


def _record_key(key: bytes) -> bytes:
    """The key of the record beside which a state lies."""
    return key[: key.rfind(b"}") + 1]
