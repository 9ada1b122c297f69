"""The servers, and key spaces with a pod each; a pod and its key space are used until they cannot be any more."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aws import notification
from chaos.judge import judge
from chaos.pieces import Pieces, Truth
from chaos.pod import PodPlace, PodProcess
from chaos.tally import Tally
from fastfold.ledger import HostRecord
from fastfold.values import unpack_value
from fleet import BUCKET, Fleet
from servers import RedisCluster, wait_for
from shards import Shards
from sqs import Cloud, Mischief
from states import open_redis, read_keys

__all__ = ["NODE_OPTIONS", "NODE_TIMEOUT_MS", "Field", "Inject", "World", "bucket_url", "told"]

NODE_TIMEOUT_MS = 1000
HOLD_S = 2 * NODE_TIMEOUT_MS / 1000
VISIBILITY_S = 3
NODE_OPTIONS = ("--repl-diskless-sync-delay", "0")
REST_S = 120.0

SETTINGS = {
    "visibility_s": VISIBILITY_S,
    "hold_s": HOLD_S,
    "canary_s": 0.5,
    # Longer than a failover takes: who gave up on a paused master would not be there to be told a lie.
    "redis_timeout_s": 10.0,
    "file_slots": 4,
    "file_deadline_s": 60.0,
    "restarts": 10_000,
    "log_level": "warning",
}


class Field(Fleet):
    """A key space with queue, bucket and pods; and what must be in it.

    Parameters
    ----------
    world : World
    mutant : str
    settings : dict
        Other than those of all fields.
    """

    def __init__(self, world: World, mutant: str, settings: dict[str, Any]) -> None:
        world.cloud.objects.clear()
        super().__init__(world.cloud, world.cluster.url, **{**SETTINGS, **settings})
        self.client.close()
        self.truth = Truth()
        self.poison: dict[str, str] = {}
        self.spoiled = False
        # What has to be put in order when the pods have ended.
        self.undo: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._world = world
        self._ended: Counter[str] = Counter()
        self.pods = [PodProcess(self.settings, place, mutant) for place in world.places]

    def pieces(self, count: int) -> list[str]:
        """Put the next pieces into the bucket; their keys."""
        # Keys are numbered, and a load has a thread of its own.
        with self._lock:
            texts = self._world.pieces.take(count)
            for text in texts:
                self.truth.add(text)
            return self.put(*(gzip.compress(text, 1, mtime=0) for text in texts))

    def deliver(self, count: int, times: int = 1) -> None:
        """Put the next pieces, and one message for each, so many times."""
        for key in self.pieces(count) * times:
            self.tell(key)

    def make_busy(self, backlog: int) -> None:
        """Let there be more to do than can be done, so that all workers have files in work."""
        while self.queue.visible() < backlog:
            self.deliver(backlog)
        wait_for(lambda: self.queue.alive > self.queue.visible(), "a message that is received")

    @contextlib.contextmanager
    def load(self, per_s: float) -> Iterator[None]:
        """Deliver pieces meanwhile, so many in a second."""
        ended = threading.Event()

        def feed() -> None:
            due = time.monotonic()
            while not ended.wait(max(0.0, due - time.monotonic())):
                due += 1 / per_s
                self.deliver(1)

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def workers(self) -> list[int]:
        """Process ids of all workers."""
        return [pid for pod in self.pods for pid in pod.workers()]

    def working(self) -> list[int]:
        """Those of them that have begun to work."""
        return [pid for pod in self.pods for pid in pod.working()]

    def counts(self) -> Counter[str]:
        """What all pods count now."""
        found: Counter[str] = Counter()
        for pod in self.pods:
            found.update(pod.counts())
        return found

    def wait_for_rest(self) -> None:
        """Wait until the queue is empty and nobody is at work."""
        self._wait(lambda: self.queue.alive == 0, "an empty queue")
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            now = self.counts()
            quiet = quiet + 1 if not now["in_flight"] and not now["held"] else 0
            # Workers report now and then: one look may be at what was.
            time.sleep(0.15)
            return quiet > 2

        self._wait(is_quiet, "workers at rest")

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        try:
            wait_for(holds, what, REST_S)
        except TimeoutError as error:
            now = self.counts()
            shown = {name: now[name] for name in ("workers", "in_flight", "held", "paused", "messages:handed_back")}
            logs = "".join(pod.log() for pod in self.pods)
            raise TimeoutError(f"{error}: {self.queue.alive} messages, {shown}\n{logs}") from None

    def read(self) -> dict[bytes, bytes]:
        """All keys of the key space."""
        with contextlib.closing(open_redis(self._world.cluster.url)) as client:
            return read_keys(client, self.settings.namespace)

    def entries(self, node: Any) -> set[tuple[bytes, object]]:
        """Whatever the ledgers on one node say that is applied."""
        found = set()
        for key in node.scan_iter(match=f"{self.settings.namespace}{{*}}", count=1000):
            value = node.get(key)
            if value is not None:
                found |= {(key, entry) for entry in HostRecord.decode(unpack_value(value, key)).entries}
        return found

    def settle(self, tally: Tally) -> None:
        """Wait until all is at rest and well, and judge."""
        self._world.shards.heal()
        self.wait_for_rest()
        # Only now: what was deleted under it is to be gone, too.
        self.cloud.mischief = Mischief()
        verdict = judge(self.read(), self.truth.payloads(), self.settings.namespace, self.dead.letters(), self.poison)
        tally.lost += verdict.lost
        tally.doubled += verdict.doubled
        tally.wrong += verdict.wrong
        self.spoiled = bool(verdict.wrong)

    def stop(self) -> list[str]:
        """End the pods; what was wrong with that."""
        # What was stopped cannot be ended in order.
        for pid in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        codes = [pod.stop() for pod in self.pods]
        return [f"a pod ended with {code}:\n{pod.log()}" for pod, code in zip(self.pods, codes, strict=True) if code]


class World:
    """Cluster, S3 and SQS, and the field that is in use.

    Parameters
    ----------
    files : list of Path
    seed : int
    cluster : RedisCluster, optional
        Given over; made unless given.
    cloud : Cloud, optional
        The same.
    places : sequence of PodPlace
        Of the pods of a field.
    """

    def __init__(
        self,
        files: list[Path],
        seed: int,
        *,
        cluster: RedisCluster | None = None,
        cloud: Cloud | None = None,
        places: Sequence[PodPlace] = (PodPlace(),),
    ) -> None:
        self.files = files
        self.seed = seed
        self.choice = random.Random(seed)
        self.pieces = Pieces(files, random.Random(seed))
        self.places = places
        # What a scenario with a mutant asks for besides its own settings.
        self.variant: tuple[str, dict[str, Any]] = ("", {})
        self.total: Counter[str] = Counter()
        # Proxies before the nodes, while there are any (`chaos.network`).
        self.net: Any = None
        self._field: Field | None = None
        self._key: object = None
        with ExitStack() as stack:
            self.cluster = cluster or RedisCluster(node_timeout_ms=NODE_TIMEOUT_MS, more=NODE_OPTIONS)
            stack.callback(self.cluster.stop)
            self.cloud = cloud or Cloud(seed)
            stack.callback(self.cloud.close)
            self.shards = Shards(self.cluster)
            self.shards.heal()
            self._stack = stack.pop_all()

    def field(self, **settings: Any) -> Field:
        """A field whose pods have these settings: the one in use, or a new one."""
        mutant, more = self.variant
        key = (mutant, sorted({**settings, **more}.items()))
        if self._field is None or self._field.spoiled or key != self._key:
            self.end_field()
            self.shards.heal()
            self.cluster.clear()
            self._field, self._key = Field(self, mutant, {**settings, **more}), key
        return self._field

    def counts(self) -> Counter[str]:
        """What all pods and the servers have counted so far."""
        found = Counter(self.total)
        if self._field is not None:
            found.update(self._field.counts())
            found["files put"] += len(self._field.files)
        found["redelivered"] = self.cloud.counts["redelivered"]
        return found

    def spoil(self) -> None:
        """Let the field in use not be used again."""
        if self._field is not None:
            self._field.spoiled = True

    def end_field(self) -> None:
        """End the pods of the field in use."""
        field = self._field
        if field is None:
            return
        self.total = self.counts()
        self._field = None
        # What ends badly after something was wrong is a part of that.
        faults = field.stop()
        for undo in field.undo:
            undo()
        if faults and not field.spoiled:
            raise RuntimeError("\n".join(faults))

    def close(self) -> None:
        """End everything."""
        try:
            self.end_field()
        finally:
            self._stack.close()


Inject = Callable[[World, Tally, int], Iterator[Field]]
"""Injects a fault so many times; gives its field each time that all is to come to rest and be judged."""


def bucket_url() -> str:
    """Where all objects of a field are."""
    return f"s3://{BUCKET}/"


def told(*keys: str, etags: tuple[str, ...] = ()) -> str:
    """The body of a message that names these."""
    return notification(BUCKET, *keys, etags=etags)
