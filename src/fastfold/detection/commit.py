"""The detection record within the transactions of a commit.

::

    chunk brings marks, or time has passed for a rule with `unless`
        WATCH, GET with the states -> `detect` -> SETEX in the same EXEC -> acknowledged: alerts
    chunk brings nothing
        the record is not read: no cost for hosts on which nothing is found
    the ledger holds the chunk, or the batch is late
        read once more with the record -> `detect_again`: what this batch has raised is told again
        from then on the record is read at once in all transactions of the batch
"""

from __future__ import annotations

from collections.abc import Sequence

from fastfold.detection.detecting import BatchMarks, Detected, detect, detect_again
from fastfold.detection.form import decode_record, encode_record
from fastfold.detection.mark_types import HostMarks
from fastfold.detection.record import DetectionRecord
from fastfold.errors import IdentityClash
from fastfold.types import BatchId

__all__ = ["ChunkDetection", "HostDetection"]


class HostDetection:
    """What a batch found on a host.

    Parameters
    ----------
    marks : BatchMarks
        Of the batch.
    host : HostMarks
    batch : BatchId
    """

    def __init__(self, marks: BatchMarks, host: HostMarks, batch: BatchId) -> None:
        self.marks = marks
        self.host = host
        self.batch = batch

    def of_chunk(self, processes: Sequence[str]) -> ChunkDetection:
        """The part of it whose marks belong to these processes."""
        chosen = frozenset(processes)
        marks = [mark for mark in self.host.marks if mark.process in chosen]
        newest_ns = self.host.newest_ns if self.marks.rules.waiting else None
        brought = DetectionRecord.of_batch(self.host.tenant, self.host.host, marks, self.batch.id, newest_ns)
        return ChunkDetection(self, brought)


class ChunkDetection:
    """The same of one chunk, through one transaction or several tries of it.

    Attributes
    ----------
    looks : bool
        Whether the record takes part in the transaction.
    """

    def __init__(self, host: HostDetection, brought: DetectionRecord) -> None:
        self.looks = bool(brought.series) or brought.newest_ns is not None
        self._host = host
        self._brought = brought
        self._detected: Detected | None = None

    def begin(self) -> None:
        """A transaction begins: see whether the record takes part in it."""
        self.looks = self.looks or self._host.marks.repeated

    def look_again(self) -> None:
        """The ledger holds the chunk, but the record was not read."""
        self._host.marks.repeated = True

    def apply(self, payload: bytes | None) -> bytes | None:
        """The record to write with the states, from the stored one; ``None`` if it stays as it is.

        Raises
        ------
        CorruptValue
            Without a key.
        IdentityClash
            The record is of another host.
        """
        marks = self._host.marks
        detected = detect(self._read(payload), self._brought, marks.rules, self._host.batch, marks.file)
        self._detected = detected
        return None if detected.record is None else encode_record(detected.record)

    def acknowledge(self) -> None:
        """The transaction is done: what it raised is to be published."""
        if self._detected is not None:
            marks = self._host.marks
            marks.alerts.update((alert.id, alert) for alert in self._detected.alerts)
            marks.suppressed += self._detected.suppressed
            marks.limited += self._detected.limited
            self._detected = None

    def tell_again(self, payload: bytes | None, *, late: bool) -> None:
        """What the batch raised when it was applied is to be published, be it once more.

        Raises
        ------
        CorruptValue, IdentityClash
            As of `apply`.
        """
        marks = self._host.marks
        told = detect_again(self._read(payload), self._brought, marks.rules, self._host.batch, marks.file, late=late)
        marks.alerts.update((alert.id, alert) for alert in told)

    def _read(self, payload: bytes | None) -> DetectionRecord:
        tenant, host = self._host.host.tenant, self._host.host.host
        if payload is None:
            return DetectionRecord(tenant, host)
        record = decode_record(payload)
        if (record.tenant, record.host) != (tenant, host):
            raise IdentityClash(f"hosts {(record.tenant, record.host)!r} and {(tenant, host)!r} have one key")
        return record
