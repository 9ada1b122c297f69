"""Values of Redis to what they mean: the one place where those who look take a value apart."""

from __future__ import annotations

from dataclasses import replace

from fastfold._core import Plan, decode, encode, identity
from fastfold.detection import DetectionRecord
from fastfold.detection_form import decode_record
from fastfold.errors import CorruptValue, UnknownForm
from fastfold.ledger import HostRecord
from fastfold.schema import FoldDefinition
from fastfold.states import State
from fastfold.types import Limits
from fastfold.values import Codec, ValueForm

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
    """

    def __init__(self, definition: FoldDefinition, limits: Limits | None = None, form: ValueForm | None = None) -> None:
        self.definition = definition
        self._plan = Plan(None, definition, limits or Limits())
        self._codec = Codec(form)

    def form(self, value: bytes) -> tuple[int, int]:
        """Format version and dictionary id of a value.

        Raises
        ------
        CorruptValue
            If it is too short to have any.
        """
        if len(value) < 2:
            raise CorruptValue(f"value of {len(value)} bytes")
        return value[0], value[1]

    def identity(self, key: bytes, value: bytes) -> tuple[str, str, str]:
        """Tenant, host and process of a state, without decoding the rest.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key.
        """
        try:
            return identity(self._codec.unpack(value, key))
        except CorruptValue as error:
            raise error.at(key) from None

    def payload(self, key: bytes, value: bytes) -> bytes:
        """The payload of a value.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key; see `fastfold.values.Codec`.
        """
        return self._codec.unpack(value, key)

    def state(self, key: bytes, value: bytes) -> State:
        """The state in a value.

        Raises
        ------
        CorruptValue, UnknownForm
            With the key.
        """
        try:
            return replace(decode(self._plan, self._codec.unpack(value, key)), definition=self.definition)
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
