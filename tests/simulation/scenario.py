"""What a seed stands for: files, workers, settings and faults.

Every fault is in some seeds and not in others: a fault that is always there would hide what only
happens without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from random import Random

from fastfold.rules.types import Rule
from simulation.aws import AwsFaults
from simulation.redis_node import NetworkFaults
from simulation.rules import draw_rules, told
from simulation.sinks import SinkFaults

__all__ = ["HOUR_MS", "START_MS", "File", "Scenario", "draw"]

START_MS = 1_600_000_000_000
"""Wall clock of the beginning of every world."""

HOUR_MS = 3_600_000

HOSTS = ("ant", "bee", "cat", "dog")
PROCESSES = ("p0", "p1", "p2", "p3")

WITH_RULES = 0.25
"""Share of the seeds in which something is detected."""


@dataclass(frozen=True)
class File:
    """One object of S3.

    Attributes
    ----------
    number : int
        Its place in the scenario: the kind of its events, so that each can be told in a state.
    key : str
    modified_ms : int
    parts : tuple of (host, tuple of process)
    fault : str
        ``""``, ``poison`` (malformed), ``missing`` (not there), ``replaced`` (by another, before
        or after it is read).
    """

    number: int
    key: str
    modified_ms: int
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    fault: str = ""


@dataclass
class Scenario:
    """One seed, drawn; a test may change what it likes before it is run.

    Attributes
    ----------
    files : list of File
    messages : list of (seconds, file numbers, through SNS)
        What is sent to the queue, and when.
    workers, slots : int
    shards : int
        0 for a single Redis.
    chunk : int
        Most processes in one transaction.
    recut_at : float or None
        When a version with another chunk rule takes over.
    state_ttl_s, ledger_window_s, visibility_s, wait_s, deadline_s : int
    hold_s : float
        How long a message is held before it is verified; 0 for not at all.
    loss_window_s : float
        Of every failover; 0 for a replica that is never behind.
    held_messages : int
        Messages held at which a worker receives no more.
    canary_s : float
        Between two beats of the canary; 0 for none.
    failovers_at : tuple of (seconds, how)
        Of the first shard, beside those that are drawn.
    topology_refresh_s : float
        How old what a worker knows of the slots may be; 0 for any age.
    track_groups : int
        Least for each of several connections to a node.
    versions : bool
        Whether the bucket keeps them.
    shuffled : bool
        Whether the hosts of a file come in another order each time.
    calm_at : float
        When the last fault has come.
    kills, freezes, drains : int
        Of workers.
    failovers, moves : int
        Of masters; of slots, key by key while they are in use.
    rules : tuple of Rule
        Without any, nothing is detected and there are no sinks.
    raised_per_host : int
        Alerts that a host remembers to have raised.
    sinks : SinkFaults
    patience_s : int
        How long a sink may take nothing.
    second_sink : bool
        Whether there is one more, for some of the alerts.
    """

    seed: int
    files: list[File]
    messages: list[tuple[float, tuple[int, ...], bool]]
    workers: int = 2
    slots: int = 1
    shards: int = 0
    chunk: int = 256
    recut_at: float | None = None
    state_ttl_s: int = 86_400
    ledger_window_s: int = 6 * 3600
    visibility_s: int = 20
    wait_s: int = 5
    deadline_s: float = 30.0
    hold_s: float = 0.0
    loss_window_s: float = 0.0
    held_messages: int = 1000
    canary_s: float = 0.0
    topology_refresh_s: float = 0.0
    track_groups: int = 8
    versions: bool = False
    shuffled: bool = False
    calm_at: float = 60.0
    kills: int = 0
    freezes: int = 0
    drains: int = 0
    failovers: int = 0
    failovers_at: tuple[tuple[float, str], ...] = ()
    moves: int = 0
    network: NetworkFaults = field(default_factory=NetworkFaults)
    aws: AwsFaults = field(default_factory=AwsFaults)
    rules: tuple[Rule, ...] = ()
    raised_per_host: int = 1024
    sinks: SinkFaults = field(default_factory=SinkFaults)
    patience_s: int = 15
    second_sink: bool = False

    def told(self) -> str:
        """The scenario in a few lines."""
        plain = [
            f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name not in ("files", "messages", "rules")
        ]
        lines = [", ".join(plain)]
        lines += [f"  {file}" for file in self.files]
        lines += [f"  message at {at:.2f}: files {numbers}, SNS {sns}" for at, numbers, sns in self.messages]
        lines += [f"  {told(rule)}" for rule in self.rules]
        return "\n".join(lines)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    # Apart from the draws of the run, so that a change there leaves the scenarios as they are.
    random = Random(f"scenario {seed}")
    chance, between = _Draws(random).chance, random.uniform

    hosts = HOSTS[: random.randint(1, 3)]
    processes = PROCESSES[: random.randint(1, 4)]
    window_s = random.choice((600, 6 * 3600))
    files = [_file(random, number, hosts, processes, window_s) for number in range(random.randint(2, 10))]
    chaos = between(5, 90)
    scenario = Scenario(
        seed=seed,
        files=files,
        messages=_messages(random, files, chaos),
        workers=random.randint(1, 3),
        slots=random.randint(1, 2),
        shards=random.choice((0, 0, 1, 2, 3)),
        chunk=random.choice((1, 2, 256)),
        ledger_window_s=window_s,
        visibility_s=random.choice((6, 20, 60)),
        deadline_s=random.choice((5.0, 30.0, 120.0)),
        versions=chance(0.3),
        calm_at=chaos,
        kills=random.randint(1, 6) if chance(0.4) else 0,
        freezes=random.randint(1, 3) if chance(0.3) else 0,
        drains=random.randint(1, 2) if chance(0.2) else 0,
        failovers=random.randint(1, 3) if chance(0.4) else 0,
        moves=random.randint(1, 3) if chance(0.2) else 0,
    )
    if chance(0.1) and scenario.chunk < 256:
        scenario.recut_at = between(0, chaos)
    if chance(0.1):
        scenario.state_ttl_s = random.choice((20, 60))
    if scenario.failovers and chance(0.7):
        scenario.hold_s = random.choice((2.0, 10.0, 30.0))
        scenario.loss_window_s = scenario.hold_s * between(0.1, 0.9)
    elif chance(0.2):
        scenario.hold_s = between(0.5, 30.0)
    if chance(0.1):
        scenario.held_messages = random.randint(1, 2)
    if chance(0.1):
        scenario.canary_s = 5.0
    network, aws = scenario.network, scenario.aws
    network.latency_s = random.choice((0.0005, 0.01, 0.2))
    network.cut = between(0, 0.15) if chance(0.4) else 0.0
    network.late = between(0, 0.05) if chance(0.2) else 0.0
    network.split = between(0, 0.3) if chance(0.4) else 0.0
    network.not_now = between(0, 0.02) if chance(0.2) else 0.0
    network.connect = between(0, 0.3) if chance(0.2) else 0.0
    aws.latency_s = random.choice((0.001, 0.05, 1.0))
    aws.lost = between(0, 0.3) if chance(0.3) else 0.0
    aws.doubled = between(0, 0.5) if chance(0.4) else 0.0
    aws.returned = between(0, 0.5) if chance(0.2) else 0.0
    aws.stale_works = random.choice((0.0, 0.5, 1.0))
    aws.s3_down = between(0, 0.5) if chance(0.2) else 0.0
    aws.s3_cut = between(0, 0.3) if chance(0.1) else 0.0
    aws.s3_slow = between(0, 0.3) if chance(0.1) else 0.0
    scenario.shuffled = chance(0.3)
    _draw_detection(scenario)
    # Apart as well.
    later = Random(f"topology {seed}")
    if later.random() < 0.3:
        scenario.topology_refresh_s = later.choice((1.0, 10.0, 60.0))
        # So often over a slow network, a file would never get through in less.
        scenario.deadline_s = max(scenario.deadline_s, 30.0)
    if Random(f"tracks {seed}").random() < 0.5:
        scenario.track_groups = 1
    return scenario


def _draw_detection(scenario: Scenario) -> None:
    """Rules and sinks, for some of the seeds; apart, so that the rest of a scenario is as it was without."""
    random = Random(f"rules {scenario.seed}")
    if random.random() >= WITH_RULES:
        return
    chance, sinks = _Draws(random).chance, scenario.sinks
    scenario.rules = draw_rules(random, len(scenario.files))
    scenario.patience_s = random.choice((2, 15))
    scenario.second_sink = chance(0.3)
    sinks.latency_s = random.choice((0.001, 0.05, 1.0))
    sinks.lost = random.uniform(0, 0.5) if chance(0.4) else 0.0
    sinks.slow = random.uniform(0, 0.3) if chance(0.2) else 0.0
    sinks.refused = random.uniform(0, 0.3) if chance(0.2) else 0.0
    if chance(0.2):
        scenario.raised_per_host = random.randint(1, 3)


class _Draws:
    def __init__(self, random: Random) -> None:
        self._random = random

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability


def _file(random: Random, number: int, hosts: tuple[str, ...], processes: tuple[str, ...], window_s: int) -> File:
    named = random.sample(hosts, random.randint(1, len(hosts)))
    parts = tuple((host, tuple(sorted(random.sample(processes, random.randint(1, len(processes)))))) for host in named)
    # Most are written one after the other, some have lain for longer than the ledger reaches back.
    spread_s = 2 * window_s if random.random() < 0.15 else 60
    modified_ms = START_MS + int(random.uniform(-spread_s, 0) * 1000)
    fault = random.choices(("", "poison", "missing", "replaced"), (20, 1, 0.5, 0.5))[0]
    return File(number, f"logs/{number:02}.gz", modified_ms, parts, fault)


def _messages(random: Random, files: list[File], chaos: float) -> list[tuple[float, tuple[int, ...], bool]]:
    """Each file in one message at least, some in two, some several in one."""
    messages: list[tuple[float, tuple[int, ...], bool]] = []
    numbers = [file.number for file in files]
    random.shuffle(numbers)
    while numbers:
        count = 1 if random.random() < 0.8 else random.randint(2, 3)
        taken, numbers = numbers[:count], numbers[count:]
        if random.random() < 0.1:
            taken.append(random.choice(taken))
        at = random.uniform(0, 1) if random.random() < 0.7 else random.uniform(0, chaos)
        messages.append((at, tuple(taken), random.random() < 0.2))
        if random.random() < 0.15:
            messages.append((at + random.uniform(0, chaos), tuple(taken), False))
    return messages
