"""Workers made of the program's own parts, on simulated servers.

What is put together here is what `fastfold.assembly` and `fastfold.commands.pod` put together, with the
clients of SQS and S3 and the connections to Redis replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from fastfold.breaker import POLICY, Breaker
from fastfold.canary import Canary, CanaryThread
from fastfold.commit import CommitSettings, Committer
from fastfold.fetch import Fetcher
from fastfold.keeper import Keeper
from fastfold.metrics import Meter
from fastfold.notification import parse_body
from fastfold.pipeline import Pipeline
from fastfold.resp import Node, RedisAddress
from fastfold.source import Queue
from fastfold.store import Connection
from fastfold.topology import Nodes
from fastfold.worker import Worker
from simulation.aws import DEAD_LETTERS, URL, Bucket, S3Client, SimQueue, SqsClient
from simulation.files import BUCKET, fold, merge
from simulation.mutant import Mutant
from simulation.redis_fleet import Fleet
from simulation.scenario import Scenario
from simulation.scheduler import Process, World
from simulation.sinks import Receiver, make_publisher

__all__ = ["GRACE_S", "Plant", "Pod"]

GRACE_S = 60.0
FILE_BYTES = 1 << 20


@dataclass
class Plant:
    """What a world consists of."""

    world: World
    scenario: Scenario
    fleet: Fleet
    queue: SimQueue
    bucket: Bucket
    mutant: Mutant
    receivers: list[Receiver]
    faults: list[str] = field(default_factory=list)


class Pod:
    """One worker process, started now.

    Attributes
    ----------
    process : Process
    worker : Worker or None
        Once it is made.
    draining, ended : bool
    meter : Meter
    """

    def __init__(self, plant: Plant, name: str, doomed_at_step: int | None = None) -> None:
        self.process = Process(plant.world, name)
        self.doomed_at_step = doomed_at_step
        self.worker: Worker | None = None
        self.draining = False
        self.ended = False
        self.meter = Meter()
        self._plant = plant
        plant.world.start(self.process, "main", self._main)

    def drain(self) -> None:
        """End it as SIGTERM does."""
        if self.process.alive and not self.draining:
            self.draining = True
            self._plant.world.trace("SIGTERM", self.process.name)
            self._plant.world.start(self.process, "drain", self._drain)

    def _main(self) -> None:
        self.worker = self._assemble()
        self.worker.start()

    def _drain(self) -> None:
        assert self.worker is not None
        done = self.worker.drain(GRACE_S)
        if self.worker.stopped is not None:
            self._plant.faults.append(f"{self.process.name} stopped by itself: {self.worker.stopped}")
        if not done and self.process.alive:
            self._plant.world.trace("grace is over", self.process.name)
            self.process.kill()
        self.ended = True

    def _assemble(self) -> Worker:
        plant, world, scenario = self._plant, self._plant.world, self._plant.scenario
        clock, sleep, draw = (lambda: world.now), world.sleep, world.draw
        client = SqsClient(plant.queue)
        queue = Queue(
            client,
            client,
            url=URL,
            dead_letter_url=DEAD_LETTERS,
            visibility_s=scenario.visibility_s,
            wait_s=scenario.wait_s,
        )
        keeper = Keeper(queue, self.meter)
        fetcher = Fetcher(S3Client(plant.bucket), FILE_BYTES, self.meter, clock=clock, sleep=sleep)
        address = RedisAddress.from_url(plant.fleet.url)
        how = CommitSettings(
            state_ttl_s=scenario.state_ttl_s,
            ledger_window_s=scenario.ledger_window_s,
            hold_s=scenario.hold_s,
            hold_single_s=scenario.hold_s,
            track_groups=scenario.track_groups,
        )

        publisher = None
        if scenario.rules:
            publisher = make_publisher(world, plant.receivers, scenario.sinks, self.meter)

        def connect(node: Node) -> Connection:
            return plant.mutant.connection(lambda: plant.fleet.connect(self.process, node), world)

        def nodes() -> Nodes:
            return Nodes(address, connect, draw, refresh_s=scenario.topology_refresh_s, clock=clock)

        def pipeline() -> Pipeline:
            committer = Committer(nodes(), merge, how, self.meter, random=draw, clock=clock, sleep=sleep)
            return Pipeline(
                queue=queue,
                keeper=keeper,
                read=partial(parse_body, buckets=(BUCKET,), most_records=100),
                fetch=fetcher,
                fold=fold(scenario, world.random.shuffle if scenario.shuffled else None),
                commit=committer,
                meter=self.meter,
                file_deadline_s=scenario.deadline_s,
                publish=publisher.publish if publisher is not None else None,
                clock=clock,
                now_ns=lambda: int(world.now * 1_000_000_000),
            )

        breaker = Breaker(POLICY, clock=clock, random=draw)
        canary = None
        if scenario.canary_s:
            bird = Canary(nodes(), how.namespace, self.process.name, self.meter, clock=clock)
            canary = CanaryThread(bird, scenario.canary_s)
        return Worker(
            queue, keeper, pipeline, scenario.slots, self.meter, breaker, scenario.held_messages, canary, publisher
        )
