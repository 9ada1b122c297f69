"""Worlds in which the simulator has found a fault of the protocol: they are well now, and were not with it."""

from __future__ import annotations

import pytest

from simulation.mutants import MUTANTS
from simulation.run import run
from simulation.scenario import Scenario, draw


def _there_and_back(seed: int) -> Scenario:
    """Several workers on one file, and a shard that fails over and back within the hold."""
    scenario = draw(seed)
    scenario.workers, scenario.slots, scenario.shards, scenario.chunk, scenario.track_groups = 3, 2, 1, 2, 8
    scenario.aws.doubled, scenario.aws.stale_works = 0.8, 1.0
    scenario.network.latency_s = 0.2
    scenario.hold_s, scenario.loss_window_s, scenario.failovers = 30.0, 5.0, 0
    scenario.failovers_at = ((2.0, "cut_off"), (14.0, "planned"), (30.0, "paused"), (42.0, "planned"))
    return scenario


class _AsItWas(type(MUTANTS["held without the epoch"])):  # type: ignore[misc]
    """The fault, in a world that is left as it is."""

    def adapt(self, scenario: Scenario) -> None:
        """Leave it."""


@pytest.mark.parametrize("seed", [662, 738])
def test_two_failovers_within_the_hold_and_back_to_the_first_master(seed: int) -> None:
    """A commit that the first has lost passed for there, as another worker had put back the last part of it."""
    assert any("lacks file" in fault for fault in run(_there_and_back(seed), _AsItWas()).faults)
    assert run(_there_and_back(seed)).faults == []
