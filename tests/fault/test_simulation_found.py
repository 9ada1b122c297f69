"""Worlds in which the simulator has found a fault of the protocol."""

from __future__ import annotations

from simulation.mutants import MUTANTS
from simulation.run import run
from simulation.scenario import Scenario, draw


def _doubled(seed: int) -> Scenario:
    """Several workers on one file, and failovers that lose less than the hold reaches over."""
    scenario = draw(seed)
    MUTANTS["found applied is not held"].adapt(scenario)
    return scenario


def test_two_failovers_within_the_hold_and_back_to_the_first_master() -> None:
    """A commit that the first has lost passed for there, as another worker had put back the last part of it."""
    assert run(_doubled(21169)).faults == []
