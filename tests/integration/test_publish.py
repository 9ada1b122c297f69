"""All kinds of sinks at once, some of them down for a while: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alerts import HOSTILE, an_alert, hostile_alert
from aws import free_port
from fastfold.alert import Publisher
from fastfold.alerts.types import Alert
from fastfold.assembly import make_publisher
from fastfold.cli import cli
from fastfold.config import Settings
from fastfold.errors import ConfigError, Undelivered
from fastfold.metrics import Meter
from fastfold.sinks.opening import open_outlets
from fastfold.sinks.read import read_sinks
from hooks import Hook
from sqs import Cloud

SLOTS = 3
END_S = 60

SINKS = """
[[sink]]
name = "all"
kind = "file"
path = "{folder}/all.ndjson"

[[sink]]
name = "queue"
kind = "sqs"
url = "{queue}"
region = "us-east-1"
endpoint_url = "{cloud}"
format = "ocsf"
patience_s = 1

[[sink]]
name = "soc"
kind = "webhook"
level = "high"
url = "http://localhost:{port}/"
allow_http = true
allow_networks = ["127.0.0.0/8", "::1/128"]
rate_per_s = 10000
patience_s = 1
timeout_s = 1

[[sink]]
name = "gone"
kind = "webhook"
tenants = ["nobody"]
url = "http://localhost:9/"
allow_http = true
"""


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with closing(Cloud(seed=7)) as made:
        yield made


def work_off(publisher: Publisher, messages: list[list[Alert]]) -> Counter[int]:
    """What workers do: publish the alerts of each message, and again when its turn comes; how often each came."""
    waiting = deque(enumerate(messages))
    turns: Counter[int] = Counter()
    left = len(messages)
    lock = threading.Lock()
    end = time.monotonic() + END_S

    def slot() -> None:
        nonlocal left
        while time.monotonic() < end:
            with lock:
                if not left:
                    return
                number, alerts = waiting.popleft() if waiting else (-1, [])
            if not alerts:
                time.sleep(0.01)
                continue
            turns[number] += 1
            try:
                publisher.publish(alerts, time.monotonic() + 20)
            except Undelivered:
                # Hours on a real queue would be milliseconds here.
                time.sleep(0.01)
                with lock:
                    waiting.append((number, alerts))
                continue
            with lock:
                left -= 1

    slots = [threading.Thread(target=slot) for _ in range(SLOTS)]
    for thread in slots:
        thread.start()
    for thread in slots:
        thread.join(END_S + 30)
        assert not thread.is_alive()
    assert left == 0, f"{left} messages are left"
    return turns


def test_every_alert_arrives_everywhere_although_sinks_fail(cloud: Cloud, tmp_path: Path) -> None:
    queue = cloud.queue("alerts")
    port = free_port()
    text = SINKS.format(folder=tmp_path, queue=queue.url, cloud=cloud.url, port=port)
    meter = Meter()
    publisher = Publisher(open_outlets(read_sinks("sinks.toml", text.encode()), Settings(), meter), meter)
    levels: Any = ("low", "high", "critical")
    messages = [
        [an_alert(100 * number + each, level=levels[each % 3]) for each in range(1 + number % 5)]
        for number in range(60)
    ]
    cloud.mischief.fail_send = 0.2
    publisher.start()
    hooks: list[Hook] = []
    turns = iter([503, 200, 200, 429, 200])

    def appear() -> None:
        # Nobody listens at first; then somebody who does not always want to.
        time.sleep(3)
        hook = Hook(port=port)
        hook.answer = lambda _: (next(turns, 200), {}, b"")
        hooks.append(hook)

    starter = threading.Thread(target=appear)
    starter.start()
    try:
        came = work_off(publisher, messages)
    finally:
        publisher.close(5)
        starter.join()
        for hook in hooks:
            hook.close()
    wanted = {alert.id: alert.level for alerts in messages for alert in alerts}
    in_file = [json.loads(line)["id"] for line in (tmp_path / "all.ndjson").read_text().splitlines()]
    in_queue = {json.loads(body)["metadata"]["uid"] for body in queue.bodies()}
    posted = {request.headers["Fastfold-Alert"] for hook in hooks for request in hook.requests}
    assert set(in_file) == in_queue == set(wanted)
    assert posted == {id_ for id_, level in wanted.items() if level != "low"}
    # The file was never down: an alert whose message came again was not written again.
    assert len(in_file) == len(wanted)
    # Messages whose alerts are not for the webhook did not wait for it.
    low = max(count for number, count in came.items() if len(messages[number]) == 1)
    assert low < max(came.values())
    values = meter.snapshot().values
    assert values["alerts", "office-shell"] == len(wanted)
    assert values["alerts_delayed", "office-shell"] > 0
    assert values["sinks_down", "soc"] == 0


def test_hostile_texts_arrive_as_they_are(cloud: Cloud, tmp_path: Path) -> None:
    queue = cloud.queue("alerts")
    with closing(Hook()) as hook:
        text = SINKS.format(folder=tmp_path, queue=queue.url, cloud=cloud.url, port=hook.port)
        meter = Meter()
        publisher = Publisher(open_outlets(read_sinks("sinks.toml", text.encode()), Settings(), meter), meter)
        publisher.start()
        try:
            for number, hostile in enumerate(HOSTILE):
                alert = hostile_alert(hostile)
                # The id alone is ours.
                publisher.publish([replace(alert, id=f"{number:032x}")], time.monotonic() + 30)
        finally:
            publisher.close(5)
        lines = (tmp_path / "all.ndjson").read_bytes().split(b"\n")
        assert [json.loads(line)["id"] for line in lines[:-1]] == [f"{number:032x}" for number in range(len(HOSTILE))]
        assert lines[-1] == b""
        for number, hostile in enumerate(HOSTILE[:-1]):
            assert json.loads(lines[number])["process"]["command_line"] == hostile
            assert json.loads(hook.requests[number].body)["host"] == hostile
        assert len(queue.bodies()) == len(HOSTILE)


def test_a_worker_that_ends_leaves_no_thread_behind(tmp_path: Path) -> None:
    text = f'[[sink]]\nname = "f"\nkind = "file"\npath = "{tmp_path}/a"\n'
    meter = Meter()
    publisher = Publisher(open_outlets(read_sinks("sinks.toml", text.encode()), Settings(), meter), meter)
    publisher.start()
    publisher.publish([an_alert()], time.monotonic() + 10)
    publisher.close(5)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("sink-")] == []
    with pytest.raises(Undelivered, match="the worker ends"):
        publisher.publish([an_alert(1)], time.monotonic() + 10)


def test_a_sink_that_cannot_be_opened_is_an_error_of_the_start(tmp_path: Path) -> None:
    sinks = tmp_path / "sinks.toml"
    sinks.write_text(f'[[sink]]\nname = "f"\nkind = "file"\npath = "{tmp_path}/none/a"\n')
    meter = Meter()
    with pytest.raises(ConfigError, match=r"sink f: .*none/a: No such file or directory"):
        make_publisher(Settings(sinks=str(sinks)), meter)
    (tmp_path / "none").mkdir()
    publisher = make_publisher(Settings(sinks=str(sinks)), meter)
    publisher.close(0)


def test_wrong_sinks_are_an_error_before_anything_starts(tmp_path: Path) -> None:
    sinks = tmp_path / "sinks.toml"
    sinks.write_text('[[sink]]\nname = "f"\nkind = "mail"\n')
    needed = ["--queue-url", "https://q.example/1/q", "--buckets", "b", "--redis-url", "redis://127.0.0.1:1"]
    for flags, environ in ((["--sinks", str(sinks)], {}), ([], {"FASTFOLD_SINKS": str(sinks)})):
        result = CliRunner().invoke(cli, ["worker", *needed, *flags], env=environ)
        assert result.exit_code == 3
        assert result.stderr.startswith(f"fastfold: {sinks}:3: [[sink]] 1: kind = 'mail'; allowed: stdout")
