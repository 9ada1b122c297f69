"""The reference inflates stored files, or says why not."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable

import pytest
import zstandard

from fastfold.errors import Reject
from fastfold.reference import inflate
from fastfold.types import Limits

# --- inflate -------------------------------------------------------------------------------------

TEXT = b'{"a":1}\n' * 1000


def member(data: bytes, flags: int = 0, extra: bytes = b"") -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    squeezed = deflater.compress(data) + deflater.flush()
    trailer = struct.pack("<II", zlib.crc32(data), len(data))
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + extra + squeezed + trailer


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        gzip.compress(TEXT, mtime=0),
        gzip.compress(TEXT[:3000], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(TEXT[3000:], mtime=0),
        gzip.compress(TEXT, mtime=0) + bytes(7),
        member(TEXT, 8, b"name\0"),
        member(TEXT, 4 | 8 | 16, b"\x03\0abc" + b"name\0" + b"comment\0"),
        zstandard.compress(TEXT),
        zstandard.compress(TEXT[:3000]) + zstandard.compress(TEXT[3000:]),
    ],
)
def test_files_are_inflated_by_their_first_bytes(data: bytes) -> None:
    assert inflate(data) == TEXT


def test_a_header_checksum_is_checked() -> None:
    head = b"\x1f\x8b\x08\x02" + bytes(6)
    body = member(TEXT)[10:]
    good = (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert inflate(head + good + body) == TEXT
    with pytest.raises(Reject, match="checksum in a gzip header"):
        inflate(head + b"\0\0" + body)


@pytest.mark.parametrize("squeeze", [gzip.compress, zstandard.compress])
def test_no_truncated_file_is_taken_for_whole(squeeze: Callable[[bytes], bytes]) -> None:
    data = squeeze(TEXT)
    for size in range(4, len(data)):
        with pytest.raises(Reject, match=r"truncated|wrong|damaged"):
            inflate(data[:size])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(TEXT, mtime=0) + b"x", "bytes after the end"),
        (gzip.compress(TEXT, mtime=0) + b"\0x", "bytes after the end"),
        (gzip.compress(TEXT, mtime=0) + b"\0" + gzip.compress(TEXT, mtime=0), "bytes after the end"),
        (gzip.compress(TEXT, mtime=0)[:-8] + bytes(8), "wrong checksum or length"),
        (gzip.compress(TEXT, mtime=0)[:-4] + bytes(4), "wrong checksum or length"),
        (b"\x1f\x8b\x07" + bytes(20), "not a gzip header"),
        (member(TEXT, 0x20), "not a gzip header"),
        (member(TEXT)[:10] + b"\xff" * 50, "damaged gzip data"),
        (zstandard.compress(TEXT) + b"x", "bytes after the end"),
    ],
)
def test_damaged_files_are_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        inflate(data)


def test_files_are_limited_in_size_and_ratio() -> None:
    with pytest.raises(Reject, match="file too large"):
        inflate(b"12345", Limits(file_bytes=4))
    for data in (TEXT, gzip.compress(TEXT), zstandard.compress(TEXT)):
        assert inflate(data, Limits(inflated_bytes=len(TEXT))) == TEXT
        with pytest.raises(Reject, match="inflated file too large"):
            inflate(data, Limits(inflated_bytes=len(TEXT) - 1))
    assert inflate(gzip.compress(TEXT), Limits(ratio=10, ratio_from_bytes=len(TEXT))) == TEXT
    with pytest.raises(Reject, match="inflates too far"):
        inflate(gzip.compress(TEXT), Limits(ratio=10, ratio_from_bytes=len(TEXT) - 1))
