"""Inflate: the text of a stored file, piece by piece, into a buffer of the caller.

gzip and plain text are the core's (ISA-L, without the GIL); zstd is told by its magic and left to the
zstandard package.  Every inflater has one verb, ``readinto``, and ends with 0 once everything has been
checked: whatever is written on the strength of a file must wait for that 0.
"""

from __future__ import annotations

from io import BufferedReader
from typing import Protocol

import zstandard

from fastfold._core import Inflater
from fastfold.errors import Reject
from fastfold.types import Limits

__all__ = ["ZSTD_WINDOW_BYTES", "Inflate", "ZstdInflater", "open_inflater"]

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER_BYTES = 18  # the longest
_RLE_BLOCK = 1
# A frame says how far it looks back, and that much is held: RFC 8878 asks for 8 MiB, which is what the
# zstd command writes up to level 19 without --long.
ZSTD_WINDOW_BYTES = 8 << 20


class Inflate(Protocol):
    """What inflates one file."""

    def readinto(self, room: memoryview, /) -> int:
        """Fill `room` with the next bytes; 0 is the verified end."""


class ZstdInflater:
    """Inflates zstd frames, one after the other, block by block: four bytes may stand for 128 KiB, a block for no more.

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
        self._frame_tail = 0
        self._made = memoryview(b"")
        self._total = 0

    def readinto(self, room: memoryview, /) -> int:
        """Fill `room` with the next bytes; 0 is the verified end.

        Raises
        ------
        Reject
            Damaged, truncated, followed by other bytes, larger than a limit, or with too large a window.
        """
        while not self._made:
            if self._frame is None and self._at == len(self._data):
                return 0
            self._made = memoryview(self._next_piece())
            self._total += len(self._made)
            self._check_size()
        count = min(len(room), len(self._made))
        room[:count] = self._made[:count]
        self._made = self._made[count:]
        return count

    def _next_piece(self) -> bytes:
        size = self._begin_frame() if self._frame is None else self._block_size()
        piece = bytes(self._data[self._at : self._at + size])
        assert self._frame is not None
        try:
            made = self._frame.decompress(piece)
        except zstandard.ZstdError:
            raise Reject("damaged zstd data", offset=self._at) from None
        self._at += len(piece)
        if self._frame.eof:
            self._at -= len(self._frame.unused_data)
            self._frame = None
        elif len(piece) < size or not size:
            raise Reject("truncated zstd data", offset=self._at)
        return made

    def _begin_frame(self) -> int:
        """Length of the header of the next frame."""
        head = bytes(self._data[self._at : self._at + _ZSTD_HEADER_BYTES])
        if not head.startswith(_ZSTD_MAGIC):
            raise Reject("bytes after the end of the zstd data", offset=self._at)
        try:
            header = zstandard.get_frame_parameters(head)
        except zstandard.ZstdError:
            reason = "damaged zstd data" if len(head) == _ZSTD_HEADER_BYTES else "truncated zstd data"
            raise Reject(reason, offset=self._at) from None
        if header.window_size > ZSTD_WINDOW_BYTES:
            raise Reject("zstd window too large", offset=self._at, limit=ZSTD_WINDOW_BYTES)
        self._frame = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
        self._frame_tail = 4 if header.has_checksum else 0
        return zstandard.frame_header_size(head)

    def _block_size(self) -> int:
        """Length of the next block, with the checksum behind the last (RFC 8878, section 3.1.1.2)."""
        header = int.from_bytes(self._data[self._at : self._at + 3], "little")
        is_last, kind, size = header & 1, header >> 1 & 3, header >> 3
        return 3 + (1 if kind == _RLE_BLOCK else size) + (self._frame_tail if is_last else 0)

    def _check_size(self) -> None:
        if self._total > self._limits.inflated_bytes:
            raise Reject("inflated file too large", offset=self._at, limit=self._limits.inflated_bytes)
        if self._total > self._limits.ratio_from_bytes and self._total > self._limits.ratio * len(self._data):
            raise Reject("file inflates too far", offset=self._at, limit=self._limits.ratio)


def open_inflater(data: bytes | memoryview | BufferedReader, limits: Limits) -> Inflate:
    """The inflater for a file: zstd or gzip by its first bytes, else plain text.

    Parameters
    ----------
    data : bytes, memoryview or open file
        The whole file as stored.  A file is read a piece at a time, but for zstd.
    limits : Limits

    Raises
    ------
    Reject
        The file is larger than ``limits.file_bytes``.
    """
    if isinstance(data, BufferedReader):
        if not data.peek(4).startswith(_ZSTD_MAGIC):
            return Inflater(data, limits)
        # One byte more than allowed: enough to refuse the file.
        data = data.read(limits.file_bytes + 1)
    if bytes(data[:4]) == _ZSTD_MAGIC:
        return ZstdInflater(data, limits)
    return Inflater(data, limits)
