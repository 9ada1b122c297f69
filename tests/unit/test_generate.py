"""Generated files: the same for the same seed, and like real ones."""

from __future__ import annotations

import collections
import gzip
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from fastfold import reference
from fastfold.generate import Corpus, batches, compress, write
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits

SMALL = Corpus(files=3, hosts=3, processes=8, events=6)


def lines(corpus: Corpus) -> list[bytes]:
    return [line for batch in batches(corpus) for line in batch.lines()]


def data_of(record: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = record.get("event_data", record)
    return data


def test_the_same_seed_gives_the_same_lines_on_every_machine() -> None:
    # A change of this digest changes what every benchmark ran on: say so in the changelog.
    digest = hashlib.sha256(b"\n".join(lines(SMALL))).hexdigest()
    assert digest == "160b5a983692b2d273f6124a7f520db1cee361d6be0d806b15cced1ba1e174be"


def test_another_seed_gives_other_lines() -> None:
    assert lines(SMALL) != lines(Corpus(files=3, hosts=3, processes=8, events=6, seed=2))


def test_lines_may_be_drawn_late_and_twice() -> None:
    kept = list(batches(SMALL))
    assert [line for batch in kept for line in batch.lines()] == lines(SMALL)
    assert list(kept[0].lines()) == list(kept[0].lines())


@pytest.mark.parametrize("shape", ["A", "B", "C"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_counts_are_what_was_asked_for(shape: str, shuffled: bool) -> None:
    corpus = Corpus(files=2, hosts=3, processes=10, events=7, shape=shape, shuffled=shuffled)
    for batch in batches(corpus):
        records = [json.loads(line) for line in batch.lines()]
        assert len(records) == batch.records == 3 * 10 * 7
        hosts = [record.get("Hostname") or record["computer_name"] for record in records]
        assert len(set(hosts)) == 3
        blocks = len(list(itertools.groupby(hosts)))
        assert blocks > 20 if shuffled else blocks == 3


def test_hosts_take_turns() -> None:
    corpus = Corpus(files=4, hosts=6, hosts_per_file=3, processes=2, events=2)
    seen = [frozenset(json.loads(line)["Hostname"] for line in batch.lines()) for batch in batches(corpus)]
    assert seen[0] == seen[2] != seen[1] == seen[3]
    assert all(len(hosts) == 3 for hosts in seen)


@pytest.mark.parametrize("record_bytes", [2000, 6000])
def test_records_reach_their_length(record_bytes: int) -> None:
    sizes = [len(line) for line in lines(Corpus(files=1, hosts=2, record_bytes=record_bytes))]
    assert max(sizes) <= record_bytes
    assert min(sizes) >= record_bytes - 16


def test_records_of_other_channels_come_on_top() -> None:
    corpus = Corpus(files=1, hosts=2, processes=10, events=10, others=0.5)
    channels = collections.Counter(json.loads(line)["Channel"] for line in lines(corpus))
    assert channels == {"Microsoft-Windows-Sysmon/Operational": 200, "Security": 100}


def test_kinds_times_and_ids_are_like_those_of_real_collections() -> None:
    records = [json.loads(line) for line in lines(Corpus(files=4, hosts=8, processes=25, events=20))]
    count = len(records)
    ids = collections.Counter(record["EventID"] for record in records)
    for event_id, share in ((10, 0.48), (12, 0.21), (7, 0.18), (13, 0.09)):
        assert ids[event_id] / count == pytest.approx(share, abs=0.02)
    assert ids[1] > 0
    assert ids[5] > 0

    newest: dict[str, str] = {}
    late = 0
    for record in records:
        before = newest.get(record["Hostname"], "")
        late += record["UtcTime"] < before
        newest[record["Hostname"]] = max(before, record["UtcTime"])
    assert 0.04 < late / count < 0.14

    started: dict[str, str] = {}
    for record in records:
        if record["EventID"] == 1:
            started[record["ProcessGuid"]] = record["UtcTime"]
            groups = record["ProcessGuid"].strip("{}").split("-")
            seconds = int(groups[2] + groups[1], 16)
            assert record["UtcTime"][:10] == "2024-03-04"
            assert seconds % 60 == int(record["UtcTime"][17:19])
    for record in records:
        start = started.get(record.get("ProcessGuid", ""))
        assert start is None or record["UtcTime"] >= start


@pytest.mark.parametrize("shape", ["A", "B", "C"])
def test_the_reference_folds_them(shape: str) -> None:
    corpus = Corpus(files=2, hosts=2, processes=6, events=20, shape=shape)
    schema, definition = load_schema("sysmon"), load_definition("process")
    states: dict[tuple[str, str, str], object] = {}
    for batch in batches(corpus):
        packed = b"".join(compress(batch.lines()))
        found = reference.fold(packed, schema, definition, Limits())
        assert len({(host, process) for _, host, process in found}) == 2 * 6
        states |= found
    assert 2 * 6 <= len(states) <= 2 * 6 * 2


def test_all_shapes_tell_the_same_story() -> None:
    told = [
        [data_of(json.loads(line))["UtcTime"] for line in lines(Corpus(files=1, hosts=2, shape=shape))]
        for shape in ("A", "B", "C")
    ]
    assert told[0] == told[1] == told[2]


def test_files_are_written_one_by_one(tmp_path: Path) -> None:
    written = list(write(SMALL, tmp_path / "out"))
    assert [path.name for path, _ in written] == [f"batch-{index:06d}.json.gz" for index in range(3)]
    for path, batch in written:
        assert gzip.decompress(path.read_bytes()).splitlines() == list(batch.lines())
        assert path.read_bytes()[4:8] == bytes(4), "the header holds no time"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"files": 0}, "files is 0"),
        ({"events": -1}, "events is -1"),
        ({"hosts_per_file": 9}, "hosts_per_file is 9, 0 to 8"),
        ({"shape": "D"}, "one of A, B, C"),
        ({"turnover": 2.0}, "turnover is 0 to 1"),
    ],
)
def test_impossible_wishes_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Corpus(**wrong)
