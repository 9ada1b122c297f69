"""What `inspect` is asked for, and finding it in Redis.

Keys are those of `fastfold.store`: a state lies under ``<namespace>{<host tag>}<process tag>``, a host record under
``<namespace>{<host tag>}``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from fastfold.decoding import UNREADABLE, Decoder
from fastfold.errors import CorruptValue, IdentityClash
from fastfold.exits import Exit
from fastfold.keyspace import Keyspace
from fastfold.page import ids_named
from fastfold.scan_progress import Progress
from fastfold.show import text_of
from fastfold.states import State
from fastfold.store import host_key, process_key
from fastfold.text import escape

__all__ = ["VIEWS", "Lookup", "Query", "hosts_named", "nothing", "say", "spellings"]

VIEWS = ("page", "raw", "diff", "watch", "tree")
"""Ways to look at what a query finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for, and how to look at it.

    Attributes
    ----------
    tenant, host : str
        Without a tenant, a host may also be written ``tenant/host``.
    processes : tuple of str
        One, or two to compare; none for all of the host.
    keys : tuple of str
        Keys of Redis instead: one, or two to compare.
    scan : bool
        All states.
    match : str
        Of many states only those that hold this text, in any case.
    limit : int or None
        Most states shown; ``None`` for 100 of a scan and all of a host.
    view : str
        One of `VIEWS`.
    every_s : float
        Time between two looks of ``watch`` and ``diff``, seconds.
    for_s : float or None
        How long to watch, seconds; ``None`` until interrupted.
    keys_per_s : float
        Most keys a second that are looked at; 0 for no limit.
    """

    tenant: str = ""
    host: str = ""
    processes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    scan: bool = False
    match: str = ""
    limit: int | None = None
    view: str = "page"
    every_s: float = 1.0
    for_s: float | None = None
    keys_per_s: float = 0.0


class Lookup:
    """Finds values and states.

    Parameters
    ----------
    keyspace : Keyspace
    decoder : Decoder
    namespace : bytes
    progress : Progress
        For what goes through many keys.
    """

    def __init__(self, keyspace: Keyspace, decoder: Decoder, namespace: bytes, progress: Progress) -> None:
        self._keyspace = keyspace
        self._decoder = decoder
        self._definition = decoder.definition
        self._namespace = namespace
        self._progress = progress

    def find(self, query: Query) -> Iterator[tuple[bytes, bytes | None]]:
        """The keys of a query that names them, each with its value."""
        for text in query.keys:
            key = text.encode(errors="surrogateescape")
            yield key, self._keyspace.get(key)
        for process in query.processes:
            yield self._find_process(query, process)

    def _find_process(self, query: Query, process: str) -> tuple[bytes, bytes | None]:
        for tenant, host in hosts_named(query.tenant, query.host):
            record = self._record_key(tenant, host)
            for spelling in spellings(process):
                key = process_key(record, spelling)
                value = self._keyspace.get(key)
                if value is None:
                    continue
                # What cannot be read is shown raw, whosever it is.
                if query.view != "raw":
                    state = self._decoder.state(key, value)
                    if (state.tenant, state.host, state.process) != (tenant, host, spelling):
                        raise IdentityClash(
                            f"another process lies under key {key.decode()}: {state.host} {state.process}"
                        )
                return key, value
        return process_key(host_key(*hosts_named(query.tenant, query.host)[0], self._namespace), process), None

    def _record_key(self, tenant: str, host: str) -> bytes:
        """The key of a host that is asked for by name."""
        key = host_key(tenant, host, self._namespace)
        self._decoder.know(key, (tenant, host))
        return key

    def host_states(self, query: Query) -> tuple[list[State], int]:
        """All states of a host, and how many of its values cannot be read."""
        self._progress.begin("scanning", None)
        try:
            return self._collect(query)
        finally:
            self._progress.close()

    def _collect(self, query: Query) -> tuple[list[State], int]:
        for tenant, host in hosts_named(query.tenant, query.host):
            states, corrupt = [], 0
            for state in self.read(self._record_key(tenant, host)):
                if state is None:
                    corrupt += 1
                elif (state.tenant, state.host) == (tenant, host):
                    states.append(state)
            if states or corrupt:
                return states, corrupt
        return [], 0

    def read(self, host: bytes | None = None) -> Iterator[State | None]:
        """All states, or those of a host; ``None`` for a value that cannot be read, which is told."""
        for key, found in self._keyspace.states(self._namespace, host):
            try:
                if isinstance(found, CorruptValue):
                    raise found
                assert found is not None, "what is not there is left out"
                state = self._decoder.state(key, found)
            except UNREADABLE as error:
                say(str(error))
                yield None
            else:
                yield state

    def names(self, state: State) -> dict[str, str]:
        """Programs of the processes that a state names, where their states are stored too."""
        ids = ids_named(state, self._definition)
        host = host_key(state.tenant, state.host, self._namespace)
        keys = [process_key(host, process) for process in ids]
        names = {}
        for process, key, found in zip(ids, keys, self._keyspace.get_many(keys), strict=True):
            name = self._name(key, found) if isinstance(found, bytes) else ""
            if name:
                names[process] = name
        return names

    def _name(self, key: bytes, value: bytes) -> str:
        try:
            return text_of(self._decoder.state(key, value), "image")
        except UNREADABLE as error:
            # It is not what was asked for; the page stays as good without the name.
            say(str(error))
            return ""


def hosts_named(tenant: str, host: str) -> list[tuple[str, str]]:
    """Identities that a host may have as it was written: without a tenant, also ``tenant/host``."""
    hosts = [(tenant, host)]
    if not tenant:
        before, slash, behind = host.partition("/")
        if slash:
            hosts.append((before, behind))
    return hosts


def spellings(process: str) -> list[str]:
    """Ids that a process may have: logs have them in braces and in either case, states as the schema writes them."""
    return list(dict.fromkeys((process, process.strip("{}").lower())))


def nothing(query: Query, keys: list[bytes]) -> Exit:
    """Say that nothing was found.

    Parameters
    ----------
    query : Query
    keys : list of bytes
        Where it was looked for.
    """
    if query.scan:
        what = "this scan" + (f" and {query.match!r}" if query.match else "")
    elif query.keys:
        what = "this key"
    else:
        what = f"host {query.host}" + "".join(f", process {process}" for process in query.processes)
    where = f" (key {', '.join(key.decode(errors='backslashreplace') for key in keys)})" if keys else ""
    hint = "" if query.tenant or query.scan or query.keys else "; a host of a tenant is written TENANT/HOST"
    say(f"nothing is stored for {what}{where}{hint}; states live for a limited time after their last write")
    return Exit.NOT_FOUND


def say(line: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"fastfold: {escape(line)}\n")
