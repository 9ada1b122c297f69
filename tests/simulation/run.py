"""One seed, from start to rest."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import ModuleType
from unittest.mock import patch

from fastfold import (
    alert,
    breaker,
    canary,
    commit,
    fetch,
    group,
    hold,
    keeper,
    ledger,
    metrics,
    pipeline,
    source,
    store,
    topology,
    worker,
)
from fastfold._core import name_host
from fastfold.sinks import lane as sink_lane
from fastfold.store import host_key, key_slot
from simulation.aws import Bucket, SimQueue, Stored, notification
from simulation.files import BUCKET, body_of
from simulation.judge import judge
from simulation.mutant import Mutant
from simulation.pod import Plant, Pod
from simulation.redis_fleet import FAILOVERS, SLOTS, Fleet, Shard
from simulation.redis_node import Server
from simulation.scenario import Scenario
from simulation.scheduler import Process, Stuck, World
from simulation.sinks import receivers
from simulation.threads import Threads, installed

__all__ = ["Outcome", "run"]

MODULES: tuple[ModuleType, ...] = (
    alert,
    breaker,
    canary,
    commit,
    fetch,
    hold,
    keeper,
    metrics,
    pipeline,
    sink_lane,
    source,
    topology,
    worker,
)
"""Modules of the program that run in the world; what they call a thread or the time is of the world."""

REST_S = 3600.0
"""How long the last message may take once there are no more faults."""

LOOK_S = 1.0
"""How often a worker looks for a free slot, or after a sink; the program does more often, which costs and shows
nothing."""


def _name_host(tenant: str, host: str, namespace: bytes) -> tuple[bytes, bytes, int]:
    """In a cluster of fewer slots."""
    identity, key, _ = name_host(tenant, host, namespace)
    return identity, key, key_slot(key)


@dataclass
class Outcome:
    """What became of a seed.

    Attributes
    ----------
    faults : list of str
        What does not hold.
    seen : dict of str to int
        How often things happened.
    steps : int
        How often a thread of a worker went on.
    """

    seed: int
    faults: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    steps: int = 0


class _Log:
    """In the place of the program's loggers."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def warning(self, text: str, *values: object) -> None:
        if self._plant.world.traced is not None:
            self._plant.world.trace("log:", text % values)

    info = debug = error = warning

    def exception(self, text: str, *values: object) -> None:
        import traceback

        self._plant.faults.append(f"{text % values}: {traceback.format_exc()}")


def run(
    scenario: Scenario,
    mutant: Mutant | None = None,
    *,
    traced: Callable[[str], object] | None = None,
    kill_at: tuple[int, int] | None = None,
) -> Outcome:
    """Run a scenario until nothing is left to do, and judge what is there.

    Parameters
    ----------
    scenario : Scenario
    mutant : Mutant or None
        A fault to put into the protocol.
    traced : callable or None
        Takes the lines of a trace.
    kill_at : (int, int) or None
        Kill this worker, counted from 0, at this step of its own.
    """
    return _Run(scenario, mutant or Mutant(), traced).outcome(kill_at)


class _Run:
    def __init__(self, scenario: Scenario, mutant: Mutant, traced: Callable[[str], object] | None) -> None:
        mutant.adapt(scenario)
        self.scenario = scenario
        self.world = World(scenario.seed, traced)
        self.mutant = mutant
        self.pods: list[Pod] = []
        self.stored: dict[int, Stored] = {}
        self.kills = 0
        self.ending = False
        self._at_writes: set[int] = set()

    def outcome(self, kill_at: tuple[int, int] | None) -> Outcome:
        world, scenario = self.world, self.scenario
        outcome = Outcome(scenario.seed)
        with ExitStack() as stack:
            state = random.getstate()
            stack.callback(random.setstate, state)
            random.seed(scenario.seed)
            for module in (store, topology):
                stack.enter_context(patch.object(module, "SLOTS", SLOTS))
            stack.enter_context(patch.object(group, "name_host", _name_host))
            stack.enter_context(patch.object(ledger, "CHUNK_PROCESSES", scenario.chunk))
            for module in (alert, worker):
                stack.enter_context(patch.object(module, "_LOOK_S", LOOK_S))
            stack.enter_context(self.mutant.planted(world))
            self.plant = self._build()
            stack.enter_context(installed(Threads(world), MODULES, _Log(self.plant)))
            stack.callback(world.close)
            outcome.faults = self.plant.faults
            try:
                self._play(kill_at)
            except Stuck as stuck:
                outcome.faults.append(f"stuck: {stuck}; {self.plant.queue.open} messages are left")
            else:
                outcome.faults += judge(scenario, self.plant.fleet, self.plant.queue, self.stored, self.plant.receivers)
            outcome.steps = sum(pod.process.steps for pod in self.pods)
            outcome.seen = self._seen()
        return outcome

    def _build(self) -> Plant:
        scenario, world = self.scenario, self.world
        fleet = Fleet(world, scenario.shards, scenario.network, timeout_s=3.0, connect_timeout_s=1.0)
        queue, bucket = SimQueue(world, scenario.aws), Bucket(world, scenario.aws)
        found = receivers(scenario.patience_s, second=scenario.second_sink) if scenario.rules else []
        return Plant(world, scenario, fleet, queue, bucket, self.mutant, found)

    def _play(self, kill_at: tuple[int, int] | None) -> None:
        world, scenario, queue = self.world, self.scenario, self.plant.queue
        self._fill()
        world.step_hook = self._at_step
        for _ in range(scenario.workers):
            self._start()
        if kill_at is not None:
            self.pods[kill_at[0]].doomed_at_step = kill_at[1]
        self._brew()
        world.call_at(scenario.calm_at, self._calm)
        last = max((at for at, _, _ in scenario.messages), default=0.0)
        quiet_at = max(scenario.calm_at, last)
        world.run(lambda: queue.empty and world.now >= quiet_at and self._whole(), quiet_at + REST_S)
        self.ending = True
        for pod in self.pods:
            pod.drain()
        world.run(lambda: all(pod.ended or not pod.process.alive for pod in self.pods), world.now + REST_S)

    def _whole(self) -> bool:
        return not any(shard.busy for shard in self.plant.fleet.shards)

    def _fill(self) -> None:
        world, scenario, plant = self.world, self.scenario, self.plant
        for file in scenario.files:
            stored = plant.bucket.put(file.key, body_of(file), file.modified_ms, versions=scenario.versions)
            self.stored[file.number] = stored
            if file.fault == "missing":
                del plant.bucket.objects[file.key]
            if file.fault == "replaced":
                other = lambda key=file.key: plant.bucket.put(key, b"other", 0, versions=scenario.versions)  # noqa: E731
                world.call_at(world.between(0, scenario.calm_at), other)
        for at, numbers, through_sns in scenario.messages:
            objects = [(scenario.files[number].key, self.stored[number]) for number in numbers]
            body = notification(BUCKET, objects, through_sns=through_sns)
            plant.queue.to_come += 1
            world.call_at(at, lambda body=body: self._send(body))

    def _send(self, body: str) -> None:
        self.plant.queue.to_come -= 1
        self.plant.queue.send(body)

    # What goes wrong

    def _brew(self) -> None:
        world, scenario, fleet = self.world, self.scenario, self.plant.fleet

        def some_day(times: int, call: Callable[[], object]) -> None:
            for _ in range(times):
                # Often early: that is when there is work.
                most = scenario.calm_at if world.chance(0.5) else min(scenario.calm_at, 3.0)
                world.call_at(world.between(0, most), call)

        some_day(scenario.kills // 2, lambda: self._strike(Process.kill))
        some_day(scenario.freezes, lambda: self._strike(lambda p: p.freeze(world.between(1, 60))))
        some_day(scenario.drains, self._drain_one)
        some_day(scenario.failovers // 2, lambda: self._fail_over(world.random.choice(fleet.shards)))
        at_writes = range(scenario.failovers - scenario.failovers // 2)
        self._at_writes = {int(10 ** world.between(0, 1.5)) for _ in at_writes}
        fleet.at_write = self._at_write
        for at, how in scenario.failovers_at:
            world.call_at(at, lambda how=how: self._fail_over(fleet.shards[0], how))
        if fleet.cluster:
            some_day(scenario.moves, self._move)
        if scenario.recut_at is not None:
            world.call_at(scenario.recut_at, self._recut)

    def _calm(self) -> None:
        self.world.trace("calm")
        self.scenario.network.calm()
        self.scenario.aws.calm()
        self.scenario.sinks.calm()

    def _at_step(self, process: Process) -> None:
        for pod in self.pods:
            if pod.process is process and not self.ending:
                if pod.doomed_at_step is not None and process.steps >= pod.doomed_at_step:
                    process.kill()
                    self._follow(pod)
                return

    def _strike(self, how: Callable[[Process], object]) -> None:
        alive = [pod for pod in self.pods if pod.process.alive and not pod.ended]
        if alive:
            pod = self.world.random.choice(alive)
            how(pod.process)
            self._follow(pod)

    def _follow(self, pod: Pod) -> None:
        """The supervisor starts another in the place of one that has died."""
        if not pod.process.alive:
            self.kills += 1
            self.world.call_at(self.world.now + self.world.between(0, 5), self._start)

    def _start(self) -> None:
        world, scenario = self.world, self.scenario
        if self.ending:
            return
        doomed = None
        if world.now < scenario.calm_at and len(self.pods) < scenario.workers + scenario.kills and scenario.kills:
            # At any step, the first ones as likely as all the later ones.
            doomed = int(10 ** world.between(0, 2.5)) if world.chance(0.5) else None
        self.pods.append(Pod(self.plant, f"w{len(self.pods)}", doomed))

    def _drain_one(self) -> None:
        alive = [pod for pod in self.pods if pod.process.alive and not pod.draining and pod.worker is not None]
        if alive:
            self.world.random.choice(alive).drain()
            self.world.call_at(self.world.now + self.world.between(0, 5), self._start)

    def _at_write(self, server: Server) -> None:
        """Begin a failover just behind a write, where it can take most."""
        fleet, world = self.plant.fleet, self.world
        if fleet.writes in self._at_writes and world.now < self.scenario.calm_at:
            shard = next(shard for shard in fleet.shards if server in (shard.master, shard.replica))
            world.call_at(world.now, lambda: self._fail_over(shard))

    def _fail_over(self, shard: Shard, how: str = "") -> None:
        processes = [pod.process for pod in self.pods if pod.process.alive]
        how = how or self.world.random.choice(FAILOVERS)
        self.plant.fleet.fail_over(shard, how, self.scenario.loss_window_s, processes)

    def _move(self) -> None:
        fleet, world = self.plant.fleet, self.world
        host, _ = world.random.choice(world.random.choice(self.scenario.files).parts)
        fleet.move_slot(key_slot(host_key("", host)), world.random.choice(fleet.shards))

    def _recut(self) -> None:
        ledger.CHUNK_PROCESSES = 2 if self.scenario.chunk == 1 else 1

    def _seen(self) -> dict[str, int]:
        plant = self.plant
        seen = {
            "kills": self.kills,
            "failovers": plant.fleet.failovers,
            "acknowledged writes lost": plant.fleet.lost,
            "redeliveries": sum(max(parcel.receives - 1, 0) for parcel in plant.queue.parcels),
            "parked": len(plant.queue.dead),
        }
        copies = [len(bodies) for receiver in plant.receivers for bodies in receiver.got.values()]
        seen["alerts"] = len(copies)
        seen["alerts delivered again"] = sum(copies) - len(copies)
        for pod in self.pods:
            values = pod.meter.snapshot().values
            for name in (
                "conflicts",
                "already_applied",
                "retries",
                "late",
                "heartbeats_failed",
                "verified",
                "alerts_delayed",
            ):
                seen[name] = seen.get(name, 0) + int(sum(v for (metric, _), v in values.items() if metric == name))
        return seen
