"""`python -m simulation`: run seeds on all cores, or replay one."""

from __future__ import annotations

import argparse
import os
import sys

from simulation.mutants import MUTANTS
from simulation.run import run
from simulation.scenario import draw
from simulation.search import search


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
    seeds = range(options.first, options.first + options.seeds)
    return search(seeds, options.mutant, options.jobs)


def _replay(seed: int, mutant: str) -> int:
    scenario = draw(seed)
    print(scenario.told())
    outcome = run(scenario, MUTANTS[mutant], traced=print)
    print(*(f"{name}: {count}" for name, count in outcome.seen.items()), sep="\n")
    print(*(f"seed {seed}: {fault}" for fault in outcome.faults or ["all is well"]), sep="\n")
    return bool(outcome.faults)


if __name__ == "__main__":
    sys.exit(main())
