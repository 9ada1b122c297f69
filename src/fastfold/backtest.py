"""Rules over batch files without servers: events, marks and matches as in a worker, with the records in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from fastfold._core import EventFolder, EventPlan
from fastfold.alerts.types import Alert
from fastfold.detection.detecting import DetectionRules, detect
from fastfold.detection.matching import Matcher
from fastfold.detection.record import DetectionLimits, DetectionRecord
from fastfold.folding import fold_with_events
from fastfold.rules.types import Rule
from fastfold.schema_types import FoldDefinition, Schema
from fastfold.types import BatchId, Limits

__all__ = ["Backtest", "FileResult"]

_STEP_MS = 1000


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one file gave.

    Attributes
    ----------
    file : str
        Its path.
    records, events, marks : int
        Lines that hold a JSON value; events made of them; events that met a step of a rule.
    alerts : tuple of Alert
        In the order in which a worker would raise them.
    """

    file: str
    records: int
    events: int
    marks: int
    alerts: tuple[Alert, ...]


@dataclass
class Backtest:
    """Takes one file after the other, as one batch each.

    Parameters
    ----------
    rules : sequence of Rule
    schema : Schema
    definition : FoldDefinition
    limits : Limits
    apart : bool
        Whether each file is a world of its own; else a later file goes on where the earlier ones have ended, as the
        batches of a fleet do.

    Raises
    ------
    ConfigError
        If a rule cannot be matched.
    """

    rules: Sequence[Rule]
    schema: Schema
    definition: FoldDefinition
    limits: Limits
    apart: bool = False
    _records: dict[tuple[str, str], DetectionRecord] = field(init=False, default_factory=dict)
    _number: int = field(init=False, default=0)
    files: dict[bytes, str] = field(init=False, default_factory=dict)
    """By id of the batch, the file that it was."""

    def __post_init__(self) -> None:
        how = DetectionLimits()
        self._folder = EventFolder(EventPlan(self.schema, self.definition, self.limits))
        self._matcher = Matcher(self.rules, how.marks_per_step)
        self._now = DetectionRules.of(self.rules, how)

    def take(self, path: Path) -> FileResult:
        """Fold a file, find its marks, and raise what they complete.

        Raises
        ------
        Reject
            The file is malformed: nothing of it counts, as in a worker.
        OSError
            It cannot be read.
        """
        deltas, batch = fold_with_events(self._folder, path, str(path), self.limits)
        if self.apart:
            self._records.clear()
        self._number += 1
        # In place of the time and identity of an S3 object, those of the order: the same files give the same alerts.
        digest = blake2b(str(path).encode(), digest_size=8, person=b"fastfold.back").digest()
        of_file = BatchId(self._number * _STEP_MS, digest)
        self.files[digest] = str(path)
        alerts: list[Alert] = []
        marks = 0
        for host in self._matcher.match(batch):
            marks += len(host.marks)
            newest_ns = host.newest_ns if self._now.waiting else None
            brought = DetectionRecord.of_batch(host.tenant, host.host, host.marks, of_file.id, newest_ns)
            detected = detect(self.record(host.tenant, host.host), brought, self._now, of_file, str(path))
            if detected.record is not None:
                self._records[host.tenant, host.host] = detected.record
            alerts += detected.alerts
        return FileResult(str(path), deltas.counts.records, len(batch), marks, tuple(alerts))

    def record(self, tenant: str, host: str) -> DetectionRecord:
        """What the rules have found on a host so far."""
        return self._records.get((tenant, host), DetectionRecord(tenant, host))
