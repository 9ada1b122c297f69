"""Pods killed between EXEC and publication, and between publication and delete: no alert is lost, none has two ids."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aws import CREDENTIALS, free_port, wait_until
from batches import record
from fastfold.config import SETTINGS, value_of
from fastfold.detection.form import decode_record
from fastfold.detection.raising import alert_id
from fastfold.store import process_digest
from fastfold.values import unpack_value
from fleet import Fleet
from hooks import Hook
from sqs import Cloud

pytestmark = pytest.mark.servers

HOSTS = 4
END_S = 60
HELD_S = 600

RULES = """
id: written-then-connected
title: A file is written, then something is connected to
level: high
type: sequence
within: 10m
scope: process
steps:
  - {name: writes, kind: file_write}
  - {name: connects, kind: net_connect}
"""

SINKS = """
[[sink]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:{port}/"
allow_http = true
allow_networks = ["127.0.0.0/8"]
rate_per_s = 10000
patience_s = 60
"""


def write(process: int, host: str) -> bytes:
    return gzip.compress(record(process, host, UtcTime="2026-01-01 12:00:01.000"))


def connection(process: int, host: str) -> bytes:
    facts = {"UtcTime": "2026-01-01 12:00:02.000", "DestinationIp": "203.0.113.7", "DestinationPort": "443"}
    return gzip.compress(record(process, host, EventID=3, Initiated="true", **facts))


class Alarmed(Fleet):
    """A fleet of real pods with one rule and one webhook, whose server a test starts when it likes."""

    def __init__(self, cloud: Cloud, redis_url: str, folder: Path) -> None:
        self.port = free_port()
        rules, sinks = folder / "rules.yml", folder / "sinks.toml"
        rules.write_text(RULES)
        sinks.write_text(SINKS.format(port=self.port))
        super().__init__(
            cloud,
            redis_url,
            rules=(str(rules),),
            sinks=str(sinks),
            visibility_s=2,
            workers=1,
            http_port=0,
            log_level="error",
        )
        self.pods: list[subprocess.Popen[bytes]] = []

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """A pod in a process group of its own."""
        given = {setting: value_of(self.settings, setting) for setting in SETTINGS}
        changed = {setting: value for setting, value in given.items() if value != setting.default}
        texts = {
            setting.environment: ",".join(value) if setting.kind is tuple else str(value)
            for setting, value in changed.items()
        }
        pod = subprocess.Popen(
            [sys.executable, "-m", "fastfold", "worker"], env={**os.environ, **texts, **more}, start_new_session=True
        )
        self.pods.append(pod)
        return pod

    def fill(self, hosts: int) -> set[str]:
        """Files of so many hosts, two of each that together meet the rule; the hosts."""
        names = {f"host-{number}" for number in range(hosts)}
        files = [make(1, host) for host in sorted(names) for make in (write, connection)]
        for key in self.put(*files):
            self.tell(key)
        return names

    def raised(self) -> dict[str, bytes]:
        """What Redis says of which batch raised an alert, by host."""
        records = [decode_record(unpack_value(value, key)) for key, value in self.keys().items() if key[-1:] == b"!"]
        return {record.host: record.raised[0].batch for record in records if record.raised}

    def expected(self) -> dict[str, str]:
        """The id of each host's alert, as it is defined."""
        records = [decode_record(unpack_value(value, key)) for key, value in self.keys().items() if key[-1:] == b"!"]
        process = process_digest("00000000-0000-0000-0000-000000000002")
        return {
            record.host: alert_id(record.told[one.rule], record.tenant, record.host, process, 0)
            for record in records
            for one in record.raised
        }

    def wait_done(self) -> None:
        wait_until(lambda: self.queue.alive == 0, END_S, "the queue is empty")
        self.assert_holds()


def kill(pod: subprocess.Popen[bytes]) -> None:
    """Supervisor and workers at one moment."""
    os.killpg(pod.pid, signal.SIGKILL)
    pod.wait()


def delivered(hook: Hook) -> Counter[tuple[str, str]]:
    """How often each alert came: host and id."""
    alerts = [json.loads(request.body) for request in list(hook.requests)]
    return Counter((alert["host"], alert["id"]) for alert in alerts)


def came(fleet: Alarmed, hook: Hook, before: int) -> bool:
    return len(hook.requests) > before or fleet.queue.alive == 0


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(Cloud(seed=13)) as cloud:
        yield cloud


@pytest.fixture(params=["redis_server", "redis_cluster"])
def fleet(request: pytest.FixtureRequest, cloud: Cloud, tmp_path: Path) -> Iterator[Alarmed]:
    fleet = Alarmed(cloud, request.getfixturevalue(request.param).url, tmp_path)
    yield fleet
    for pod in fleet.pods:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pod.pid, signal.SIGKILL)
        pod.wait()
    fleet.client.close()


Listen = Callable[[], Hook]


@pytest.fixture
def listen(fleet: Alarmed) -> Iterator[Listen]:
    """Starts the server of the webhook."""
    with contextlib.ExitStack() as stack:

        def start() -> Hook:
            return stack.enter_context(contextlib.closing(Hook(port=fleet.port)))

        yield start


def test_killed_between_exec_and_publication(fleet: Alarmed, listen: Listen) -> None:
    hosts = fleet.fill(HOSTS)
    pod = fleet.start()
    # Nobody listens: what has been raised cannot have been published.
    wait_until(lambda: bool(fleet.raised()), END_S, "an alert is raised in Redis")
    kill(pod)
    before = fleet.raised()
    hook = listen()
    fleet.start()
    fleet.wait_done()
    found = delivered(hook)
    assert sorted(found) == sorted(fleet.expected().items())
    assert {host for host, _ in found} == hosts
    # By the batch that had raised them: the second pod has not raised, but told of them.
    after = fleet.raised()
    assert {host: after[host] for host in before} == before


def test_killed_between_publication_and_delete(fleet: Alarmed, listen: Listen) -> None:
    hook = listen()
    hosts = fleet.fill(HOSTS)
    # Held for so long that no message is deleted meanwhile.
    pod = fleet.start(FASTFOLD_HOLD_S=str(HELD_S), FASTFOLD_HOLD_SINGLE_S=str(HELD_S))
    wait_until(lambda: len(delivered(hook)) == len(hosts), END_S, "every alert is published")
    kill(pod)
    assert fleet.queue.alive == 2 * len(hosts)
    first = delivered(hook)
    fleet.start()
    fleet.wait_done()
    found = delivered(hook)
    assert found.keys() == first.keys()
    assert sorted(found) == sorted(fleet.expected().items())
    assert all(found[alert] > first[alert] for alert in first), "each is told again"


def test_killed_while_a_sink_answers(fleet: Alarmed, listen: Listen) -> None:
    hook = listen()
    pods: list[subprocess.Popen[bytes]] = []

    def answer(_: Any) -> tuple[int, dict[str, str], bytes]:
        if pods:
            kill(pods.pop())
        return 200, {}, b"ok"

    hook.answer = answer
    hosts = fleet.fill(HOSTS)
    pods.append(fleet.start())
    wait_until(lambda: not pods, END_S, "an alert has come")
    ((host, first),) = delivered(hook)
    fleet.start()
    fleet.wait_done()
    found = delivered(hook)
    assert {host for host, _ in found} == hosts
    assert sorted(found) == sorted(fleet.expected().items())
    assert found[host, first] >= 2


def test_killed_again_and_again(fleet: Alarmed, listen: Listen) -> None:
    hook = listen()
    chance = random.Random(5)
    hook.answer = lambda _: (200 if chance.random() < 0.7 else 503, {}, b"")
    hosts = fleet.fill(24)
    kills = 0
    for _ in range(6):
        before = len(hook.requests)
        pod = fleet.start()
        wait_until(partial(came, fleet, hook, before), END_S, "an alert comes")
        time.sleep(chance.uniform(0, 0.2))
        kills += fleet.queue.alive > 0
        kill(pod)
    fleet.start()
    fleet.wait_done()
    assert kills >= 3
    found = delivered(hook)
    assert {host for host, _ in found} == hosts
    assert sorted(found) == sorted(fleet.expected().items())
