"""Write the figures of bench/results into README.md, between two marks.

python bench/readme.py          `make bench` ends with it; tests/repo fails when README.md says something else
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from inputs import ROOT
from report import RESULTS, Report

__all__ = ["block", "replace"]

BEGIN = "<!-- figures: written by make bench -->"
END = "<!-- end of figures -->"
SHOWN = ("stdlib", "duckdb", "msgspec", "fastfold", "c++")
"""Rows of the README: what everybody has, a database, the best Python way, ours, and what is ahead of ours."""


def main() -> int:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(replace(text, block(RESULTS)), encoding="utf-8")
    return 0


def replace(text: str, made: str) -> str:
    """The text with what stands between the marks replaced.

    Raises
    ------
    ValueError
        The marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def block(results: Path) -> str:
    """The figures as the README shows them."""
    report = Report.read(results / "whole-job.json")
    first, place = report.inputs[0], report.place
    text_mb = first.inflated_bytes / 1e6
    said = (
        f"The same job, {first.files} real files ({first.records:,} records, {text_mb:.0f} MB of text) to the state of "
        "each process, one thread, CPU seconds, states compared for equality first. Shuffled are the same lines mixed "
        f"across hosts, as a feed has them (gzip {report.inputs[-1].packed:.0f}:1 instead of {first.packed:.0f}:1). "
        f"`make bench`; {place['date'][:10]}, {place['cpu']}, Python {place['versions']['Python']}:"
    )
    lines = [
        textwrap.fill(said, 120),
        "",
        report.table(SHOWN),
        "![Million records per CPU second of each way](bench/results/whole-job.svg)",
        "",
        "Where we lose, and what else was measured:",
        "",
        *(textwrap.fill(f"- {said}", 120, subsequent_indent="  ") for said in [*report.losses(), *_others(results)]),
        "",
        "[bench/README.md](bench/README.md) says what each does; [all ways](bench/results/whole-job.md), versions",
        "and single figures are in `bench/results`.",
    ]
    return "\n".join(lines) + "\n"


def _told(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return told


def _others(results: Path) -> list[str]:
    return [*_parse(results), *_memory(results), *_scaling(results)]


def _parse(results: Path) -> list[str]:
    told = _told(results / "parse.json")
    if not told:
        return []
    rates = [f"{way} {told['bytes'] / cpu_s / 1e9:.2f} GB/s" for way, cpu_s in told["least"].items()]
    return [f"parse alone, of inflated text: {', '.join(rates)}."]


def _memory(results: Path) -> list[str]:
    told = _told(results / "memory.json")
    peaks = [f"{row['label']}: {row['peak_bytes'] / (1 << 20):.0f} MiB" for row in told.get("rows", [])]
    return [f"peak memory of `fastfold fold` above its imports: {', '.join(peaks)}."] if peaks else []


def _scaling(results: Path) -> list[str]:
    told = _told(results / "scaling.json")
    ratios = [f"{row['name']} {row['ratio']:.2f}" for row in told.get("rows", [])]
    return [f"two threads, times one: {', '.join(ratios)}."] if ratios else []


if __name__ == "__main__":
    sys.exit(main())
