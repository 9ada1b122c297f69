"""What a mutant is: a change of the program for the time of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from fastfold.store import Command, Connection, Reply
from simulation.scenario import Scenario
from simulation.scheduler import World

__all__ = ["Connect", "Mutant", "Wrapped", "transaction"]

Connect = Callable[[], Connection]


class Mutant:
    """The program as it is."""

    def adapt(self, scenario: Scenario) -> None:
        """Change what a seed has drawn."""

    @contextmanager
    def planted(self, world: World) -> Iterator[None]:
        """Change the program for a while."""
        with ExitStack() as stack:
            for target, name, replacement in self.replacements(world):
                stack.enter_context(patch.object(target, name, replacement))
            yield

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        """What stands in the place of what: object, name, replacement."""
        return []

    def connection(self, connect: Connect, world: World) -> Connection:
        """A connection to Redis."""
        return connect()


class Wrapped:
    """A connection that looks for the packet of a transaction."""

    def __init__(self, connect: Connect, world: World) -> None:
        self.connect = connect
        self.world = world
        self.inner = connect()

    def send(self, commands: Sequence[Command]) -> None:
        self.inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        return self.inner.read(count)

    def close(self) -> None:
        self.inner.close()


def transaction(commands: Sequence[Command]) -> list[Command]:
    """From MULTI to EXEC, if that is what a packet begins with and writes are in it."""
    names = [command[0] for command in commands]
    if names[:2] != [b"MULTI", b"SETEX"]:
        return []
    return list(commands[: names.index(b"EXEC") + 1])
