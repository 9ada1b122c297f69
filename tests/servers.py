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
from collections.abc import Callable
from pathlib import Path

import redis

from fastfold.errors import Unavailable
from fastfold.local import HOST, find_redis
from tls import Tls

__all__ = ["RedisCluster", "RedisServer", "wait_for"]

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


class _Process:
    """A redis-server that keeps nothing, from its start until `stop`; it ends when the test run does."""

    def __init__(self, *options: str, tls: Tls | None = None) -> None:
        program = str(Path(find_redis()).absolute())
        for _ in range(50):
            self.port = random.choice(PORTS)
            self.tls_port = self.port + 1 if tls is not None else 0
            ports = [self.port, self.tls_port] if tls is not None else [self.port]
            if not all(_is_free(port) and _is_free(port + 10000) for port in ports):
                continue
            if tls is not None:
                options = (*options, "--tls-port", str(self.tls_port), *tls.options())
            self._folder = tempfile.TemporaryDirectory(prefix="fastfold-redis-")
            self._process = subprocess.Popen(
                [program, "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no", *options],
                cwd=self._folder.name,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C at the terminal is for pytest, which ends us in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call into libc, found beforehand
            )
            if self._wait():
                return
            # The port has been taken meanwhile: then another is tried.
            self.stop()
        raise Unavailable("redis-server", "could not be started on any of 50 ports")

    def _wait(self) -> bool:
        end = time.monotonic() + WAIT_S
        with redis.Redis(HOST, self.port, socket_timeout=5.0) as client:
            while self._process.poll() is None and time.monotonic() < end:
                with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                    # Another server may have been quicker to take the port.
                    return bool(client.info("server")["process_id"] == self._process.pid)
                time.sleep(0.02)
        return False

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it; a second time does nothing."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _die_with_parent() -> None:
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
    """Three masters and three replicas on loopback; with `tls` the nodes speak TLS, also with each other."""

    def __init__(self, tls: Tls | None = None) -> None:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
        if tls is not None:
            options += ["--tls-cluster", "yes", "--tls-replication", "yes"]
        self._servers: list[_Process] = []
        try:
            for _ in range(2 * MASTERS):
                self._servers.append(_Process(*options, tls=tls))
            self.ports = [server.port for server in self._servers]
            self._meet_ports = [server.tls_port or server.port for server in self._servers]
            self._form()
        except BaseException:
            self.stop()
            raise
        self.url = f"{'redis' if tls is None else 'rediss'}://{HOST}:{self._meet_ports[0]}"

    def node(self, port: int) -> redis.Redis:
        """A client of one node; the caller closes it."""
        return redis.Redis(HOST, port)

    def signal(self, port: int, number: int) -> None:
        """Send a signal to the node of a port."""
        next(server for server in self._servers if server.port == port).signal(number)

    def _form(self) -> None:
        nodes = [self.node(port) for port in self.ports]
        try:
            for number, node in enumerate(nodes):
                node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                nodes[0].execute_command("CLUSTER", "MEET", HOST, self._meet_ports[number])
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
