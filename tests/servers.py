"""Real Redis servers for tests: one alone, and a cluster of three masters with a replica each."""

from __future__ import annotations

import contextlib
import ctypes
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import redis

from fastfold.errors import Unavailable
from fastfold.local import HOST, find_redis
from tls import Tls

__all__ = ["Place", "RedisCluster", "RedisServer", "die_with_parent", "wait_for"]

# A cluster bus listens at the port + 10000, which must stay below the ports given to clients (32768 on Linux).
PORTS = range(15000, 22000)
NODE_TIMEOUT_MS = 2000
MASTERS = 3
SLOTS = 16384
WAIT_S = 60.0

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def wait_for(holds: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> None:
    """Wait until something holds."""
    end = time.monotonic() + wait_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {wait_s:g} s")
        time.sleep(0.05)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Place(NamedTuple):
    """Where a node runs: its address, further ones it listens on, and the command that begins its own."""

    host: str = HOST
    also: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()


class _Process:
    """A redis-server that keeps nothing, from its start until `stop`; it ends when the test run does."""

    def __init__(self, *options: str, tls: Tls | None = None, place: Place | None = None) -> None:
        program = str(Path(find_redis()).absolute())
        self.place = place or Place()
        for _ in range(50):
            self.port = random.choice(PORTS)
            self.tls_port = self.port + 1 if tls is not None else 0
            ports = [self.port, self.tls_port] if tls is not None else [self.port]
            if not all(_is_free(port) and _is_free(port + 10000) for port in ports):
                continue
            if tls is not None:
                options = (*options, "--tls-port", str(self.tls_port), *tls.options())
            self._folder = tempfile.TemporaryDirectory(prefix="fastfold-redis-")
            bound = ["--port", str(self.port), "--bind", self.place.host, *self.place.also]
            self._command = [*self.place.prefix, program, *bound, "--save", "", "--appendonly", "no", *options]
            if self.start():
                return
            # The port has been taken meanwhile: then another is tried.
            self.stop()
        raise Unavailable("redis-server", "could not be started on any of 50 ports")

    def start(self) -> bool:
        """Start it, with nothing but what it knows of its cluster; whether it answers."""
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # Ctrl-C at the terminal is for pytest, which ends us in order.
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into libc, found beforehand
        )
        return self._wait()

    def _wait(self) -> bool:
        end = time.monotonic() + WAIT_S
        with redis.Redis(self.place.host, self.port, socket_timeout=5.0) as client:
            while self._process.poll() is None and time.monotonic() < end:
                with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                    # Another server may have been quicker to take the port.
                    return bool(client.info("server")["process_id"] == self._process.pid)
                time.sleep(0.02)
        return False

    @property
    def alive(self) -> bool:
        """Whether it has not ended; one that is stopped is alive."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once; `start` starts it again."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it; a second time does nothing."""
        self.kill()
        self._folder.cleanup()


def die_with_parent() -> None:
    # A test run that is killed, or ended by its own time limit, runs no clean-up.
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class RedisServer:
    """One redis-server; with `tls` it answers on a second port too, by TLS, and `url` leads there."""

    def __init__(self, tls: Tls | None = None) -> None:
        self._server = _Process(tls=tls)
        self.port = self._server.port
        self.ports = [self.port]
        self.url = f"redis://{HOST}:{self.port}" if tls is None else f"rediss://{HOST}:{self._server.tls_port}"

    def client(self) -> redis.Redis:
        """A client; the caller closes it."""
        return redis.Redis(HOST, self.port)

    def clear(self) -> None:
        """Delete everything."""
        with self.client() as client:
            client.flushall()

    def stop(self) -> None:
        """End the server."""
        self._server.stop()


class RedisCluster:
    """Three masters and three replicas; with `tls` the nodes speak TLS, also with each other.

    Parameters
    ----------
    tls : Tls, optional
    node_timeout_ms : int
    more : sequence of str
        Further options of every node.
    places : sequence of Place, optional
        Of the nodes, masters first; all on loopback unless given.
    """

    def __init__(
        self,
        tls: Tls | None = None,
        *,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
        more: Sequence[str] = (),
        places: Sequence[Place] = (Place(),) * (2 * MASTERS),
    ) -> None:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms), *more]
        if tls is not None:
            options += ["--tls-cluster", "yes", "--tls-replication", "yes"]
        self._servers: list[_Process] = []
        try:
            for place in places:
                self._servers.append(_Process(*options, tls=tls, place=place))
            self.ports = [server.port for server in self._servers]
            self._meet_ports = [server.tls_port or server.port for server in self._servers]
            self._form()
        except BaseException:
            self.stop()
            raise
        scheme, host = ("redis" if tls is None else "rediss"), self._servers[0].place.host
        self.url = f"{scheme}://{host}:{self._meet_ports[0]}"

    def server(self, port: int) -> _Process:
        """The process of a port."""
        return next(server for server in self._servers if server.port == port)

    def node(self, port: int, **more: Any) -> redis.Redis:
        """A client of one node; the caller closes it."""
        return redis.Redis(self.server(port).place.host, port, **more)

    def signal(self, port: int, number: int) -> None:
        """Send a signal to the node of a port."""
        self.server(port).signal(number)

    def _form(self) -> None:
        nodes = [self.node(port) for port in self.ports]
        try:
            for number, node in enumerate(nodes):
                node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                nodes[0].execute_command("CLUSTER", "MEET", self._servers[number].place.host, self._meet_ports[number])
            bounds = [SLOTS * part // MASTERS for part in range(MASTERS + 1)]
            for number in range(MASTERS):
                nodes[number].execute_command("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
            ids = [node.execute_command("CLUSTER", "MYID").decode() for node in nodes]
            for number in range(MASTERS):
                replica = nodes[MASTERS + number]
                wait_for(lambda: self._replicates(replica, ids[number]), "a replica that knows its master")  # noqa: B023
            wait_for(lambda: all(self._is_ready(node) for node in nodes), "a cluster that is ok")
        finally:
            for node in nodes:
                node.close()

    @staticmethod
    def _replicates(replica: redis.Redis, master: str) -> bool:
        try:
            replica.execute_command("CLUSTER", "REPLICATE", master)
        except redis.ResponseError:
            return False
        return True

    @staticmethod
    def _is_ready(node: redis.Redis) -> bool:
        info = node.execute_command("CLUSTER", "INFO")
        text = info.decode() if isinstance(info, bytes) else str(info)
        slots = node.execute_command("CLUSTER", "SLOTS")
        ok = "cluster_state:ok" in text or (isinstance(info, dict) and info.get("cluster_state") == "ok")
        return ok and len(slots) == MASTERS

    def clear(self) -> None:
        """Delete everything."""
        for port in self.ports:
            with self.node(port) as node, contextlib.suppress(redis.ReadOnlyError):
                node.flushall()

    def stop(self) -> None:
        """End all nodes."""
        for server in self._servers:
            server.stop()
