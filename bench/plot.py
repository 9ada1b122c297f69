"""The picture of a result: records per CPU second of each contender, one group of bars for each input."""

from __future__ import annotations

from pathlib import Path

from contenders import CONTENDERS
from report import Report

__all__ = ["draw"]

_OURS, _PYTHON, _OTHER = "#c2410c", "#64748b", "#94a3b8"


def draw(report: Report, folder: Path, name: str) -> list[Path]:
    """Write the picture as PNG and SVG.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "fastfold"  # equal figures give equal files
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(report.inputs), figsize=(5.2 * len(report.inputs), 0.38 * len(report.names) + 1.2), squeeze=False
    )
    for measured, axis in zip(report.inputs, axes[0], strict=True):
        rows = sorted(measured.rows, key=lambda row: -row.cpu_s)
        rates = [measured.records / row.cpu_s / 1e6 for row in rows]
        colors = [_OURS if r.name == "fastfold" else _PYTHON if CONTENDERS[r.name].python else _OTHER for r in rows]
        bars = axis.barh([CONTENDERS[row.name].title for row in rows], rates, color=colors, height=0.7)
        axis.bar_label(bars, [f"{rate:.2f}" for rate in rates], padding=3, fontsize=8)
        axis.set_title(f"{measured.label} (gzip {measured.packed:.0f}:1)", fontsize=10)
        axis.set_xlabel("million records per CPU second, files to states, one core", fontsize=8)
        axis.set_xlim(0, max(rates) * 1.15)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(made[0], dpi=160, metadata={"Software": None})
    figure.savefig(made[1], metadata={"Date": None})
    pyplot.close(figure)
    return made
