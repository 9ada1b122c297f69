"""A pod: this process and the workers it starts, watches and ends.

Workers are spawned, never forked: no client, socket or lock of the supervisor reaches them.  Each
has one pipe to the supervisor::

    worker -> supervisor    ("ready",)  ("report", snapshot)  ("stop", reason)
    supervisor -> worker    ("drain", grace in seconds)

A worker whose pipe breaks has lost its supervisor, and ends at once.  A supervisor whose worker
ends without being told to starts another, up to a limit.  Signal handlers only set a flag.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from fastfold.assembly import check_servers
from fastfold.config import Settings
from fastfold.errors import FastfoldError, RetryError, StopError
from fastfold.health import HealthServer
from fastfold.logs import setup_logs
from fastfold.metrics import Meter, Snapshot, Tally, total
from fastfold.worker import Worker

__all__ = ["Build", "Pod", "PodError", "run_pod"]

log = logging.getLogger(__name__)

Build = Callable[[Settings, Meter], Worker]
"""Makes the worker of a process; must be importable by name, as it is sent to another process."""

REPORT_S = 0.25
"""Time between two reports of a worker."""

SILENCE_S = 60.0
"""A worker that has not reported for this long is not well."""

EXIT_MARGIN_S = 10.0
"""Time beyond the grace period for a worker to hand back and end, before it is killed."""

_EXIT_STOPPED = 3
_LOOK_S = 0.2


class PodError(RetryError):
    """Workers ended more often than is allowed; another start may fare better."""


@dataclasses.dataclass(slots=True)
class _Child:
    process: BaseProcess
    pipe: Connection
    heard: float
    ready: bool = False
    paused: bool = False


class Pod:
    """The workers of one machine, from `start` to `stop`.

    Parameters
    ----------
    settings : Settings
    build : callable
        Makes the worker of each process.
    """

    def __init__(self, settings: Settings, build: Build) -> None:
        self.tally = Tally()
        self.failure: FastfoldError | None = None
        self._settings = settings
        self._build = build
        self._context = get_context("spawn")
        self._lock = threading.Lock()
        self._children: dict[int, _Child] = {}
        self._restarts: deque[float] = deque()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._monitor = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def start(self) -> None:
        """Start the workers and watch them."""
        for _ in range(self._settings.workers):
            self._spawn()
        self._monitor.start()

    def pids(self) -> list[int]:
        """Process ids of the workers alive."""
        with self._lock:
            return sorted(self._children)

    def snapshot(self) -> Snapshot:
        """What the workers have counted so far."""
        return self.tally.snapshot()

    def not_alive(self) -> str:
        """Why the pod should be replaced; empty when it should not."""
        with self._lock:
            silent = [pid for pid, child in self._children.items() if time.monotonic() - child.heard > SILENCE_S]
        if self.failure is not None:
            return str(self.failure)
        return f"no report of worker {silent[0]} for {SILENCE_S:g} s" if silent else ""

    def not_ready(self) -> str:
        """Why no message is taken now; empty when one is."""
        with self._lock:
            children = list(self._children.values())
        if self._stopping.is_set():
            return "stopping"
        if not any(child.ready for child in children):
            return "no worker is ready"
        if all(child.paused for child in children if child.ready):
            return "all workers wait for a server that is down"
        return ""

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until every worker has started."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self._ended.is_set():
            with self._lock:
                if len(self._children) == self._settings.workers and all(c.ready for c in self._children.values()):
                    return True
            time.sleep(_LOOK_S / 4)
        return False

    def wait(self, timeout_s: float) -> bool:
        """Wait until the pod has ended by itself; ``False`` when it still runs."""
        return self._ended.wait(timeout_s)

    @contextlib.contextmanager
    def serve_health(self) -> Iterator[HealthServer | None]:
        """Serve ``/metrics``, ``/healthz`` and ``/readyz`` meanwhile, unless the port is set to 0."""
        if self._settings.http_port == 0:
            yield None
            return
        server = HealthServer(
            self._settings.http_host, self._settings.http_port, self.tally, self.not_alive, self.not_ready
        )
        try:
            yield server
        finally:
            server.close()

    def stop(self) -> None:
        """Let the workers finish within the grace period, and end them."""
        self._drain()
        self._monitor.join(self._settings.grace_s + 2 * EXIT_MARGIN_S)

    def reload(self) -> None:
        """Have every worker load its rules again."""
        with self._lock:
            for child in self._children.values():
                self._tell(child, "reload")

    def _drain(self) -> None:
        with self._lock:
            self._stopping.set()
            for child in self._children.values():
                self._tell(child, "drain")

    def _tell(self, child: _Child, what: str) -> None:
        # One that ends at this moment is seen by the monitor.
        with contextlib.suppress(OSError):
            child.pipe.send((what, self._settings.grace_s))

    def _spawn(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_run_worker, args=(self._settings, self._build, theirs), name="fastfold-worker", daemon=True
        )
        process.start()
        theirs.close()
        assert process.pid is not None
        with self._lock:
            child = self._children[process.pid] = _Child(process, ours, time.monotonic())
            self.tally.own.set("workers", len(self._children))
            if self._stopping.is_set():
                self._tell(child, "drain")

    def _watch(self) -> None:
        try:
            self._watch_children()
        finally:
            self._ended.set()

    def _watch_children(self) -> None:
        kill_at = float("inf")
        while True:
            with self._lock:
                children = dict(self._children)
            if self._stopping.is_set():
                kill_at = min(kill_at, time.monotonic() + self._settings.grace_s + EXIT_MARGIN_S)
                if not children:
                    return
            heard = wait(
                [item for child in children.values() for item in (child.pipe, child.process.sentinel)], _LOOK_S
            )
            for pid, child in children.items():
                if child.pipe in heard:
                    self._hear(pid, child)
                if child.process.sentinel in heard:
                    self._bury(pid, child)
            if time.monotonic() > kill_at:
                for child in children.values():
                    child.process.kill()

    def _hear(self, pid: int, child: _Child) -> None:
        """Take all that a worker has said so far."""
        try:
            while child.pipe.poll():
                match child.pipe.recv():
                    case ("ready",):
                        child.ready = True
                    case ("report", Snapshot() as snapshot):
                        child.paused = total(snapshot, "paused") > 0
                        self.tally.update(pid, snapshot)
                    case ("stop", str(reason)):
                        self._fail(StopError(reason))
                child.heard = time.monotonic()
        except (EOFError, OSError):
            # A killed worker ends in the middle of a report; its sentinel tells the rest.
            return

    def _bury(self, pid: int, child: _Child) -> None:
        self._hear(pid, child)
        child.process.join()
        child.pipe.close()
        self.tally.end(pid)
        with self._lock:
            del self._children[pid]
            self.tally.own.set("workers", len(self._children))
        if self._stopping.is_set():
            return
        code = child.process.exitcode
        now = time.monotonic()
        self._restarts.append(now)
        while self._restarts[0] < now - self._settings.restart_window_s:
            self._restarts.popleft()
        if len(self._restarts) > self._settings.restarts:
            self._fail(
                PodError(
                    f"workers ended {len(self._restarts)} times in {self._settings.restart_window_s:g} s,"
                    f" limit {self._settings.restarts}; the last with exit code {code}"
                )
            )
            return
        log.warning("worker %d ended with exit code %s; starting another", pid, code)
        self.tally.own.add("restarts")
        self._spawn()

    def _fail(self, error: FastfoldError) -> None:
        self.failure = self.failure or error
        self._drain()


def _run_worker(settings: Settings, build: Build, pipe: Connection) -> None:
    """Body of a worker process."""
    draining = threading.Event()
    # Ctrl-C and SIGHUP may reach the whole group of processes; the supervisor decides what follows of them.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: draining.set())
    setup_logs(settings.log_level)
    meter = Meter()
    try:
        worker = build(settings, meter)
    except StopError as error:
        pipe.send(("stop", str(error)))
        raise SystemExit(_EXIT_STOPPED) from None
    worker.start()
    grace_s = settings.grace_s
    try:
        pipe.send(("ready",))
        while not draining.is_set() and worker.stopped is None:
            if pipe.poll(REPORT_S):
                told, grace_s = pipe.recv()
                if told == "drain":
                    draining.set()
                else:
                    worker.reload()
            meter.set("paused", worker.paused)
            meter.set("oldest_waiting_seconds", worker.oldest_waiting_s)
            pipe.send(("report", meter.snapshot()))
        ended = worker.drain(grace_s)
        pipe.send(("report", meter.snapshot()))
        if worker.stopped is not None:
            pipe.send(("stop", str(worker.stopped)))
    except (EOFError, OSError):
        log.error("the supervisor is gone; ending")
        worker.drain(0)
        ended = False
    if not ended:
        # A thread that is still at work must not be met by the end of the interpreter.
        os._exit(0)


def run_pod(settings: Settings, build: Build) -> int:
    """Run a pod until SIGTERM or SIGINT, or until it fails; SIGHUP has the rules loaded again.

    Parameters
    ----------
    settings : Settings
    build : callable
        Makes the worker of each process.

    Returns
    -------
    int
        0, after a drain.

    Raises
    ------
    Unavailable
        If a server does not answer at the start.
    PodError
        If workers ended too often.
    StopError
        If a setting is wrong, or a worker found that a person must act.
    """
    setup_logs(settings.log_level)
    check_servers(settings)
    asked, hung_up = threading.Event(), threading.Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    pod = Pod(settings, build)
    try:
        pod.start()
        with pod.serve_health():
            while not asked.is_set() and not pod.wait(_LOOK_S):
                if hung_up.is_set():
                    hung_up.clear()
                    pod.reload()
            pod.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pod.failure is not None:
        raise pod.failure
    return 0
