"""The pod: workers are spawned, replaced when they die, drained when asked, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws import wait_until
from doubles import idle
from fastfold import supervisor
from fastfold.config import Settings
from fastfold.errors import ConfigError, StopError
from fastfold.metrics import total
from fastfold.supervisor import Pod, PodError, run_pod

START_S = 30


def settings(what: str = "idle", **more: object) -> Settings:
    values = {"schema": what, "workers": 2, "http_port": 0, "grace_s": 2.0, "log_level": "error", **more}
    return Settings(**values)  # type: ignore[arg-type]


Make = Callable[..., Pod]


@pytest.fixture
def make() -> Iterator[Make]:
    pods: list[Pod] = []

    def make(what: str = "idle", **more: object) -> Pod:
        pods.append(Pod(settings(what, **more), idle))  # type: ignore[arg-type]
        pods[-1].start()
        return pods[-1]

    yield make
    for pod in pods:
        pod.stop()
        assert pod.pids() == []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_report_and_their_last_counts_are_kept(make: Make) -> None:
    pod = make()
    assert pod.not_ready() == "no worker is ready"
    assert pod.wait_ready(START_S)
    assert pod.not_ready() == ""
    assert pod.not_alive() == ""
    wait_until(lambda: total(pod.snapshot(), "files") == 2, 5, "both report")
    assert total(pod.snapshot(), "workers") == len(pod.pids()) == 2
    pod.stop()
    assert total(pod.snapshot(), "files") == 202
    assert total(pod.snapshot(), "in_flight") == total(pod.snapshot(), "workers") == 0
    assert pod.not_ready() == "stopping"
    assert pod.failure is None


def test_a_killed_worker_is_replaced(make: Make) -> None:
    pod = make()
    assert pod.wait_ready(START_S)
    wait_until(lambda: total(pod.snapshot(), "files") == 2, 5, "both report")
    before = pod.pids()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(pod.pids()) - set(before)) == 1, 5, "another worker")
    assert pod.wait_ready(START_S)
    wait_until(lambda: total(pod.snapshot(), "files") == 3, 5, "the new one reports")
    assert total(pod.snapshot(), "restarts") == 1
    assert total(pod.snapshot(), "in_flight") == 2


def test_workers_that_crash_too_often_end_the_pod(make: Make) -> None:
    pod = make("crash", restarts=2)
    assert pod.wait(START_S)
    assert isinstance(pod.failure, PodError)
    assert str(pod.failure) == "workers ended 3 times in 600 s, limit 2; the last with exit code 7"
    assert pod.not_alive() == str(pod.failure)


@pytest.mark.parametrize(("what", "reason"), [("stop", "not with this Redis"), ("wrong", "no such schema")])
def test_a_worker_that_needs_a_person_ends_the_pod(make: Make, what: str, reason: str) -> None:
    pod = make(what)
    assert pod.wait(START_S)
    assert isinstance(pod.failure, StopError)
    assert str(pod.failure) == reason


def test_a_worker_that_does_not_end_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "EXIT_MARGIN_S", 0.5)
    pod = make("stuck", grace_s=0.5)
    assert pod.wait_ready(START_S)
    pids = pod.pids()
    start = time.monotonic()
    pod.stop()
    assert time.monotonic() - start < 5
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_pod_ends_well(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "check_servers", lambda _: None)
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    threading.Timer(1.0, os.kill, [os.getpid(), number]).start()
    assert run_pod(settings("slow"), idle) == 0  # type: ignore[arg-type]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


def test_a_failure_is_raised_by_run_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "check_servers", lambda _: None)
    with pytest.raises(StopError, match="no such schema"):
        run_pod(settings("wrong"), idle)  # type: ignore[arg-type]


def test_servers_are_looked_at_before_any_worker_starts() -> None:
    with pytest.raises(ConfigError, match="Redis URL"):
        run_pod(settings(), idle)  # type: ignore[arg-type]


PARENT = """
import sys, time
sys.path.insert(0, {tests!r})
from doubles import idle
from fastfold.config import Settings
from fastfold.supervisor import Pod
if __name__ == "__main__":
    pod = Pod(Settings(schema="idle", workers=2, http_port=0, grace_s=2.0), idle)
    pod.start()
    assert pod.wait_ready(30)
    print(*pod.pids(), flush=True)
    time.sleep(60)
"""


def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(tests=str(Path(__file__).parents[1])))
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(text) for text in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in pids), 10, "the workers are gone")
