"""Sequences across files, workers and deliveries: alerts raised in the commit and published before the message ends."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aws import CREDENTIALS, wait_until
from batches import record
from fastfold.alert import Publisher
from fastfold.commands.pod import build_worker
from fastfold.errors import Undelivered
from fastfold.metrics import Meter
from fleet import Fleet
from servers import RedisServer
from sqs import Cloud

pytestmark = pytest.mark.servers

RULES = """
id: written-then-connected
title: A file is written, then something is connected to
description: For tests.
level: high
tags: [attack.t1105]
type: sequence
within: 10m
scope: process
steps:
  - {name: writes, kind: file_write, where: {file|endswith: .txt}}
  - {name: connects, kind: net_connect}
---
id: three-written
title: Three files are written on one host
description: For tests.
level: low
tags: [attack.t1486]
type: distinct
least: 3
column: file
within: 1h
scope: host
suppress: 1h
steps:
  - {name: writes, kind: file_write}
"""

SINKS = """
[[sink]]
name = "file"
kind = "file"
path = "{path}"
"""


def connection(process: int, second: int, host: str = "host-a") -> bytes:
    """A line: a process connects, so many seconds after noon."""
    return gzip.compress(
        record(
            process,
            host,
            EventID=3,
            UtcTime=f"2026-01-01 12:00:{second:02d}.000",
            DestinationIp="203.0.113.7",
            DestinationPort="443",
            Initiated="true",
        )
    )


def write(process: int, second: int, host: str = "host-a") -> bytes:
    return gzip.compress(record(process, host, UtcTime=f"2026-01-01 12:00:{second:02d}.000"))


class Detecting(Fleet):
    """A fleet with rules and a file of alerts."""

    def __init__(self, cloud: Cloud, redis_url: str, folder: Path, **more: Any) -> None:
        folder.joinpath("rules.yml").write_text(RULES)
        self.path = folder / "alerts.ndjson"
        folder.joinpath("sinks.toml").write_text(SINKS.format(path=self.path))
        super().__init__(cloud, redis_url, rules=(str(folder / "rules.yml"),), sinks=str(folder / "sinks.toml"), **more)

    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def found(self) -> set[tuple[str, str]]:
        """Rule and host of each alert; that each id names one of them is seen to."""
        by_id: dict[str, tuple[str, str]] = {}
        for alert in self.alerts():
            named = (alert["rule"]["id"], alert["host"])
            assert by_id.setdefault(alert["id"], named) == named
        assert len(set(by_id.values())) == len(by_id)
        return set(by_id.values())


Make = Callable[..., Detecting]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(Cloud(seed=11)) as cloud:
        yield cloud


@pytest.fixture(params=["redis_server", "redis_cluster"])
def make(request: pytest.FixtureRequest, cloud: Cloud, tmp_path: Path) -> Iterator[Make]:
    url = request.getfixturevalue(request.param).url
    with contextlib.ExitStack() as stack:

        def make(**more: Any) -> Detecting:
            fleet = Detecting(cloud, url, tmp_path, **more)
            stack.callback(fleet.client.close)
            return fleet

        yield make


def test_a_sequence_split_over_files_and_workers_is_raised_once(make: Make) -> None:
    fleet = make()
    hosts = [f"host-{number}" for number in range(6)]
    lines = [write(1, 10, host) for host in hosts] + [connection(1, 20, host) for host in hosts]
    # On these, the connection comes first.
    lines += [write(2, 30, host) for host in hosts] + [connection(2, 25, host) for host in hosts]
    random.Random(7).shuffle(lines)
    for name in fleet.put(*lines):
        fleet.tell(name)
        fleet.tell(name)
    counts = fleet.run(2)
    fleet.assert_holds()
    assert fleet.found() == {("written-then-connected", host) for host in hosts}
    assert counts.values["already_applied", ""] >= len(hosts)
    for alert in fleet.alerts():
        assert [step["name"] for step in alert["steps"]] == ["writes", "connects"]
    # From each moment of its way to publication, by rule.
    for since in ("event", "stored", "received", "committed"):
        buckets, _ = counts.times[f"alert_{since}_seconds", "written-then-connected"]
        assert sum(buckets) >= len(hosts), since


def test_marks_of_all_processes_of_a_host_are_matched_in_its_scope(make: Make) -> None:
    fleet = make()
    lines = [write(number, number) for number in range(3)] + [write(number, number, "host-b") for number in range(2)]
    for name in fleet.put(*lines):
        fleet.tell(name)
    fleet.run(2)
    fleet.assert_holds()
    assert fleet.found() == {("three-written", "host-a")}


def test_without_marks_there_is_no_detection_record(make: Make) -> None:
    fleet = make()
    fleet.put(gzip.compress(record(1, EventID=5)))
    fleet.tell(*fleet.files)
    fleet.run(1)
    stored = fleet.keys()
    assert stored
    assert not [key for key in stored if key.endswith(b"!")]


def test_a_late_batch_raises_nothing(make: Make) -> None:
    fleet = make(ledger_window_s=1)
    (old,) = fleet.put(write(1, 1), age_s=3600)
    (new,) = fleet.put(connection(1, 2))
    fleet.tell(new)
    fleet.run(1)
    fleet.tell(old)
    fleet.run(1)
    assert fleet.found() == set()
    assert len(fleet.dead.bodies()) == 1


@pytest.mark.parametrize("place", ["after EXEC", "after publication"])
def test_a_message_that_comes_again_around_publication_loses_no_alert(
    make: Make, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    fleet = make(visibility_s=2)
    for name in fleet.put(write(1, 1), connection(1, 2)):
        fleet.tell(name)
    publish = Publisher.publish
    died: list[str] = []

    def dying(self: Publisher, alerts: Any, deadline: float) -> None:
        if place == "after publication":
            publish(self, alerts, deadline)
        if not died:
            died.append(place)
            raise Undelivered("test", "ended here", 1)
        if place == "after EXEC":
            publish(self, alerts, deadline)

    monkeypatch.setattr(Publisher, "publish", dying)
    counts = fleet.run(2)
    fleet.assert_holds()
    assert died == [place]
    assert fleet.found() == {("written-then-connected", "host-a")}
    assert counts.values["already_applied", ""] >= 1
    copies = len(fleet.alerts())
    assert copies == 1 if place == "after EXEC" else copies >= 1


def test_rules_that_change_are_taken_up_and_broken_ones_are_not(
    redis_server: RedisServer, cloud: Cloud, tmp_path: Path
) -> None:
    fleet = Detecting(cloud, redis_server.url, tmp_path, rules_reload_s=0.05)
    rules = tmp_path / "rules.yml"
    other = RULES.replace("id: written-then-connected", "id: another").replace(
        "kind: file_write, where", "kind: pipe, where"
    )
    steps = [("id: [", "refused"), (other, "loaded")]
    meter = Meter()
    worker = build_worker(fleet.settings, meter)
    worker.start()
    with contextlib.closing(fleet.client):
        try:
            for number, (text, outcome) in enumerate(steps):
                rules.write_text(text)
                wait_until(partial(told, fleet, meter, outcome), 20, f"rules {outcome}", every_s=0.1)
                for name in fleet.put(write(number, 1), connection(number, 2)):
                    fleet.tell(name)
                wait_until(lambda: fleet.queue.alive == 0, 20, "the queue is empty")
        finally:
            assert worker.drain(20)
    # The first process met the rule that was there before; the second met nothing, by the rule that came.
    assert [alert["process"]["id"] for alert in fleet.alerts()] == ["00000000-0000-0000-0000-000000000001"]


def told(fleet: Detecting, meter: Meter, outcome: str) -> bool:
    """Have a worker look at its rules, which it does with a file."""
    if fleet.queue.alive == 0:
        fleet.tell(*fleet.put(gzip.compress(record(50 + len(fleet.files), EventID=5))))
    return meter.snapshot().values.get(("rule_loads", outcome), 0) > 0
