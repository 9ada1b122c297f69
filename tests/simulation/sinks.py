"""Sinks that fail, hang, refuse, and lose their answers: what real ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastfold.alert import Publisher
from fastfold.errors import Unavailable
from fastfold.metrics import Meter
from fastfold.sinks.lane import Lane, Outlet
from fastfold.sinks.types import TAKEN, Answer, Parcel, Route, SinkFacts
from simulation.scheduler import World

__all__ = ["Receiver", "SinkFaults", "make_publisher", "receivers"]


@dataclass
class SinkFaults:
    """How often what goes wrong; per request.

    Attributes
    ----------
    latency_s : float
        Longest ordinary request.
    lost : float
        A request does not arrive, or its answer does not; half and half.
    slow : float
        A request takes longer than some have patience for.
    refused : float
        One alert is not taken, while others are.
    """

    latency_s: float = 0.01
    lost: float = 0.0
    slow: float = 0.0
    refused: float = 0.0

    def calm(self) -> None:
        """No faults from now on."""
        self.lost = self.slow = self.refused = 0.0


@dataclass
class Receiver:
    """Who gets alerts, outside of all workers.

    Attributes
    ----------
    facts : SinkFacts
        What workers are told of it.
    got : dict of str to list of bytes
        By id of the alert, every copy of it.
    """

    facts: SinkFacts
    got: dict[str, list[bytes]] = field(default_factory=dict)


def receivers(patience_s: int, *, second: bool) -> list[Receiver]:
    """One that takes all alerts, and one for those that matter."""
    found = [Receiver(SinkFacts("all", "stdout", patience_s=patience_s, queue_alerts=100))]
    if second:
        facts = SinkFacts("high", "stdout", route=Route(level="high"), patience_s=patience_s, queue_alerts=100)
        found.append(Receiver(facts))
    return found


class SimSink:
    """A worker's way to a receiver."""

    most = 3

    def __init__(self, world: World, receiver: Receiver, faults: SinkFaults) -> None:
        self._world = world
        self._receiver = receiver
        self._faults = faults

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        world, faults, name = self._world, self._faults, self._receiver.facts.name
        world.sleep(world.between(0, faults.latency_s))
        if world.chance(faults.slow):
            world.sleep(world.between(0, 60))
        lost = world.chance(faults.lost)
        if lost and world.chance(0.5):
            world.trace("lost on the way to sink", name)
            raise Unavailable(name, "lost")
        answers = []
        for parcel in parcels:
            if world.chance(faults.refused):
                answers.append(Answer("refused", "not this one"))
                continue
            world.trace("alert", parcel.id, "at sink", name, "answer lost" if lost else "")
            self._receiver.got.setdefault(parcel.id, []).append(parcel.body)
            answers.append(TAKEN)
        world.sleep(world.between(0, faults.latency_s))
        if lost:
            raise Unavailable(name, "answer lost")
        return answers

    def close(self) -> None:
        return


def make_publisher(world: World, receivers: Sequence[Receiver], faults: SinkFaults, meter: Meter) -> Publisher:
    """The publisher of one worker."""

    def clock() -> float:
        return world.now

    outlets = [
        Outlet(
            receiver.facts,
            Lane(
                receiver.facts.name,
                SimSink(world, receiver, faults),
                meter,
                queue_alerts=receiver.facts.queue_alerts,
                patience_s=receiver.facts.patience_s,
                clock=clock,
                random=world.draw,
            ),
        )
        for receiver in receivers
    ]
    return Publisher(outlets, meter, clock=clock, now_ns=lambda: int(world.now * 1_000_000_000))
