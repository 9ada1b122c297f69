"""The alerts of `fastfold demo`: written to a file meanwhile, and how long each took afterwards."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

__all__ = ["Latency", "alert_latency", "write_sinks"]

_NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """How long alerts took from the upload of the file that completed them.

    Attributes
    ----------
    alerts : int
        Alerts, each counted once.
    rules : int
        Rules that they are of.
    seconds : tuple of float
        Of each alert whose file is known, in ascending order.
    """

    alerts: int
    rules: int
    seconds: tuple[float, ...]

    def at(self, share: float) -> float:
        """The least of the times within which so many of the alerts came: 0.99 for p99."""
        return self.seconds[max(0, math.ceil(share * len(self.seconds)) - 1)]

    def __str__(self) -> str:
        if not self.alerts:
            return "no alerts"
        counted = f"{_number(self.alerts, 'alert')} of {_number(self.rules, 'rule')}"
        if not self.seconds:
            return counted
        return (
            f"{counted}, from upload to alert: p50 {self.at(0.5):.2f} s, p99 {self.at(0.99):.2f} s,"
            f" max {self.seconds[-1]:.2f} s"
        )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def write_sinks(folder: Path) -> tuple[Path, Path]:
    """Write settings by which all alerts go to a file; the path of the settings, and that of the file."""
    settings, alerts = folder / "sinks.toml", folder / "alerts.ndjson"
    # A string of JSON is one of TOML.
    path = json.dumps(str(alerts))
    settings.write_text(f'[[sink]]\nname = "demo"\nkind = "file"\nsync = false\npath = {path}\n', encoding="utf-8")
    return settings, alerts


def alert_latency(lines: Iterable[str], uploaded_ns: Mapping[str, int]) -> Latency:
    """How long the alerts took whose lines these are, in the native form.

    Parameters
    ----------
    lines : iterable of str
        Of copies of one alert the first published counts.
    uploaded_ns : mapping
        When the upload of a file began, nanoseconds since 1970, by ``s3://bucket/key``.
    """
    published: dict[str, int] = {}
    files: dict[str, set[str]] = {}
    rules: set[str] = set()
    for line in lines:
        alert = json.loads(line)
        rules.add(alert["rule"]["id"])
        published_ns = _ns(alert["times"]["published"])
        published[alert["id"]] = min(published.get(alert["id"], published_ns), published_ns)
        files[alert["id"]] = {step["file"] for step in alert["steps"]} & uploaded_ns.keys()
    seconds = [
        (published[id_] - max(uploaded_ns[file] for file in names)) / _NS_PER_SECOND
        for id_, names in files.items()
        if names
    ]
    return Latency(len(published), len(rules), tuple(sorted(seconds)))


def _ns(time: str) -> int:
    """Nanoseconds since 1970 of a time with nine digits, as our own form has it."""
    seconds, fraction = time.rstrip("Z").split(".")
    return round(datetime.fromisoformat(f"{seconds}+00:00").timestamp()) * _NS_PER_SECOND + int(fraction)
