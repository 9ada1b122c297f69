"""Faults put into the protocol: the simulator finds every one of them, within a bounded number of seeds."""

from __future__ import annotations

import re

import pytest

from simulation.mutants import MUTANTS
from simulation.run import run
from simulation.scenario import draw

SEEDS = 600
"""Most seeds that may be needed: about four times what the rarest needs on average."""

DOUBLED = r"holds file \d+ \d+ times"
LOST = r"lacks file \d+"
STUCK = "stuck: .* messages are left"

# What each of them does to the states, seen in them and not only in the ledger.
EFFECTS = {
    "ledger outside the EXEC": DOUBLED,
    "EXEC sent again without WATCH": f"{DOUBLED}|{LOST}",
    "host record not watched": DOUBLED,
    "ledger pruned by wall clock": DOUBLED,
    "ledger pruned by arrival": DOUBLED,
    "deleted at once": LOST,
    "held for less than the loss window": LOST,
    "held without the fence": LOST,
    "held without the epoch": LOST,
    "held without a look": LOST,
    "found applied is not held": LOST,
    "doubtful message forgotten": STUCK,
}


@pytest.mark.parametrize("name", sorted(MUTANTS.keys() - {"none"}))
def test_a_fault_of_the_protocol_is_found(name: str) -> None:
    for seed in range(SEEDS):
        for fault in run(draw(seed), MUTANTS[name]).faults:
            if re.search(EFFECTS[name], fault):
                return
    pytest.fail(f"{name}: not found in {SEEDS} seeds")


@pytest.mark.parametrize("name", sorted(MUTANTS.keys() - {"none"}))
def test_the_same_worlds_without_the_fault_are_well(name: str) -> None:
    """What is found is the fault, not what the worlds are aimed with; too short a hold is a fault of the world."""
    mutant = MUTANTS[name]
    for seed in range(60):
        scenario = draw(seed)
        mutant.adapt(scenario)
        scenario.hold_s = max(scenario.hold_s, 1.2 * scenario.loss_window_s)
        assert run(scenario).faults == [], f"seed {seed}"


def test_a_mutant_is_gone_after_its_run() -> None:
    for mutant in MUTANTS.values():
        run(draw(5), mutant)
    assert run(draw(5)) == run(draw(5), MUTANTS["none"])
