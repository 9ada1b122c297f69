"""Golden records of every format, and what is written down that they give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfold._core import Batch
from fastfold.reference import Event
from fastfold.states import format_time
from fastfold.types import COLUMNS, KINDS, FoldCounts

__all__ = [
    "FOLDER",
    "FORMATS",
    "Golden",
    "counted",
    "events_of_batch",
    "rejects",
    "shown",
]

Row = dict[str, Any]

FOLDER = Path(__file__).parent
FORMATS = tuple(sorted(path.parent.name for path in FOLDER.glob("*/records.ndjson")))


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
