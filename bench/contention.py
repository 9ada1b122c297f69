"""Workers that meet on the same hosts: what their conflicts cost, and how many tries a file needs.

Eight workers commit file after file.  In one run all their files touch the same 20 hosts, in the other each
worker has 20 hosts of its own.  The states are those of the real files.

    python bench/contention.py
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
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from commit import make_input
from commit_ways import Server, make_plan, regroup
from inputs import ROOT
from report import RESULTS, place, sign, write

WORKERS = 8
HOSTS = 20
PROCESSES = 16
"""Of each host in a file."""

REACH = 0.7
"""Of the events per CPU second without overlap."""

TRIES = 40
"""A transaction that needs more is a starved one."""

TOP = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60, metavar="N", help="of each worker (default 60)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each kind, in turns (default 3)")
    parser.add_argument("--strict", action="store_true", help="exit 1 unless the figures are reached")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--child", nargs=4, metavar=("URL", "INPUT", "PREFIX", "FILES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        url, source, prefix, files = options.child
        print(json.dumps(work(url, Path(source), prefix, int(files))))
        return 0
    with ExitStack() as stack:
        from fastfold.local import start_redis

        url = f"redis://127.0.0.1:{start_redis(stack).port}?cluster=no"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastfold-bench-")))
        source, _ = make_input(folder, HOSTS * PROCESSES)
        runs: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for _ in range(options.rounds):
            for overlap, found in runs.items():
                found.append(run(url, source, options.files, overlap=overlap))
                print(f"{'the same' if overlap else 'own'} hosts: {found[-1]}", file=sys.stderr)
    best = {overlap: max(found, key=lambda one: one["per_cpu_s"]) for overlap, found in runs.items()}
    ratio = best[True]["per_cpu_s"] / best[False]["per_cpu_s"]
    tries = max(one["tries"] for one in runs[True])
    text = describe(best, ratio, tries, options.files, options.rounds)
    print(text)
    figures = {"runs": {"own": runs[False], "same": runs[True]}, "ratio": ratio, "tries": tries}
    for path in write(options.results, "contention", text, figures | {"place": place(["fastfold"])}):
        print(f"written: {path}", file=sys.stderr)
    return 1 if options.strict and (ratio < REACH or tries > TRIES) else 0


def run(url: str, source: Path, files: int, *, overlap: bool) -> dict[str, Any]:
    """All workers at once."""
    server = Server(url)
    server.clear()
    command = [sys.executable, str(ROOT / "bench" / "contention.py"), "--child", url, str(source)]
    children = [
        subprocess.Popen(
            [*command, "host" if overlap else f"host-of-{number}", str(files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"FASTFOLD_BENCH_WORKER": str(number)},
        )
        for number in range(WORKERS)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    before, start = server.cpu_s(), time.monotonic()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    results = [json.loads(child.communicate()[0]) for child in children]
    wall_s, server_s = time.monotonic() - start, server.cpu_s() - before
    cpu_s = sum(result["cpu_s"] for result in results)
    hot: Counter[str] = Counter()
    for result in results:
        hot.update(result["hot"])
    processes = WORKERS * files * HOSTS * PROCESSES
    assert sum(result["processes"] for result in results) == processes, "lost or doubled"
    return {
        "per_cpu_s": processes / cpu_s,
        "per_cpu_s_with_server": processes / (cpu_s + server_s),
        "wall_s": wall_s,
        "transactions": WORKERS * files * HOSTS,
        "conflicts": sum(result["conflicts"] for result in results),
        "tries": max(result["tries"] for result in results),
        "hot": hot.most_common(TOP),
    }


class Hot:
    """Counts the conflicts of each host, as the metric does."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        if name == "hot_hosts":
            self.seen[label] += int(amount)


def work(url: str, source: Path, prefix: str, files: int) -> dict[str, Any]:
    """One worker."""
    from fastfold._core import encode, merge_group
    from fastfold.commit import CommitSettings, Committer
    from fastfold.resp import Connector, RedisAddress
    from fastfold.states import State
    from fastfold.store import batch_id
    from fastfold.topology import Nodes

    plan = make_plan()
    states = pickle.loads(source.read_bytes())
    hosts = regroup(
        states, PROCESSES, lambda host, process, values: encode(plan, State("", host, process, values)), prefix
    )
    address = RedisAddress.from_url(url)
    hot = Hot()
    committer = Committer(
        Nodes(address, Connector(address), random.random), partial(merge_group, plan), CommitSettings(), hot
    )
    worker = os.environ["FASTFOLD_BENCH_WORKER"]
    print("ready", flush=True)
    sys.stdin.readline()
    tries = processes = 0
    start = time.process_time()
    for number in range(files):
        batch = batch_id("logs", f"{worker}-{number}", None, "etag", 1_600_000_000_000 + number)
        result = committer.commit(hosts, batch, float("inf"))
        tries = max(tries, result.tries)
        processes += result.processes
    cpu_s = time.process_time() - start
    return {
        "cpu_s": cpu_s,
        "processes": processes,
        "conflicts": committer.counters.conflicts,
        "tries": tries,
        "hot": hot.seen,
    }


def describe(best: dict[bool, dict[str, Any]], ratio: float, tries: int, files: int, rounds: int) -> str:
    lines = [
        "| hosts | processes committed per CPU second | with the server's | transactions | conflicts | most tries |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for overlap, found in best.items():
        lines.append(
            f"| {'the same 20' if overlap else '20 of its own each'} | {found['per_cpu_s']:,.0f} | "
            f"{found['per_cpu_s_with_server']:,.0f} | {found['transactions']:,} | {found['conflicts']:,} | "
            f"{found['tries']} |"
        )
    hot = ", ".join(f"{host} {count}" for host, count in best[True]["hot"])
    lines += [
        "",
        f"On the same hosts {ratio:.0%} of the processes per CPU second are committed. No transaction needed more than "
        f"{tries} tries in {rounds} runs. The hosts with the most conflicts: {hot}.",
        "",
        f"{WORKERS} workers, {files} files each, every file {HOSTS} hosts of {PROCESSES} processes, commits back to "
        "back: nothing is fetched or folded between them, which is when workers meet most. The best of the runs.",
        "",
        *sign(place(["fastfold"])),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
