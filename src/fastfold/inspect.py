"""`fastfold inspect`: what a process did, read from Redis.

Nothing is written: GET and SCAN are sent (by the demo also DBSIZE and INFO), by redis-py with its retries
off.  Keys are those of `fastfold.store`: a state lies under ``<namespace>{<host tag>}<process tag>``, a host
record under ``<namespace>{<host tag>}``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from fastfold.errors import ConfigError, CorruptValue, IdentityClash, Unavailable, UnknownForm
from fastfold.exits import Exit
from fastfold.ledger import HostRecord
from fastfold.resp import RedisAddress
from fastfold.schema import load_definition
from fastfold.show import page
from fastfold.states import State, Text, TextSet, format_time, to_json
from fastfold.store import host_key, process_key
from fastfold.text import escape, json_line
from fastfold.values import unpack_value

if TYPE_CHECKING:
    from fastfold._core import Plan
    from fastfold.config import Settings
    from fastfold.schema import FoldDefinition

__all__ = ["Query", "Reader", "run"]

SCAN_COUNT = 200
"""Keys that one SCAN looks at: few enough not to hold up a busy server."""

_TAG_CHARACTERS = 11
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for: one process, one key, or a scan."""

    tenant: str = ""
    host: str = ""
    process: str = ""
    key: str | None = None
    scan: bool = False
    match: str = ""
    limit: int = 100


class Reader:
    """Reads keys of a single Redis or of a cluster.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    Unavailable
        If no node answers.
    ConfigError
        If the server refuses us.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = address = RedisAddress.from_url(settings.redis_url)
        # A person waits: a server that does not answer is reported, not tried again.
        options: dict[str, Any] = {
            "username": address.username or None,
            "password": address.password or None,
            "socket_timeout": settings.redis_timeout_s,
            "socket_connect_timeout": settings.redis_connect_timeout_s,
            "retry": Retry(NoBackoff(), 0),
        }
        if address.tls:
            files = {"ca_certs": settings.redis_ca_file, "certfile": settings.redis_cert_file}
            files["keyfile"] = settings.redis_key_file
            options |= {"ssl": True} | {f"ssl_{name}": file for name, file in files.items() if file}
        with self._translated():
            self._client: Any = self._connect(options)

    def _connect(self, options: dict[str, Any]) -> Any:
        address = self._address
        fault: redis.exceptions.ConnectionError | redis.exceptions.TimeoutError | None = None
        for seed in address.seeds:
            single = redis.Redis(host=seed.host, port=seed.port, db=address.database, **options)
            try:
                if address.cluster == "no" or not _is_cluster(single):
                    return single
                single.close()
                nodes = [ClusterNode(node.host, node.port) for node in address.seeds]  # type: ignore[no-untyped-call]
                return RedisCluster(startup_nodes=nodes, **options)
            except redis.exceptions.AuthenticationError:
                raise
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                fault = error
        assert fault is not None, "an address has at least one seed"
        raise fault

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or ``None``.

        Raises
        ------
        CorruptValue
            If it is not a string.
        """
        with self._translated():
            try:
                value: bytes | None = self._client.get(key)
            except redis.exceptions.ResponseError as error:
                if str(error).startswith("WRONGTYPE"):
                    raise CorruptValue("not a string", key=key) from None
                raise
            return value

    def key_count(self) -> int:
        """Keys on all servers, whoever wrote them."""
        with self._translated():
            return sum(int(server.dbsize()) for server in self._servers())

    def used_bytes(self) -> int:
        """Memory that all servers use in all."""
        with self._translated():
            return sum(int(server.info("memory")["used_memory"]) for server in self._servers())

    def state_keys(self, namespace: bytes) -> Iterator[bytes]:
        """Keys of all states, in the order in which the servers give them, each once."""
        pattern = re.sub(rb"([\\*?\[\]])", rb"\\\1", namespace) + b"{*}" + b"?" * _TAG_CHARACTERS
        with self._translated():
            for server in self._servers():
                # SCAN may give a key twice while the server grows its table, and slots move between servers.
                seen: set[bytes] = set()
                for key in server.scan_iter(match=pattern, count=SCAN_COUNT):
                    if key not in seen:
                        seen.add(key)
                        yield key

    def _servers(self) -> list[Any]:
        if isinstance(self._client, RedisCluster):
            client: Any = self._client
            return [client.get_redis_connection(node) for node in client.get_primaries()]
        return [self._client]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        name = str(self._address)
        try:
            yield
        except (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError) as error:
            raise ConfigError(f"{name}: {error}") from None
        except redis.exceptions.NoPermissionError as error:
            raise ConfigError(f"{name}: {error}") from None
        except redis.exceptions.RedisError as error:
            raise Unavailable(name, str(error)) from None


def _is_cluster(client: Any) -> bool:
    try:
        client.execute_command("CLUSTER", "SLOTS")
    except redis.exceptions.ResponseError as error:
        if "cluster support disabled" in str(error):
            return False
        raise
    return True


def run(settings: Settings, query: Query, definition: str, *, as_json: bool, output: BinaryIO) -> Exit:
    """Answer a query.

    Parameters
    ----------
    settings : Settings
        Where Redis is.
    query : Query
    definition : str
        Name of the fold definition that the states were made with.
    as_json : bool
        One JSON object a line, as ``fold --format jsonl`` gives it, instead of pages.
    output : BinaryIO

    Returns
    -------
    Exit
        `Exit.NOT_FOUND` if nothing was there, `Exit.CORRUPT` if a scan met a value that cannot be read.
    """
    from fastfold._core import Plan

    fold = load_definition(definition)
    inspection = _Inspection(Plan(None, fold, settings.limits), fold, as_json, output)
    namespace = settings.namespace.encode()
    with closing(Reader(settings)) as reader:
        if query.scan:
            return inspection.scan(reader, namespace, query)
        if query.key is not None:
            return inspection.key(reader, query.key)
        return inspection.process(reader, namespace, query)


class _Inspection:
    """Reads, decodes and prints."""

    def __init__(self, plan: Plan, definition: FoldDefinition, as_json: bool, output: BinaryIO) -> None:
        self._plan = plan
        self._definition = definition
        self._as_json = as_json
        self._output = output

    def process(self, reader: Reader, namespace: bytes, query: Query) -> Exit:
        host = host_key(query.tenant, query.host, namespace)
        # Ids in logs stand in braces and in either case; states keep them as the schema writes them.
        for process in dict.fromkeys((query.process, query.process.strip("{}").lower())):
            key = process_key(host, process)
            value = reader.get(key)
            if value is not None:
                state = self._decode(key, value)
                if (state.tenant, state.host, state.process) != (query.tenant, query.host, process):
                    raise IdentityClash(f"another process lies under key {key.decode()}: {state.host} {state.process}")
                self._print(state)
                return Exit.OK
        return _nothing(f"host {query.host}, process {query.process}", process_key(host, query.process))

    def key(self, reader: Reader, text: str) -> Exit:
        key = text.encode(errors="surrogateescape")
        value = reader.get(key)
        if value is None:
            return _nothing("this key", key)
        if key.endswith(b"}"):
            try:
                record = HostRecord.decode(unpack_value(value, key))
            except CorruptValue as error:
                raise error.at(key) from None
            self._print_host(record)
        else:
            self._print(self._decode(key, value))
        return Exit.OK

    def scan(self, reader: Reader, namespace: bytes, query: Query) -> Exit:
        wanted = query.match.casefold()
        shown = corrupt = 0
        for key in reader.state_keys(namespace):
            try:
                value = reader.get(key)
                if value is None:  # expired since the scan saw it
                    continue
                state = self._decode(key, value)
            except (CorruptValue, UnknownForm) as error:
                corrupt += 1
                _say(str(error))
                continue
            if wanted and not any(wanted in text.casefold() for text in _texts(state)):
                continue
            if shown == query.limit:
                _say(f"there are more; --limit is {query.limit}")
                break
            if shown and not self._as_json:
                self._output.write(b"\n")
            self._print(state)
            shown += 1
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if shown else _nothing(f"namespace {namespace.decode()}" + (", match" if wanted else ""), None)

    def _decode(self, key: bytes, value: bytes) -> State:
        from fastfold._core import decode

        try:
            state: State = decode(self._plan, unpack_value(value, key))
        except CorruptValue as error:
            raise error.at(key) from None
        return state

    def _print(self, state: State) -> None:
        lines = [json_line(to_json(state, self._definition))] if self._as_json else page(state, self._definition)
        self._output.write("".join(f"{line}\n" for line in lines).encode())
        self._output.flush()

    def _print_host(self, record: HostRecord) -> None:
        times = [format_time(entry.time_ms * _NS_PER_MS)[:23] + "Z" for entry in record.entries]
        if self._as_json:
            shown: dict[str, object] = {"tenant": record.tenant} if record.tenant else {}
            shown["host"] = record.host
            shown["ledger"] = [
                {"time": time, "batch": entry.id.hex(), "bits": entry.bits, "chunk": entry.chunk_index}
                for time, entry in zip(times, record.entries, strict=True)
            ]
            lines = [json_line(shown)]
        else:
            lines = [f"host {escape(record.host)}" + (f", tenant {escape(record.tenant)}" if record.tenant else "")]
            lines.append(f"  {len(record.entries)} batches applied, by time:")
            for time, entry in zip(times, record.entries, strict=True):
                chunk = f", chunk {entry.chunk_index} of {1 << entry.bits}" if entry.bits else ""
                lines.append(f"  {time}  {entry.id.hex()}{chunk}")
        self._output.write("".join(f"{line}\n" for line in lines).encode())
        self._output.flush()


def _texts(state: State) -> Iterator[str]:
    yield from (state.tenant, state.host, state.process)
    for value in state.values.values():
        if isinstance(value, Text):
            yield value.text
        elif isinstance(value, TextSet):
            yield from (member.text for member in value.members)


def _nothing(what: str, key: bytes | None) -> Exit:
    where = f" (key {key.decode(errors='backslashreplace')})" if key is not None else ""
    _say(f"nothing is stored for {what}{where}; states live for a limited time after their last write")
    return Exit.NOT_FOUND


def _say(line: str) -> None:
    sys.stderr.write(f"fastfold: {escape(line)}\n")
