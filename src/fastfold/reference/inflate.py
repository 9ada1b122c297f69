"""The definition of right, first part: the text of a stored file, by zlib and zstandard.

Plain and slow; `fastfold.reference` is the whole.
"""

from __future__ import annotations

import zlib
from struct import unpack

import zstandard

from fastfold.errors import Reject
from fastfold.types import Limits

__all__ = ["inflate"]

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
_PIECE = 1 << 16
# How far a zstd frame may look back (RFC 8878 asks for as much).
_ZSTD_WINDOW = 8 << 20


def inflate(data: bytes, limits: Limits | None = None) -> bytes:
    """The text of a file: gzip or zstd by its first bytes, else as it is.

    Parameters
    ----------
    data : bytes
    limits : Limits, optional

    Raises
    ------
    Reject
        Damaged, truncated, followed by other bytes, or larger than a limit.
    """
    limits = limits or Limits()
    if len(data) > limits.file_bytes:
        raise Reject("file too large", limit=limits.file_bytes)
    out = bytearray()
    offset = 0
    if data.startswith(_GZIP_MAGIC):
        # Members may follow each other; zero bytes may follow the last, as tapes and disks leave them.
        while offset == 0 or data.startswith(_GZIP_MAGIC, offset):
            offset = _inflate_member(data, offset, out, limits)
        if data[offset:].strip(b"\0"):
            raise Reject("bytes after the end of the gzip data", offset=offset)
    elif data.startswith(_ZSTD_MAGIC):
        while offset < len(data):
            offset = _inflate_frame(data, offset, out, limits)
    else:
        out += data
        _check_inflated(out, data, limits)
    return bytes(out)


def _inflate_member(data: bytes, start: int, out: bytearray, limits: Limits) -> int:
    """Append one gzip member (RFC 1952) to `out`; the offset behind it."""
    begin = _gzip_header_end(data, start)
    inflater = zlib.decompressobj(wbits=-15)
    crc = size = 0
    rest = data[begin:]
    while True:
        try:
            piece = inflater.decompress(rest, _PIECE)
        except zlib.error:
            raise Reject("damaged gzip data", offset=start) from None
        crc = zlib.crc32(piece, crc)
        size += len(piece)
        out += piece
        _check_inflated(out, data, limits)
        if inflater.eof:
            break
        rest = inflater.unconsumed_tail
        if not piece and not rest:
            raise Reject("truncated gzip data", offset=len(data))
    trailer = len(data) - len(inflater.unused_data)
    if trailer + 8 > len(data):
        raise Reject("truncated gzip data", offset=len(data))
    if unpack("<II", data[trailer : trailer + 8]) != (crc, size & 0xFFFFFFFF):
        raise Reject("wrong checksum or length in gzip data", offset=trailer)
    return trailer + 8


def _gzip_header_end(data: bytes, start: int) -> int:
    if start + 10 > len(data):
        raise Reject("truncated gzip data", offset=len(data))
    flags = data[start + 3]
    if data[start + 2] != 8 or flags & _RESERVED:
        raise Reject("not a gzip header", offset=start)
    end = start + 10
    if flags & _FEXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1 or len(data) + 1
    if flags & _FHCRC:
        if data[end : end + 2] != (zlib.crc32(data[start:end]) & 0xFFFF).to_bytes(2, "little"):
            raise Reject("wrong checksum in a gzip header", offset=start)
        end += 2
    if end > len(data):
        raise Reject("truncated gzip data", offset=len(data))
    return end


def _inflate_frame(data: bytes, start: int, out: bytearray, limits: Limits) -> int:
    """Append one zstd frame to `out`; the offset behind it."""
    if not data.startswith(_ZSTD_MAGIC, start):
        raise Reject("bytes after the end of the zstd data", offset=start)
    try:
        window = zstandard.get_frame_parameters(data[start : start + 18]).window_size
    except zstandard.ZstdError:
        window = 0  # cut or damaged, which shows below
    if window > _ZSTD_WINDOW:
        raise Reject("zstd window too large", offset=start, limit=_ZSTD_WINDOW)
    inflater = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    at = start
    while not inflater.eof:
        if at >= len(data):
            raise Reject("truncated zstd data", offset=len(data))
        try:
            out += inflater.decompress(data[at : at + _PIECE])
        except zstandard.ZstdError:
            raise Reject("damaged zstd data", offset=start) from None
        at = min(at + _PIECE, len(data))
        _check_inflated(out, data, limits)
    return at - len(inflater.unused_data)


def _check_inflated(out: bytearray, data: bytes, limits: Limits) -> None:
    if len(out) > limits.inflated_bytes:
        raise Reject("inflated file too large", limit=limits.inflated_bytes)
    if len(out) > limits.ratio_from_bytes and len(out) > limits.ratio * len(data):
        raise Reject("file inflates too far", limit=limits.ratio)
