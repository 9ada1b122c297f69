"""Real workers between the adverse server of `sqs` and a real Redis, in a key space of their own."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from typing import Any

from aws import notification, wait_until
from batches import expected
from fastfold.commands.pod import build_worker
from fastfold.config import Settings
from fastfold.metrics import Meter, Snapshot
from servers import NODE_TIMEOUT_MS
from sqs import Cloud
from states import assert_states, open_redis, read_keys

BUCKET = "batches"
END_S = 60
HOLD_S = 2 * NODE_TIMEOUT_MS / 1000

_names = itertools.count()


def a_namespace() -> str:
    """A prefix of keys that no other test uses."""
    return f"fleet-{os.getpid()}-{next(_names)}:"


class Fleet:
    """A queue, its dead-letter queue, a bucket, and workers with a namespace of their own."""

    def __init__(self, cloud: Cloud, redis_url: str, *, receives: int = 100, look_url: str = "", **more: Any) -> None:
        self.cloud = cloud
        self.dead = cloud.queue("dead")
        self.queue = cloud.queue("queue", dead=self.dead, receives=receives)
        self.files: dict[str, bytes] = {}
        self.settings = Settings(
            queue_url=self.queue.url,
            endpoint_url=cloud.url,
            redis_url=redis_url,
            **{
                "buckets": (BUCKET,),
                "wait_s": 1,
                "namespace": a_namespace(),
                "hold_s": 2 * NODE_TIMEOUT_MS / 1000,
                **more,
            },
        )
        # Tests look with all rights, whatever those of the workers.
        self.client = open_redis(look_url or redis_url)

    def put(self, *files: bytes, **more: Any) -> list[str]:
        """Put files; their keys."""
        keys = [f"{len(self.files) + number:05}.gz" for number in range(len(files))]
        for key, body in zip(keys, files, strict=True):
            self.files[key] = body
            self.cloud.put(BUCKET, key, body, **more)
        return keys

    def tell(self, *keys: str) -> None:
        """Put one message on the queue that names these."""
        self.queue.put(notification(BUCKET, *keys))

    def run(self, workers: int = 2, *, empty: Callable[[], bool] | None = None) -> Snapshot:
        """Work until the queue is empty; what all workers counted."""
        sum_, made = Snapshot(), []
        for _ in range(workers):
            meter = Meter()
            worker = build_worker(self.settings, meter)
            worker.start()
            made.append((worker, meter))
        try:
            wait_until(empty or (lambda: self.queue.alive == 0), END_S, "the queue is empty")
        finally:
            for worker, meter in made:
                assert worker.drain(END_S)
                sum_.add(meter.snapshot())
        print(f"mischief: {dict(self.cloud.counts)}")
        print(f"counted: {dict(sum_.values)}")
        return sum_

    def keys(self) -> dict[bytes, bytes]:
        return read_keys(self.client, self.settings.namespace)

    def assert_holds(self, *broken: str) -> None:
        files = [body for key, body in self.files.items() if key not in broken]
        assert_states(self.keys(), expected(*files), self.settings.namespace)
        named = [json.loads(body)["Records"][0]["s3"]["object"]["key"] for body in self.dead.bodies()]
        assert sorted(set(named)) == sorted(broken)
