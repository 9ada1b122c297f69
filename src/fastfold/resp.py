"""The connection that carries a transaction: a socket, hiredis for the replies, and nothing else.

It never sends a command a second time and never connects again by itself.  Whoever holds it knows
that every reply belongs to what was sent on this very connection, which is what makes WATCH mean
something.  A well-formed error reply is data (`fastfold.store.ReplyError`); a broken stream, a
timeout or a reply above the limit closes the connection and raises `Unavailable`.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

import hiredis

from fastfold._core import pack_commands
from fastfold.errors import ConfigError, Unavailable
from fastfold.store import Command, Reply, ReplyError

__all__ = ["REFUSALS", "ConnectSettings", "Connector", "Node", "RedisAddress", "RespConnection"]

REFUSALS = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
"""Codes of error replies that only a person can mend."""

_DEFAULT_PORT = 6379
_RECEIVE_BYTES = 64 << 10
_URL = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
_CLUSTER_MODES = ("auto", "yes", "no")
_MISSING = object()
# What a wait that was too long is told as: by the kernel, and by OpenSSL on top of it.
_LATE = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# What a server says of AUTH without a password of its own, and of a database that it lacks.
_REFUSED_SETUP = ("ERR AUTH", "ERR Client sent AUTH", "ERR DB index", "ERR SELECT", "ERR invalid DB index")


class Node(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis, or the seeds of a cluster, as named by a URL.

    Attributes
    ----------
    seeds : tuple of Node
        A cluster is found from any of them.
    username : str
        Empty for the default user.
    password : str
        Never shown.
    tls : bool
        ``rediss://``.
    database : int
        Of a single Redis.
    cluster : str
        ``yes``, ``no``, or ``auto``: ask the server.
    """

    seeds: tuple[Node, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    database: int = 0
    cluster: str = "auto"

    @classmethod
    def from_url(cls, url: str) -> RedisAddress:
        """Parse ``redis[s]://[[user]:password@]host[:port][,host[:port]...][/database][?cluster=auto|yes|no]``.

        Raises
        ------
        ConfigError
            Its message repeats nothing that could be part of a password.

        Examples
        --------
        >>> str(RedisAddress.from_url("rediss://fold:s3cret@a.example,b.example:7000/?cluster=yes"))
        'rediss://fold:***@a.example:6379,b.example:7000?cluster=yes'
        """
        scheme, place, path, query, fragment = _split(url)
        if scheme not in ("redis", "rediss"):
            raise _wrong("must begin with redis:// or rediss://")
        if fragment:
            raise _wrong("a # in a password is written %23")
        user_info, _, hosts = place.rpartition("@")
        if "[" in user_info or "]" in user_info or hosts.count("[") != hosts.count("]"):
            raise _wrong("brackets that do not belong in it; in a password they are written %5B and %5D")
        username, _, password = user_info.partition(":")
        options = dict(parse_qsl(query, keep_blank_values=True))
        cluster = options.pop("cluster", "auto")
        if cluster not in _CLUSTER_MODES or options:
            raise _wrong("the only option is ?cluster=auto, yes or no")
        database = path.removeprefix("/") or "0"
        if not (database.isascii() and database.isdigit()):
            raise _wrong("the path is a database number; a / in a password is written %2F")
        if int(database) and cluster == "yes":
            raise _wrong("a cluster has only database 0")
        seeds = tuple(_parse_seed(seed) for seed in hosts.split(","))
        if len(seeds) > 1 and cluster == "no":
            raise _wrong("several hosts are seeds of a cluster, but ?cluster=no")
        return cls(seeds, unquote(username), unquote(password), scheme == "rediss", int(database), cluster)

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        user = f"{self.username}:***@" if self.password else ""
        database = f"/{self.database}" if self.database else ""
        cluster = f"?cluster={self.cluster}" if self.cluster != "auto" else ""
        return f"{scheme}://{user}{','.join(map(str, self.seeds))}{database}{cluster}"


def _split(url: str) -> tuple[str, str, str, str, str]:
    """Scheme, user and hosts, path, query and fragment, by the expression of RFC 3986, appendix B.

    Newer versions of `urllib.parse.urlsplit` refuse brackets anywhere but around a single host, and we take several.
    """
    url = url.strip()
    found = _URL.fullmatch(url)
    if found is None or not url.isprintable() or " " in url:
        raise _wrong("characters that do not belong in it")
    scheme, place, path, query, fragment = found.groups(default="")
    return scheme.lower(), place, path, query, fragment


def _wrong(why: str) -> ConfigError:
    return ConfigError(f"Redis URL: {why}")


def _parse_seed(text: str) -> Node:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _wrong("an IPv6 address is written [address]:port")
        port = rest[1:]
    else:
        host, colon, port = text.partition(":")
        if colon and not port:
            raise _wrong("a port is missing after a colon")
    if not host:
        raise _wrong("a host is missing")
    if not port:
        return Node(host, _DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise _wrong("a port is a number from 1 to 65535; an IPv6 address is written [address]:port")
    return Node(host, int(port))


@dataclass(frozen=True, slots=True)
class ConnectSettings:
    """How to connect.

    Attributes
    ----------
    connect_timeout_s : float
        Longest wait for a connection, the TLS handshake included, seconds.
    timeout_s : float
        Longest wait for the replies to a packet, seconds.
    reply_bytes : int
        Largest reply, bytes.
    ca_file : str
        PEM file of the authorities trusted for TLS; empty for those of the system.
    cert_file, key_file : str
        PEM files of a client certificate; empty for none.
    """

    connect_timeout_s: float = 1.0
    timeout_s: float = 3.0
    reply_bytes: int = 128 << 20
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class Connector:
    """Opens connections to the nodes of one address.

    Parameters
    ----------
    address : RedisAddress
    settings : ConnectSettings

    Raises
    ------
    ConfigError
        If a certificate file cannot be used.
    """

    def __init__(self, address: RedisAddress, settings: ConnectSettings | None = None) -> None:
        self._address = address
        self._settings = settings or ConnectSettings()
        self._tls = _tls_context(self._settings) if address.tls else None

    def __call__(self, node: Node) -> RespConnection:
        """A connection that has passed TLS, AUTH and SELECT.

        Raises
        ------
        Unavailable
            If the node cannot be reached, or not now.
        ConfigError
            If it refuses the user, the password or the database, or its certificate is not trusted.
        """
        settings = self._settings
        try:
            plain = socket.create_connection(node, settings.connect_timeout_s)
        except OSError as error:
            raise Unavailable(str(node), f"cannot connect: {error}") from error
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=node.host)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise ConfigError(f"{node}: certificate not trusted: {error.verify_message}") from error
        except OSError as error:
            plain.close()
            raise Unavailable(str(node), f"cannot connect: {error}") from error
        connection = RespConnection(stream, str(node), settings)
        try:
            self._introduce(node, connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _introduce(self, node: Node, connection: RespConnection) -> None:
        address = self._address
        commands: list[Command] = []
        if address.password:
            user = (address.username.encode(),) if address.username else ()
            commands.append((b"AUTH", *user, address.password.encode()))
        if address.database:
            commands.append((b"SELECT", b"%d" % address.database))
        connection.send(commands)
        for reply in connection.read(len(commands)):
            if isinstance(reply, ReplyError):
                if reply.code in REFUSALS or reply.text.startswith(_REFUSED_SETUP):
                    raise ConfigError(f"{node}: {reply.text}")
                raise Unavailable(str(node), reply.text)


def _tls_context(settings: ConnectSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        # Some distributions leave the least version to OpenSSL, and that to a file of the machine.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
    except OSError as error:
        files = ", ".join(filter(None, (settings.ca_file, settings.cert_file, settings.key_file)))
        raise ConfigError(f"certificate files ({files}): {error}") from error
    return context


def _limit_waits(stream: socket.socket, timeout_s: float) -> None:
    seconds, rest = divmod(timeout_s, 1)
    limit = struct.pack("@ll", int(seconds), int(rest * 1e6))
    stream.settimeout(None)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        stream.setsockopt(socket.SOL_SOCKET, option, limit)


class RespConnection:
    """One connection, with RESP2 on it.

    Parameters
    ----------
    stream : socket.socket
        Connected; owned from here on.
    server : str
        Its name in errors.
    settings : ConnectSettings
    """

    def __init__(self, stream: socket.socket, server: str, settings: ConnectSettings) -> None:
        # Told to the kernel once, and not to Python, which would ask before each call whether it can be done.
        _limit_waits(stream, settings.timeout_s)
        self._stream = stream
        self._server = server
        self._timeout_s = settings.timeout_s
        self._reply_bytes = settings.reply_bytes
        # Its stub wants an exception class; any callable does, and an error reply is data here.
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_MISSING)  # type: ignore[arg-type]
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._unread_bytes = 0

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands in one packet."""
        if not commands:
            return
        packet = pack_commands(commands)
        try:
            self._stream.sendall(packet)
        except _LATE as error:
            raise self._broken("send: timed out") from error
        except OSError as error:
            raise self._broken(f"send: {error}") from error

    def read(self, count: int) -> list[Reply]:
        """Read that many replies.

        Raises
        ------
        Unavailable
            If the stream breaks, is no RESP, is too slow, or a reply too large.  The connection is
            closed then.
        """
        replies: list[Reply] = []
        deadline = time.monotonic() + self._timeout_s
        gets = self._reader.gets
        try:
            for _ in range(count):
                reply = gets()
                if reply is _MISSING:
                    reply = self._wait(deadline)
                replies.append(reply)
        except hiredis.ProtocolError as error:
            raise self._broken(f"not RESP: {error}") from error
        return replies

    def close(self) -> None:
        """Close; a second time does nothing."""
        self._stream.close()

    def _wait(self, deadline: float) -> Reply:
        """Receive until a reply is whole."""
        while True:
            self._receive(deadline)
            reply: Reply = self._reader.gets()
            if reply is not _MISSING:
                self._unread_bytes = 0
                return reply

    def _receive(self, deadline: float) -> None:
        if self._unread_bytes > self._reply_bytes:
            raise self._broken(f"reply too long, limit {self._reply_bytes} bytes")
        try:
            received_bytes = self._stream.recv_into(self._buffer)
        except _LATE as error:
            raise self._broken("receive: timed out") from error
        except OSError as error:
            raise self._broken(f"receive: {error}") from error
        if not received_bytes:
            raise self._broken("closed by the server")
        if time.monotonic() > deadline:
            raise self._broken("receive: timed out")
        self._unread_bytes += received_bytes
        self._reader.feed(self._buffer, 0, received_bytes)  # type: ignore[arg-type]

    def _broken(self, reason: str) -> Unavailable:
        self.close()
        return Unavailable(self._server, reason)
