"""Peak memory of `fastfold fold` over one large file, above the interpreter with its imports.

Three files: 120 MB of text as gzip, the same as plain text, and gzip of 120 MB as it is stored, with its
lines mixed across hosts.  Each is folded by the command line itself, in a process of its own.  Exits 1
when one of them needs 64 MiB or more.

    python bench/memory.py [FILE...]      default: made of the real files

The process that is measured is this program again: ``--child FILE``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contenders import forget_peak, memory_bytes
from inputs import ROOT, generate, list_files, real_folder, shuffle
from report import MIB, RESULTS, place, sign, write

AT_MOST_BYTES = 64 * MIB
FILE_BYTES = 120_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--no-limit", action="store_true", help="exit 0 however much is needed")
    parser.add_argument("--child", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps({"peak_bytes": fold(options.child)}))
        return 0
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        inputs = {str(path): path for path in options.files} or make(Path(made))
        rows = [measure(label, path) for label, path in inputs.items()]
    text, figures = describe(rows)
    print(text)
    for path in write(options.results, "memory", text, figures):
        print(f"written: {path}", file=sys.stderr)
    return 0 if options.no_limit or all(row["peak_bytes"] < AT_MOST_BYTES for row in rows) else 1


def make(folder: Path) -> dict[str, Path]:
    """The three files, by what they are."""
    real = real_folder()
    mixed = shuffle(
        list_files([real]) if real.is_dir() else generate(folder / "generated", seed=1, files=200),
        folder / "mixed",
        seed=1,
    )
    text, stored = folder / "text.json", folder / "stored.json.gz"
    with text.open("wb") as file:
        for path in mixed:
            file.write(gzip.decompress(path.read_bytes()))
            if file.tell() >= FILE_BYTES:
                break
    with stored.open("wb") as file:
        for path in mixed * 8:
            file.write(path.read_bytes())  # members of one gzip file
            if file.tell() >= FILE_BYTES:
                break
    packed = folder / "text.json.gz"
    packed.write_bytes(gzip.compress(text.read_bytes(), 6))
    return {"text of 120 MB, gzip": packed, "text of 120 MB, plain": text, "gzip of 120 MB": stored}


def measure(label: str, path: Path) -> dict[str, Any]:
    """Fold one file in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "memory.py"), "--child", str(path)], stdout=subprocess.PIPE, check=True
    )
    return {"label": label, "stored_bytes": path.stat().st_size, **json.loads(done.stdout)}


def fold(path: Path) -> int:
    """What ``fastfold fold`` over one file adds to the memory of this process at its peak."""
    import contextlib
    import os

    from fastfold import _core, cli, folding, show
    from fastfold.commands import fold as command

    # All that the command loads.
    assert all((_core, folding, command, show))
    forget_peak()
    before = memory_bytes("VmRSS")
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            cli.cli.main(["fold", "--processes", "1", "--format", "jsonl", str(path)])
        except SystemExit as end:
            if end.code:
                raise
    return memory_bytes("VmHWM") - before


def describe(rows: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The table, and the figures behind it."""
    lines = ["| file | MB stored | peak KiB | at most KiB |", "|---|---:|---:|---:|"]
    for row in rows:
        peak, limit = row["peak_bytes"] // 1024, AT_MOST_BYTES // 1024
        lines.append(f"| {row['label']} | {row['stored_bytes'] / 1e6:.1f} | {peak:,} | {limit:,} |")
    over = [row["label"] for row in rows if row["peak_bytes"] >= AT_MOST_BYTES]
    figures: dict[str, Any] = {"rows": rows, "place": place(["fastfold"])}
    notes = [
        f"Above the limit: {', '.join(over)}." if over else "All are under the limit.",
        "Peak is the highest resident memory of one `fastfold fold --processes 1 --format jsonl`, above what was "
        "resident after its imports.",
        *sign(figures["place"]),
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in notes), figures


if __name__ == "__main__":
    sys.exit(main())
