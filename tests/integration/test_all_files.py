"""All real files, through S3, SNS, SQS and a pod of four workers, into a real Redis and a real cluster.

Every state must equal the reference fold of all files, byte for byte after decompression; a second
delivery of every file must change no byte, and killing workers must change nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws import Site, notification, wait_until
from fastfold.commands.pod import build_worker
from fastfold.config import Settings
from fastfold.metrics import total
from fastfold.supervisor import Pod
from servers import NODE_TIMEOUT_MS
from states import Identity, assert_states, open_redis, read_keys

pytestmark = [pytest.mark.servers, pytest.mark.real_files, pytest.mark.timeout(240)]

WORKERS = 4
START_S = 60
END_S = 120
KILLS = 3

# Short, so that what a killed worker held is not waited for long.
VISIBILITY_S = 4


@dataclass
class Stage:
    """A site and a Redis, and pods between them."""

    site: Site
    settings: Settings
    client: Any

    def upload(self, files: list[Path]) -> None:
        for path in files:
            self.site.put(path.name, path.read_bytes())

    def deliver_again(self, files: list[Path]) -> None:
        """Name every file once more, some alone and some together in one message."""
        names = [path.name for path in files]
        for start in range(0, len(names), 5):
            group = names[start : start + 5]
            for keys in [group] if start % 2 else [[name] for name in group]:
                self.site.send(notification(self.site.bucket, *keys))

    @contextlib.contextmanager
    def pod(self) -> Iterator[Pod]:
        pod = Pod(self.settings, build_worker)
        pod.start()
        try:
            assert pod.wait_ready(START_S), pod.failure
            yield pod
        finally:
            pod.stop()
        assert pod.failure is None
        assert pod.pids() == []

    def keys(self) -> dict[bytes, bytes]:
        return read_keys(self.client, self.settings.namespace)

    def assert_holds(self, expected: dict[Identity, bytes]) -> None:
        assert_states(self.keys(), expected, self.settings.namespace)
        assert self.site.dead() == 0


@pytest.fixture(params=["redis_server", "redis_cluster"])
def stage(request: pytest.FixtureRequest, make_aws_site: Callable[..., Site]) -> Iterator[Stage]:
    url = request.getfixturevalue(request.param).url
    site = make_aws_site()
    settings = Settings(
        queue_url=site.queue_url,
        buckets=(site.bucket,),
        endpoint_url=site.server.url,
        redis_url=url,
        namespace=f"{site.name}:",
        workers=WORKERS,
        visibility_s=VISIBILITY_S,
        hold_s=2 * NODE_TIMEOUT_MS / 1000,
        wait_s=1,
        http_port=0,
        log_level="warning",
    )
    client = open_redis(url)
    yield Stage(site, settings, client)
    client.close()


def test_every_state_equals_the_reference_and_a_second_delivery_changes_no_byte(
    stage: Stage, otrf_files: list[Path], otrf_payloads: dict[Identity, bytes]
) -> None:
    with stage.pod() as pod:
        stage.upload(otrf_files)
        stage.site.wait_empty(END_S)
        stage.assert_holds(otrf_payloads)
        before = stage.keys()

        stage.deliver_again(otrf_files)
        stage.site.wait_empty(END_S)
        assert stage.keys() == before
    counts = pod.snapshot()
    assert total(counts, "files") == 2 * len(otrf_files)
    assert total(counts, "restarts") == total(counts, "parked") == total(counts, "late") == 0
    assert total(counts, "already_applied") > 0


def test_killing_workers_changes_nothing(
    stage: Stage, otrf_files: list[Path], otrf_payloads: dict[Identity, bytes]
) -> None:
    seed = int(os.environ.get("FASTFOLD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FASTFOLD_SEED={seed}")
    choice = random.Random(seed)
    stage.upload(otrf_files)
    with stage.pod() as pod:
        wait_until(lambda: total(pod.snapshot(), "in_flight") > 0, START_S, "work has begun", every_s=0.01)
        left = []
        for _ in range(KILLS):
            time.sleep(choice.uniform(0.0, 0.25))
            left.append(stage.site.depth())
            os.kill(choice.choice(pod.pids()), signal.SIGKILL)
        print(f"messages left at each kill: {left}")
        assert left[0] > 0, "nothing was in work"
        stage.site.wait_empty(END_S)
    stage.assert_holds(otrf_payloads)
    assert total(pod.snapshot(), "restarts") == KILLS
