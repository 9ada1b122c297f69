"""`fastfold inspect`: what a process did, read from Redis, as text for a person or JSON for a program.

Nothing is written; `fastfold.keyspace` names the commands that are sent, `fastfold.lookup` finds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

from fastfold.config import Settings
from fastfold.decoding import UNREADABLE, Decoder, is_detection_key, is_host_key
from fastfold.detection.page import detection_object, detection_page
from fastfold.difference import Change, changes, difference_lines, difference_object
from fastfold.errors import ConfigError, CorruptValue, Unavailable, UnknownForm
from fastfold.exits import Exit
from fastfold.keyspace import Keyspace, Pace
from fastfold.lookup import Lookup, Query, nothing, say
from fastfold.page import host_lines, host_object, host_page, page
from fastfold.printing import Line, Printer, shown
from fastfold.raw.layout import outer_fields, payload_fields
from fastfold.raw.walk import Field
from fastfold.scan_progress import open_progress
from fastfold.schema import load_definition
from fastfold.show import short_time
from fastfold.states import State, Text, TextSet, to_json
from fastfold.tree import grow, tree_lines, tree_object
from fastfold.values import ValueForm

__all__ = ["Query", "run"]

_SCAN_LIMIT = 100


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
    form = ValueForm.load(folder=settings.dictionary_folder)
    progress = open_progress()
    with closing(Keyspace(settings, Pace(query.keys_per_s), progress.step)) as keyspace, closing(progress):
        decoder = Decoder(load_definition(definition), settings.limits, form, keyspace.get_many)
        lookup = Lookup(keyspace, decoder, settings.namespace.encode(), progress)
        inspection = _Inspection(keyspace, decoder, lookup, Printer(output, as_json))
        if query.view == "tree":
            return inspection.tree(query)
        if not query.keys and not query.processes:
            return inspection.many(query)
        places = list(lookup.find(query))
        if any(value is None for _, value in places) and query.view != "watch":
            return nothing(query, [key for key, value in places if value is None])
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
    """Decodes and prints what was found."""

    def __init__(self, keyspace: Keyspace, decoder: Decoder, lookup: Lookup, printer: Printer) -> None:
        self._keyspace = keyspace
        self._decoder = decoder
        self._definition = decoder.definition
        self._lookup = lookup
        self._printer = printer

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
        if is_detection_key(key):
            found = self._decoder.detection_record(key, value)
            if self._printer.as_json:
                self._printer.json(detection_object(found))
            else:
                self._printer.lines(detection_page(found))
            return
        state = self._decoder.state(key, value)
        self._print(state, {} if self._printer.as_json else self._lookup.names(state))

    def _print(self, state: State, names: dict[str, str] | None = None) -> None:
        if self._printer.as_json:
            self._printer.json(to_json(state, self._definition))
        else:
            self._printer.lines(page(state, self._definition, names))

    def raw(self, key: bytes, value: bytes) -> Exit:
        """A value field by field, as far as it can be read."""
        fault: CorruptValue | UnknownForm | None = None
        outer, inner = list(outer_fields(value)), []
        try:
            payload = self._decoder.payload(key, value)
            if is_detection_key(key):
                raise ConfigError("--raw shows states and host records; a detection record is shown without it")
            for field in payload_fields(
                self._decoder.form(value)[0], payload, None if is_host_key(key) else self._definition
            ):
                inner.append(field)
        except UNREADABLE as error:
            fault = error.at(key) if isinstance(error, CorruptValue) else error
        if self._printer.as_json:
            parts = {name: [field._asdict() for field in each] for name, each in (("value", outer), ("payload", inner))}
            self._printer.json({"key": key.decode(errors="backslashreplace"), "size": len(value)} | parts)
        else:
            self._printer.lines(_raw_lines(key, value, outer, inner))
        if fault is not None:
            say(str(fault))
            return Exit.CORRUPT
        return Exit.OK

    # Comparing

    def diff(self, places: list[tuple[bytes, bytes | None]], query: Query) -> Exit:
        """Two values, or one and what it is a moment later."""
        if any(is_host_key(key) or is_detection_key(key) for key, _ in places):
            raise ConfigError("--diff compares states; a host record has none")
        states = [self._decoder.state(key, value or b"") for key, value in places]
        if len(states) == 1:
            time.sleep(query.every_s)
            key = places[0][0]
            later = self._keyspace.get(key)
            if later is None:
                return nothing(query, [key])
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
        if is_host_key(key) or is_detection_key(key):
            raise ConfigError("--watch follows a state; a host record is none")
        end = None if query.for_s is None else time.monotonic() + query.for_s
        before: State | None = None
        seen = False
        if value is None:
            say("nothing is stored there yet; waiting")
        while True:
            state = None if value is None else self._decoder.state(key, value)
            if state is not None and before is None:
                seen = True
                self._print(state, {} if self._printer.as_json else self._lookup.names(state))
            elif state is None and before is not None:
                say("the state has expired; waiting")
            elif state is not None and before is not None and state != before:
                self._print_changes(state, list(changes(before, state, self._definition)))
            before = state
            if end is not None and time.monotonic() + query.every_s > end:
                return Exit.OK if seen else nothing(query, [key])
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
            say(str(error))
            return value

    # Showing many

    def many(self, query: Query) -> Exit:
        """The states of a host, or of a scan."""
        wanted = query.match.casefold()
        if not query.scan:
            return self._host(query, wanted)
        limit = query.limit or _SCAN_LIMIT
        told = corrupt = 0
        for state in self._lookup.read():
            if state is None:
                corrupt += 1
                continue
            if (query.tenant and state.tenant != query.tenant) or not _holds(state, wanted):
                continue
            if told == limit:
                say(f"there are more; --limit is {limit}")
                break
            if told and not self._printer.as_json:
                self._printer.lines([[]])
            self._print(state)
            told += 1
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if told else nothing(query, [])

    def _host(self, query: Query, wanted: str) -> Exit:
        states, corrupt = self._lookup.host_states(query)
        matching = [state for state in sorted(states, key=_by_time) if _holds(state, wanted)]
        limit = query.limit or len(matching)
        if self._printer.as_json:
            for state in matching[:limit]:
                self._print(state)
        elif matching:
            self._printer.lines(_title(matching[0], _processes(len(matching))))
            self._printer.lines(host_lines(matching[:limit]))
        if len(matching) > limit:
            say(f"there are {len(matching) - limit} more; --limit is {limit}")
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if matching else nothing(query, [])

    def tree(self, query: Query) -> Exit:
        """The process tree of a host, or of one process: what led to it, and what came of it."""
        states, corrupt = self._lookup.host_states(query)
        root = None
        if query.processes:
            spellings = (query.processes[0], query.processes[0].strip("{}").lower())
            root = next((state.process for state in states if state.process in spellings), None)
            if root is None:
                return nothing(query, [])
        branches = grow(states, root)
        if self._printer.as_json:
            for branch in branches:
                self._printer.json(tree_object(branch))
        elif states:
            self._printer.lines(_title(states[0], _processes(len(states))))
            self._printer.lines(tree_lines(branches, root))
        if corrupt:
            return Exit.CORRUPT
        return Exit.OK if states else nothing(query, [])


def _title(state: State, what: str) -> list[Line]:
    name = f"{state.tenant}/{state.host}" if state.tenant else state.host
    return [[*shown(name, "title"), (f": {what}", "title")], []]


def _processes(count: int) -> str:
    return f"{count:,} process{'es' if count != 1 else ''}"


def _raw_lines(key: bytes, value: bytes, outer: list[Field], inner: list[Field]) -> Iterator[Line]:
    yield [("key ", "label"), *shown(key.decode(errors="backslashreplace")), (f", {len(value)} bytes", "")]
    for title, fields in (("value", outer), ("payload", inner)):
        if not fields:
            continue
        width = max(len(field.name) for field in fields)
        yield []
        yield [(f"{title}: offset    size  field", "label")]
        for field in fields:
            offset = f"{field.offset}.{field.bit}" if field.bits else str(field.offset)
            size = f"{field.bits} bits" if field.bits else str(field.size)
            where = f"{offset:>{len(title) + 8}} {size:>7}  "
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
