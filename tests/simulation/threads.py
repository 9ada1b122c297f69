"""`threading`, `queue` and `time` on the scheduler, for the modules of the program.

`installed` puts them into the modules that use threads: the code that runs is the program's own,
only what it calls a thread is a task of the world.  Taking a lock is a moment at which another
thread may go on.
"""

from __future__ import annotations

import threading as real_threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from simulation.scheduler import Task, Waiters, World

__all__ = ["Threads", "installed"]

YIELD = 0.1
"""How often a lock that is taken lets others go first."""


class Threads:
    """The replacements of one world; their names are those of the standard library."""

    def __init__(self, world: World) -> None:
        self.world = world
        here = self

        class Thread(_Thread):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(here.world, *args, **kwargs)

        class Event(_Event):
            def __init__(self) -> None:
                super().__init__(here.world)

        class Semaphore(_Semaphore):
            def __init__(self, value: int = 1) -> None:
                super().__init__(here.world, value)

        class Condition(_Condition):
            def __init__(self) -> None:
                super().__init__(here.world)

        class SimpleQueue(_SimpleQueue):
            def __class_getitem__(cls, item: object) -> type:
                return cls

            def __init__(self) -> None:
                super().__init__(here.world)

        self.threading = SimpleNamespace(
            Thread=Thread,
            Event=Event,
            Semaphore=Semaphore,
            BoundedSemaphore=Semaphore,
            Condition=Condition,
            # Held for a few statements, never over a wait: nobody can meet it taken.
            Lock=real_threading.Lock,
            RLock=real_threading.RLock,
            local=real_threading.local,
            get_ident=lambda: id(here.world.task()),
            current_thread=world.task,
        )
        self.queue = SimpleNamespace(SimpleQueue=SimpleQueue, Queue=SimpleQueue, Empty=_Empty)
        self.time = SimpleNamespace(
            monotonic=lambda: here.world.now,
            time=lambda: here.world.now,
            time_ns=lambda: int(here.world.now * 1_000_000_000),
            sleep=world.sleep,
        )


@contextmanager
def installed(threads: Threads, modules: Sequence[ModuleType], log: object) -> Iterator[None]:
    """Put the replacements into modules, and `log` in the place of their loggers."""
    kept: list[tuple[ModuleType, str, object]] = []
    replacements = {"threading": threads.threading, "queue": threads.queue, "time": threads.time, "log": log}
    for module in modules:
        for name, replacement in replacements.items():
            if name in vars(module):
                kept.append((module, name, getattr(module, name)))
                setattr(module, name, replacement)
    try:
        yield
    finally:
        for module, name, original in kept:
            setattr(module, name, original)


class _Empty(Exception):
    pass


class _Thread:
    def __init__(
        self,
        world: World,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str = "thread",
        args: Sequence[object] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        self.name = name
        self._world = world
        self._target = target
        self._args = args
        self._kwargs = kwargs or {}
        self._process = world.task().process
        self._ended = False
        self._started = False
        self._joiners = Waiters(world)

    def start(self) -> None:
        self._started = True
        self._world.start(self._process, self.name, self._run)

    def is_alive(self) -> bool:
        return self._started and not self._ended

    def join(self, timeout: float | None = None) -> None:
        self._joiners.until(lambda: self._ended, timeout)

    def _run(self) -> None:
        assert self._target is not None
        self._target(*self._args, **self._kwargs)
        self._ended = True
        self._joiners.wake_all()


class _Event:
    def __init__(self, world: World) -> None:
        self._set = False
        self._waiters = Waiters(world)

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._waiters.wake_all()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        return bool(self._waiters.until(lambda: self._set, timeout))


class _Semaphore:
    def __init__(self, world: World, value: int) -> None:
        self._value = value
        self._waiters = Waiters(world)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if blocking and not self._waiters.until(lambda: self._value > 0, timeout):
            return False
        if self._value <= 0:
            return False
        self._value -= 1
        return True

    def release(self, n: int = 1) -> None:
        self._value += n
        self._waiters.wake(n)


class _Condition:
    def __init__(self, world: World) -> None:
        self._world = world
        self._owner: Task | None = None
        self._entering = Waiters(world)
        self._waiters = Waiters(world)

    def __enter__(self) -> bool:
        if self._world.draw() < YIELD:
            self._world.sleep(0)
        self._entering.until(lambda: self._owner is None, None)
        self._owner = self._world.task()
        return True

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._entering.wake(1)

    def notify(self, n: int = 1) -> None:
        self._waiters.wake(n)

    def notify_all(self) -> None:
        self._waiters.wake_all()

    def wait(self, timeout: float | None = None) -> bool:
        self.__exit__()
        woken = self._waiters.wait(timeout)
        self._entering.until(lambda: self._owner is None, None)
        self._owner = self._world.task()
        return woken

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else self._world.now + timeout
        while not (found := predicate()):
            left = None if end is None else end - self._world.now
            if left is not None and left <= 0:
                break
            self.wait(left)
        return found


class _SimpleQueue:
    def __init__(self, world: World) -> None:
        self._world = world
        self._items: deque[Any] = deque()
        self._waiters = Waiters(world)

    def put(self, item: object) -> None:
        self._items.append(item)
        self._waiters.wake(1)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self._waiters.until(lambda: self._items, timeout if block else 0):
            raise _Empty
        if self._world.draw() < YIELD:
            self._world.sleep(0)
        if not self._items:
            return self.get(block, timeout)
        return self._items.popleft()

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)
