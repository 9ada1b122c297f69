"""How much faster two threads are than one, with two processes beside them as what the machine can give.

    python bench/threads.py [FILE...]       default: the real files, else generated ones

Each thread or process folds, or parses, all files once; the three ways take turns, and the least wall time of each
counts, because other programs on the machine can only add to it.  CPU above that of one thread is what the threads
cost each other: cache lines, the allocator, the GIL.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fastfold._core import Folder, ParsePlan, Parser, Plan
from fastfold.folding import fold_file
from fastfold.inflate import open_inflater
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits
from inputs import ROOT, generate, list_files, real_folder

LIMITS = Limits()
Job = Callable[[], None]


def folding(files: list[bytes]) -> Job:
    folder = Folder(Plan(load_schema("sysmon"), load_definition("process"), LIMITS))

    def fold() -> None:
        for data in files:
            fold_file(folder, data, "", LIMITS)

    return fold


def parsing(files: list[bytes]) -> Job:
    parser = Parser(ParsePlan(load_schema("sysmon"), LIMITS))

    def parse() -> None:
        for data in files:
            inflater = open_inflater(data, LIMITS)
            parser.begin()
            while count := inflater.readinto(parser.window()):
                parser.advance(count)
            parser.finish()

    return parse


JOBS = {"fold": folding, "parse": parsing}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="rounds (default 7)")
    options = parser.parse_args()
    names = options.files or [real_folder()]
    paths = list_files(names) if names[0].exists() else generate(ROOT / "build" / "generated", seed=1, files=20)
    files = [path.read_bytes() for path in paths]
    print(f"{len(files)} files, {sum(map(len, files)) / 1e6:.1f} MB, {options.threads} at once\n")
    print("| job | one thread | threads | processes | threads / one | processes / one | CPU of a thread |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, make in JOBS.items():
        jobs = [make(files) for _ in range(options.threads)]
        for job in jobs:
            job()
        least, cpu = measure(jobs, options.repeat)
        faster = [len(jobs) * least["one"] / least[way] for way in ("threads", "processes")]
        print(
            f"| {name} | {least['one']:.3f} s | {least['threads']:.3f} s | {least['processes']:.3f} s "
            f"| x {faster[0]:.2f} | x {faster[1]:.2f} | {cpu['threads'] / cpu['one'] - 1:+.1%} |"
        )
    return 0


def measure(jobs: list[Job], repeat: int) -> tuple[dict[str, float], dict[str, float]]:
    """Least wall time of each way, and least CPU time of one of its threads."""
    ways = {"one": jobs[0], "threads": partial(at_once, jobs), "processes": partial(side_by_side, jobs)}
    wall = dict.fromkeys(ways, float("inf"))
    cpu = dict(wall)
    for _ in range(repeat):
        for way, run in ways.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            took = run()
            wall[way] = min(wall[way], time.perf_counter() - began if took is None else took)
            cpu[way] = min(cpu[way], (time.process_time() - began_cpu) / (1 if way == "one" else len(jobs)))
    return wall, cpu


def at_once(jobs: list[Job]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def side_by_side(jobs: list[Job]) -> float:
    """The same in processes that are ready; forked, so that they have the files."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(len(jobs) + 1)

    def wait_and(job: Job) -> None:
        start.wait()
        job()

    processes = [context.Process(target=wait_and, args=(job,)) for job in jobs]
    for process in processes:
        process.start()
    start.wait()
    began = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
