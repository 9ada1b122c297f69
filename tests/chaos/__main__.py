"""`python -m chaos`: run scenarios, print what came of each, and write it down."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import sys
from pathlib import Path

from chaos.plan import SCENARIOS
from chaos.scenario import Mutant, Scenario, run
from chaos.tally import Tally, print_table, write_json
from chaos.world import World
from otrf import real_files

RESULT = Path("build") / "chaos.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the full counts (default %(default)s)")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--list", action="store_true", help="show the scenarios and their full counts")
    parser.add_argument("--no-mutants", action="store_true", help="leave out what must fail")
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if options.only in scenario.name]
    if options.list:
        print(*(f"{one.full:5} {one.name}" for one in chosen), sep="\n")
        return 0
    if not chosen:
        parser.error(f"no scenario has {options.only!r} in its name")
    print(f"seed {options.seed}", flush=True)
    tallies, mutants, left_out = [], [], {}
    with contextlib.closing(World(real_files(), options.seed)) as world:
        for scenario in chosen:
            if why := scenario.obstacle():
                left_out[scenario.name] = why
                continue
            tallies.append(_told(run(scenario, world, math.ceil(scenario.full * options.scale))))
            for mutant in () if options.no_mutants else scenario.mutants:
                mutants.append(_mutant(scenario, world, mutant))
    print()
    print_table(tallies)
    for tally in mutants:
        print(f"{tally.name}: {'seen' if not tally.wrong else tally.wrong[0]} ({tally.faults} faults)")
    for name, why in left_out.items():
        print(f"{name}: left out: {why}")
    write_json([*tallies, *mutants], RESULT, seed=options.seed, scale=options.scale, left_out=left_out)
    return int(any(tally.wrong for tally in [*tallies, *mutants]))


def _told(tally: Tally) -> Tally:
    """Say how a scenario went, which may be long before the table."""
    print(f"{tally.name}: {tally.faults} faults, {tally.seconds:.0f} s, {'WRONG' if tally.wrong else 'ok'}", flush=True)
    for wrong in tally.wrong:
        print(f"    {wrong}", flush=True)
    return tally


def _mutant(scenario: Scenario, world: World, mutant: Mutant) -> Tally:
    """Run what must fail."""
    tally = run(scenario, world, mutant.most, mutant)
    seen: int = getattr(tally, mutant.effect)
    told = f"{tally.name}: {tally.faults} faults, {tally.seconds:.0f} s, {seen} {mutant.effect}"
    print(told, flush=True)
    tally.evidence[mutant.effect] = seen
    tally.wrong = [] if seen else [f"nothing {mutant.effect}: the scenario cannot see this fault; {tally.wrong}"]
    return tally


if __name__ == "__main__":
    # The pods get the environment of this process, and nothing of a person's own.
    os.environ.pop("AWS_PROFILE", None)
    sys.exit(main())
