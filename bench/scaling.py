"""How much more two threads parse than one: the core works without the GIL.

Both do the same work: all files, once for each of two threads. First one thread does both shares, then
two threads do one each; the figure is wall time of the first over wall time of the second.

    python bench/scaling.py [FILE...] [--rounds N]      default: the real files

Needs two idle cores: the table tells the load of the machine while it ran.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inputs import generate, list_files, real_folder
from report import RESULTS, place, sign, write

THREADS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="of each, in turns (default 7)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        real = options.files or ([real_folder()] if real_folder().is_dir() else [])
        files = list_files(real) if real else generate(Path(made), seed=1, files=20)
        texts = [path.read_bytes() for path in files]
    rows = [measure(name, work, options.rounds) for name, work in ways(texts).items()]
    text, figures = describe(rows, len(texts), options.rounds)
    print(text)
    for path in write(options.results, "scaling", text, figures):
        print(f"written: {path}", file=sys.stderr)
    return 0


def ways(texts: list[bytes]) -> dict[str, Callable[[], None]]:
    """The work of one share, by name."""
    import fastfold
    from fastfold.schema import load_definition, load_schema

    schema, definition = load_schema("sysmon"), load_definition("process")

    def parse() -> None:
        for text in texts:
            fastfold.parse(text, schema)

    def fold() -> None:
        for text in texts:
            fastfold.fold(text, schema, definition)

    return {"fastfold.parse": parse, "fastfold.fold": fold}


def measure(name: str, work: Callable[[], None], rounds: int) -> dict[str, Any]:
    """Wall seconds of one thread for all shares and of all threads for one each."""
    work()
    one: list[float] = []
    many: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(THREADS):
            work()
        one.append(time.perf_counter() - began)
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        many.append(time.perf_counter() - began)
    return {"name": name, "one_s": one, "many_s": many, "ratio": min(one) / min(many), "load": os.getloadavg()[0]}


def describe(rows: list[dict[str, Any]], files: int, rounds: int) -> tuple[str, dict[str, Any]]:
    """The table, and the figures behind it."""
    lines = [f"| work | one thread, wall s | {THREADS} threads, wall s | times faster |", "|---|---:|---:|---:|"]
    for row in rows:
        lines.append(f"| {row['name']} | {min(row['one_s']):.3f} | {min(row['many_s']):.3f} | {row['ratio']:.2f} |")
    figures: dict[str, Any] = {"rows": rows, "place": place(["fastfold"])}
    notes = [
        f"{files} gzip files, read {THREADS} times in all; the least of {rounds} rounds in turns. "
        f"Load of the machine, this program included: {max(row['load'] for row in rows):.1f}.",
        *sign(figures["place"]),
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in notes), figures


if __name__ == "__main__":
    sys.exit(main())
