"""What a run of the benchmark says: a table, where it was made, and where fastfold loses."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from contenders import CONTENDERS
from inputs import ROOT

__all__ = ["MIB", "RESULTS", "Measured", "Report", "Row", "place", "sign", "write"]

MIB = 1 << 20
RESULTS = ROOT / "bench" / "results"
BAR = "orjson"
"""The contender of the criterion: fastfold spends at most `AT_MOST` of its CPU time per event."""
AT_MOST = 1 / 3


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: the run with the least CPU time, and how far the worst was above it."""

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
class Measured:
    """All contenders over one input; `digest` is that of the states, which all of them gave."""

    label: str
    source: str
    files: int
    stored_bytes: int
    inflated_bytes: int
    records: int
    events: int
    processes: int
    digest: str
    rows: list[Row]

    def cpu_s(self, name: str) -> float | None:
        return next((row.cpu_s for row in self.rows if row.name == name), None)

    @property
    def best_python(self) -> Row | None:
        """The fastest of what a user would write in Python."""
        return min((row for row in self.rows if CONTENDERS[row.name].python), key=lambda row: row.cpu_s, default=None)

    @property
    def ratio(self) -> float | None:
        """CPU time of fastfold per event, as a share of that of `BAR`."""
        ours, theirs = self.cpu_s("fastfold"), self.cpu_s(BAR)
        return None if ours is None or theirs is None else ours / theirs

    @property
    def packed(self) -> float:
        """Inflated bytes for one that is stored."""
        return self.inflated_bytes / self.stored_bytes

    def notes(self) -> list[str]:
        """What the table does not tell of this input."""
        spread = ", ".join(f"{row.name} +{row.spread:.0%}" for row in self.rows)
        notes = [
            f"{self.label}: {self.source}: {self.files} files, {self.stored_bytes / 1e6:.1f} MB stored, "
            f"{self.inflated_bytes / 1e6:.1f} MB inflated (ratio {self.packed:.1f}), {self.records} records, "
            f"{self.events} events, {self.processes} processes. All contenders gave the same states (SHA-256 "
            f"{self.digest[:16]}), compared before the clock started. Of the CPU times, the worst was above the "
            f"best by: {spread}."
        ]
        if self.ratio is not None:
            notes.append(
                f"{self.label}: fastfold spends {self.ratio:.3f} of the CPU time per event of {CONTENDERS[BAR].title} "
                f"(at most {AT_MOST:.3f} is asked for: {'met' if self.ratio <= AT_MOST else 'missed'})."
            )
        return notes

    def cells(self, name: str) -> list[str]:
        """Of one contender: CPU seconds, records, bytes, and how often the best Python way fits into it."""
        row = next((row for row in self.rows if row.name == name), None)
        if row is None:
            return ["not run", "", "", ""]
        best = self.best_python
        return [
            f"{row.cpu_s:.3f}",
            f"{self.records / row.cpu_s / 1e6:.3f}",
            f"{self.inflated_bytes / row.cpu_s / 1e6:.0f}",
            f"{best.cpu_s / row.cpu_s:.2f}" if best is not None else "",
        ]


@dataclass(slots=True)
class Report:
    """A whole run: the same contenders over one input or more."""

    inputs: list[Measured]
    names: list[str]
    not_run: dict[str, str]
    repeat: int
    seed: int
    place: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Report:
        """A report as `write` left it."""
        told = json.loads(path.read_text())
        for shown in told["inputs"]:
            del shown["ratio"]
            shown["rows"] = [Row(**row) for row in shown["rows"]]
        return Report(**{**told, "inputs": [Measured(**shown) for shown in told["inputs"]]})

    def table(self, only: Collection[str] = ()) -> str:
        """One row for each contender, or for those named, the slowest first."""
        names = [name for name in self.names if not only or name in only]
        heads = [f"{measured.label}: CPU s | M records/s | MB/s | x best Python" for measured in self.inputs]
        lines = [
            f"| way | {' | '.join(heads)} | peak MiB |",
            f"|---|{'---:|---:|---:|---:|' * len(self.inputs)}---:|",
        ]
        first = self.inputs[0]
        for name in sorted(names, key=lambda name: -(first.cpu_s(name) or float("inf"))):
            peaks = [row.peak_bytes for measured in self.inputs for row in measured.rows if row.name == name]
            cells = [cell for measured in self.inputs for cell in measured.cells(name)]
            peak = f"{max(peaks) / MIB:.0f}" if peaks else ""
            lines.append(f"| {' | '.join([CONTENDERS[name].title, *cells, peak])} |")
        return "\n".join(lines) + "\n"

    def losses(self) -> list[str]:
        """Where another contender is ahead of fastfold, in the words of the figures."""
        said = []
        for measured in self.inputs:
            ours = next((row for row in measured.rows if row.name == "fastfold"), None)
            if ours is None:
                continue
            others = [row for row in measured.rows if row.name not in {"fastfold", "reference"}]
            faster = [
                f"{CONTENDERS[row.name].title} ({ours.cpu_s / row.cpu_s:.2f} times)"
                for row in others
                if row.cpu_s < ours.cpu_s
            ]
            smaller = [CONTENDERS[r.name].title for r in others if r.peak_bytes < ours.peak_bytes]
            said += [f"{measured.label}: faster than fastfold: {', '.join(faster)}."] if faster else []
            said += [f"{measured.label}: with less memory than fastfold: {', '.join(smaller)}."] if smaller else []
        return said or ["No contender was faster than fastfold or had less memory."]

    def markdown(self) -> str:
        """The table with what is needed to judge and repeat it."""
        notes = [f"Not run: {CONTENDERS[name].title}: {reason}" for name, reason in self.not_run.items()]
        notes += ["Where fastfold loses. " + " ".join(self.losses())]
        notes += [note for measured in self.inputs for note in measured.notes()]
        notes += [
            f"CPU is user and system time of one process after its imports, one thread, the least of {self.repeat} "
            f"runs that took turns. Peak is memory above that after the imports. Seed {self.seed}.",
            *sign(self.place),
        ]
        return self.table() + "".join(f"\n{note}\n" for note in notes)

    def write(self, folder: Path, name: str) -> list[Path]:
        """The table as Markdown and all figures as JSON."""
        figures = asdict(self)
        for shown, measured in zip(figures["inputs"], self.inputs, strict=True):
            shown["ratio"] = measured.ratio
        return write(folder, name, self.markdown(), figures)


def write(folder: Path, name: str, markdown: str, figures: dict[str, Any]) -> list[Path]:
    """A result as Markdown and as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    table, numbers = folder / f"{name}.md", folder / f"{name}.json"
    table.write_text(markdown)
    numbers.write_text(json.dumps(figures, indent=2) + "\n")
    return [table, numbers]


def sign(place: dict[str, Any]) -> list[str]:
    """Where and how a result was made, in two lines."""
    versions = ", ".join(f"{name} {version}" for name, version in place["versions"].items())
    return [
        f"{place['date']}, commit {place['commit']}, {place['cpu']}, {place['cores']} cores, {place['system']}; "
        f"{versions}.",
        f"Command: `{place['command']}`",
    ]


def place(packages: Iterable[str], others: dict[str, str] | None = None) -> dict[str, Any]:
    """When, where and with what a run was made."""
    versions = {"Python": platform.python_version(), **{name: _version(name) for name in sorted(set(packages))}}
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(_affinity()),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions | (others or {}),
        "command": " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def _version(package: str) -> str:
    if package == "fastfold":
        from fastfold import __version__

        return __version__
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

    changed = ask("status", "--porcelain", "--untracked-files=no", "--", "src", "bench", "setup.py", ":!bench/results")
    return ask("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
