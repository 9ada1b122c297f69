"""A server of webhooks for tests, by HTTP or HTTPS, that answers as it is told and keeps what it was sent."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tls import Pair

__all__ = ["Dripping", "Hook", "Request"]


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    sni: str | None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here, in the thread of the connection: a handshake must not hold up the next connection.
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that do not trust us break off; the tests see it on the other side."""


class Hook:
    """The server.

    Attributes
    ----------
    answer : callable
        What to do with a request: status, headers and body; or it writes to the handler's `wfile` and gives ``None``.
    """

    def __init__(self, pair: Pair | None = None, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Any], tuple[int, dict[str, str], bytes] | None] = lambda _: (200, {}, b"ok")
        self.connections = 0
        self.idle_s = 30.0
        self._lock = threading.Lock()
        self._names: dict[int, str | None] = {}
        self._http = _Server(("127.0.0.1", port), self._handler())
        self.port = self._http.server_port
        if pair is not None:
            self._http.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._http.tls.load_cert_chain(pair.cert, pair.key)
            self._http.tls.sni_callback = lambda sock, name, _: self._names.__setitem__(id(sock), name)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(hook: Hook) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                self.timeout = hook.idle_s
                super().setup()
                with hook._lock:
                    hook.connections += 1
                    self.number = hook.connections

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name = hook._names.get(id(self.connection))
                with hook._lock:
                    hook.requests.append(Request(self.path, dict(self.headers), body, self.number, name))
                told = hook.answer(self)
                if told is None:
                    return
                status, headers, text = told
                self.send_response(status)
                for name_, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name_, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: object) -> None:
                return

        return Handler


class Dripping:
    """A server that sends a byte at a time, for ever, to whoever connects."""

    def __init__(self, byte: bytes, every_s: float = 0.05) -> None:
        self._closed = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self._byte = byte
        self._every_s = every_s
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """End the server."""
        self._closed.set()
        self._socket.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        with connection:
            # A byte of each record of TLS, or of each answer, in its turn.
            for byte in self._byte:
                if self._closed.is_set():
                    return
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    return
                time.sleep(self._every_s)
            self._closed.wait()
