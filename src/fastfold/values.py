"""What Redis holds of a payload: its outer form, with or without a dictionary.

::

    version 1   u8 1 | u8 0          | zstd frame with content size and checksum
    version 2   u8 2 | u8 dictionary | varint (size << 2 | how) | body
    version 3   u8 32 + dictionary of this package, or one's own | varint size of texts
                | varint size of numbers | u32 checksum | numbers | body

``core/pack.pxi`` has the details.  Which version a payload is stored in, the payload itself tells:
states of versions 2 and 3 in theirs, all else (states of version 1, host records) in version 1.
Everything ever written is read, by whatever writes now.

A value of version 3 is without tenant and host: all states of a host lie beside its record, which
has them.  Whoever reads one says whose it is; under another name its checksum is wrong.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

from fastfold._core import Dictionary, Packer
from fastfold.dictionaries import DEFAULT_ID, find_dictionaries
from fastfold.errors import ConfigError, CorruptValue, UnknownForm

__all__ = [
    "STATE_VERSION",
    "VALUE_BYTES",
    "ZSTD_LEVEL",
    "Codec",
    "ValueForm",
    "form_of",
    "pack_value",
    "unpack_value",
]

STATE_VERSION = 3
"""Of the payloads of states, unless told otherwise."""
VALUE_BYTES = 64 << 20
"""Largest payload of a value, bytes: more is neither written nor read."""
ZSTD_LEVEL = 4
"""Chosen by cost, see ARCHITECTURE.md: the best that keeps to the time a state may take."""


Host = tuple[str, str]
"""Tenant and host."""

_FORM_3 = 32
_FORM_3_OWN = 64


def form_of(value: bytes) -> tuple[int, int]:
    """Format version and dictionary id of a value.

    Raises
    ------
    CorruptValue
        If it is too short to have any.
    """
    if len(value) < 2:
        raise CorruptValue(f"value of {len(value)} bytes")
    form = value[0]
    if form < _FORM_3:
        return form, value[1]
    return 3, form if form >= _FORM_3_OWN else form - _FORM_3


def _name(host: Host) -> bytes:
    return f"{host[0]}\0{host[1]}\0".encode()


@dataclass(frozen=True, slots=True)
class ValueForm:
    """How values are written, and what they may be read with; shared by all threads.

    Attributes
    ----------
    dictionaries : tuple of Dictionary
        To read with.
    dictionary : int
        Id of the one to write with; 0 for none.
    level : int
        Of zstd.
    value_bytes : int
        Largest payload, bytes.
    folder : str
        Where dictionaries are looked for besides this package, to tell where one is missing.
    """

    dictionaries: tuple[Dictionary, ...]
    dictionary: int
    level: int = ZSTD_LEVEL
    value_bytes: int = VALUE_BYTES
    folder: str = ""

    @staticmethod
    @lru_cache(maxsize=8)
    def load(dictionary: int = DEFAULT_ID, level: int = ZSTD_LEVEL, folder: str = "") -> ValueForm:
        """The form with the dictionaries of this package and of a folder.

        Raises
        ------
        ConfigError
            A dictionary is damaged, or the one to write with is not there.
        """
        stored = find_dictionaries(folder)
        if dictionary and all(one.id != dictionary for one in stored):
            there = ", ".join(str(one.id) for one in stored)
            raise ConfigError(f"dictionary {dictionary} is not there to write with; there are: {there}, and 0 for none")
        return ValueForm(
            tuple(Dictionary(one.id, one.content, level) for one in stored), dictionary, level, folder=folder
        )


class Codec:
    """Packs and unpacks values; belongs to one thread.

    Parameters
    ----------
    form : ValueForm, optional
        The default one has the dictionaries of this package.
    """

    def __init__(self, form: ValueForm | None = None) -> None:
        self.form = form or ValueForm.load()
        self._packer = Packer(
            list(self.form.dictionaries), self.form.dictionary, self.form.level, self.form.value_bytes
        )

    def pack(self, payload: bytes) -> bytes:
        """The value to store for a payload.

        Raises
        ------
        ParkError
            If it is longer than the limit: it could not be read again.
        """
        return self._packer.pack([payload])[0]

    def pack_all(self, payloads: list[bytes]) -> list[bytes]:
        """The values to store for several payloads, in one call without the GIL."""
        return self._packer.pack(payloads)

    def unpack(self, value: bytes, key: bytes | None = None, host: Host | None = None) -> bytes:
        """The payload of a stored value.

        Parameters
        ----------
        value : bytes
        key : bytes, optional
            To name in errors.
        host : tuple of str, optional
            Tenant and host whose state it is; without, states of version 3 cannot be read.

        Raises
        ------
        CorruptValue
            With `key`, when the value is not ours, of a version that is not known here, damaged, of another host,
            or larger than the limit.  The size is looked at before anything is expanded.
        UnknownForm
            With `key`, when it is with a dictionary that is not known here.
        """
        payload = self.unpack_all([value], None if key is None else [key], host)[0]
        assert payload is not None
        return payload

    def unpack_all(
        self, values: list[bytes | None], keys: list[bytes] | None = None, host: Host | None = None
    ) -> list[bytes | None]:
        """The payloads of several stored values of one host, in one call without the GIL; ``None`` stays ``None``.

        Raises
        ------
        CorruptValue, UnknownForm
            As of `unpack`, for the first value at fault.
        """
        try:
            return self._packer.unpack(values, keys, None if host is None else _name(host))
        except UnknownForm as error:
            number = error.what.rpartition(" ")[2]
            where = self.form.folder or "the folder that dictionary_folder names (none is named)"
            raise UnknownForm(error.what, where=f"put {number}.ffdict into {where}", key=error.key) from None


_thread = threading.local()


def _codec() -> Codec:
    codec: Codec | None = getattr(_thread, "codec", None)
    if codec is None:
        codec = _thread.codec = Codec()
    return codec


def pack_value(payload: bytes) -> bytes:
    """`Codec.pack` with a codec of the calling thread."""
    return _codec().pack(payload)


def unpack_value(value: bytes, key: bytes | None = None, host: Host | None = None) -> bytes:
    """`Codec.unpack` with a codec of the calling thread."""
    return _codec().unpack(value, key, host)
