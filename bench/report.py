"""What a run of the benchmark says: a table, where it was made, and the one ratio that is asked for."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from contenders import CONTENDERS
from inputs import ROOT

__all__ = ["Report", "Row", "place"]

MIB = 1 << 20
BAR = "orjson"
"""The contender of the criterion: fastfold spends at most `AT_MOST` of its CPU time per event."""
AT_MOST = 1 / 3


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: the run with the least CPU time, and how far the others were above it."""

    name: str
    cpu_s: float
    wall_s: float
    spread: float
    peak_bytes: int

    @staticmethod
    def of(name: str, runs: list[dict[str, Any]]) -> Row:
        best = min(runs, key=lambda run: run["cpu_s"])
        spread = max(run["cpu_s"] for run in runs) / best["cpu_s"] - 1
        return Row(name, best["cpu_s"], best["wall_s"], spread, min(run["peak_bytes"] for run in runs))


@dataclass(slots=True)
class Report:
    """A whole run; `digest` is that of the states, which all contenders gave."""

    source: str
    files: int
    stored_bytes: int
    inflated_bytes: int
    records: int
    events: int
    processes: int
    digest: str
    repeat: int
    seed: int
    rows: list[Row]
    place: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """CPU time of fastfold per event, as a share of that of `BAR`."""
        cpu = {row.name: row.cpu_s for row in self.rows}
        return cpu["fastfold"] / cpu[BAR] if {"fastfold", BAR} <= cpu.keys() else None

    def markdown(self) -> str:
        """The table with what is needed to judge and repeat it."""
        best = min((row.cpu_s for row in self.rows if CONTENDERS[row.name].python), default=None)
        lines = [
            "| contender | CPU s | M records/s | M events/s | MB/s inflated | peak MiB | x best Python | spread |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in sorted(self.rows, key=lambda row: -row.cpu_s):
            cells = (
                CONTENDERS[row.name].title,
                f"{row.cpu_s:.3f}",
                f"{self.records / row.cpu_s / 1e6:.3f}",
                f"{self.events / row.cpu_s / 1e6:.3f}",
                f"{self.inflated_bytes / row.cpu_s / 1e6:.0f}",
                f"{row.peak_bytes / MIB:.0f}",
                "" if best is None else f"{best / row.cpu_s:.2f}",
                f"+{row.spread:.0%}",
            )
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", *self._notes()]
        return "\n".join(lines) + "\n"

    def _notes(self) -> list[str]:
        notes = []
        if self.ratio is not None:
            verdict = "met" if self.ratio <= AT_MOST else "missed"
            notes.append(
                f"fastfold spends {self.ratio:.3f} of the CPU time per event of {CONTENDERS[BAR].title} "
                f"(at most {AT_MOST:.3f} is asked for: {verdict})."
            )
        notes += [
            f"Input: {self.source}: {self.files} files, {self.stored_bytes / 1e6:.1f} MB stored, "
            f"{self.inflated_bytes / 1e6:.1f} MB inflated, {self.records} records, {self.events} events, "
            f"{self.processes} processes; seed {self.seed}.",
            f"All contenders gave the same states (SHA-256 {self.digest[:16]}), compared before the clock started.",
            f"CPU is user and system time of one process after its imports, the least of {self.repeat} runs; "
            "spread is how far the worst was above. Peak is memory above that after the imports.",
            f"{self.place['date']}, commit {self.place['commit']}, {self.place['cpu']}, {self.place['cores']} cores, "
            f"{self.place['system']}; " + ", ".join(f"{name} {v}" for name, v in self.place["versions"].items()) + ".",
            f"Command: `{self.place['command']}`",
        ]
        return [line for note in notes for line in (note, "")][:-1]

    def write(self, folder: Path, name: str) -> list[Path]:
        """The table as Markdown and all figures as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        table, figures = folder / f"{name}.md", folder / f"{name}.json"
        table.write_text(self.markdown())
        figures.write_text(json.dumps({**asdict(self), "ratio": self.ratio}, indent=2) + "\n")
        return [table, figures]


def place(names: list[str]) -> dict[str, Any]:
    """When, where and with what a run was made."""
    versions = {"Python": platform.python_version()}
    for package in sorted({package for name in names for package in CONTENDERS[name].packages}):
        versions[package] = _version(package)
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(_affinity()),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "command": " ".join(["python", "bench/run.py", *sys.argv[1:]]),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return "unknown"

    def ask(*words: str) -> str:
        return subprocess.run(
            [git, "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = ask("status", "--porcelain", "--untracked-files=no", "--", "src", "bench", "setup.py")
    return ask("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _affinity() -> set[int]:
    import os

    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
