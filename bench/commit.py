"""What a committed process costs, in CPU microseconds of the worker and of the server, beside ways with redis-py.

The states are those of the real files, dealt to hosts of 1, 4, 16, 64 and 256 processes.  Everything is
included: packing, reading, decompressing, merging, compressing, the ledger.  Each way runs in a process of its
own, first three batches, after which all must have left the same bytes in Redis; only then the clock starts.

    python bench/commit.py                       all ways
    python bench/commit.py --way fastfold        only this one; may be repeated
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from commit_ways import WAYS, make_plan
from inputs import ROOT, generate, list_files, real_folder
from report import RESULTS, place, sign, write

SIZES = (1, 4, 16, 64, 256)
"""Processes per host."""

REACH = {1: (35.0, None), 16: (13.0, 7.0), 64: (13.0, 7.0)}
"""At most these microseconds of the worker and of the server."""

WORDS = {
    "fastfold": "fastfold, one Redis",
    "fastfold on a cluster": "fastfold, Redis Cluster of 3 masters and 3 replicas",
    "own socket": "socket and hiredis, packed by hand, 2 round trips per host",
    "redis-py packed": "redis-py connection, packed by hand, 2 round trips per host",
    "redis-py pipeline": "redis-py pipeline, a transaction per host",
    "redis-py singly": "redis-py pipeline, a transaction per process, no ledger",
    "redis-py asyncio": "redis.asyncio, 16 tasks, a transaction per host",
    "redis-py cluster": "redis-py RedisCluster, a transaction per host, the same cluster",
    "floor": "GET and SETEX, no transaction (loses updates)",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", action="append", choices=WORDS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument("--processes", type=int, default=2048, metavar="N", help="in a batch (default 2048)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="batches measured (default 5)")
    parser.add_argument("--strict", action="store_true", help="exit 1 unless fastfold reaches its figures")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    ways = options.way or list(WORDS)
    with ExitStack() as stack:
        urls = start(stack, ways)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastfold-bench-")))
        source, mean_bytes = make_input(folder, options.processes)
        figures = {way: {size: run(way, urls, source, size, options.rounds) for size in options.sizes} for way in ways}
    compare(figures)
    text = describe(figures, options.sizes, options.processes, mean_bytes, options.rounds)
    print(text)
    result = {"figures": figures, "place": place(["fastfold", "redis", "hiredis"])}
    for path in write(options.results, "commit" if not options.way else "commit-some", text, result):
        print(f"written: {path}", file=sys.stderr)
    return 1 if options.strict and not reached(figures) else 0


def start(stack: ExitStack, ways: list[str]) -> dict[bool, str]:
    """The servers, by whether they are a cluster."""
    from fastfold.local import start_redis

    urls = {False: f"redis://127.0.0.1:{start_redis(stack).port}?cluster=no"}
    if any(way.endswith("cluster") for way in ways):
        sys.path.insert(0, str(ROOT / "tests"))
        from servers import RedisCluster

        cluster = RedisCluster()
        stack.callback(cluster.stop)
        urls[True] = cluster.url
    return urls


def make_input(folder: Path, processes: int) -> tuple[Path, float]:
    """States of the real files, each process once, in a random order; and the mean size of their payloads."""
    from fastfold._core import Folder, Plan, decode
    from fastfold.folding import fold_file
    from fastfold.schema import load_definition, load_schema
    from fastfold.types import Limits

    plan = Plan(load_schema("sysmon"), load_definition("process"), Limits())
    files = list_files([real_folder()]) if real_folder().is_dir() else generate(folder / "generated", 1, 4)
    payloads = {}
    for path in files:
        for host in fold_file(Folder(plan), memoryview(path.read_bytes()), path.name, Limits()):
            payloads.update(zip(host.processes, host.payloads, strict=True))
    chosen = random.Random(1).sample(sorted(payloads.items()), processes)
    plan = make_plan()
    states = [(process, decode(plan, payload).values) for process, payload in chosen]
    source = folder / "states.pickle"
    source.write_bytes(pickle.dumps(states))
    return source, sum(len(payload) for _, payload in chosen) / processes


def run(way: str, urls: dict[bool, str], source: Path, size: int, rounds: int) -> dict[str, Any]:
    """One process of one way."""
    url = urls[way.endswith("cluster")]
    name = way.removesuffix(" on a cluster")
    assert name in WAYS
    command = [sys.executable, str(ROOT / "bench" / "commit_ways.py"), name, url, str(source), str(size), str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, env=os.environ)
    if done.returncode:
        sys.exit(f"{way} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    found["client_us"] = found["client_s"] / found["processes"] * 1e6
    found["server_us"] = found["server_s"] / found["processes"] * 1e6
    print(f"{way}, {size}: {found['client_us']:.1f} / {found['server_us']:.1f}", file=sys.stderr, flush=True)
    return found


def compare(figures: dict[str, dict[int, dict[str, Any]]]) -> None:
    """All ways must have left the same bytes; the one without a ledger the same states."""
    first = next(iter(figures.values()))
    for way, by_size in figures.items():
        for size, found in by_size.items():
            part = "states" if "singly" in way else "all"
            if found[part] != first[size][part]:
                sys.exit(f"{way} left other bytes than {next(iter(figures))} with {size} processes per host")


def reached(figures: dict[str, dict[int, dict[str, Any]]]) -> bool:
    return all(
        found["client_us"] <= REACH[size][0] and found["server_us"] <= (REACH[size][1] or float("inf"))
        for size, found in figures["fastfold"].items()
        if size in REACH
    )


def describe(
    figures: dict[str, dict[int, dict[str, Any]]], sizes: list[int], processes: int, mean_bytes: float, rounds: int
) -> str:
    lines = ["| processes per host | " + " | ".join(map(str, sizes)) + " |", "|---|" + "---:|" * len(sizes)]
    for way, by_size in figures.items():
        cells = " | ".join(f"{by_size[size]['client_us']:.1f} / {by_size[size]['server_us']:.1f}" for size in sizes)
        lines.append(f"| {WORDS[way]} | {cells} |")
    lines += [
        "",
        "CPU microseconds per committed process, worker / Redis. Everything is included: packing and reading, ledger, "
        "decompression, merge, compression; all ways use the same code for these, and left the same bytes in Redis "
        "before the clock started.",
        "",
        f"Input: {processes} states of the real files, {mean_bytes:.0f} bytes of payload on average, in one batch; "
        f"each batch meets states that are there. The least of {rounds} batches. Of the cluster only masters are "
        "counted.",
        "",
        *sign(place(["fastfold", "redis", "hiredis"])),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
