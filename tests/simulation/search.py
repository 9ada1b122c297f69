"""Many seeds, on many cores."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator

from simulation.mutants import MUTANTS
from simulation.run import Outcome, run
from simulation.scenario import draw

__all__ = ["outcomes", "search"]

CHUNK = 50
PER_PROCESS = 20
"""Chunks of a process before another takes its place: a world leaves some dead greenlets behind, 25 kB of them."""


def search(seeds: range, mutant: str, jobs: int) -> int:
    """Run seeds and print what they have met, and every seed that failed; 1 if one did."""
    start = time.monotonic()
    seen: Counter[str] = Counter()
    done = failed = 0
    for outcome in outcomes(seeds, mutant, jobs):
        done += 1
        seen.update(outcome.seen)
        for fault in outcome.faults:
            print(f"seed {outcome.seed}: {fault}", flush=True)
        failed += bool(outcome.faults)
        if done % 10_000 == 0:
            print(f"{done:,} seeds in {time.monotonic() - start:.0f} s, {failed:,} failed", flush=True)
    print(*(f"{name}: {count:,}" for name, count in sorted(seen.items())), sep="\n")
    print(f"{done:,} seeds from {seeds.start:,} in {time.monotonic() - start:.0f} s, {failed:,} failed")
    return int(failed > 0)


def outcomes(seeds: range, mutant: str, jobs: int) -> Iterator[Outcome]:
    """What became of each seed, in no order."""
    chunks = [(seeds[place : place + CHUNK], mutant) for place in range(0, len(seeds), CHUNK)]
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=PER_PROCESS) as pool:
        for some in pool.imap_unordered(_run_some, chunks):
            yield from some


def _run_some(job: tuple[range, str]) -> list[Outcome]:
    seeds, mutant = job
    return [run(draw(seed), MUTANTS[mutant]) for seed in seeds]
