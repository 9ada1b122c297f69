"""The clock and the tasks of a simulated world.

A task is a greenlet; it runs until it waits, and nothing runs beside it.  What is due at the same
time runs in an order drawn from the seed.  So a run is a function of its seed alone.

A process is a set of tasks that die together.  A dead process never runs again, not even its
`finally` clauses, as after SIGKILL; a frozen one runs on later, as after SIGSTOP and SIGCONT.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import greenlet

__all__ = ["Process", "Stuck", "Task", "Waiters", "World"]


EVENTS = 100_000
"""Most events of a world; one that comes to rest needs some hundreds, rarely some thousands."""


class Stuck(AssertionError):
    """The world did not come to rest."""


class Process:
    """What is killed or frozen as one.

    Attributes
    ----------
    alive : bool
    frozen_until : float
    steps : int
        How often one of its tasks went on.
    at_death : list of callable
        Called when it is killed: the kernel closes its sockets.
    """

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self.steps = 0
        self.tasks: list[Task] = []
        self.at_death: list[Callable[[], object]] = []
        self._world = world

    def kill(self) -> None:
        """End it at this moment."""
        if self.alive:
            self._world.trace("killed", self.name)
            self.alive = False
            for call in list(self.at_death):
                call()

    def freeze(self, seconds: float) -> None:
        """Stop it for a time."""
        self._world.trace("frozen", self.name, f"{seconds:.1f} s")
        self.frozen_until = max(self.frozen_until, self._world.now + seconds)


class Task(greenlet.greenlet):  # type: ignore[misc]
    """A thread of a process."""

    def __init__(self, process: Process, name: str, run: Callable[[], object], hub: greenlet.greenlet) -> None:
        # What ends, or fails, gives way to the hub.
        super().__init__(self._main, hub)
        self.process = process
        self.name = name
        self.parked = 0  # counts its waits: what would wake it from an earlier one is stale
        self.woken = False
        self._target = run

    def _main(self) -> None:
        self._target()


class World:
    """One simulated world.

    Parameters
    ----------
    seed : int
    traced : callable or None
        Takes the lines of a trace.

    Attributes
    ----------
    now : float
        Seconds since the beginning.
    random : random.Random
        Every draw of the run.
    step_hook : callable or None
        Called with a process before one of its tasks goes on: kills it there, if it wants.
    """

    def __init__(self, seed: int, traced: Callable[[str], object] | None = None) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.draw = self.random.random
        self.traced = traced
        self.step_hook: Callable[[Process], object] | None = None
        self.over = False
        self.switches = 0
        self._hub = greenlet.getcurrent()
        self._tasks: list[Task] = []
        self._queue: list[tuple[float, float, int, Any, int]] = []
        self._count = 0

    # From outside

    def run(self, until: Callable[[], bool], deadline: float) -> None:
        """Let the world run until `until` holds.

        Raises
        ------
        Stuck
            If it does not by the deadline, or nothing would ever happen again.
        """
        queue = self._queue
        while not until():
            if not queue:
                raise Stuck("nothing is left that could happen")
            if self._count > EVENTS:
                raise Stuck(f"busy without end: {EVENTS} events in {self.now:.0f} s")
            at, _, _, what, parked = heapq.heappop(queue)
            if at > self.now:
                self.now = at
                if at > deadline:
                    raise Stuck(f"not at rest after {deadline:.0f} s")
            if not isinstance(what, Task):
                what()
                continue
            if what.parked != parked or not what.process.alive:
                continue
            process = what.process
            if process.frozen_until > self.now:
                self._push(process.frozen_until, what, parked)
                continue
            process.steps += 1
            if self.step_hook is not None:
                self.step_hook(process)
                if not process.alive or process.frozen_until > self.now:
                    self._push(max(process.frozen_until, self.now), what, parked)
                    continue
            self.switches += 1
            what.parked += 1
            what.switch()

    def close(self) -> None:
        """End all tasks, in order, without any effect on the world."""
        self.over = True
        for task in self._tasks:
            if not task.dead:
                task.throw()

    def call_at(self, at: float, call: Callable[[], object]) -> None:
        """Have something happen at a time."""
        self._push(max(at, self.now), call, 0)

    def start(self, process: Process, name: str, run: Callable[[], object]) -> Task:
        """Start a task."""
        task = Task(process, name, run, self._hub)
        process.tasks.append(task)
        self._tasks.append(task)
        self._push(self.now, task, 0)
        return task

    # From within tasks

    def task(self) -> Task:
        """The task that runs."""
        current = greenlet.getcurrent()
        assert isinstance(current, Task)
        return current

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.wait(max(seconds, 0.0))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait to be woken, at most so long; whether it was."""
        task = self.task()
        if self.over or not task.process.alive:
            # Its greenlet is being cleared away: what it does now happens in no world.
            raise greenlet.GreenletExit
        task.woken = False
        if seconds is not None:
            self._push(self.now + seconds, task, task.parked)
        self._hub.switch()
        return task.woken

    def wake(self, task: Task) -> None:
        """Let a task that waits go on."""
        if not task.woken:
            task.woken = True
            self._push(self.now, task, task.parked)

    def trace(self, *words: object) -> None:
        """Note what happens."""
        if self.traced is not None:
            current = greenlet.getcurrent()
            who = f"{current.process.name}.{current.name}" if isinstance(current, Task) else "-"
            self.traced(f"{self.now:11.4f} {who:16} " + " ".join(map(str, words)))

    def chance(self, probability: float) -> bool:
        """A draw."""
        return probability > 0 and self.draw() < probability

    def between(self, least: float, most: float) -> float:
        """An even draw."""
        return least + (most - least) * self.draw()

    def _push(self, at: float, what: Any, parked: int) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self.draw(), self._count, what, parked))


class Waiters:
    """Tasks that wait for one thing, in the order in which they came."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: deque[Task] = deque()

    def wait(self, timeout: float | None) -> bool:
        """Wait to be woken, at most so long; whether it was."""
        task = self.world.task()
        self.tasks.append(task)
        woken = self.world.wait(timeout)
        if not woken:
            self.tasks.remove(task)
        return woken

    def wake(self, count: int) -> None:
        """Let the first of them go on."""
        while count > 0 and self.tasks:
            self.world.wake(self.tasks.popleft())
            count -= 1

    def wake_all(self) -> None:
        """Let all of them go on."""
        self.wake(len(self.tasks))

    def until(self, holds: Callable[[], Any], timeout: float | None) -> Any:
        """Wait for a condition, looked at after each wake; its last value."""
        end = None if timeout is None else self.world.now + timeout
        while not (found := holds()):
            left = None if end is None else end - self.world.now
            if left is not None and left <= 0:
                break
            self.wait(left)
        return found
