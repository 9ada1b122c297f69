"""Faults put into the way of an alert from the commit to its sink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any

from fastfold.detection import commit as detection_commit
from fastfold.detection import detecting
from fastfold.detection.commit import ChunkDetection
from fastfold.errors import Undelivered
from fastfold.pipeline import Pipeline
from fastfold.source import Message
from fastfold.store import Command, Connection, Reply
from simulation.mutant import Connect, Mutant, Wrapped, transaction
from simulation.rules import draw_rules
from simulation.scenario import Scenario
from simulation.scheduler import World

__all__ = ["OF_ALERTS"]


class _WithAlerts(Mutant):
    """Aimed: something is detected in every world, by workers that die and by sinks that fail."""

    def adapt(self, scenario: Scenario) -> None:
        scenario.rules = scenario.rules or draw_rules(Random(scenario.seed), len(scenario.files))
        scenario.kills = max(scenario.kills, 4)
        scenario.sinks.lost = max(scenario.sinks.lost, 0.3)


class _ToldOnce(_WithAlerts):
    """Tells of an alert when it is raised, and not again when its batch turns out to be applied."""

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        return [(ChunkDetection, "tell_again", lambda *_, **__: None)]


class _ToldFromMemory(_WithAlerts):
    """Tells again only of what the record remembers its batch to have raised.

    Aimed: hosts that remember one alert.
    """

    def adapt(self, scenario: Scenario) -> None:
        super().adapt(scenario)
        scenario.raised_per_host = 1

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        return [(detection_commit, "detect_again", partial(_as_if_late, detection_commit.detect_again))]


def _as_if_late(detect_again: Any, *facts: Any, late: bool) -> Any:
    return detect_again(*facts, late=True)


class _ToldLast(_WithAlerts):
    """Publishes alerts when their message is on its way to be deleted.

    Aimed: sinks that take nothing for a while, and messages that are not held.
    """

    def adapt(self, scenario: Scenario) -> None:
        super().adapt(scenario)
        scenario.hold_s = scenario.loss_window_s = 0.0
        scenario.patience_s, scenario.sinks.latency_s, scenario.sinks.lost = 2, 1.0, 0.8

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        handle = Pipeline.handle

        def handle_first(self: Pipeline, message: Message) -> None:
            publish, kept = self._publish, []
            self._publish = lambda alerts, deadline: kept.append((alerts, deadline))
            try:
                handle(self, message)
            finally:
                self._publish = publish
            for alerts, deadline in kept:
                try:
                    assert publish is not None
                    publish(alerts, deadline)
                except Undelivered:
                    return

        return [(Pipeline, "handle", handle_first)]


class _RecordApart(Wrapped):
    """Writes the detection record after the EXEC, and not in it."""

    def __init__(self, connect: Connect, world: World) -> None:
        super().__init__(connect, world)
        self._record: Command | None = None

    def send(self, commands: Sequence[Command]) -> None:
        found = transaction(commands)
        self._record = next((command for command in found if _writes_detection(command)), None)
        if self._record is None:
            self.inner.send(commands)
            return
        self._left, self._count = list(commands[len(found) :]), len(found)
        self.inner.send([command for command in found if command is not self._record])

    def read(self, count: int) -> list[Reply]:
        record, self._record = self._record, None
        if record is None:
            return self.inner.read(count)
        *rest, done = self.inner.read(self._count - 1)
        if isinstance(done, list):
            self.inner.send([record])
            self.inner.read(1)
            done = [*done, b"OK"]
        self.inner.send(self._left)
        return [*rest, b"QUEUED", done][:count]


def _writes_detection(command: Command) -> bool:
    return command[0] == b"SETEX" and command[1].endswith(b"!")


class _RecordApartInAll(_WithAlerts):
    def connection(self, connect: Connect, world: World) -> Connection:
        return _RecordApart(connect, world)


class _IdOfBatch(_WithAlerts):
    """Names an alert by the batch that completed it, too."""

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        raise_alert = detecting.raise_alert

        def named(record: Any, raised: Any, *more: Any) -> Any:
            alert = raise_alert(record, raised, *more)
            return replace(alert, id=blake2b(alert.id.encode() + raised.batch, digest_size=16).hexdigest())

        return [(detecting, "raise_alert", named)]


OF_ALERTS: dict[str, Mutant] = {
    "alert told only once": _ToldOnce(),
    "forgotten alert not told again": _ToldFromMemory(),
    "alert told after the message has ended": _ToldLast(),
    "detection record outside the EXEC": _RecordApartInAll(),
    "alert named by its batch": _IdOfBatch(),
}
