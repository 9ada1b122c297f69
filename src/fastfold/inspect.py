"""`fastfold inspect`: what a process did, read from Redis.

Nothing is written; `fastfold.keyspace` names the commands that are sent.  Keys are those of `fastfold.store`: a
state lies under ``<namespace>{<host tag>}<process tag>``, a host record under ``<namespace>{<host tag>}``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from fastfold.config import Settings
from fastfold.decoding import Decoder, is_host_key
from fastfold.difference import Change, changes, difference_lines, difference_object
from fastfold.errors import ConfigError, CorruptValue, IdentityClash, Unavailable
from fastfold.exits import Exit
from fastfold.keyspace import Keyspace, Pace
from fastfold.page import host_lines, host_object, host_page, ids_named, page
from fastfold.printing import Line, Printer, shown
from fastfold.rawlayout import Field, outer_fields, payload_fields
from fastfold.scan_progress import Progress, open_progress
from fastfold.schema import load_definition
from fastfold.show import short_time, text_of
from fastfold.states import State, Text, TextSet, to_json
from fastfold.store import host_key, process_key
from fastfold.text import escape
from fastfold.tree import grow, tree_lines, tree_object

__all__ = ["VIEWS", "Query", "run"]

VIEWS = ("page", "raw", "diff", "watch", "tree")
"""Ways to look at what a query finds."""

_SCAN_LIMIT = 100


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
        Objects, one a line, instead of pages.
    output : BinaryIO

    Returns
    -------
    Exit
        `Exit.NOT_FOUND` if nothing was there, `Exit.CORRUPT` if a value that was met cannot be read.
    """
    decoder = Decoder(load_definition(definition), settings.limits)
    progress = open_progress()
    with closing(Keyspace(settings, Pace(query.keys_per_s), progress.step)) as keyspace, closing(progress):
        inspection = _Inspection(keyspace, decoder, settings.namespace.encode(), Printer(output, as_json), progress)
        if query.view == "tree":
            return inspection.tree(query)
        if not query.keys and not query.processes:
            return inspection.many(query)
        places = list(inspection.find(query))
        if any(value is None for _, value in places) and query.view != "watch":
            return _nothing(query, [key for key, value in places if value is None])
        match query.view:
            case "raw":
                return max(inspection.raw(key, value or b"") for key, value in places)
            case "diff":
                return inspection.diff(places, query)
            case "watch":
                return inspection.watch(*places[0], query)
            case _:
                for key, value in places:
                    inspection.show(key, value or b"")
                return Exit.OK


class _Inspection:
    """Finds, decodes and prints."""

    def __init__(
        self, keyspace: Keyspace, decoder: Decoder, namespace: bytes, printer: Printer, progress: Progress
    ) -> None:
        self._keyspace = keyspace
        self._progress = progress
        self._decoder = decoder
        self._definition = decoder.definition
        self._namespace = namespace
        self._printer = printer

    # Finding

    def find(self, query: Query) -> Iterator[tuple[bytes, bytes | None]]:
        """The keys of a query that names them, each with its value."""
        for text in query.keys:
            key = text.encode(errors="surrogateescape")
            yield key, self._keyspace.get(key)
        for process in query.processes:
            yield self._find_process(query, process)

    def _find_process(self, query: Query, process: str) -> tuple[bytes, bytes | None]:
        # Ids in logs stand in braces and in either case; states keep them as the schema writes them.
        spellings = dict.fromkeys((process, process.strip("{}").lower()))
        for tenant, host in _hosts(query):
            for spelling in spellings:
                key = process_key(host_key(tenant, host, self._namespace), spelling)
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
        return process_key(host_key(*_hosts(query)[0], self._namespace), process), None

    def _host_states(self, query: Query) -> tuple[list[State], int]:
        """All states of a host, and how many of its values cannot be read."""
        self._progress.begin("scanning", None)
        try:
            return self._collect(query)
        finally:
            self._progress.close()

    def _collect(self, query: Query) -> tuple[list[State], int]:
        for tenant, host in _hosts(query):
            states, corrupt = [], 0
            for state in self._read(host_key(tenant, host, self._namespace)):
                if state is None:
                    corrupt += 1
                elif (state.tenant, state.host) == (tenant, host):
                    states.append(state)
            if states or corrupt:
                return states, corrupt
        return [], 0

    def _read(self, host: bytes | None = None) -> Iterator[State | None]:
        """All states, or those of a host; ``None`` for a value that cannot be read, which is told."""
        for key, found in self._keyspace.states(self._namespace, host):
            try:
                if isinstance(found, CorruptValue):
                    raise found
                assert found is not None, "what is not there is left out"
                state = self._decoder.state(key, found)
            except CorruptValue as error:
                _say(str(error))
                yield None
            else:
                yield state

    # Showing one

    def show(self, key: bytes, value: bytes) -> None:
        """A value as a page or an object."""
        if is_host_key(key):
            record = self._decoder.host_record(key, value)
            if self._printer.as_json:
                self._printer.json(host_object(record))
            else:
                self._printer.lines(host_page(record))
            return
        state = self._decoder.state(key, value)
        self._print(state, {} if self._printer.as_json else self._names(state))

    def _print(self, state: State, names: dict[str, str] | None = None) -> None:
        if self._printer.as_json:
            self._printer.json(to_json(state, self._definition))
        else:
            self._printer.lines(page(state, self._definition, names))

    def _names(self, state: State) -> dict[str, str]:
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
        except CorruptValue as error:
            # It is not what was asked for; the page stays as good without the name.
            _say(str(error))
            return ""

    def raw(self, key: bytes, value: bytes) -> Exit:
        """A value field by field, as far as it can be read."""
        fault: CorruptValue | None = None
        outer, inner = list(outer_fields(value)), []
        try:
            payload = self._decoder.payload(key, value)
            for field in payload_fields(value[0], payload, None if is_host_key(key) else self._definition):
                inner.append(field)
        except CorruptValue as error:
            fault = error.at(key)
        if self._printer.as_json:
            parts = {name: [field._asdict() for field in each] for name, each in (("value", outer), ("payload", inner))}
            self._printer.json({"key": key.decode(errors="backslashreplace"), "size": len(value)} | parts)
        else:
            self._printer.lines(_raw_lines(key, value, outer, inner))
        if fault is not None:
            _say(str(fault))
            return Exit.CORRUPT
        return Exit.OK

    # Comparing

    def diff(self, places: list[tuple[bytes, bytes | None]], query: Query) -> Exit:
        """Two values, or one and what it is a moment later."""
        if any(is_host_key(key) for key, _ in places):
            raise ConfigError("--diff compares states; a host record has none")
        states = [self._decoder.state(key, value or b"") for key, value in places]
        if len(states) == 1:
            time.sleep(query.every_s)
            key = places[0][0]
            later = self._keyspace.get(key)
            if later is None:
                return _nothing(query, [key])
            states.append(self._decoder.state(key, later))
        found = list(changes(states[0], states[1], self._definition))
        if self._printer.as_json:
            self._printer.json({"changes": difference_object(found)})
        elif found:
            self._printer.lines(difference_lines(found))
        else:
            self._printer.lines([[("no difference", "faint")]])
        return Exit.OK

    def watch(self, key: bytes, value: bytes | None, query: Query) -> Exit:
        """A state, and each change of it as it is seen."""
        if is_host_key(key):
            raise ConfigError("--watch follows a state; a host record is none")
        end = None if query.for_s is None else time.monotonic() + query.for_s
        before: State | None = None
        seen = False
        if value is None:
            _say("nothing is stored there yet; waiting")
        while True:
            state = None if value is None else self._decoder.state(key, value)
            if state is not None and before is None:
                seen = True
                self._print(state, {} if self._printer.as_json else self._names(state))
            elif state is None and before is not None:
                _say("the state has expired; waiting")
            elif state is not None and before is not None and state != before:
                self._print_changes(state, list(changes(before, state, self._definition)))
            before = state
            if end is not None and time.monotonic() + query.every_s > end:
                return Exit.OK if seen else _nothing(query, [key])
            time.sleep(query.every_s)
            value = self._look_again(key, value)

    def _print_changes(self, state: State, found: list[Change]) -> None:
        if self._printer.as_json:
            self._printer.json(to_json(state, self._definition))
            return
        now = short_time(time.time_ns())[:23]
        self._printer.lines([[], [(f"at {now} UTC", "label")], *difference_lines(found)])

    def _look_again(self, key: bytes, value: bytes | None) -> bytes | None:
        try:
            return self._keyspace.get(key)
        except Unavailable as error:
            # A failover takes seconds, and whoever watches wants to see what comes after it.
            _say(str(error))
            return value

    # Showing many

    def many(self, query: Query) -> Exit:
        """The states of a host, or of a scan."""
        wanted = query.match.casefold()
        if not query.scan:
            return self._host(query, wanted)
        limit = query.limit or _SCAN_LIMIT
        told = corrupt = 0
        for state in self._read():
            if state is None:
                corrupt += 1
                continue
            if (query.tenant and state.tenant != query.tenant) or not _holds(state, wanted):
                continue
            if told == limit:
                _say(f"there are more; --limit is {limit}")
                break
            if told and not self._printer.as_json:
                self._printer.lines([[]])
            self._print(state)
            told += 1
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if told else _nothing(query, [])

    def _host(self, query: Query, wanted: str) -> Exit:
        states, corrupt = self._host_states(query)
        matching = [state for state in sorted(states, key=_by_time) if _holds(state, wanted)]
        limit = query.limit or len(matching)
        if self._printer.as_json:
            for state in matching[:limit]:
                self._print(state)
        elif matching:
            self._printer.lines(_title(matching[0], f"{len(matching)} processes"))
            self._printer.lines(host_lines(matching[:limit]))
        if len(matching) > limit:
            _say(f"there are {len(matching) - limit} more; --limit is {limit}")
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if matching else _nothing(query, [])

    def tree(self, query: Query) -> Exit:
        """The process tree of a host, or of one process: what led to it, and what came of it."""
        states, corrupt = self._host_states(query)
        root = None
        if query.processes:
            spellings = (query.processes[0], query.processes[0].strip("{}").lower())
            root = next((state.process for state in states if state.process in spellings), None)
            if root is None:
                return _nothing(query, [])
        branches = grow(states, root)
        if self._printer.as_json:
            for branch in branches:
                self._printer.json(tree_object(branch))
        elif states:
            self._printer.lines(_title(states[0], f"{len(states)} processes"))
            self._printer.lines(tree_lines(branches, root))
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if states else _nothing(query, [])


def _hosts(query: Query) -> list[tuple[str, str]]:
    """Identities that a host may have as it was written."""
    hosts = [(query.tenant, query.host)]
    if not query.tenant:
        tenant, slash, host = query.host.partition("/")
        if slash:
            hosts.append((tenant, host))
    return hosts


def _title(state: State, what: str) -> list[Line]:
    name = f"{state.tenant}/{state.host}" if state.tenant else state.host
    return [[*shown(name, "title"), (f": {what}", "title")], []]


def _raw_lines(key: bytes, value: bytes, outer: list[Field], inner: list[Field]) -> Iterator[Line]:
    yield [("key ", "label"), *shown(key.decode(errors="backslashreplace")), (f", {len(value)} bytes", "")]
    for title, fields in (("value", outer), ("payload", inner)):
        if not fields:
            continue
        width = max(len(field.name) for field in fields)
        yield []
        yield [(f"{title}: offset   size  field", "label")]
        for field in fields:
            where = f"{field.offset:>{len(title) + 8}} {field.size:>6}  "
            yield [(where, "faint"), *shown(field.name), (" " * (width - len(field.name) + 2), ""), *shown(field.value)]


def _by_time(state: State) -> tuple[int, str]:
    first = state.values.get("first")
    return (first if isinstance(first, int) else 0, state.process)


def _holds(state: State, wanted: str) -> bool:
    return not wanted or any(wanted in text.casefold() for text in _texts(state))


def _texts(state: State) -> Iterator[str]:
    yield from (state.tenant, state.host, state.process)
    for value in state.values.values():
        if isinstance(value, Text):
            yield value.text
        elif isinstance(value, TextSet):
            yield from (member.text for member in value.members)


def _nothing(query: Query, keys: list[bytes]) -> Exit:
    if query.scan:
        what = "this scan" + (f" and {query.match!r}" if query.match else "")
    elif query.keys:
        what = "this key"
    else:
        what = f"host {query.host}" + "".join(f", process {process}" for process in query.processes)
    where = f" (key {', '.join(key.decode(errors='backslashreplace') for key in keys)})" if keys else ""
    hint = "" if query.tenant or query.scan or query.keys else "; a host of a tenant is written TENANT/HOST"
    _say(f"nothing is stored for {what}{where}{hint}; states live for a limited time after their last write")
    return Exit.NOT_FOUND


def _say(line: str) -> None:
    sys.stderr.write(f"fastfold: {escape(line)}\n")
