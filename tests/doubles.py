"""Workers for tests of the supervisor: sent to other processes, so each is found here by its name."""

from __future__ import annotations

import os
import threading
import time

from fastfold.config import Settings
from fastfold.errors import ConfigError, StopError
from fastfold.metrics import Meter


class IdleWorker:
    """Counts itself and waits; what it does besides is told by the name of the schema."""

    paused = False
    oldest_waiting_s = 0.0

    def __init__(self, settings: Settings, meter: Meter) -> None:
        self.stopped: StopError | None = None
        self._what = settings.schema
        self._meter = meter

    def start(self) -> None:
        self._meter.add("files")
        self._meter.add("in_flight")
        if self._what == "crash":
            threading.Timer(0.2, os._exit, [7]).start()
        if self._what == "stop":
            self.stopped = ConfigError("not with this Redis")

    def drain(self, grace_s: float) -> bool:
        if self._what == "slow":
            time.sleep(0.5)
        if self._what == "stuck":
            time.sleep(3600)
        self._meter.add("files", 100)
        return True


def idle(settings: Settings, meter: Meter) -> IdleWorker:
    """Make a worker that needs no server."""
    if settings.schema == "wrong":
        raise ConfigError("no such schema")
    return IdleWorker(settings, meter)
