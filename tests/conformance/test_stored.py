"""Stored files: gzip and zstd, whole, cut, damaged and swollen.  Each is refused or gives the right result."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable
from struct import pack

import pytest
import zstandard

from fastfold import reference
from fastfold._core import Folder
from fastfold.errors import Reject
from fastfold.folding import fold_file
from fastfold.inflate import ZSTD_WINDOW_BYTES, open_inflater
from fastfold.types import Limits
from property.implementations import REFERENCE, Payloads, plan_of
from property.strategies import PROCESS, SYSMON

LIMITS = Limits()
LINE = (
    b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":11,"UtcTime":"2020-01-01 00:00:00",'
    b'"Hostname":"h","ProcessGuid":"%d","TargetFilename":"%d"}\n'
)
TEXT = b"".join(LINE % (number % 3, number) for number in range(8))


def deflate(text: bytes, level: int = 9, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    return packer.compress(text) + packer.flush()


def member(text: bytes, flags: int = 0, fields: bytes = b"", packed: bytes | None = None) -> bytes:
    """A gzip member with optional header fields."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\1\2\3\4\0\xff" + fields
    if flags & 2:
        header += pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + (deflate(text) if packed is None else packed) + pack("<II", zlib.crc32(text), len(text))


def zstd(text: bytes, *, size: bool = True, level: int = 3) -> bytes:
    """A zstd frame that ends with a checksum."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=size).compress(text)


ALL_FIELDS = member(TEXT, 4 | 8 | 16 | 2, b"\x03\0abcname\0comment\0")
FIRST = member(TEXT[:300])
# Small whole files of every sort: the third is where a cut leaves a whole file behind.
FILES: dict[str, tuple[bytes, set[int]]] = {
    "gzip": (gzip.compress(TEXT, mtime=0), set()),
    "gzip with all fields": (ALL_FIELDS, set()),
    "gzip, stored": (member(TEXT, packed=deflate(TEXT, 0)), set()),
    "gzip, fixed codes": (member(TEXT, packed=deflate(TEXT, 9, zlib.Z_FIXED)), set()),
    "gzip of nothing": (member(b""), set()),
    "gzip members": (
        member(TEXT[:300]) + member(b"") + ALL_FIELDS,
        {len(member(TEXT[:300])), len(member(TEXT[:300]) + member(b""))},
    ),
    "zstd": (zstd(TEXT), set()),
    "zstd without its size": (zstd(TEXT, size=False, level=19), set()),
    "zstd frames": (zstd(TEXT[:300]) + zstd(TEXT[300:]), {len(zstd(TEXT[:300]))}),
}
EACH = pytest.mark.parametrize("name", FILES)


def folded(stored: bytes, limits: Limits = LIMITS, window_bytes: int = 4096) -> Payloads | Reject:
    """The states of a stored file, or why it is refused."""
    try:
        deltas = fold_file(Folder(plan_of(SYSMON, PROCESS, limits), window_bytes), stored, "file", limits)
    except Reject as reject:
        return reject
    return {(h.tenant, h.host, p): b for h in deltas for p, b in zip(h.processes, h.payloads, strict=True)}


def by_reference(stored: bytes, limits: Limits = LIMITS) -> Payloads | None:
    try:
        return REFERENCE.fold(reference.inflate(stored, limits), SYSMON, PROCESS, limits)[0]
    except Reject:
        return None


def text_of(stored: bytes, limits: Limits = LIMITS, room_bytes: int = 4096) -> bytes:
    inflater = open_inflater(stored, limits)
    out = b""
    room = bytearray(room_bytes)
    while count := inflater.readinto(memoryview(room)):
        out += room[:count]
    return out


# --- whole ----------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("window_bytes", [64, 65, 1000, 1 << 18])
def test_whole_files_give_their_states(name: str, window_bytes: int) -> None:
    stored, _ = FILES[name]
    assert folded(stored, window_bytes=window_bytes) == by_reference(stored)
    assert text_of(stored, room_bytes=window_bytes) == reference.inflate(stored)


@pytest.mark.parametrize("count", [1, 2, 500])
def test_empty_members_and_frames_say_nothing(count: int) -> None:
    for empty, whole in ((member(b""), member(TEXT)), (zstd(b""), zstd(TEXT))):
        expected = folded(TEXT)
        for stored in (empty * count + whole, whole + empty * count, empty * count + whole + empty * count):
            assert folded(stored) == expected
        assert folded(empty * count) == {}


def test_a_line_may_lie_in_many_members() -> None:
    for squeeze in (member, zstd):
        stored = b"".join(squeeze(TEXT[at : at + 7]) for at in range(0, len(TEXT), 7))
        assert folded(stored, window_bytes=64) == folded(TEXT)


def test_a_file_is_what_its_first_bytes_say() -> None:
    expected = folded(TEXT)
    assert not isinstance(expected, Reject)
    assert len(expected) == 3
    for stored in (TEXT, member(TEXT), zstd(TEXT)):
        assert folded(stored) == expected
    # Neither a name nor a mixture is believed.
    for first, second in ((member(TEXT), zstd(TEXT)), (zstd(TEXT), member(TEXT)), (member(TEXT), TEXT)):
        assert isinstance(folded(first + second), Reject)
    for nearly in (b"\x1f", b"\x1f\x8c" + TEXT, b"\x28\xb5\x2f", b"\x28\xb5\x2f\xfc", b"BZh9", b"PK\3\4"):
        refused = folded(nearly)
        assert isinstance(refused, Reject)
        assert refused.line == 1


# --- cut and damaged ------------------------------------------------------------------------------


@EACH
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    """But where nothing is left, or whole members: nothing in them says that others should follow."""
    stored, borders = FILES[name]
    passed = set()
    for size in range(len(stored)):
        found = folded(stored[:size])
        if not isinstance(found, Reject):
            passed.add(size)
            assert found == by_reference(stored[:size])
        else:
            assert by_reference(stored[:size]) is None
    assert passed == {0} | borders


@EACH
def test_a_flipped_bit_is_refused_or_changes_nothing(name: str) -> None:
    stored, _ = FILES[name]
    expected = folded(stored)
    assert not isinstance(expected, Reject)
    harmless = 0
    for bit in range(8 * len(stored)):
        damaged = bytearray(stored)
        damaged[bit // 8] ^= 1 << bit % 8
        found = folded(bytes(damaged))
        if not isinstance(found, Reject):
            assert found == expected, f"bit {bit}"
            harmless += 1
    # Times, names and the system of a gzip header are free; most of a file is not.
    assert harmless < 8 * 30


@EACH
def test_bytes_behind_the_end_are_refused(name: str) -> None:
    stored, _ = FILES[name]
    for garbage in (b"x", b"\n", TEXT, b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08", b"\0x", b"\x28\xb5\x2f\xfd", stored[:-1]):
        assert isinstance(folded(stored + garbage), Reject)
        assert by_reference(stored + garbage) is None


def test_zero_bytes_behind_gzip_are_what_disks_leave() -> None:
    for count in (1, 7, 512, 100_000):
        assert folded(member(TEXT) + bytes(count)) == folded(TEXT)
        assert isinstance(folded(member(TEXT) + bytes(count) + member(TEXT)), Reject)
        assert isinstance(folded(zstd(TEXT) + bytes(count)), Reject)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (member(TEXT)[:-8] + pack("<II", zlib.crc32(TEXT) ^ 1, len(TEXT)), "wrong checksum or length"),
        (member(TEXT)[:-8] + pack("<II", zlib.crc32(TEXT), len(TEXT) + 1), "wrong checksum or length"),
        (member(TEXT)[:-8] + pack("<II", 0, 0), "wrong checksum or length"),
        (member(TEXT) + member(TEXT)[:-8] + pack("<II", 0, len(TEXT)), "wrong checksum or length"),
        (member(TEXT, 0x20), "not a gzip header"),
        (b"\x1f\x8b\x07" + member(TEXT)[3:], "not a gzip header"),
        (ALL_FIELDS.replace(b"comment", b"comnent"), "wrong checksum in a gzip header"),
        (member(TEXT, packed=b"\x07"), "damaged gzip data"),
        (member(TEXT, packed=b"\x01\x05\0\xff\xff" + b"x" * 5), "damaged gzip data"),
        (zstd(TEXT)[:-4] + bytes(4), "damaged zstd data"),
        (zstd(TEXT)[:-5], "truncated zstd data"),
        (zstd(TEXT) + b"x", "bytes after the end of the zstd data"),
        (zstd(TEXT) + zstd(TEXT)[:-1], "truncated zstd data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_reason_is_told(stored: bytes, reason: str) -> None:
    found = folded(stored)
    assert isinstance(found, Reject)
    assert reason in found.reason
    assert found.offset is not None
    assert 0 <= found.offset <= len(stored)
    assert by_reference(stored) is None


def test_a_zstd_frame_that_looks_back_too_far_is_refused() -> None:
    for log in (20, 23, 24, 27):
        settings = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=False, write_checksum=True)
        packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
        stored = packer.compress(TEXT) + packer.flush()
        assert zstandard.get_frame_parameters(stored).window_size == 1 << log
        for file in (stored, zstd(TEXT) + stored):
            found = folded(file)
            if 1 << log <= ZSTD_WINDOW_BYTES:
                assert found == by_reference(file)
            else:
                assert isinstance(found, Reject)
                assert (found.reason, found.limit) == ("zstd window too large", ZSTD_WINDOW_BYTES)
                assert by_reference(file) is None


# --- swollen --------------------------------------------------------------------------------------

# In a process of its own: what it held at most is what the kernel says of it.
BOMB = """
import resource, sys, zlib
import zstandard
from fastfold._core import Folder, Plan
from fastfold.errors import Reject
from fastfold.folding import fold_file
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits

squeeze, ratio, inflated = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
piece = b"\\n" * (1 << 20)
if squeeze == "gzip":
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    member = b"".join(packer.compress(piece) for _ in range(64)) + packer.flush()
else:
    packer = zstandard.ZstdCompressor(level=19).compressobj()
    member = b"".join(packer.compress(piece) for _ in range(64)) + packer.flush()
stored = member * 160
del packer, piece
limits = Limits(ratio=ratio, inflated_bytes=inflated)
folder = Folder(Plan(load_schema("sysmon"), load_definition("process"), limits))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fold_file(folder, stored, "bomb", limits)
except Reject as reject:
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(len(stored), after - before, reject.limit, reject.reason, sep="|")
"""


@pytest.mark.parametrize("squeeze", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("ratio", "inflated", "reason"),
    [(50, 1 << 30, "file inflates too far"), (1 << 20, 1 << 28, "inflated file too large")],
)
def test_a_bomb_of_10_gib_is_refused_in_little_memory(squeeze: str, ratio: int, inflated: int, reason: str) -> None:
    command = [sys.executable, "-c", BOMB, squeeze, str(ratio), str(inflated)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    stored_bytes, grown_kib, limit, told = said.strip().split("|")
    assert int(stored_bytes) < 11 << 20
    assert told == reason
    assert int(limit) == (ratio if reason == "file inflates too far" else inflated)
    assert int(grown_kib) < 16 << 10


def test_limits_are_those_of_the_whole_file_not_of_a_member() -> None:
    for squeeze in (member, zstd):
        stored = squeeze(TEXT) * 20
        assert isinstance(folded(stored, Limits(inflated_bytes=20 * len(TEXT) - 1)), Reject)
        assert not isinstance(folded(stored, Limits(inflated_bytes=20 * len(TEXT))), Reject)


SQUEEZERS: dict[str, Callable[[bytes], bytes]] = {"gzip": member, "zstd": zstd}


@pytest.mark.parametrize("squeeze", SQUEEZERS)
def test_what_is_wrong_late_is_told_before_anything_is_given_out(squeeze: str) -> None:
    """A megabyte of sound records, then one wrong bit in the checksum."""
    stored = bytearray(SQUEEZERS[squeeze](TEXT * 1000))
    stored[-5 if squeeze == "gzip" else -1] ^= 1
    assert isinstance(folded(bytes(stored)), Reject)
