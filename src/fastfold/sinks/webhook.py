"""A sink that posts each alert to an HTTPS server.

A request carries one alert::

    POST /alerts HTTP/1.1
    Content-Type: application/json
    Fastfold-Alert: <id of the alert>
    Fastfold-Timestamp: <seconds since 1970>
    Fastfold-Signature: v1=<hex HMAC-SHA256 of "<timestamp>.<body>" with the shared secret>

The connection goes to an address that has been judged (`fastfold.sinks.webhook_address`); the certificate is verified,
and must be for the name of the URL.  Redirects are not followed, proxies of the environment are not asked.  Answers::

    2xx                      taken
    408, 425, 429, 5xx       later; after Retry-After, where it is said
    anything else            refused: this alert is not taken, others may be

Each request has one deadline over everything, from the resolver to the last byte of the answer: a timer cuts the
connection of a server that drips.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from fastfold import __version__
from fastfold.errors import Unavailable
from fastfold.sinks.types import TAKEN, Answer, Parcel, WebhookFacts
from fastfold.sinks.webhook_address import find_addresses
from fastfold.text import escape

__all__ = ["WebhookSink", "sign"]

ANSWER_BYTES = 16 << 10
"""Most bytes of an answer that are read; the connection of a longer one is closed."""

IDLE_S = 30.0
"""A connection that was not used for so long is opened anew, and its name resolved again."""

AFTER_MOST_S = 300.0
"""Longest time a server may ask to be left alone."""

_REASON_CHARACTERS = 200
_LATER = frozenset({408, 425, 429})
_PORTS = {"https": 443, "http": 80}


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of the header ``Fastfold-Signature``.

    Examples
    --------
    >>> sign(b"secret", "1764000000", b"{}")[:11]
    'v1=b6911979'
    """
    return "v1=" + hmac.new(secret, timestamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


class WebhookSink:
    """Posts to one URL, over one connection at a time.

    Parameters
    ----------
    facts : WebhookFacts
    secret : bytes
        Key of the signature; empty: not signed.
    authorization : str
        Value of the header Authorization; empty: none.
    clock, sleep, now : callable
        Seconds: of a clock that is never set, and since 1970.
    """

    most = 1

    def __init__(
        self,
        facts: WebhookFacts,
        secret: bytes = b"",
        authorization: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(facts.url)
        self._facts = facts
        self._secret = secret
        self._authorization = authorization
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._named = parts.netloc
        self._tls = _tls_context(facts.ca_file) if parts.scheme == "https" else None
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._due = 0.0
        self._connection: HTTPConnection | None = None
        self._used = 0.0

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        """Post parcels.

        Raises
        ------
        Unavailable
            If there is no answer.
        """
        return [self._post(parcel) for parcel in parcels]

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, parcel: Parcel) -> Answer:
        self._pace()
        fault: Unavailable | None = None
        with closing(_Deadline(self._clock() + self._facts.timeout_s, self._clock)) as deadline:
            try:
                answer = self._exchange(parcel, deadline)
            except Unavailable as error:
                fault = error
            except (HTTPError, OSError, ValueError) as error:
                fault = Unavailable(self._host, _reason(error))
        if deadline.over:
            # What was cut may look like an answer that is merely short.
            fault = Unavailable(self._host, f"no answer within {self._facts.timeout_s} s")
        if fault is not None:
            self.close()
            raise fault
        return self._judge(*answer)

    def _exchange(self, parcel: Parcel, deadline: _Deadline) -> tuple[BaseHTTPResponse, bytes]:
        """Post, and read the answer."""
        kept = self._kept()
        if kept is not None:
            deadline.watch(kept)
            try:
                return self._ask(kept, parcel)
            except (HTTPError, OSError):
                # Its server may have closed it while it was idle; a new one tells.
                self.close()
                if deadline.over:
                    raise
        return self._ask(self._connect(deadline), parcel)

    def _ask(self, connection: HTTPConnection, parcel: Parcel) -> tuple[BaseHTTPResponse, bytes]:
        connection.request("POST", self._path, parcel.body, self._headers(parcel), preload_content=False)
        response = connection.getresponse()
        said = response.read(ANSWER_BYTES, decode_content=False)
        if response.read(1, decode_content=False):
            self.close()
        self._used = self._clock()
        return response, said

    def _judge(self, response: BaseHTTPResponse, said: bytes) -> Answer:
        status = response.status
        if 200 <= status < 300:
            return TAKEN
        text = escape(said.decode("utf-8", "replace"), _REASON_CHARACTERS)
        reason = f"status {status}{': ' if text else ''}{text}"
        if 300 <= status < 400:
            return Answer("refused", f"status {status}: redirects are not followed")
        if status >= 500 or status in _LATER:
            return Answer("later", reason, _after_s(response.headers.get("Retry-After", "")))
        return Answer("refused", reason)

    def _headers(self, parcel: Parcel) -> dict[str, str]:
        timestamp = str(int(self._now()))
        headers = {
            "Host": self._named,
            "Content-Type": "application/json",
            "User-Agent": f"fastfold/{__version__}",
            # Of our own making, hexadecimal: no text of an attacker gets into a header.
            "Fastfold-Alert": parcel.id,
            "Fastfold-Timestamp": timestamp,
        }
        if self._secret:
            headers["Fastfold-Signature"] = sign(self._secret, timestamp, parcel.body)
        if self._authorization:
            headers["Authorization"] = self._authorization
        return headers

    def _pace(self) -> None:
        """Wait until the next request is due; a pause is not made up for."""
        now = self._clock()
        if self._due > now:
            self._sleep(self._due - now)
        self._due = max(self._due, now) + 1 / self._facts.rate_per_s

    def _kept(self) -> HTTPConnection | None:
        """The connection of the request before, if it may be used again."""
        kept = self._connection
        if kept is not None and not (kept.is_connected and self._clock() - self._used < IDLE_S):
            self.close()
        return self._connection

    def _connect(self, deadline: _Deadline) -> HTTPConnection:
        """A new connection to an address that has passed."""
        fault = "no time left"
        for address in find_addresses(self._host, self._port, self._facts.allow_networks):
            left_s = deadline.left_s()
            if left_s <= 0:
                break
            made = self._open(address, left_s)
            try:
                made.connect()
                deadline.watch(made)
            except (HTTPError, OSError) as error:
                made.close()
                fault = _reason(error)
                continue
            self._connection = made
            return made
        raise Unavailable(self._host, fault)

    def _open(self, address: str, timeout_s: float) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(address, self._port, timeout=timeout_s)
        # Named here, the host is what is asked for in the handshake and what the certificate must be for.
        return HTTPSConnection(
            address, self._port, timeout=timeout_s, ssl_context=self._tls, server_hostname=self._host
        )


class _Deadline:
    """Cuts the connection that it watches when the time is over, whatever is being done with it.

    A wait for bytes has a limit of its own, but a server may send one now and then for ever.
    """

    def __init__(self, end: float, clock: Callable[[], float]) -> None:
        self.over = False
        self._end = end
        self._clock = clock
        self._lock = threading.Lock()
        self._copy: socket.socket | None = None
        self._timer = threading.Timer(max(0.0, self.left_s()), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def left_s(self) -> float:
        """Seconds left."""
        return self._end - self._clock()

    def watch(self, connection: HTTPConnection) -> None:
        """Watch this one from now on."""
        # A copy of the descriptor: a socket of TLS must not be touched by two threads.
        copy = socket.socket(fileno=os.dup(connection.sock.fileno()))
        with self._lock:
            before, self._copy = self._copy, copy
        if before is not None:
            before.close()
        if self.over:
            self._cut()

    def close(self) -> None:
        """Cut nothing any more."""
        self._timer.cancel()
        with self._lock:
            if self._copy is not None:
                self._copy.close()
            self._copy = None

    def _cut(self) -> None:
        self.over = True
        with self._lock:
            if self._copy is not None:
                # The other side may have closed it already.
                with suppress(OSError):
                    self._copy.shutdown(socket.SHUT_RDWR)


def _tls_context(ca_file: str) -> ssl.SSLContext:
    """With the authorities of the system if no file is named; host names are checked."""
    context = ssl.create_default_context(cafile=ca_file or None)
    # Some distributions leave the least version to OpenSSL, and that to a file of the machine.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _reason(error: Exception) -> str:
    return escape(str(error) or type(error).__name__, _REASON_CHARACTERS)


def _after_s(text: str) -> float:
    """Seconds of Retry-After; a date is not read."""
    return min(float(text), AFTER_MOST_S) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
