"""`fastfold demo` shows the whole system, and leaves nothing behind however it ends."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastfold.exits import Exit

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc for what is left"),
]

_END_S = 60


class Running:
    """A demo in a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path, *args: str) -> None:
        self._folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "fastfold", "demo", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
            start_new_session=True,
        )

    def end(self) -> tuple[str, str]:
        return self.process.communicate(timeout=_END_S)

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"the demo ended without {text!r}")

    def left(self) -> dict[int, str]:
        """Processes that this demo started and that are still there, zombies not counted.

        Workers bear the temporary folder in their environment; redis-server writes over its own, but works in there.
        """
        found = {}
        mark = f"TMPDIR={self._folder}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (
                    mark in (entry / "environ").read_bytes().split(b"\0")
                    or (entry / "cwd").readlink().is_relative_to(self._folder)
                ):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # ended meanwhile, or not ours
                continue
        return found

    def check_nothing_is_left(self) -> None:
        # Python's resource tracker ends a moment after the process it serves.
        end = time.monotonic() + 10
        while self.left() and time.monotonic() < end:
            time.sleep(0.05)
        assert self.left() == {}
        assert list(self._folder.iterdir()) == []


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    started: list[Running] = []

    def begin(*args: str) -> Running:
        started.append(Running(tmp_path_factory.mktemp("demo"), *args))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.end()
        for pid in running.left():  # only after a test that failed
            os.kill(pid, signal.SIGKILL)


def test_generated_files_go_through_and_one_process_is_shown(start: Start) -> None:
    running = start("--files", "8", "--workers", "2")
    output, errors = running.end()
    assert running.process.returncode == Exit.OK, errors
    assert errors == ""
    assert "8 of 8 files" in output
    assert "8 files done, 0 parked; 19,200 records" in output
    assert "0 late" in output
    # These files hold one.
    assert re.search(
        r"^starting rules: 1 alert of 1 rule, from upload to alert: p50 \d+\.\d\d s, p99 \d+\.\d\d s, max \d+\.\d\d s$",
        output,
        re.MULTILINE,
    )
    assert "\x1b" not in output
    page = output[output.index("fastfold inspect '") :]
    assert "  first " in page
    assert "  counts " in page
    running.check_nothing_is_left()


def test_own_files_and_the_reason_of_a_parked_one(start: Start, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(b'{"Channel":"Security"}\n')
    (tmp_path / "bad.json.gz").write_bytes(gzip.compress(b'{"a":1}\n{"a":01}\n'))
    running = start(str(tmp_path))
    output, errors = running.end()
    assert running.process.returncode == Exit.REJECTED, errors
    assert "1 files done, 1 parked" in output
    assert "starting rules: no alerts\n" in output
    (reason,) = [line for line in output.splitlines() if line.startswith("parked: ")]
    assert "bad.json.gz" in reason
    assert "line" in reason
    running.check_nothing_is_left()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("starting redis-server", signal.SIGTERM),
        ("starting a pod", signal.SIGINT),
        ("files, ", signal.SIGINT),
        ("files, ", signal.SIGTERM),
    ],
)
def test_a_signal_at_any_moment_leaves_nothing(start: Start, moment: str, number: signal.Signals) -> None:
    running = start("--files", "12")
    running.wait_for(moment)
    # Ctrl-C reaches the whole foreground group.
    os.killpg(running.process.pid, number) if number == signal.SIGINT else running.process.send_signal(number)
    _, errors = running.end()
    assert running.process.returncode == Exit.INTERRUPTED
    assert "Traceback" not in errors
    running.check_nothing_is_left()


def test_kept_servers_end_with_ctrl_c(start: Start) -> None:
    running = start("--files", "1", "--keep")
    running.wait_for("left running until Ctrl-C")
    assert any("redis-server" in line for line in running.left().values())
    running.process.send_signal(signal.SIGINT)
    running.end()
    assert running.process.returncode == Exit.OK
    running.check_nothing_is_left()


def test_a_redis_that_does_not_start_is_one_clear_line(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/no/such/program")
    running = start("--files", "1")
    _, errors = running.end()
    assert running.process.returncode == Exit.SETUP
    assert errors == "fastfold: REDIS_SERVER names /no/such/program, which is not a program\n"
    running.check_nothing_is_left()
