"""Zstd dictionaries: their files, where they are found, and how one is trained.

A value names the dictionary it was compressed with by one byte.  Id 0 is none; 1 to 31 are those of
this package, 1 for states of version 2, 2 for those of version 3; 64 to 255 are for dictionaries of
one's own.  A dictionary is one file,
``<id>.ffdict``, never changed and never used for another id once values are written with it::

    one line of JSON: id, digest of the content, what it was trained on | line feed | zstd dictionary

Rolling out a dictionary takes no downtime: put the file where every reader finds it
(``dictionary_folder``), then tell the writers to write with it (``dictionary``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path

import zstandard

from fastfold.dictionary_tables import join_tables
from fastfold.errors import ConfigError

__all__ = [
    "DEFAULT_ID",
    "DICTIONARY_BYTES",
    "OWN_IDS",
    "StoredDictionary",
    "compressed_part",
    "dictionary_for",
    "find_dictionaries",
    "train",
]

DEFAULT_ID = 2
"""The dictionary that states are written with unless told otherwise."""
_DEFAULT_IDS = {1: 0, 2: 1, 3: DEFAULT_ID}
OWN_IDS = range(64, 256)
_SHIPPED_IDS = range(1, 32)
DICTIONARY_BYTES = 200 << 10
"""Of one that is trained here.  Measured: smaller ones know less, larger ones make matches dearer to point at."""

_SUFFIX = ".ffdict"
_FORMAT = "fastfold dictionary 1"
_ZSTD_MAGIC = b"\x37\xa4\x30\xec"
# Found by trial on states of one fleet, judged on others: segments of about seven paths.
_SEGMENT_BYTES = 700
_MATCH_BYTES = 8
_SAMPLES_LEAST = 100
_MARK_2 = b"\x80\x00"
_MARK_3 = b"\x80\x80\x00"
_TABLES_BYTES = 32 << 10
"""Of the dictionary whose tables are taken."""
_TABLES_LEVEL = 9


@dataclass(frozen=True, slots=True)
class StoredDictionary:
    """A dictionary as its file has it.

    Attributes
    ----------
    id : int
    trained_on : str
        What its samples were, in words.
    samples : int
        How many.
    content : bytes
        A dictionary of zstd.
    """

    id: int
    trained_on: str
    samples: int
    content: bytes

    @property
    def digest(self) -> str:
        """BLAKE2b of the content, 16 hexadecimal digits."""
        return _digest(self.content)

    def dump(self) -> bytes:
        """The bytes of its file."""
        head = {
            "format": _FORMAT,
            "id": self.id,
            "digest": self.digest,
            "trained_on": self.trained_on,
            "samples": self.samples,
        }
        return json.dumps(head).encode() + b"\n" + self.content

    @classmethod
    def parse(cls, data: bytes, name: str) -> StoredDictionary:
        """A dictionary from the bytes of its file.

        Raises
        ------
        ConfigError
            It is none, or damaged.
        """
        line, _, content = data.partition(b"\n")
        try:
            head = json.loads(line)
            form, digest = head["format"], head["digest"]
            found = cls(int(head["id"]), str(head["trained_on"]), int(head["samples"]), content)
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{name}: not a dictionary of fastfold") from None
        if form != _FORMAT or found.id not in (*_SHIPPED_IDS, *OWN_IDS):
            raise ConfigError(f"{name}: a dictionary of another form, or with an id that is not 1 to 31 or 64 to 255")
        if digest != found.digest or not content.startswith(_ZSTD_MAGIC):
            raise ConfigError(f"{name}: damaged, its content is not that of digest {digest}")
        return found


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8, person=b"fastfold.dict").hexdigest()


def dictionary_for(dictionary: int, state_version: int) -> int:
    """The id of the dictionary to write with.

    Parameters
    ----------
    dictionary : int
        -1 for the one of the version: who reads no later version has no later dictionary either.
    state_version : int
    """
    return _DEFAULT_IDS[state_version] if dictionary < 0 else dictionary


@lru_cache(maxsize=1)
def _shipped() -> tuple[StoredDictionary, ...]:
    entries = (resources.files("fastfold") / "dictionaries").iterdir()
    files = sorted((entry for entry in entries if entry.name.endswith(_SUFFIX)), key=lambda entry: entry.name)
    return tuple(StoredDictionary.parse(entry.read_bytes(), entry.name) for entry in files)


def find_dictionaries(folder: str | os.PathLike[str] = "") -> tuple[StoredDictionary, ...]:
    """The dictionaries of this package, and those of a folder.

    Parameters
    ----------
    folder : str or path
        Empty for none.

    Returns
    -------
    tuple of StoredDictionary
        By id.

    Raises
    ------
    ConfigError
        The folder cannot be read, a file in it is damaged, or two differ under one id.
    """
    found = {one.id: one for one in _shipped()}
    for path in _files(folder):
        try:
            one = StoredDictionary.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
        other = found.setdefault(one.id, one)
        if other.content != one.content:
            raise ConfigError(f"{path}: dictionary {one.id} is another one already, digest {other.digest}")
    return tuple(found[number] for number in sorted(found))


def _files(folder: str | os.PathLike[str]) -> Sequence[Path]:
    if not os.fspath(folder):
        return ()
    try:
        return sorted(path for path in Path(folder).iterdir() if path.name.endswith(_SUFFIX))
    except OSError as error:
        raise ConfigError(f"{os.fspath(folder)}: cannot be read: {error.strerror or error}") from None


def compressed_part(payload: bytes) -> bytes:
    """What zstd is given of the payload of a state: dictionaries are trained on it."""
    if payload.startswith(_MARK_3):
        size = int.from_bytes(payload[3:7], "little")
        start = payload.index(b"\0", payload.index(b"\0", 7) + 1) + 1
        return payload[start : start + size]
    return payload.removeprefix(_MARK_2)


def train(
    payloads: Iterable[bytes], number: int, trained_on: str, size_bytes: int = DICTIONARY_BYTES
) -> StoredDictionary:
    """Train a dictionary; the same payloads in the same order give the same one.

    Parameters
    ----------
    payloads : iterable of bytes
        What is compressed of states, see `compressed_part`.
    number : int
        Its id.
    trained_on : str
    size_bytes : int
        At most.

    Raises
    ------
    ConfigError
        There are too few states for a dictionary.
    """
    samples: list[bytes | bytearray | memoryview] = list(payloads)
    if len(samples) < _SAMPLES_LEAST:
        raise ConfigError(f"{len(samples)} states are too few to train on, {_SAMPLES_LEAST} are needed")
    try:
        content = _train(size_bytes, samples, number)
        tables = _train(_TABLES_BYTES, samples, number) if size_bytes >= 2 * _TABLES_BYTES else content
    except zstandard.ZstdError as error:
        raise ConfigError(f"no dictionary can be trained on {len(samples)} states: {error}") from None
    return StoredDictionary(number, trained_on, len(samples), join_tables(tables, content, size_bytes))


def _train(size_bytes: int, samples: list[bytes | bytearray | memoryview], number: int) -> bytes:
    made = zstandard.train_dictionary(
        size_bytes, samples, k=_SEGMENT_BYTES, d=_MATCH_BYTES, dict_id=number, level=_TABLES_LEVEL
    )
    return made.as_bytes()
