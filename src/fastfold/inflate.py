"""Inflate: the text of a stored file, piece by piece, into a buffer of the caller.

gzip and plain text are the core's (ISA-L, without the GIL); zstd is told by its magic and left to the
zstandard package.  Every inflater has one verb, ``readinto``, and ends with 0 once everything has been
checked: whatever is written on the strength of a file must wait for that 0.
"""

from __future__ import annotations

from typing import Protocol

import zstandard

from fastfold._core import Inflater
from fastfold.errors import Reject
from fastfold.types import Limits

__all__ = ["Inflate", "ZstdInflater", "open_inflater"]

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# A zstd block can say 128 KiB in four bytes: small pieces bound what one call may bring out (32 MiB).
_PIECE_BYTES = 1024


class Inflate(Protocol):
    """What inflates one file."""

    def readinto(self, room: memoryview, /) -> int:
        """Fill `room` with the next bytes; 0 is the verified end."""


class ZstdInflater:
    """Inflates zstd frames, one after the other.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file as stored.
    limits : Limits

    Raises
    ------
    Reject
        The file is larger than ``limits.file_bytes``.
    """

    def __init__(self, data: bytes | memoryview, limits: Limits) -> None:
        if len(data) > limits.file_bytes:
            raise Reject("file too large", offset=limits.file_bytes, limit=limits.file_bytes)
        self._data = memoryview(data)
        self._limits = limits
        self._at = 0
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._made = b""
        self._total = 0

    def readinto(self, room: memoryview, /) -> int:
        """Fill `room` with the next bytes; 0 is the verified end.

        Raises
        ------
        Reject
            Damaged, truncated, followed by other bytes, or larger than a limit.
        """
        while not self._made:
            if self._frame is None and self._at == len(self._data):
                return 0
            self._made = self._next_piece()
            self._total += len(self._made)
            self._check_size()
        count = min(len(room), len(self._made))
        room[:count] = self._made[:count]
        self._made = self._made[count:]
        return count

    def _next_piece(self) -> bytes:
        if self._frame is None:
            if self._data[self._at : self._at + 4] != _ZSTD_MAGIC:
                raise Reject("bytes after the end of the zstd data", offset=self._at)
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        piece = self._data[self._at : self._at + _PIECE_BYTES]
        if not piece:
            raise Reject("truncated zstd data", offset=self._at)
        try:
            made = self._frame.decompress(bytes(piece))
        except zstandard.ZstdError:
            raise Reject("damaged zstd data", offset=self._at) from None
        self._at += len(piece)
        if self._frame.eof:
            self._at -= len(self._frame.unused_data)
            self._frame = None
        return made

    def _check_size(self) -> None:
        if self._total > self._limits.inflated_bytes:
            raise Reject("inflated file too large", offset=self._at, limit=self._limits.inflated_bytes)
        if self._total > self._limits.ratio_from_bytes and self._total > self._limits.ratio * len(self._data):
            raise Reject("file inflates too far", offset=self._at, limit=self._limits.ratio)


def open_inflater(data: bytes | memoryview, limits: Limits) -> Inflate:
    """The inflater for a file: zstd or gzip by its first bytes, else plain text.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file as stored.
    limits : Limits

    Raises
    ------
    Reject
        The file is larger than ``limits.file_bytes``.
    """
    if bytes(data[:4]) == _ZSTD_MAGIC:
        return ZstdInflater(data, limits)
    return Inflater(data, limits)
