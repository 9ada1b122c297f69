"""How much more two threads parse than one: the core works without the GIL.

Both do the same work: all files, once for each of two threads.  First one thread does both shares, then
two threads do one each; the figure is the time of the first over that of the second.  Where the system
tells how long a thread stood ready for a core that others had, that time is left out; what is left is
work and waiting for the GIL.  On an idle machine it is the wall time.

    python bench/scaling.py [FILE...] [--rounds N]      default: the real files
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


class Worker(threading.Thread):
    """Does one piece of work and takes its time."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self._work = work
        self.wall_s = self.ready_s = 0.0

    def run(self) -> None:
        ready, began = waited_s(), time.perf_counter()
        self._work()
        self.wall_s = time.perf_counter() - began
        self.ready_s = waited_s() - ready


def waited_s() -> float:
    """How long this thread has stood ready for a core; 0 where the system does not tell."""
    told = Path("/proc/thread-self/schedstat")
    return int(told.read_text().split()[1]) / 1e9 if told.exists() else 0.0


def measure(name: str, work: Callable[[], None], rounds: int) -> dict[str, Any]:
    """Seconds of one thread for all shares and of all threads for one each."""

    def all_shares() -> None:
        for _ in range(THREADS):
            work()

    work()
    one: list[float] = []
    many: list[float] = []
    wall: list[tuple[float, float]] = []
    for _ in range(rounds):
        alone = _together([Worker(all_shares)])
        pair = _together([Worker(work) for _ in range(THREADS)])
        one.append(max(worker.wall_s - worker.ready_s for worker in alone))
        many.append(max(worker.wall_s - worker.ready_s for worker in pair))
        wall.append((alone[0].wall_s, max(worker.wall_s for worker in pair)))
    return {"name": name, "one_s": one, "many_s": many, "ratio": min(one) / min(many), "wall_s": wall}


def _together(workers: list[Worker]) -> list[Worker]:
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return workers


def describe(rows: list[dict[str, Any]], files: int, rounds: int) -> tuple[str, dict[str, Any]]:
    """The table, and the figures behind it."""
    lines = [
        f"| work | one thread, s | {THREADS} threads, s | times faster | by the wall |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        one, many = (min(times) for times in zip(*row["wall_s"], strict=True))
        seconds = f"{min(row['one_s']):.3f} | {min(row['many_s']):.3f}"
        lines.append(f"| {row['name']} | {seconds} | {row['ratio']:.2f} | {one / many:.2f} |")
    figures: dict[str, Any] = {"rows": rows, "load": os.getloadavg()[0], "place": place(["fastfold"])}
    notes = [
        f"{files} gzip files, read {THREADS} times in all; the least of {rounds} rounds in turns, without the time "
        "that threads stood ready for a core that others had. By the wall that time counts: it says little where the "
        f"load of the machine, {figures['load']:.1f} with this program, is above its cores.",
        *sign(figures["place"]),
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in notes), figures


if __name__ == "__main__":
    sys.exit(main())
