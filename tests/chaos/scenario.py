"""A scenario: one fault, injected so many times; and running it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaos.tally import Tally
from chaos.world import World

__all__ = ["Mutant", "Scenario", "run"]


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
    settings: dict[str, Any] = field(default_factory=dict)
    most: int = 5
    in_ci: bool = True


@dataclass(frozen=True)
class Scenario:
    """One fault.

    Attributes
    ----------
    name : str
    inject : callable
        Does it so many times in a world, and has it judged.
    full, short : int
        How often: by ``make chaos``, and in the tests.
    obstacle : callable
        Why it cannot be done here; empty if it can.
    mutants : tuple of Mutant
    """

    name: str
    inject: Callable[[World, Tally, int], None]
    full: int
    short: int
    obstacle: Callable[[], str] = _nothing
    mutants: tuple[Mutant, ...] = ()


def run(scenario: Scenario, world: World, times: int, mutant: Mutant | None = None) -> Tally:
    """Run a scenario; what it did, and what was wrong."""
    tally = Tally(scenario.name if mutant is None else f"{scenario.name}, but {mutant.name}")
    start, before = time.monotonic(), world.counts()
    world.variant = ("", {}) if mutant is None else (mutant.fault, mutant.settings)
    try:
        if mutant is None:
            scenario.inject(world, tally, times)
        else:
            for _ in range(times):
                scenario.inject(world, tally, 1)
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
