"""A TCP proxy before a Redis server that breaks connections at a chosen command.

Commands are passed one at a time, each with its reply before the next, so that "before EXEC" and
"after EXEC, before its reply" are moments and not chances.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import hiredis

HOST = "127.0.0.1"

PASS = "pass"
CUT = "cut before the command reaches the server"
LOSE = "lose its reply: the server has carried it out"
STALL = "keep the command until the client has given up, and only then pass it on"
HANG = "pass nothing any more, and close nothing: a connection that is half open"
DELAY = "pass the command on later"
SLOW = "pass its reply in small pieces"

Command = tuple[bytes, ...]
Policy = Callable[[Command], str]
_IO_TIMEOUT_S = 30.0
_DELAY_S = 0.3
_PIECES = 20


class Proxy:
    """Listens on a port of its own until it is closed.

    Parameters
    ----------
    port : int
        Of the server.
    policy : callable
        Told each command before it is passed on; answers one of the constants above.  It is called by
        one thread at a time, and may itself do something meanwhile.
    given_up : callable, optional
        Called when the client has left a stalled command, before that is passed on.
    passed : callable, optional
        Called after that, with what the server has answered.
    """

    def __init__(
        self,
        port: int,
        policy: Policy,
        *,
        given_up: Callable[[], None] = lambda: None,
        passed: Callable[[Any], None] = lambda reply: None,
    ) -> None:
        self._given_up = given_up
        self._passed = passed
        self._server_port = port
        self._policy = policy
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """A URL that leads through the proxy."""
        return f"redis://{HOST}:{self.port}?cluster=no"

    def close(self) -> None:
        """Close everything and wait for the threads."""
        # Shutdown wakes the accept; closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._server_port), _IO_TIMEOUT_S)
            except OSError:
                # It is down, for now: so is what stands before it.
                client.close()
                continue
            client.settimeout(_IO_TIMEOUT_S)
            for one in (client, server):
                # Replies pass one by one: with Nagle's algorithm each would wait for an ACK.
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            thread = threading.Thread(target=self._serve, args=(client, server), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        commands, replies = hiredis.Reader(), hiredis.Reader()
        with client, server:
            try:
                while True:
                    command = tuple(_next(commands, client)[0])
                    with self._lock:
                        fate = self._policy(command)
                    if fate == CUT:
                        return
                    if fate == STALL:
                        self._stall(command, client, server, replies)
                        return
                    if fate == HANG:
                        _swallow(client)
                        return
                    if fate == DELAY:
                        time.sleep(_DELAY_S)
                    server.sendall(hiredis.pack_command(command))
                    if command[0].upper() == b"PSYNC":
                        # A replica: from here on it is a stream, and no business of ours.
                        _tunnel(client, server)
                        return
                    _, raw = _next(replies, server)
                    if fate == LOSE:
                        return
                    _send(client, raw, _PIECES if fate == SLOW else 1)
            except OSError:
                return  # either side has gone

    def _stall(self, command: Command, client: socket.socket, server: socket.socket, replies: hiredis.Reader) -> None:
        _swallow(client)
        with self._lock:
            self._given_up()
            server.sendall(hiredis.pack_command(command))
            self._passed(_next(replies, server)[0])


def _swallow(client: socket.socket) -> None:
    """Wait until the client has left."""
    with contextlib.suppress(OSError):
        while client.recv(65536):
            continue


def _send(client: socket.socket, raw: bytes, pieces: int) -> None:
    size = len(raw) // pieces + 1
    for start in range(0, len(raw), size):
        client.sendall(raw[start : start + size])
        if pieces > 1:
            time.sleep(_DELAY_S / pieces)


def _tunnel(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    while True:
        ready, _, _ = select.select([client, server], [], [])
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            other[source].sendall(data)


def _next(reader: hiredis.Reader, source: socket.socket) -> tuple[Any, bytes]:
    """The next value of a stream, and what was received for it."""
    raw = b""
    while (value := reader.gets()) is False:
        received = source.recv(65536)
        if not received:
            raise ConnectionError("closed")
        raw += received
        reader.feed(received)
    return value, raw
