"""`python -m simulation`: run seeds on all cores, or replay one."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from simulation.mutants import MUTANTS
from simulation.run import Outcome, run
from simulation.scenario import draw

CHUNK = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one, with its scenario and every step")
    parser.add_argument("--seeds", type=int, default=5000, help="how many (default %(default)s)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    parser.add_argument("--mutant", choices=MUTANTS, default="none", help="a fault to put into the protocol")
    options = parser.parse_args()
    if options.seed is not None:
        return _replay(options.seed, options.mutant)
    return _search(options)


def _replay(seed: int, mutant: str) -> int:
    scenario = draw(seed)
    print(scenario.told())
    outcome = run(scenario, MUTANTS[mutant], traced=print)
    print(*(f"{name}: {count}" for name, count in outcome.seen.items()), sep="\n")
    print(*(f"seed {seed}: {fault}" for fault in outcome.faults or ["all is well"]), sep="\n")
    return bool(outcome.faults)


def _search(options: argparse.Namespace) -> int:
    start = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    chunks = [(seeds[place : place + CHUNK], options.mutant) for place in range(0, len(seeds), CHUNK)]
    seen: Counter[str] = Counter()
    done = failed = 0
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for outcomes in pool.imap_unordered(_run_some, chunks):
            for outcome in outcomes:
                done += 1
                seen.update(outcome.seen)
                for fault in outcome.faults:
                    print(f"seed {outcome.seed}: {fault}", flush=True)
                failed += bool(outcome.faults)
    took_s = time.monotonic() - start
    print(*(f"{name}: {count:,}" for name, count in sorted(seen.items())), sep="\n")
    print(f"{done:,} seeds from {options.first:,} in {took_s:.0f} s, {failed:,} failed")
    return bool(failed)


def _run_some(job: tuple[range, str]) -> list[Outcome]:
    seeds, mutant = job
    return [run(draw(seed), MUTANTS[mutant]) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
