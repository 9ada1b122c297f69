"""A detection record for a person, and for a program: what rules have found on a host, and what was raised of it."""

from __future__ import annotations

from collections.abc import Iterator

from fastfold.detection.record import DetectionRecord, Found, Raised, Series
from fastfold.printing import Line, shown
from fastfold.states import format_time

__all__ = ["detection_object", "detection_page"]

_NS_PER_MS = 1_000_000
_TEXT_CHARACTERS = 100


def detection_page(record: DetectionRecord) -> Iterator[Line]:
    """The lines of a detection record: alerts, then marks, the latest last."""
    yield [("host ", "label"), *shown(record.host, "title")]
    if record.tenant:
        yield [("  tenant ", "label"), *shown(record.tenant)]
    yield [(f"  {len(record.raised)} alerts raised, by batch:", "")]
    for raised in record.raised:
        told = record.told[raised.rule]
        line: Line = [(f"  {_time(raised.last_ns)}  ", "faint"), *shown(told.id), (f" [{told.level}] ", "")]
        yield [*line, *shown(told.title), ("  process ", "label"), *shown(raised.process)]
    count = sum(len(found) for found in record.series.values())
    yield [(f"  {count} events met a step:", "")]
    for key in sorted(record.series):
        dropped = "; earlier ones were dropped" if key.rule in record.dropped else ""
        yield [(f"  rule {key.rule.hex()}, step {key.step + 1}{dropped}", "label")]
        for mark, _ in record.series[key]:
            evidence = [part for column, text in mark.evidence for part in _named(column, text)]
            yield [(f"    {_time(mark.time_ns)}  ", "faint"), *shown(mark.kind), *evidence]


def detection_object(record: DetectionRecord) -> dict[str, object]:
    """A detection record as a JSON object."""
    named: dict[str, object] = {"tenant": record.tenant} if record.tenant else {}
    named["host"] = record.host
    named["raised"] = [_raised(record, raised) for raised in record.raised]
    named["marks"] = [_mark(key, found) for key in sorted(record.series) for found in record.series[key]]
    named["dropped"] = {rule.hex(): format_time(time_ns) for rule, time_ns in sorted(record.dropped.items())}
    return named


def _raised(record: DetectionRecord, raised: Raised) -> dict[str, object]:
    told = record.told[raised.rule]
    return {
        "rule": told.id,
        "version": told.version,
        "title": told.title,
        "level": told.level,
        "process": raised.process,
        "last": format_time(raised.last_ns),
        "batch": raised.batch.hex(),
        "batch_time": format_time(raised.batch_ms * _NS_PER_MS),
        "repeats": raised.repeats,
    }


def _mark(key: Series, found: Found) -> dict[str, object]:
    mark = found.mark
    return {
        "rule": key.rule.hex(),
        "step": key.step + 1,
        "time": format_time(mark.time_ns),
        "process": mark.process,
        "kind": mark.kind,
        "evidence": dict(mark.evidence),
        "batch": found.batch.hex(),
    }


def _named(column: str, text: str) -> Line:
    return [(f"  {column} ", "label"), *shown(text, width=_TEXT_CHARACTERS)]


def _time(time_ns: int) -> str:
    return format_time(time_ns)[:23] + "Z"
