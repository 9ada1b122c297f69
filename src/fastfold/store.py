"""The key space in Redis, and an in-memory store with the same semantics.

====================================  ======  ===========================================  ======================
key                                   type    meaning                                      life
====================================  ======  ===========================================  ======================
``<namespace>{<host tag>}``           string  host record: the ledger of applied batches   ``state_ttl_s`` plus
                                              (`fastfold.ledger.HostRecord`)               ``ledger_window_s``,
                                                                                           from the last commit
``<namespace>{<host tag>}<process     string  state of one process: the canonical payload  ``state_ttl_s`` from
tag>``                                        of the fold                                  the last commit
``<namespace>{<host tag>}!``          string  detection record: what rules have found on     that of the host
                                              a host (`fastfold.detection.record`); only where      record
                                              they have
====================================  ======  ===========================================  ======================

A tag is eleven characters, base64url without padding, of a 64-bit BLAKE2b.  The braces make the
host tag the hash tag of a Redis Cluster: all keys of a host lie in one slot, so one EXEC may write
them all.  Names chosen by an attacker never reach a key, only their hashes do.  The full identity
stands in the value; two identities under one key are found there and refused.

`fastfold.values` has the outer form of both values.

The host record outlives the states it speaks of, because a ledger that is gone while its states
are still there would let a batch be applied a second time.
"""

from __future__ import annotations

import binascii
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from fastfold.types import BatchId

__all__ = [
    "ABORTED_FOR",
    "SLOTS",
    "Command",
    "Connection",
    "MemoryStore",
    "Reply",
    "ReplyError",
    "batch_id",
    "encode_varint",
    "host_key",
    "host_tag",
    "key_slot",
    "prefixed",
    "process_digest",
    "process_key",
    "process_tag",
]

SLOTS = 16384

_DIGEST_BYTES = 8
# Copied for each process: that is a third of the time that a new one takes.
_PROCESSES = blake2b(digest_size=_DIGEST_BYTES, person=b"fastfold.proc")
ABORTED_FOR = "EXECABORT Transaction discarded because of: "
"""What some servers put before the reason for which they refuse an EXEC."""


# Keys


def encode_varint(number: int) -> bytes:
    """LEB128 of an unsigned number."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def prefixed(text: str) -> bytes:
    """A text behind its length: how it stands in what is hashed, and in a host record."""
    encoded = text.encode()
    length = len(encoded)
    return (bytes((length,)) if length < 0x80 else encode_varint(length)) + encoded


def _tag(digest: bytes) -> bytes:
    return urlsafe_b64encode(digest)[:-1]


def host_tag(tenant: str, host: str) -> bytes:
    """The eleven characters between the braces of all keys of a host."""
    return _tag(blake2b(prefixed(tenant) + prefixed(host), digest_size=_DIGEST_BYTES, person=b"fastfold.host").digest())


def process_digest(process: str) -> bytes:
    """The 64-bit hash of a process id: its tag in the key, and its place among the chunks."""
    hasher = _PROCESSES.copy()
    hasher.update(process.encode())
    return hasher.digest()


def process_tag(process: str) -> bytes:
    """The eleven characters after the braces in the key of a state."""
    return _tag(process_digest(process))


def host_key(tenant: str, host: str, namespace: bytes = b"ff:") -> bytes:
    """Key of a host record.

    Examples
    --------
    >>> host_key("", "WORKSTATION5.theshire.local")
    b'ff:{GRJ_dlQU0qU}'
    """
    return b"%b{%b}" % (namespace, host_tag(tenant, host))


def process_key(host_key: bytes, process: str) -> bytes:
    """Key of a state, from the key of its host."""
    return host_key + process_tag(process)


def key_slot(key: bytes) -> int:
    """Slot of a key in a Redis Cluster: CRC-16 of its hash tag, or of all of it when it has none.

    `binascii.crc_hqx` is the same CRC-16 (polynomial 0x1021, start 0) that Redis uses.
    """
    start = key.find(b"{") + 1
    if start:
        end = key.find(b"}", start)
        if end > start:
            key = key[start:end]
    return binascii.crc_hqx(key, 0) % SLOTS


def batch_id(bucket: str, key: str, version_id: str | None, etag: str, time_ms: int) -> BatchId:
    """Identity of a batch: what was read, never which message told of it.

    Parameters
    ----------
    bucket, key : str
        Where the object lies.
    version_id : str or None
        Version of the object in a bucket with versions.
    etag : str
        ETag of the reply that carried the body; quotes around it do not count.
    time_ms : int
        LastModified of that reply, milliseconds since 1970 UTC.

    Raises
    ------
    ValueError
        If the time is before 1970.
    """
    if time_ms < 0:
        raise ValueError(f"time of a batch before 1970: {time_ms} ms")
    identity = b"".join(map(prefixed, (bucket, key, version_id or "", etag.strip('"'))))
    return BatchId(time_ms, blake2b(identity, digest_size=_DIGEST_BYTES, person=b"fastfold.batch").digest())


# What a connection is


@dataclass(frozen=True, slots=True)
class ReplyError:
    """A well-formed error reply: data, not an exception.

    Attributes
    ----------
    text : str
        As the server wrote it, for instance ``MOVED 3999 127.0.0.1:6381``.
    """

    text: str

    @property
    def code(self) -> str:
        """Its first word; of an EXEC refused for a reason, that of the reason."""
        return self.text.removeprefix(ABORTED_FOR).partition(" ")[0]


Command = tuple[bytes, ...]
Reply = None | int | bytes | ReplyError | list["Reply"]


class Connection(Protocol):
    """What the commit needs of a connection: Redis and `MemoryStore` both give it.

    The connection is at its owner's hand alone from WATCH to the reply of EXEC.
    """

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands in one packet."""

    def read(self, count: int) -> list[Reply]:
        """Read that many replies."""

    def close(self) -> None:
        """Close; a second time does nothing."""


# In memory


class MemoryStore:
    """A store in memory with the semantics of Redis for WATCH, GET, SETEX, MULTI and EXEC.

    Oddities included: EXEC is nil after *any* write to a watched key, also of the same value, and
    after a watched key that was there has expired.  A packet is carried out as a whole when it is
    sent, which is one of the orders a real server could choose.

    Parameters
    ----------
    clock : callable
        Seconds; decides what has expired.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[bytes, tuple[bytes, float]] = {}
        self._watchers: dict[bytes, set[_MemoryConnection]] = {}

    def connect(self) -> Connection:
        """A new connection."""
        return _MemoryConnection(self)

    def snapshot(self) -> dict[bytes, bytes]:
        """All keys that have not expired, with their values."""
        with self._lock:
            return {key: value for key in sorted(self._values) if (value := self._get(key)) is not None}

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Write a value as another client would."""
        with self._lock:
            self._set(key, value, ttl_s)

    def ttl_s(self, key: bytes) -> float | None:
        """Seconds until a key expires; ``None`` for one that is not there."""
        with self._lock:
            return None if self._get(key) is None else self._values[key][1] - self._clock()

    def _get(self, key: bytes) -> bytes | None:
        held = self._values.get(key)
        return held[0] if held is not None and held[1] > self._clock() else None

    def _set(self, key: bytes, value: bytes, ttl_s: float) -> None:
        self._values[key] = (value, self._clock() + ttl_s)
        for connection in self._watchers.get(key, ()):
            connection.dirty = True


class _MemoryConnection:
    def __init__(self, store: MemoryStore) -> None:
        self.dirty = False
        self._store = store
        self._watched: dict[bytes, bool] = {}  # key: was it there
        self._queued: list[Command] | None = None
        self._refused = False
        self._replies: list[Reply] = []

    def send(self, commands: Sequence[Command]) -> None:
        with self._store._lock:
            self._replies += [self._run(command) for command in commands]

    def read(self, count: int) -> list[Reply]:
        if count > len(self._replies):
            raise AssertionError(f"{count} replies wanted, {len(self._replies)} due")
        replies, self._replies = self._replies[:count], self._replies[count:]
        return replies

    def close(self) -> None:
        with self._store._lock:
            self._forget()
            self._queued = None

    def _run(self, command: Command) -> Reply:
        name, arguments = command[0], command[1:]
        if name == b"EXEC":
            return self._exec()
        if self._queued is not None:
            if name == b"MULTI":
                return ReplyError("ERR MULTI calls can not be nested")
            if name == b"WATCH":
                return ReplyError("ERR WATCH inside MULTI is not allowed")
            fault = _command_fault(name, arguments)
            if fault is not None:
                self._refused = True
                return fault
            self._queued.append(command)
            return b"QUEUED"
        if name == b"MULTI":
            self._queued, self._refused = [], False
            return b"OK"
        if name == b"WATCH":
            for key in arguments:
                self._watched.setdefault(key, self._store._get(key) is not None)
                self._store._watchers.setdefault(key, set()).add(self)
            return b"OK"
        return _command_fault(name, arguments) or self._apply(name, arguments)

    def _apply(self, name: bytes, arguments: Command) -> Reply:
        if name == b"GET":
            return self._store._get(arguments[0])
        key, ttl_s, value = arguments
        self._store._set(key, value, int(ttl_s))
        return b"OK"

    def _exec(self) -> Reply:
        if self._queued is None:
            return ReplyError("ERR EXEC without MULTI")
        queued, self._queued = self._queued, None
        expired = any(there and self._store._get(key) is None for key, there in self._watched.items())
        dirty = self.dirty or expired
        self._forget()
        if self._refused:
            return ReplyError("EXECABORT Transaction discarded because of previous errors.")
        if dirty:
            return None
        return [self._apply(command[0], command[1:]) for command in queued]

    def _forget(self) -> None:
        for key in self._watched:
            watchers = self._store._watchers[key]
            watchers.discard(self)
            if not watchers:
                del self._store._watchers[key]
        self._watched.clear()
        self.dirty = False


def _command_fault(name: bytes, arguments: Command) -> ReplyError | None:
    arity = {b"GET": 1, b"SETEX": 3}.get(name)
    if name == b"CLUSTER":
        return ReplyError("ERR This instance has cluster support disabled")
    if arity is None:
        return ReplyError(f"ERR unknown command '{name.decode(errors='replace')}'")
    if len(arguments) != arity:
        return ReplyError(f"ERR wrong number of arguments for '{name.decode().lower()}' command")
    return None
