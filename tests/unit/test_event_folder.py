"""One parse of a file gives what the two ways that parse it for themselves give: deltas and events."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy
import pytest

from fastfold._core import Batch, Deltas, EventFolder, EventPlan, Folder, ParsePlan, Parser, Plan
from fastfold.errors import Reject
from fastfold.folding import fold_file, fold_with_events, read_file
from fastfold.generate import Corpus, write
from fastfold.schema import FoldDefinition, load_definition, load_schema
from fastfold.types import Limits
from otrf import real_files
from property.strategies import TIGHT
from sysmon import FEW

SYSMON, PROCESS, LIMITS = load_schema("sysmon"), load_definition("process"), Limits()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("batches")
    return [path.read_bytes() for path, _ in write(Corpus(files=4, hosts=6, processes=12, events=8), folder)]


def _contents(deltas: Deltas) -> list[tuple[str, str, list[str], list[bytes]]]:
    return [(host.tenant, host.host, host.processes, host.payloads) for host in deltas]


def _assert_equal(found: Batch, expected: Batch) -> None:
    assert numpy.array_equal(found.events, expected.events)
    assert found.strings.text == expected.strings.text
    assert numpy.array_equal(found.strings.offsets, expected.strings.offsets)
    assert (found.hosts, found.processes) == (expected.hosts, expected.processes)
    assert found.counts == expected.counts


def _compare(contents: list[bytes], definition: FoldDefinition) -> None:
    both = EventFolder(EventPlan(SYSMON, definition, LIMITS))
    folder = Folder(Plan(SYSMON, definition, LIMITS))
    parser = Parser(ParsePlan(SYSMON, LIMITS))
    for data in contents:
        deltas, batch = fold_with_events(both, data, "", LIMITS)
        assert _contents(deltas) == _contents(fold_file(folder, data, "", LIMITS))
        parser.begin()
        read_file(parser, data, LIMITS)
        _assert_equal(batch, parser.finish())
        assert deltas.counts == batch.counts
        del batch, deltas


@pytest.mark.parametrize("definition", [PROCESS, TIGHT], ids=["process", "cuts texts"])
def test_both_are_those_of_the_two_ways(files: list[bytes], definition: FoldDefinition) -> None:
    _compare([*files, b"", *files], definition)


@pytest.mark.real_files
def test_both_are_those_of_the_two_ways_on_real_files() -> None:
    paths: list[Path] = real_files()
    _compare([path.read_bytes() for path in paths], PROCESS)


def test_a_file_that_is_refused_leaves_nothing_in_the_next(files: list[bytes]) -> None:
    both = EventFolder(EventPlan(SYSMON, PROCESS, LIMITS))
    expected = fold_with_events(both, files[0], "", LIMITS)
    text = gzip.decompress(files[1])
    for broken in (text[:-5], text + b"{]", files[1][:-3]):
        with pytest.raises(Reject, match="broken"):
            fold_with_events(both, broken, "broken", LIMITS)
        deltas, batch = fold_with_events(both, files[0], "", LIMITS)
        assert _contents(deltas) == _contents(expected[0])
        _assert_equal(batch, expected[1])


def test_a_batch_stays_as_it_is_while_the_next_file_is_folded(files: list[bytes]) -> None:
    both = EventFolder(EventPlan(SYSMON, PROCESS, LIMITS))
    _, batch = fold_with_events(both, files[0], "", LIMITS)
    before = batch.events.copy()
    _, after = fold_with_events(both, files[1], "", LIMITS)
    assert numpy.array_equal(batch.events, before)
    assert not numpy.array_equal(after.events, before)


def test_a_plan_that_does_not_read_every_column_is_refused() -> None:
    with pytest.raises(TypeError):
        EventFolder(Plan(SYSMON, PROCESS, LIMITS))  # type: ignore[arg-type]


def test_columns_that_the_fold_does_not_read_are_in_the_batch() -> None:
    definition = FoldDefinition("few", 1, "", PROCESS.reducers[:1])
    both = EventFolder(EventPlan(SYSMON, definition, LIMITS))
    deltas, batch = fold_with_events(both, FEW, "", LIMITS)
    assert len(deltas) == 2
    assert any("image" in event for event in batch)
