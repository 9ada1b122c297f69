"""The census as a drawing: where the bytes are, by age, reducer, tenant and host.  Needs the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from fastfold.census.taking import Report
from fastfold.census.totals import AGES_S, Estimate
from fastfold.text import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_ROWS = 12
_NAME_CHARACTERS = 32
_COLOUR = "#3b6ea5"
_MARGIN_COLOUR = "#222222"


def draw(report: Report, path: Path) -> None:
    """Write a drawing of a report.

    Parameters
    ----------
    report : Report
    path : Path
        Its suffix, ``.png`` or ``.svg``, tells the form.
    """
    census = report.census
    figure = Figure(figsize=(13, 9), layout="constrained")
    upper, lower = figure.subplots(2, 2)
    total = census.estimate("all", "")
    how = "every key" if report.exact else f"{census.looked_at:,} of {report.keys:,} keys, margins of 95 %"
    figure.suptitle(f"{total.bytes / 1e6:,.1f} MB in Redis by MEMORY USAGE ({how})")
    order = {name: place for place, (_, name) in enumerate(AGES_S)}
    ages = [(str(name), found) for name, found in census.groups("age")]
    ages.sort(key=lambda one: order.get(one[0], len(order)))
    _groups(upper[0], "by time since the last write", ages)
    costs = sorted(report.reducers, key=lambda cost: -cost.bytes_per_state)[:_ROWS]
    _bars(
        upper[1],
        "value bytes saved without a reducer, mean per state",
        [_name(cost.name) for cost in costs],
        [cost.bytes_per_state for cost in costs],
        [cost.margin for cost in costs],
        "bytes",
    )
    tenants = [(_name(str(name)) or "(no tenant)", found) for name, found in census.groups("tenant")]
    _groups(lower[0], "by tenant", tenants[:_ROWS])
    hosts = [(_name(name), found) for name, found in census.hosts()]
    _groups(lower[1], f"by host, the top {min(report.top, len(hosts))}", hosts[: report.top])
    # Without a date and with fixed ids, the same census gives the same file.
    with mpl.rc_context({"svg.hashsalt": "fastfold", "svg.fonttype": "path"}):
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
        figure.savefig(path, dpi=120, metadata=metadata)


def _name(text: str) -> str:
    return escape(text, _NAME_CHARACTERS)


def _groups(axes: Axes, title: str, rows: Sequence[tuple[str, Estimate]]) -> None:
    values = [found.bytes / 1e6 for _, found in rows]
    _bars(axes, title, [name for name, _ in rows], values, [found.bytes_margin / 1e6 for _, found in rows], "MB")


def _bars(
    axes: Axes, title: str, names: Sequence[str], values: Sequence[float], margins: Sequence[float], unit: str
) -> None:
    places = range(len(names))
    axes.barh(places, values, xerr=margins if any(margins) else None, color=_COLOUR, ecolor=_MARGIN_COLOUR, capsize=2)
    # Names are text, never formulas: a dollar sign would start one.
    axes.set_yticks(places, names, parse_math=False)
    # The first on top, and two or three rows no thicker than many.
    axes.set_ylim(max(len(names), _ROWS // 2) - 0.5, -0.5)
    axes.set_xlabel(unit)
    axes.set_xlim(left=0)
    axes.set_title(title, fontsize=11)
    axes.grid(axis="x", alpha=0.3)
