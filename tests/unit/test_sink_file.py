"""Alerts in a file and on standard output: whole lines only, whatever happens to the file."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fastfold.errors import ConfigError, Unavailable
from fastfold.sinks import file as sink_file
from fastfold.sinks.file import FileSink, StdoutSink
from fastfold.sinks.types import TAKEN, FileFacts, Parcel


def parcel(number: int, size_bytes: int = 0) -> Parcel:
    body = json.dumps({"id": number, "fill": "x" * size_bytes}).encode()
    return Parcel(f"{number:032x}", "rule", "high", "", "host", "title", body)


def ids(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_lines_are_appended_and_a_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "alerts.ndjson"
    sink = FileSink(FileFacts(str(path)))
    assert sink.send([parcel(1), parcel(2)]) == [TAKEN, TAKEN]
    sink.close()
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    again = FileSink(FileFacts(str(path), sync=False))
    again.send([parcel(3)])
    again.close()
    assert ids(path) == [1, 2, 3]
    assert path.read_bytes().endswith(b"}\n")


def test_taken_means_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = os.fsync

    def fsync(file: int) -> None:
        synced.append(stat.S_ISREG(os.fstat(file).st_mode))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    sink = FileSink(FileFacts(str(tmp_path / "a")))
    assert synced == [False], "the folder of a new file"
    sink.send([parcel(1), parcel(2)])
    assert synced == [False, True]
    loose = FileSink(FileFacts(str(tmp_path / "b"), sync=False))
    loose.send([parcel(1)])
    assert synced == [False, True]
    sink.close()
    loose.close()


def test_a_file_that_is_rotated_away_is_opened_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "a", tmp_path / "a.1"
    sink = FileSink(FileFacts(str(path)))
    sink.send([parcel(1)])
    path.rename(old)
    sink.send([parcel(2)])
    path.unlink()
    sink.send([parcel(3)])
    path.write_bytes(b"")
    sink.send([parcel(4)])
    sink.close()
    assert (ids(old), ids(path)) == ([1], [4])


def test_a_line_that_was_left_unfinished_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b'{"id": 1}\n{"id": 2, "fi')
    sink = FileSink(FileFacts(str(path)))
    sink.send([parcel(3)])
    sink.send([parcel(4)])
    sink.close()
    lines = path.read_text().splitlines()
    assert lines[1] == '{"id": 2, "fi'
    assert [json.loads(line)["id"] for line in (lines[0], *lines[2:])] == [1, 3, 4]


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    sink = FileSink(FileFacts(str(path)))
    sink.send([parcel(1)])
    real, calls = os.write, iter([1, 0])

    def write(file: int, data: memoryview) -> int:
        if not next(calls):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:7])

    monkeypatch.setattr(sink_file.os, "write", write)
    with pytest.raises(Unavailable, match="No space left on device"):
        sink.send([parcel(2)])
    monkeypatch.undo()
    assert ids(path) == [1]
    sink.send([parcel(2)])
    sink.close()
    assert ids(path) == [1, 2]


def test_a_path_that_cannot_be_a_file_is_an_error_of_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("none/a", "pipe", ""):
        with pytest.raises(ConfigError):
            FileSink(FileFacts(str(tmp_path / name)))


WRITE = """
import sys
from fastfold.sinks.file import FileSink, StdoutSink
from fastfold.sinks.types import FileFacts, Parcel
sink = FileSink(FileFacts(sys.argv[2])) if len(sys.argv) > 2 else StdoutSink()
for number in range(40):
    # More than a pipe holds: a writer stops in the middle, and others may go on.
    body = b'{"id": %d, "fill": "%s"}' % (number, sys.argv[1].encode() * 100_000)
    sink.send([Parcel("0", "r", "low", "", "h", "t", body)] * 3)
"""


def _lines_of(data: bytes) -> None:
    found = [json.loads(line) for line in data.splitlines()]
    assert len(found) == 3 * 3 * 40
    assert all(len(set(line["fill"])) == 1 and len(line["fill"]) == 100_000 for line in found)


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    workers = [subprocess.Popen([sys.executable, "-c", WRITE, letter, str(path)]) for letter in "abc"]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    _lines_of(path.read_bytes())


@pytest.mark.skipif(sys.platform != "linux", reason="standard output has no lock elsewhere")
def test_lines_of_several_processes_do_not_mix_in_a_pipe() -> None:
    read, write = os.pipe()
    workers = [subprocess.Popen([sys.executable, "-c", WRITE, letter], stdout=write) for letter in "abc"]
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    _lines_of(data)


def test_standard_output_that_nobody_reads_is_unavailable() -> None:
    read, write = os.pipe()
    sink = StdoutSink(write)
    assert sink.send([parcel(1)]) == [TAKEN]
    assert os.read(read, 1000) == parcel(1).body + b"\n"
    os.close(read)
    with pytest.raises(Unavailable, match="Broken pipe"):
        sink.send([parcel(2)])
    sink.close()
    os.close(write)
