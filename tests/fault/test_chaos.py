"""Real faults, a few of each; `make chaos` injects as many as it takes to be sure."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import pytest

from chaos.plan import SCENARIOS
from chaos.scenario import Mutant, Scenario, run, run_together
from chaos.tally import Tally, print_table
from chaos.world import World
from fastfold.errors import FastfoldError
from otrf import real_files

pytestmark = [pytest.mark.servers, pytest.mark.real_files]

MUTANTS = [(scenario, mutant) for scenario in SCENARIOS for mutant in scenario.mutants if mutant.in_ci]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One cluster and one S3 and SQS for all; also the pod, as long as its settings are those that are wanted."""
    seed = int(os.environ.get("FASTFOLD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FASTFOLD_SEED={seed}")
    try:
        world = World(real_files(), seed)
    except FastfoldError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Redis to test with: {error}")
    with contextlib.closing(world):
        yield world


def _assert_well(*tallies: Tally) -> None:
    print_table(tallies)
    assert [tally.wrong for tally in tallies if tally.wrong] == []
    assert [tally.name for tally in tallies if not tally.faults] == []


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if not one.together], ids=lambda scenario: scenario.name)
def test_nothing_is_lost_and_nothing_counted_twice(world: World, scenario: Scenario) -> None:
    if why := scenario.obstacle():
        pytest.skip(why)
    _assert_well(run(scenario, world, scenario.short))


@pytest.mark.parametrize("name", sorted({scenario.together for scenario in SCENARIOS} - {""}))
def test_nothing_is_lost_with_several_faults_at_once(world: World, name: str) -> None:
    _assert_well(*run_together([one for one in SCENARIOS if one.together == name], world))


@pytest.mark.parametrize(
    ("scenario", "mutant"), MUTANTS, ids=[f"{scenario.name}, {mutant.name}" for scenario, mutant in MUTANTS]
)
def test_a_fault_of_the_program_is_seen(world: World, scenario: Scenario, mutant: Mutant) -> None:
    tally = run(scenario, world, mutant.most, mutant)
    print_table([tally])
    assert getattr(tally, mutant.effect) > 0
