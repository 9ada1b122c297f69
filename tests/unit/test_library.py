"""The library as a script uses it: whatever a file is given as, and batches, texts and states to look at."""

from __future__ import annotations

import doctest
import gzip
import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest

import fastfold
from fastfold import _core
from fastfold.errors import Reject
from fastfold.types import KINDS, Limits
from sysmon import FEW, line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "few.json.gz"
    made.write_bytes(gzip.compress(FEW))
    return made


def test_a_file_may_be_bytes_a_path_or_open(path: Path) -> None:
    payloads = fastfold.fold(FEW).payloads
    assert len(payloads) == 2
    with path.open("rb") as opened:
        given = [bytearray(FEW), memoryview(FEW), path, str(path), io.BytesIO(FEW), opened]
        assert [fastfold.fold(file).payloads for file in given] == [payloads] * 6
    with path.open("rb") as opened:
        given = [bytearray(FEW), memoryview(FEW), path, str(path), io.BytesIO(FEW), opened]
        batches = [fastfold.parse(file) for file in given]
    assert [list(batch) for batch in batches] == [list(fastfold.parse(FEW))] * 6


def test_many_files_fold_into_one_another(path: Path) -> None:
    many = fastfold.fold(iter([path, FEW, io.BytesIO(line(5, "3"))]))
    one = fastfold.fold(FEW + FEW + line(5, "3"))
    assert many.payloads == one.payloads
    assert many.counts == one.counts
    assert fastfold.fold([]).payloads == {}


def test_states_of_threads_merge_to_those_of_one_file(path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        merged = fastfold.merge(*pool.map(fastfold.fold, [path, FEW, line(5, "3")]))
    assert merged.payloads == fastfold.fold(FEW + FEW + line(5, "3")).payloads
    assert merged.counts.records == 9
    alone = fastfold.fold(FEW)
    assert fastfold.merge(alone).payloads == alone.payloads


def test_merging_leaves_what_it_was_given(path: Path) -> None:
    a, b = fastfold.fold(FEW), fastfold.fold(line(5, "3"))
    before = a.payloads, b.payloads
    assert len(fastfold.merge(a, b)) == 3
    assert (a.payloads, b.payloads) == before


def test_a_fault_names_the_file_where_it_has_a_name(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(FEW + b"{]\n")
    for act in (fastfold.fold, fastfold.parse):
        with pytest.raises(Reject) as found:
            act(wrong)
        assert str(found.value).startswith(f"{wrong}: ")
        assert found.value.line == 5
        with wrong.open("rb") as opened, pytest.raises(Reject, match=re.escape(str(wrong))):
            act(opened)
        with pytest.raises(Reject) as found:
            act(FEW + b"{]\n")
        assert found.value.file is None
    with pytest.raises(Reject, match=re.escape(str(wrong))):
        fastfold.fold([FEW, wrong])


def test_a_file_that_is_too_large_is_not_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            assert size == 1025
            return b" " * size

    with pytest.raises(Reject, match="file too large"):
        fastfold.fold(Endless(), limits=Limits(file_bytes=1024))


def test_a_file_that_is_not_there_or_no_bytes_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fastfold.fold(tmp_path / "nosuch.json")
    with pytest.raises(TypeError, match="open it with mode 'rb'"):
        fastfold.parse(io.StringIO("{}"))  # type: ignore[arg-type]


def test_a_batch_can_be_looked_at() -> None:
    batch = fastfold.parse(FEW)
    assert repr(batch) == "<Batch: 4 events of 2 processes on 2 hosts>"
    assert repr(batch.strings) == "<Texts: 9 distinct, 64 bytes>"
    assert next(iter(batch)) == {
        "time_ns": 1767323045678000000,
        "kind": "process_start",
        "tenant": "",
        "host": "a",
        "process": "1",
        "record": 1,
        "image": "C:\\Zoë\\😀.exe",
        "command_line": "a.exe /x",
        "user": "dom\\Zoë",
    }
    assert [event["kind"] for event in batch] == [KINDS[kind] for kind in batch.events["kind"]]
    assert batch.hosts == [("", "a"), ("", "b")]
    assert batch.processes == [("", "a", "1"), ("", "b", "2")]
    assert list(fastfold.parse(b"")) == []
    assert fastfold.parse(b"").processes == []


def test_texts_are_had_by_code_and_by_codes() -> None:
    batch = fastfold.parse(FEW)
    images = batch.events["image"]
    code = images[0]
    assert batch.strings[code] == batch.strings[int(code)] == "C:\\Zoë\\😀.exe"
    assert batch.strings[0] is None
    taken = batch.strings[images]
    assert isinstance(taken, numpy.ndarray)
    assert taken.tolist() == [batch.strings[code] for code in images] == [event.get("image") for event in batch]
    assert batch.strings[images.reshape(2, 2)].shape == (2, 2)
    assert batch.strings[images[:0]].tolist() == []
    assert list(batch.strings) == [batch.strings[code] for code in range(len(batch.strings))]
    for wrong in (len(batch.strings), -1):
        with pytest.raises(IndexError):
            batch.strings[wrong]
        with pytest.raises(IndexError):
            batch.strings[numpy.array([0, wrong])]


def test_states_can_be_looked_at() -> None:
    states = fastfold.fold(FEW)
    assert repr(states) == "<States: 2 processes, fold 'process'>"
    assert ("a", "1") in states
    assert ("", "a", "1") in states
    assert ("a", "2") not in states
    assert "a" not in states
    assert ("x", "", "a", "1") not in states
    assert [state.process for state in states] == ["1", "2"]
    with pytest.raises(KeyError):
        states["a", "2"]


def test_a_definition_in_a_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    reducer = '[[reducer]]\ntag = 1\nname = "{}"\nop = "count"\n'
    for name in ("one", "two"):
        file.write_text(f'name = "mine"\nversion = 1\n{reducer.format(name)}')
        states = fastfold.fold(line(5), definition=file)
        assert states["a", "1"].values == {name: {"process_end": 1}}
        payload = next(iter(states.payloads.values()))
        assert fastfold.decode(payload, file) == states["a", "1"]


def test_examples_of_the_core_are_true() -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    for name in _core.__all__:
        names = {"numpy": numpy, **vars(_core)}
        runner.run(parser.get_doctest(getattr(_core, name).__doc__ or "", names, name, None, None))
    result = runner.summarize()
    assert result.attempted > 0
    assert result.failed == 0
