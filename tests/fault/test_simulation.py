"""Seeds of the simulator: the protocol under every fault it knows, and that a seed is always the same run."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

from simulation.mutants import MUTANTS
from simulation.rules import draw_rules
from simulation.run import run
from simulation.scenario import File, Scenario, draw
from simulation.search import outcomes

SEEDS = 5000
TESTS = Path(__file__).parents[1]


def test_nothing_is_lost_and_nothing_counted_twice() -> None:
    seen: Counter[str] = Counter()
    failed = []
    for outcome in outcomes(range(SEEDS), "none", os.cpu_count() or 1):
        seen.update(outcome.seen)
        failed += [f"PYTHONPATH=tests python -m simulation --seed {outcome.seed}: {f}" for f in outcome.faults]
    assert failed == []
    # A world in which nothing goes wrong shows nothing.
    for fault in ("kills", "failovers", "acknowledged writes lost", "conflicts", "redeliveries", "already_applied"):
        assert seen[fault] > SEEDS / 20, f"{fault}: {seen[fault]}"
    for fault in ("alerts", "alerts delivered again", "alerts_delayed"):
        assert seen[fault] > SEEDS / 20, f"{fault}: {seen[fault]}"
    for fault in ("retries", "late", "parked", "heartbeats_failed", "verified"):
        assert seen[fault] > SEEDS / 20, f"{fault}: {seen[fault]}"


def test_a_seed_is_the_same_run_each_time() -> None:
    for seed in range(100, 110):
        traces: list[list[str]] = [[], []]
        ends = [run(draw(seed), traced=trace.append) for trace in traces]
        assert traces[0] == traces[1]
        assert ends[0] == ends[1]
        assert len(traces[0]) > 5


def test_a_seed_is_the_same_run_in_another_process() -> None:
    shown = [
        subprocess.run(
            [sys.executable, "-m", "simulation", "--seed", "109"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert "all is well" in shown[0]


def test_an_alert_is_lost_if_it_is_told_only_once_and_its_worker_killed_before() -> None:
    """The steps at which workers are killed lie between EXEC and publication too."""
    world = _small_world(1, 0, 0.0)
    steps = range(1, run(world).steps)
    ends = [run(_small_world(1, 0, 0.0), MUTANTS["alert told only once"], kill_at=(0, step)) for step in steps]
    assert any("was not delivered" in fault for outcome in ends for fault in outcome.faults)


def _small_world(seed: int, shards: int, hold_s: float) -> Scenario:
    parts = (("ant", ("p0", "p1")), ("bee", ("p0",)))
    files = [File(number, f"logs/{number}", 1_600_000_000_000 + number, parts) for number in range(3)]
    return Scenario(
        seed=seed,
        files=files,
        messages=[(0.0, (0, 1), False), (0.1, (2,), True), (0.2, (0,), False)],
        shards=shards,
        chunk=1,
        hold_s=hold_s,
        visibility_s=6,
        calm_at=1.0,
        rules=draw_rules(Random(seed), len(files)),
    )


def test_a_worker_killed_at_each_of_its_steps() -> None:
    kills = again = 0
    for seed, (shards, hold_s) in itertools.product(range(5), ((0, 0.0), (2, 3.0))):
        undisturbed = run(_small_world(seed, shards, hold_s))
        assert undisturbed.faults == []
        for step in range(1, undisturbed.steps):
            outcome = run(_small_world(seed, shards, hold_s), kill_at=(0, step))
            assert outcome.faults == [], f"seed {seed}, killed at step {step}, {shards} shards, hold {hold_s}"
            if not outcome.seen["kills"]:
                break  # it does not live that long
            kills += 1
            again += outcome.seen["alerts delivered again"]
    assert kills > 200
    assert again > 20
