"""Many files on top of each other, files read a piece at a time, text parsed where it lies, rows that are lent."""

from __future__ import annotations

import gc
import gzip
import io
from pathlib import Path

import numpy
import pytest

from fastfold import folding
from fastfold._core import Folder, Inflater, ParsePlan, Parser, Plan
from fastfold.errors import Reject
from fastfold.folding import Content, Gatherer, Identity, fold_file
from fastfold.schema import load_definition, load_schema
from fastfold.types import FoldCounts, Limits
from sysmon import FEW, line

LIMITS = Limits()
PLAN = Plan(load_schema("sysmon"), load_definition("process"), LIMITS)
BROKEN = line(11, "1", TargetFilename="never") + line(11, "9", "z", TargetFilename="seen") + b"{]\n"


def files(count: int) -> list[bytes]:
    """Files that share processes, texts and hosts."""
    return [
        line(11, str(number % 3), "ab"[number % 2], TargetFilename=f"f{number % 5}") + line(5, str(number))
        for number in range(count)
    ]


def gather(contents: list[Content]) -> tuple[dict[Identity, bytes], list[FoldCounts]]:
    gatherer = Gatherer(Folder(PLAN), LIMITS)
    counts = [gatherer.add(content) for content in contents]
    gatherer.flush()
    return gatherer.payloads, counts


def alone(content: bytes) -> tuple[dict[Identity, bytes], FoldCounts]:
    deltas = fold_file(Folder(PLAN), content, "", LIMITS)
    payloads = {
        (host.tenant, host.host, process): payload
        for host in deltas
        for process, payload in zip(host.processes, host.payloads, strict=True)
    }
    return payloads, deltas.counts


# --- many files ------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [1, 2, 7, 100])
def test_files_on_top_of_each_other_give_what_one_file_gives(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(folding, "_HELD_FILES", held)
    many = files(20)
    payloads, counts = gather(list(many))
    assert payloads == alone(b"".join(many))[0]
    assert counts == [alone(file)[1] for file in many]


def test_what_is_held_is_bounded_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_HELD_BYTES", 1)
    many = files(5)
    gatherer = Gatherer(Folder(PLAN), LIMITS)
    for number, file in enumerate(many):
        gatherer.add(file)
        # Nothing waits for the end.
        assert gatherer.payloads == alone(b"".join(many[: number + 1]))[0]


@pytest.mark.parametrize("place", [0, 1, 4, 9])
def test_a_refused_file_leaves_nothing_behind(place: int) -> None:
    many = files(9)
    gatherer = Gatherer(Folder(PLAN), LIMITS)
    for file in many[:place]:
        gatherer.add(file)
    with pytest.raises(Reject) as caught:
        gatherer.add(BROKEN, "broken.json")
    assert (caught.value.file, caught.value.line) == ("broken.json", 3)
    for file in many[place:]:
        gatherer.add(file)
    gatherer.flush()
    assert gatherer.payloads == alone(b"".join(many))[0]
    assert not any("z" in identity for identity in gatherer.payloads)


def test_a_limit_of_one_file_does_not_hold_for_many() -> None:
    limits = Limits(processes=2)
    gatherer = Gatherer(Folder(Plan(load_schema("sysmon"), load_definition("process"), limits)), limits)
    for number in range(6):
        gatherer.add(line(5, str(2 * number)) + line(5, str(2 * number + 1)))
    gatherer.flush()
    assert len(gatherer.payloads) == 12
    with pytest.raises(Reject, match="too many processes"):
        gatherer.add(line(5, "1") + line(5, "2") + line(5, "3"))


def test_a_file_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    gatherer = Gatherer(Folder(PLAN), LIMITS)
    gatherer.add(FEW)
    with pytest.raises(FileNotFoundError):
        gatherer.add(tmp_path / "none.json")
    gatherer.flush()
    assert gatherer.payloads == alone(FEW)[0]


# --- pieces ----------------------------------------------------------------------------------


class Trickle(io.RawIOBase):
    """A file of which at most so many bytes come at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        count = min(len(room), len(self._data), self._most)
        room[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


def inflated(source: object, room_bytes: int, limits: Limits = LIMITS) -> bytes:
    inflater = Inflater(source, limits)
    room = bytearray(room_bytes)
    found = bytearray()
    while count := inflater.readinto(room):
        found += room[:count]
    return bytes(found)


TEXT = b"".join(b"line %d of some\n" % number for number in range(300))
LONG_NAME = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * 5000 + b"\0" + gzip.compress(TEXT)[10:]
WHOLE = {
    "plain": TEXT,
    "empty": b"",
    "one byte": b"\x1f",
    "gzip": gzip.compress(TEXT),
    "members": gzip.compress(TEXT[:100]) + gzip.compress(b"") + gzip.compress(TEXT[100:]),
    "zeros": gzip.compress(TEXT) + bytes(3000),
    "long name": LONG_NAME,
}


@pytest.mark.parametrize("most", [1, 7, 1023, 1 << 20])
@pytest.mark.parametrize("name", WHOLE)
def test_a_file_read_in_pieces_is_the_file(name: str, most: int) -> None:
    expected = inflated(WHOLE[name], 1 << 16)
    for room_bytes in (1, 100, 1 << 16):
        assert inflated(Trickle(WHOLE[name], most), room_bytes) == expected


def test_a_cut_file_read_in_pieces_is_refused_as_one_in_memory() -> None:
    stored = gzip.compress(TEXT[:200], mtime=0) + gzip.compress(TEXT[200:300], mtime=0)
    for end in range(2, len(stored)):
        told = []
        for source in (stored[:end], Trickle(stored[:end], 5)):
            try:
                told.append(inflated(source, 64))
            except Reject as reject:
                told.append((reject.reason, reject.offset))
        assert told[0] == told[1], end


def test_bytes_after_the_end_are_refused_in_pieces_too() -> None:
    stored = gzip.compress(TEXT)
    for behind in (b"x", bytes(9) + b"x", bytes(2000) + stored):
        with pytest.raises(Reject, match="bytes after the end"):
            inflated(Trickle(stored + behind, 11), 4096)


def test_a_file_read_in_pieces_keeps_to_its_limit() -> None:
    with pytest.raises(Reject, match="file too large"):
        inflated(Trickle(b"x" * 5000, 100), 100, Limits(file_bytes=4096))


# --- in place --------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(1,), (3, 1000), (17,), (64, 1, 5), (1 << 20,)])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b" " * 70])
def test_text_fed_in_any_pieces_is_the_text(sizes: tuple[int, ...], start: bytes, end: bytes) -> None:
    text = start + FEW * 3 + FEW.rstrip(b"\n") + end
    folder = Folder(PLAN, 64)
    folder.begin()
    at = 0
    while at < len(text):
        for size in sizes:
            folder.feed(text[at : at + size])
            at += size
    deltas = folder.finish()
    expected = fold_file(Folder(PLAN), gzip.compress(text), "", LIMITS)
    assert [(host.host, host.payloads) for host in deltas] == [(host.host, host.payloads) for host in expected]
    assert deltas.counts == expected.counts


def test_a_fault_in_text_that_lies_elsewhere_is_told_by_its_place() -> None:
    folder = Folder(PLAN)
    folder.begin()
    text = FEW * 5000 + b'{"a":tru}\n' + FEW
    with pytest.raises(Reject) as caught:
        folder.feed(text)
    assert (caught.value.line, caught.value.offset) == (4 * 5000 + 1, len(FEW) * 5000 + len(b'{"a":'))


# --- rows ------------------------------------------------------------------------------------


def test_rows_are_not_written_to_while_somebody_looks_at_them() -> None:
    parser = Parser(ParsePlan(load_schema("sysmon"), LIMITS))

    def parse(text: bytes) -> numpy.ndarray:
        parser.begin()
        parser.feed(text)
        return parser.finish().events

    times = parse(FEW)["time"]
    seen = times.tolist()
    parse(line(5, "3") * 50)
    assert times.tolist() == seen


def test_rows_go_back_to_their_parser() -> None:
    parser = Parser(ParsePlan(load_schema("sysmon"), LIMITS))
    places = set()
    for _ in range(5):
        parser.begin()
        parser.feed(FEW)
        places.add(parser.finish().events.ctypes.data)
        gc.collect()
    assert len(places) == 1
