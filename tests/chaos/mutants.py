"""`python -m chaos.mutants NAME`: a pod with a fault in its workers, that the judge must see."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from fastfold import commit, fetch, source, transaction
from fastfold.config import Settings, load
from fastfold.errors import Unavailable
from fastfold.metrics import Meter
from fastfold.podcmd import build_worker
from fastfold.store import ReplyError
from fastfold.supervisor import Build, run_pod
from fastfold.types import BatchId
from fastfold.worker import Worker

__all__ = ["MUTANTS"]


def deleted_when_received(settings: Settings, meter: Meter) -> Worker:
    """A message is deleted before its file is committed."""
    receive: Callable[[source.Queue, int], list[source.Message]] = source.Queue.receive

    def receive_and_delete(queue: source.Queue, most: int) -> list[source.Message]:
        messages = receive(queue, most)
        queue.delete(messages)
        return messages

    _replace(source.Queue, "receive", receive_and_delete)
    return build_worker(settings, meter)


def without_ledger(settings: Settings, meter: Meter) -> Worker:
    """Nobody asks whether a batch was applied."""
    step: Any = transaction.Transactions._step

    def step_as_new(self: Any, group: Any, batch: BatchId, value: bytes | None) -> Any:
        return step(self, group, BatchId(batch.time_ms, os.urandom(8)), value)

    _replace(transaction.Transactions, "_step", step_as_new)
    _replace(transaction.Transactions, "is_applied", lambda *_: True)
    return build_worker(settings, meter)


def refusals_ignored(settings: Settings, meter: Meter) -> Worker:
    """What a server says against a write is not heard."""
    settle: Any = commit.Committer._settle

    def settle_all(self: Any, run: Any, lane: Any, track: Any, answer: list[Any]) -> None:
        if any(isinstance(reply, ReplyError) for reply in answer):
            answer = [*answer[:-1], []]
        settle(self, run, lane, track, [None if isinstance(reply, ReplyError) else reply for reply in answer])

    _replace(commit.Committer, "_settle", settle_all)
    return build_worker(settings, meter)


def cut_bodies_taken(settings: Settings, meter: Meter) -> Worker:
    """A body that ends too soon is taken for the whole."""
    read: Any = fetch.Fetcher._read

    class Whole:
        """Never ends too soon, as far as the fetcher sees."""

        def __init__(self, stream: Any, length: int) -> None:
            self.stream, self.left = stream, length

        def read(self, size: int) -> bytes:
            try:
                piece = bytes(self.stream.read(size))
            except Exception:  # noqa: BLE001 - whatever it is that botocore makes of it
                piece = b""
            piece = piece or bytes(min(size, self.left))
            self.left -= len(piece)
            return piece

    def read_cut(self: Any, stream: Any, length: int, *more: Any) -> Any:
        return read(self, Whole(stream, length), length, *more)

    _replace(fetch.Fetcher, "_read", read_cut)
    return build_worker(settings, meter)


def _replace(owner: type, name: str, made: Any) -> None:
    # For good: a worker process with a fault is used for nothing else.
    assert hasattr(owner, name)
    setattr(owner, name, made)


MUTANTS: dict[str, Build] = {
    made.__name__: made for made in (deleted_when_received, without_ledger, refusals_ignored, cut_bodies_taken)
}


def main() -> int:
    try:
        return run_pod(load({}, os.environ), MUTANTS[sys.argv[1]])
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    # Workers find the functions under the name of the module, which this is not.
    from chaos import mutants  # noqa: PLW0406

    sys.exit(mutants.main())
