"""`fastfold worker` as a process of its own, seen as an operator sees it: its metrics, its processes, its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from aws import CREDENTIALS, free_port
from fastfold.config import SETTINGS, Settings, value_of
from servers import die_with_parent, wait_for

__all__ = ["PodPlace", "PodProcess"]

ANSWER_S = 5.0
END_S = 60.0
CONNECTIONS = 5
TESTS = Path(__file__).parents[1]


class PodPlace(NamedTuple):
    """Where a pod runs: the command that begins its own, the address of its metrics, how many workers."""

    prefix: tuple[str, ...] = ()
    http_host: str = "127.0.0.1"
    workers: int = 4


class PodProcess:
    """A pod, from its start until `stop`.

    Parameters
    ----------
    settings : Settings
    place : PodPlace
    mutant : str
        A fault to put into its workers (`chaos.mutants`); empty for the program as it is.
    """

    def __init__(self, settings: Settings, place: PodPlace, mutant: str = "") -> None:
        port = free_port()
        self._url = f"http://{place.http_host}:{port}"
        self._ended: Counter[str] = Counter()
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - until the pod has ended
        self._last_words = ""
        own = {"FASTFOLD_HTTP_HOST": place.http_host, "FASTFOLD_HTTP_PORT": str(port)}
        own["FASTFOLD_WORKERS"] = str(place.workers)
        program = ["-m", "chaos.mutants", mutant] if mutant else ["-m", "fastfold", "worker"]
        self._process = subprocess.Popen(
            [*place.prefix, sys.executable, *program],
            env={
                **os.environ,
                **CREDENTIALS,
                **_environment(settings),
                **own,
                "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into libc, found beforehand
        )
        try:
            wait_for(lambda: self._is_ready(place.workers), "a pod that is ready")
        except BaseException:
            self._process.kill()
            self._process.wait()
            self._close_log()
            print(self.log())
            raise

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        return sorted(pid for pid in _children(self._process.pid) if "spawn_main" in _command(pid))

    def working(self) -> list[int]:
        """Those of them that have begun to work: they are connected to SQS, to S3 and to nodes."""
        return [pid for pid in self.workers() if _sockets(pid) >= CONNECTIONS]

    def counts(self) -> Counter[str]:
        """What it counts now, by name, and by ``name:label`` where there is a label."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=ANSWER_S) as reply:
            text = reply.read().decode()
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            if family.type not in ("counter", "gauge"):
                continue
            for sample in family.samples:
                name = sample.name.removeprefix("fastfold_").removesuffix("_total")
                found[name] += int(sample.value)
                for label in sample.labels.values():
                    found[f"{name}:{label}"] += int(sample.value)
        return found

    def log(self) -> str:
        """The end of what it has logged, also after its end."""
        if self._log.closed:
            return self._last_words
        self._log.seek(0)
        return "".join(self._log.readlines()[-40:])

    def stop(self) -> int:
        """Let it finish; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return -signal.SIGKILL
        finally:
            self._close_log()

    def _close_log(self) -> None:
        self._last_words = self.log()
        self._log.close()

    def _is_ready(self, workers: int) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the pod ended with {self._process.returncode}")
        try:
            with urllib.request.urlopen(f"{self._url}/readyz", timeout=ANSWER_S) as reply:
                return reply.status == 200 and self.counts()["workers"] == workers
        except OSError:
            return False


def _environment(settings: Settings) -> dict[str, str]:
    """The settings that are not the default, as an operator gives them."""
    found = {}
    for setting in SETTINGS:
        value = value_of(settings, setting)
        if value != setting.default:
            found[setting.environment] = ",".join(value) if isinstance(value, tuple) else str(value)
    return found


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name of the program may hold anything, but ends with the last bracket.
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found


def _sockets(pid: int) -> int:
    try:
        return sum(str(path.readlink()).startswith("socket:") for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0  # it has ended meanwhile


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""  # it has ended meanwhile
