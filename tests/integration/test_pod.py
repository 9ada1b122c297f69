"""`fastfold worker` as a person or a cluster runs it: flags, health, signals and exit codes."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aws import Site, free_port, wait_until
from fastfold.exits import Exit

pytestmark = pytest.mark.servers

START_S = 60
RECORD = (
    b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"Hostname":"h","UtcTime":"2026-01-01 00:00:00.5",'
    b'"ProcessGuid":"{00000000-0000-0000-0000-000000000001}"}\n'
)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def site(make_aws_site: Callable[..., Site]) -> Site:
    return make_aws_site()


@pytest.fixture
def start(site: Site, redis_server: Any) -> Iterator[Start]:
    """Starts `fastfold worker`; settings come from the environment, flags are added."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str, **environ: str) -> subprocess.Popen[str]:
        settings = {
            "FASTFOLD_QUEUE_URL": site.queue_url,
            "FASTFOLD_BUCKETS": site.bucket,
            "FASTFOLD_ENDPOINT_URL": site.server.url,
            "FASTFOLD_REDIS_URL": redis_server.url,
            "FASTFOLD_NAMESPACE": f"{site.name}:",
            "FASTFOLD_WORKERS": "2",
            "FASTFOLD_WAIT_S": "1",
            "FASTFOLD_HTTP_PORT": "0",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "fastfold", "worker", *flags],
            env={**os.environ, **settings, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of an answer; 0 while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and error output."""
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_a_pod_tells_its_health_and_ends_well_when_asked(site: Site, start: Start) -> None:
    port = free_port()
    process = start("--http-port", str(port))
    wait_until(lambda: get(port, "/readyz") == (200, "ok\n"), START_S, "ready")
    assert get(port, "/healthz") == (200, "ok\n")
    site.put("a.gz", gzip.compress(RECORD))
    site.put("b.gz", gzip.compress(RECORD)[:-1])
    wait_until(lambda: "fastfold_files_total 1.0" in get(port, "/metrics")[1], 30, "one file is counted")
    wait_until(lambda: 'fastfold_parked_total{class="Reject"} 1.0' in get(port, "/metrics")[1], 30, "and one parked")
    process.send_signal(signal.SIGTERM)
    code, errors = end(process)
    assert code == Exit.OK, errors
    site.wait_empty(5)
    assert site.dead() == 1
    # One JSON object a line, whatever the name of the file.
    assert all(line.startswith('{"time":') for line in errors.splitlines()), errors


def test_ctrl_c_reaches_all_processes_and_ends_the_pod_well(start: Start) -> None:
    port = free_port()
    process = start("--http-port", str(port))
    wait_until(lambda: get(port, "/readyz")[0] == 200, START_S, "ready")
    # The terminal sends it to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    code, errors = end(process)
    assert code == Exit.OK, errors


@pytest.mark.parametrize(
    ("server", "environ", "code"),
    [
        ("redis", "FASTFOLD_REDIS_URL", Exit.REDIS),
        ("http", "FASTFOLD_ENDPOINT_URL", Exit.SQS),
    ],
)
def test_a_server_that_does_not_answer_is_one_line_and_a_code_of_its_own(
    start: Start, server: str, environ: str, code: Exit
) -> None:
    port = free_port()
    found, errors = end(start(**{environ: f"{server}://127.0.0.1:{port}"}))
    assert found == code
    assert len(errors.splitlines()) == 1, errors
    assert str(port) in errors
    assert "Traceback" not in errors


def test_wrong_settings_are_told_at_once(start: Start) -> None:
    found, errors = end(start("--workers", "0", FASTFOLD_BUCKETS="", FASTFOLD_SCHEMA="nothing"))
    assert found == Exit.SETUP
    assert "--workers (FASTFOLD_WORKERS): 0 is not within 1 to 64" in errors
    assert "--buckets (FASTFOLD_BUCKETS): is needed" in errors


def test_a_queue_that_is_not_there_or_has_no_dead_letter_queue_is_a_wrong_setting(site: Site, start: Start) -> None:
    found, errors = end(start(FASTFOLD_QUEUE_URL=f"{site.queue_url}-not"))
    assert found == Exit.SETUP
    assert "no such queue" in errors
    found, errors = end(start(FASTFOLD_QUEUE_URL=site.dead_letter_url))
    assert found == Exit.SETUP
    assert "FASTFOLD_DEAD_LETTER_URL" in errors
