"""HTTP for the machinery around a pod: ``/metrics``, ``/healthz`` and ``/readyz``.

``/healthz`` says whether the pod should be left alone, ``/readyz`` whether it takes messages now;
both answer 200 or 503, with the reason as text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fastfold.errors import ConfigError
from fastfold.metrics import Collector, Tally

__all__ = ["HealthServer"]

Check = Callable[[], str]
"""What is wrong, or an empty text."""

_REQUEST_TIMEOUT_S = 5


class HealthServer:
    """Serves on a thread of its own.

    Parameters
    ----------
    host, port : str, int
        Port 0 takes any that is free.
    tally : Tally
    alive, ready : callable

    Raises
    ------
    ConfigError
        If the port cannot be had.
    """

    def __init__(self, host: str, port: int, tally: Tally, alive: Check, ready: Check) -> None:
        registry = CollectorRegistry()
        registry.register(Collector(tally))
        checks = {"/healthz": alive, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            timeout = _REQUEST_TIMEOUT_S

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    encode, kind = choose_encoder(self.headers.get("Accept", ""))
                    self._answer(HTTPStatus.OK, kind, encode(registry))
                elif self.path in checks:
                    wrong = checks[self.path]()
                    status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                    self._answer(status, "text/plain; charset=utf-8", f"{wrong or 'ok'}\n".encode())
                else:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")

            def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by the base
                """Keep probes out of the log."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigError(f"--http-port (FASTFOLD_HTTP_PORT): cannot listen on {host}:{port}: {error}") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
