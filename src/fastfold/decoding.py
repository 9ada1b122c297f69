"""Values of Redis to what they mean: the one place where those who look take a value apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fastfold._core import Plan, decode, encode, identity
from fastfold.detection.form import decode_record
from fastfold.detection.record import DetectionRecord
from fastfold.errors import CorruptValue, UnknownForm
from fastfold.host_names import GetMany, HostNames
from fastfold.ledger import HostRecord
from fastfold.schema import FoldDefinition
from fastfold.states import State
from fastfold.types import Limits
from fastfold.values import Codec, Host, ValueForm, form_of

__all__ = ["UNREADABLE", "Decoder", "is_detection_key", "is_host_key"]

UNREADABLE = (CorruptValue, UnknownForm)
"""What a value that cannot be read raises: damaged, or with a dictionary that is not known here."""


def is_host_key(key: bytes) -> bool:
    """Whether a key is that of a host record, not of a state."""
    return key.endswith(b"}")


def is_detection_key(key: bytes) -> bool:
    """Whether a key is that of a detection record."""
    return key.endswith(b"}!")


class Decoder:
    """Reads the values of one fold definition.

    Parameters
    ----------
    definition : FoldDefinition
    limits : Limits, optional
    form : ValueForm, optional
        Dictionaries to read with, and what `value_bytes` weighs with; by default those of this package.
    get_many : callable, optional
        Values of several keys, for the names of hosts; without, states of version 3 cannot be read.
    """

    def __init__(
        self,
        definition: FoldDefinition,
        limits: Limits | None = None,
        form: ValueForm | None = None,
        get_many: GetMany | None = None,
    ) -> None:
        self.definition = definition
        self._plan = Plan(None, definition, limits or Limits())
        self._codec = Codec(form)
        self._names = None if get_many is None else HostNames(get_many, self._codec)

    def know(self, record: bytes, host: Host) -> None:
        """Remember whose a key of a host record is, from who asked for that host: its states need no record then."""
        if self._names is not None:
            self._names.know(record, host)

    def learn(self, keys: Iterable[bytes]) -> None:
        """Read the names of the hosts of many states at once, before they are asked for one by one."""
        if self._names is not None:
            self._names.learn(keys)

    def form(self, value: bytes) -> tuple[int, int]:
        """Format version and dictionary id of a value.

        Raises
        ------
        CorruptValue
            If it is too short to have any.
        """
        return form_of(value)

    def identity(self, key: bytes, value: bytes) -> tuple[str, str, str]:
        """Tenant, host and process of a state, without decoding the rest.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key.
        """
        try:
            return identity(self.payload(key, value))
        except CorruptValue as error:
            raise error.at(key) from None

    def payload(self, key: bytes, value: bytes) -> bytes:
        """The payload of a value.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key; see `fastfold.values.Codec`.
        """
        names = self._names if form_of(value)[0] == 3 else None
        return self._codec.unpack(value, key, None if names is None else names.of(key))

    def state(self, key: bytes, value: bytes) -> State:
        """The state in a value.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key.
        """
        try:
            return replace(decode(self._plan, self.payload(key, value)), definition=self.definition)
        except CorruptValue as error:
            raise error.at(key) from None

    def host_record(self, key: bytes, value: bytes) -> HostRecord:
        """The host record in a value.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key.
        """
        try:
            return HostRecord.decode(self._codec.unpack(value, key))
        except CorruptValue as error:
            raise error.at(key) from None

    def detection_record(self, key: bytes, value: bytes) -> DetectionRecord:
        """The detection record in a value.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key.
        """
        try:
            return decode_record(self._codec.unpack(value, key))
        except CorruptValue as error:
            raise error.at(key) from None

    def encode(self, state: State) -> bytes:
        """The payload that would be written for a state now."""
        return encode(self._plan, state)

    def value_bytes(self, state: State) -> int:
        """Size of the value that would be written for a state now."""
        return len(self._codec.pack(self.encode(state)))
