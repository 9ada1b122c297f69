"""Golden records of every format, and what is written down that they give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from fastfold._core import Batch, simd, use_simd
from fastfold.errors import ConfigError
from fastfold.reference import Event
from fastfold.states import format_time
from fastfold.types import COLUMNS, KINDS, FoldCounts

__all__ = [
    "FOLDER",
    "FORMATS",
    "SIMD",
    "Golden",
    "counted",
    "events_of_batch",
    "rejects",
    "shown",
    "using_simd",
]

Row = dict[str, Any]
SimdName = Literal["avx512", "avx2", "neon", "scalar"]

FOLDER = Path(__file__).parent
FORMATS = tuple(sorted(path.parent.name for path in FOLDER.glob("*/records.ndjson")))
SIMD: tuple[SimdName, ...] = ("scalar", "avx2", "avx512", "neon")


@dataclass(frozen=True)
class Golden:
    """One format: its records, and by hand the events and counts they must give."""

    data: bytes
    events: list[Row]
    counts: Row

    @classmethod
    def load(cls, name: str) -> Golden:
        expected = json.loads((FOLDER / name / "expected.json").read_text(encoding="utf-8"))
        return cls((FOLDER / name / "records.ndjson").read_bytes(), expected["events"], expected["counts"])


def rejects() -> list[Path]:
    """Files that must be refused; what they are refused with stands in a text beside each."""
    return sorted(FOLDER.glob("*/reject-*.ndjson"))


def shown(events: list[Event]) -> list[Row]:
    """Events as the golden files write them."""
    return [
        {
            "line": event.line,
            "time": format_time(event.time_ns),
            "tenant": event.tenant,
            "host": event.host,
            "process": event.process,
            "kind": event.kind,
            "columns": event.columns,
        }
        for event in events
    ]


def events_of_batch(batch: Batch) -> list[Event]:
    """The events of a batch of the core, as the reference has them."""
    events = []
    hosts, processes = batch.hosts, batch.processes
    for row in batch.events:
        tenant, host, process = processes[row["process"]]
        assert (tenant, host) == hosts[row["host"]]
        columns = {name: batch.strings[row[name]] for name in COLUMNS if row[name]}
        events.append(
            Event(
                int(row["time"].astype("int64")),
                tenant,
                host,
                process,
                KINDS[row["kind"]],
                int(row["record"]),
                {name: text for name, text in columns.items() if text is not None},
            )
        )
    return events


def counted(counts: FoldCounts) -> Row:
    """Counts as the golden files write them."""
    return {
        "records": counts.records,
        "events": counts.events,
        "odd_text": counts.odd_text,
        "no_process": dict(sorted(counts.no_process.items())),
    }


@contextmanager
def using_simd(name: SimdName) -> Iterator[None]:
    before: SimdName = next(known for known in SIMD if known == simd())
    try:
        use_simd(name)
    except ConfigError:
        pytest.skip(f"this machine has no {name}")
    try:
        yield
    finally:
        use_simd(before)
