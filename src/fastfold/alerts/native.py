"""An alert as JSON of our own: docs/alerts.md says what each part means, docs/alert.schema.json what it may hold."""

from __future__ import annotations

from fastfold.alerts.cut import Cut
from fastfold.alerts.types import Alert, MatchedStep
from fastfold.alerts.words import span_s, words_of
from fastfold.states import format_time

__all__ = ["FORMAT", "native", "native_steps", "native_times"]

FORMAT = "fastfold.alert/1"
"""Name and version of the form; the version changes when a part is taken out or means something else."""


def native(alert: Alert, cut: Cut) -> dict[str, object]:
    """The object of an alert; texts are exact but for what `cut` counts, only ``text`` is made safe to show."""
    shown: dict[str, object] = {
        "format": FORMAT,
        "id": alert.id,
        "text": words_of(alert),
        "rule": {
            "id": alert.rule_id,
            "version": alert.rule_version,
            "title": alert.title,
            "description": alert.description,
            "level": alert.level,
            "tags": list(alert.tags),
            "references": list(alert.references),
        },
        "tenant": alert.tenant,
        "host": alert.host,
        "process": {
            "id": alert.process,
            "image": alert.image,
            "command_line": alert.command_line,
            "user": alert.user,
            "parent": alert.parent,
        },
        "steps": native_steps(alert.steps),
        "span_s": span_s(alert),
        "times": native_times(alert),
        "suppressed": alert.suppressed,
        "limited": alert.limited,
    }
    if cut:
        shown["cut"] = {"texts": cut.texts, "steps": cut.steps}
    return shown


def native_steps(steps: tuple[MatchedStep, ...]) -> list[dict[str, object]]:
    """The matched steps, each with its time and the values that matched."""
    return [
        {
            "name": step.name,
            "time": format_time(step.time_ns),
            "process": step.process,
            "kind": step.kind,
            "values": dict(step.evidence),
            "batch": step.batch,
            "file": step.file,
        }
        for step in steps
    ]


def native_times(alert: Alert) -> dict[str, str]:
    """The times that are known, by name."""
    times = alert.times
    known = {
        "event": times.event_ns,
        "stored": times.stored_ns,
        "received": times.received_ns,
        "committed": times.committed_ns,
        "published": times.published_ns,
    }
    return {name: format_time(time_ns) for name, time_ns in known.items() if time_ns}
