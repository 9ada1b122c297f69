"""A scenario: one fault, injected so many times; and running it."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.tally import Tally
from chaos.world import Inject, World

__all__ = ["Mutant", "Scenario", "run", "run_together"]


_COUNTED = ("redelivered", "conflicts", "already_applied", "retries")


def _nothing() -> str:
    return ""


@dataclass(frozen=True)
class Mutant:
    """The same scenario with a fault in the program, or with a setting that cannot be right: it must fail.

    Attributes
    ----------
    name : str
    effect : str
        ``lost`` or ``doubled``: what becomes of states.
    fault : str
        Of `chaos.mutants`; empty for the program as it is.
    settings : dict
    most : int
        How often the fault of the scenario is injected at most, until the effect is seen.
    in_ci : bool
        Whether the tests run it, too.
    """

    name: str
    effect: str
    fault: str = ""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    most: int = 5
    in_ci: bool = True


@dataclass(frozen=True)
class Scenario:
    """One fault.

    Attributes
    ----------
    name : str
    inject : Inject
    full, short : int
        How often: by ``make chaos``, and in the tests.
    obstacle : callable
        Why it cannot be done here; empty if it can.
    mutants : tuple of Mutant
    together : str
        In the tests it is run at once with those for which this is the same; empty: alone.
    """

    name: str
    inject: Inject
    full: int
    short: int
    obstacle: Callable[[], str] = _nothing
    mutants: tuple[Mutant, ...] = ()
    together: str = ""


def run_together(scenarios: Sequence[Scenario], world: World) -> list[Tally]:
    """Inject a few of several faults at once, of which one field can be at rest for all; judged once."""
    tallies = [Tally(scenario.name) for scenario in scenarios]
    running = [
        scenario.inject(world, tally, scenario.short) for scenario, tally in zip(scenarios, tallies, strict=True)
    ]
    fields = {next(one) for one in running}
    (field,) = fields
    field.settle(tallies[0])
    for one in running:
        assert next(one, None) is None
    return tallies


def run(scenario: Scenario, world: World, times: int, mutant: Mutant | None = None) -> Tally:
    """Run a scenario; what it did, and what was wrong."""
    tally = Tally(scenario.name if mutant is None else f"{scenario.name}, but {mutant.name}")
    start, before = time.monotonic(), world.counts()
    world.variant = ("", {}) if mutant is None else (mutant.fault, mutant.settings)
    try:
        if mutant is None:
            for field in scenario.inject(world, tally, times):
                field.settle(tally)
        else:
            for _ in range(times):
                for field in scenario.inject(world, tally, 1):
                    field.settle(tally)
                if tally.wrong:
                    break
        if not tally.faults:
            tally.wrong.append("no fault was injected")
    except Exception:  # noqa: BLE001 - whatever it is, the other scenarios are run
        tally.wrong.append(traceback.format_exc())
        world.spoil()
    world.variant = ("", {})
    for name, counted in (
        ("files", "files put"),
        *((name, name) for name in _COUNTED),
        ("in_doubt", "verified:in doubt"),
    ):
        setattr(tally, name, world.counts()[counted] - before[counted])
    tally.seconds = time.monotonic() - start
    return tally
