"""Every format gives what is written down for it, by the reference and by the core.

``records.ndjson`` are records made up after public descriptions of a format: every kind of its tables, every
trap.  ``expected.json`` is what they must give, written by hand.  Neither is ever made by a program of this
project: the golden files are the specification, and a change of one is a change of what fastfold means.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

import fastfold
from fastfold import reference
from fastfold.errors import Reject
from fastfold.recognise import recognise
from fastfold.reference import Event
from fastfold.schema import list_schemas, load_definition, load_schema
from fastfold.types import KINDS
from golden.golden import FORMATS, Golden, Row, counted, events_of_batch, rejects, shown
from simd import SIMD, SimdName, using_simd

IN_FORMAT = pytest.mark.parametrize("name", FORMATS)
STORED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two members": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    "zstd": zstandard.compress,
}


def test_every_schema_of_the_package_has_golden_records() -> None:
    assert list_schemas() == FORMATS


@IN_FORMAT
def test_the_golden_counts_fit_the_golden_events(name: str) -> None:
    golden = Golden.load(name)
    lines = {event["line"] for event in golden.events}
    assert golden.counts["events"] == len(golden.events)
    assert golden.counts["records"] == len(lines) + sum(golden.counts["no_process"].values())
    assert [event["line"] for event in golden.events] == sorted(event["line"] for event in golden.events)


# --- what they give ------------------------------------------------------------------------------


@IN_FORMAT
def test_the_reference_gives_the_golden_events(name: str) -> None:
    golden = Golden.load(name)
    reading = reference.read_lines(golden.data, load_schema(name))
    assert shown(reading.events) == golden.events
    assert counted(reading.counts) == golden.counts


@pytest.mark.parametrize("stored", STORED)
@IN_FORMAT
def test_the_core_parses_the_golden_events(name: str, stored: str) -> None:
    golden = Golden.load(name)
    batch = fastfold.parse(STORED[stored](golden.data), name)
    assert shown(events_of_batch(batch)) == golden.events
    assert counted(batch.counts) == golden.counts


@pytest.mark.parametrize("scanner", SIMD)
@IN_FORMAT
def test_every_instruction_set_parses_the_golden_events(name: str, scanner: SimdName) -> None:
    golden = Golden.load(name)
    with using_simd(scanner):
        batch = fastfold.parse(golden.data, name)
    assert shown(events_of_batch(batch)) == golden.events
    assert counted(batch.counts) == golden.counts


@IN_FORMAT
def test_the_core_folds_the_golden_events(name: str) -> None:
    golden = Golden.load(name)
    definition = load_definition("process")
    states = fastfold.fold(gzip.compress(golden.data), name)
    events = reference.read_lines(golden.data, load_schema(name)).events
    expected = [_as_folded(event, definition.columns()) for event in events]
    assert list(states) == list(reference.fold_events(expected, definition).values())
    assert states.counts.events == golden.counts["events"]
    assert dict(sorted(states.counts.no_process.items())) == golden.counts["no_process"]


def _as_folded(event: Event, columns: frozenset[str]) -> Event:
    kept = {name: text for name, text in event.columns.items() if name in columns}
    return Event(event.time_ns, event.tenant, event.host, event.process, event.kind, event.line, kept)


@IN_FORMAT
def test_the_golden_records_are_recognised(name: str) -> None:
    assert recognise(Golden.load(name).data, whole=True) == name


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", rejects(), ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("kit", ["reference", "core"])
def test_what_cannot_be_read_refuses_the_file(path: Path, kit: str) -> None:
    read = fastfold.parse if kit == "core" else reference.read_lines
    with pytest.raises(Reject) as caught:
        read(path.read_bytes(), load_schema(path.parent.name))
    reject = caught.value
    assert f"{reject.field}: {reject.reason} at line {reject.line}\n" == path.with_suffix(".txt").read_text()


def test_every_format_has_a_record_that_is_refused() -> None:
    assert {path.parent.name for path in rejects()} == set(FORMATS)


@pytest.mark.parametrize("path", rejects(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_only_the_second_record_of_a_refused_file_is_at_fault(path: Path) -> None:
    good = path.read_bytes().splitlines(keepends=True)[0]
    assert reference.read_lines(good, load_schema(path.parent.name)).events


# --- nested and dotted keys ----------------------------------------------------------------------


def _dotted(value: Row, prefix: str = "") -> Row:
    """Every object's keys pulled up into one level."""
    flat: Row = {}
    for key, item in value.items():
        flat.update(_dotted(item, f"{prefix}{key}.") if isinstance(item, dict) and item else {f"{prefix}{key}": item})
    return flat


def _nested(value: Row) -> Row:
    """Every dotted key taken apart."""
    whole: Row = {}
    for key, item in value.items():
        *parents, last = key.split(".")
        place = whole
        for parent in parents:
            place = place.setdefault(parent, {})
        if isinstance(item, dict):
            place.setdefault(last, {}).update(_nested(item))
        else:
            place[last] = item
    return whole


def _half_dotted(value: Row) -> Row:
    """The first level kept, all below it dotted."""
    return {key: _dotted(item) if isinstance(item, dict) else item for key, item in value.items()}


# A lone surrogate must stay an escape, and a number as it was written.
SPELLINGS: dict[str, Callable[[Row], Row]] = {"dotted": _dotted, "nested": _nested, "half dotted": _half_dotted}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kit", ["reference", "core"])
def test_nested_and_dotted_keys_are_the_same(spelling: str, kit: str) -> None:
    golden = Golden.load("ecs")
    records = [SPELLINGS[spelling](json.loads(line)) for line in golden.data.splitlines()]
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    if kit == "core":
        events: list[Any] = events_of_batch(fastfold.parse(data, "ecs"))
    else:
        events = reference.read_lines(data, load_schema("ecs")).events
    assert data != golden.data
    assert shown(events) == golden.events


def test_the_golden_records_have_every_kind() -> None:
    """Every kind there is comes from some format."""
    assert {event["kind"] for name in FORMATS for event in Golden.load(name).events} == set(KINDS)
