"""Events that meet the steps of rules.

All conditions of all rules are compiled together (`rules.programs`).  Of a batch each distinct text is looked at once,
by the core for plain comparisons, here for expressions, numbers and networks; its events are then looked up by what
their texts meet, in the core.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter

import numpy
import re2
from numpy.typing import NDArray

from fastfold._core import Batch, Matching
from fastfold.detection.mark_types import HostMarks, Mark
from fastfold.detection.marks import EVIDENCE_BYTES, Marker, event_digest
from fastfold.errors import ConfigError
from fastfold.rules.comparisons import Network, address_of, network_of, number_of
from fastfold.rules.programs import Lookup, compile_conditions
from fastfold.rules.types import Operator, Rule
from fastfold.types import COLUMNS, KINDS

__all__ = ["Matcher"]

Codes = NDArray[numpy.uint32]
Look = Callable[[bytes], bool]

# That of marks themselves, without a call of Python for each comparison.
_ORDER = attrgetter(*(field.name for field in fields(Mark)))

_REGEX_BYTES = 8 << 20
"""Most memory of one compiled expression; past it RE2 is slower, not wrong."""


class Matcher:
    """Finds the marks of batches.

    Parameters
    ----------
    rules : sequence of Rule
    marks_per_step : int, optional
        What is kept of a rule, step and scope in the end: of more only the latest are made, and one more than that,
        so that it shows that there were more.  Left out: all.
    evidence_bytes : int
        Longest text of evidence.

    Raises
    ------
    ConfigError
        An expression that is none of RE2, a value that is no network or number, a condition nested too deep; with the
        rule and the step.

    Notes
    -----
    Threads may share one.
    """

    def __init__(
        self, rules: Sequence[Rule], marks_per_step: int | None = None, evidence_bytes: int = EVIDENCE_BYTES
    ) -> None:
        self.rules = tuple(rules)
        self._most = marks_per_step
        self._markers = [
            Marker(rule, step, evidence_bytes)
            for rule in self.rules
            for step in range(len(rule.steps) + (rule.unless is not None))
        ]
        programs = compile_conditions([marker.condition for marker in self._markers], [m.name for m in self._markers])
        self._conditions = programs.conditions
        self._lookups = _Lookups(programs.lookups)
        self._idle: list[Matching] = []

    def match(self, batch: Batch) -> list[HostMarks]:
        """Find the marks of a batch.

        Parameters
        ----------
        batch : Batch
            With all columns of its schema.

        Returns
        -------
        list of HostMarks
            One for each host, in order of tenant and host, be it without marks.
        """
        matching = self._idle.pop() if self._idle else Matching(self._conditions)
        more = self._lookups.find(matching.search(batch.strings), batch)
        met, newest = matching.combine(more, batch)
        self._idle.append(matching)
        if self._most is not None and len(met) > self._most:
            met = self._latest(met, batch, self._most)
        by_host = self._marks(met, batch)
        order = sorted(range(len(batch.hosts)), key=batch.hosts.__getitem__)
        return [
            HostMarks(*batch.hosts[host], int(newest[host]), tuple(sorted(by_host.get(host, ()), key=_ORDER)))
            for host in order
        ]

    def _marks(self, met: Codes, batch: Batch) -> dict[int, list[Mark]]:
        """The marks of each host, by its number; each once."""
        marks: dict[int, list[Mark]] = defaultdict(list)
        made: set[tuple[int, int, int, bytes]] = set()
        if not len(met):
            return marks
        events, firsts = numpy.unique(met[:, 0], return_index=True)
        steps = numpy.split(met[:, 1], firsts[1:])
        rows = batch.events[events]
        codes = numpy.stack([rows[name] for name in COLUMNS], axis=1)
        # Each text is decoded once, however many of the events have it.
        texts = batch.strings[codes].tolist()
        ids = zip(*(rows[name].tolist() for name in ("time", "host", "process", "kind")), strict=True)
        for (time, host, number, kind), row, of_event in zip(ids, texts, steps, strict=True):
            event = {name: text for name, text in zip(COLUMNS, row, strict=True) if text is not None}
            process, kind_name = batch.processes[number][2], KINDS[kind]
            digest = event_digest(process, kind_name, event)
            event["process"] = process
            event["host"] = batch.hosts[host][1]
            for step in of_event.tolist():
                # Equal events leave equal marks.
                key = (step, host, time, digest)
                if key in made:
                    continue
                made.add(key)
                mark = self._markers[step].mark(time, process, kind_name, event, digest)
                if mark is not None:
                    marks[host].append(mark)
        return marks

    def _latest(self, met: Codes, batch: Batch, most: int) -> Codes:
        """Without those that more than `most` others of the same step and scope, at as many times, come behind."""
        kept = numpy.ones(len(met), bool)
        for step in numpy.flatnonzero(numpy.bincount(met[:, 1]) > most).tolist():
            marker = self._markers[step]
            places = numpy.flatnonzero(met[:, 1] == step)
            rows = batch.events[met[places, 0]]
            # A process has one host.  The process and the host as texts say no more than the number.
            keys = [rows["process" if marker.in_process or "process" in marker.group else "host"]]
            keys += [rows[name] for name in marker.group if name in COLUMNS]
            _, scopes = numpy.unique(numpy.stack(keys, axis=1), axis=0, return_inverse=True)
            scopes = scopes.reshape(-1)
            for scope in numpy.flatnonzero(numpy.bincount(scopes) > most).tolist():
                here = places[scopes == scope]
                times = batch.events["time"][met[here, 0]]
                distinct = numpy.unique(times)
                kept[here] = times >= distinct[-min(len(distinct), most + 1)]
        return met[kept]


_NOTHING_FOUND = numpy.empty((0, 2), "<u4")


class _Lookups:
    """Comparisons that the core does not make, for the distinct texts of a batch."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self._looks = {lookup.pattern: _look_of(lookup) for lookup in lookups}
        self._behind: dict[int, list[int]] = defaultdict(list)
        self._in_columns: dict[tuple[str, ...], list[Lookup]] = defaultdict(list)
        for lookup in lookups:
            if lookup.gate is None:
                self._in_columns[tuple(lookup.columns)].append(lookup)
            else:
                self._behind[lookup.gate].append(lookup.pattern)
        self._any = {columns: _any_of(found) for columns, found in self._in_columns.items()}

    def find(self, pending: Codes, batch: Batch) -> Codes:
        """Codes and patterns that hold, each once and in order.

        Parameters
        ----------
        pending : array
            Codes and the gates that they have passed.
        batch : Batch
        """
        if not self._looks:
            return _NOTHING_FOUND
        text_of = partial(_text_of, batch.strings.text, batch.strings.offsets.tolist())
        found = {
            (code, pattern)
            for code, gate in pending.tolist()
            for pattern in self._behind[gate]
            if self._looks[pattern](text_of(code))
        }
        for columns, lookups in self._in_columns.items():
            worthwhile = self._any[columns]
            for code in _distinct(batch, columns):
                text = text_of(code)
                if worthwhile(text):
                    found.update((code, lookup.pattern) for lookup in lookups if self._looks[lookup.pattern](text))
        return numpy.array(sorted(found), "<u4").reshape(-1, 2)


def _text_of(text: bytes, offsets: list[int], code: int) -> bytes:
    return text[offsets[code] : offsets[code + 1]]


def _distinct(batch: Batch, columns: Sequence[str]) -> list[int]:
    """Codes of the distinct texts of some columns, ascending."""
    is_used = numpy.zeros(len(batch.strings), bool)
    for column in columns:
        if column == "process":
            is_used[batch.process_codes] = True
        elif column == "host":
            is_used[batch.host_codes] = True
        else:
            is_used[batch.events[column]] = True
    is_used[0] = False
    codes: list[int] = numpy.flatnonzero(is_used).tolist()
    return codes


def _any_of(lookups: Sequence[Lookup]) -> Look:
    """Whether it is worthwhile to try each of several comparisons with a text."""
    if len(lookups) < 2 or not all(lookup.operator == "re" for lookup in lookups):
        return _always
    try:
        return _search("|".join(f"(?:{_regex(lookup)})" for lookup in lookups))
    except re2.error:
        # Two have groups of one name.
        return _always


def _always(_: bytes) -> bool:
    return True


def _regex(lookup: Lookup) -> str:
    return lookup.value if lookup.cased else f"(?i){lookup.value}"


def _search(regex: str) -> Look:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _REGEX_BYTES
    search = re2.compile(regex, options=options).search

    def look(text: bytes) -> bool:
        return search(text) is not None

    return look


def _look_of(lookup: Lookup) -> Look:
    try:
        if lookup.operator == "re":
            return _search(_regex(lookup))
        if lookup.operator == "cidr":
            return partial(_is_in, network_of(lookup.value))
    except (re2.error, ValueError) as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise ConfigError(f"{lookup.owner}: {lookup.operator} {lookup.value!r}: {reason}") from None
    if lookup.operator == "equals":
        return _is_empty
    wanted = number_of(lookup.value)
    if wanted is None:
        raise ConfigError(f"{lookup.owner}: {lookup.operator} {lookup.value!r} is no number")
    return partial(_compares, lookup.operator, wanted)


def _is_empty(text: bytes) -> bool:
    return not text


def _is_in(network: Network, text: bytes) -> bool:
    address = address_of(text.decode(errors="replace"))
    return address is not None and address in network


def _compares(operator: Operator, wanted: float, text: bytes) -> bool:
    number = number_of(text.decode(errors="replace"))
    if number is None:
        return False
    return {
        "gt": number > wanted,
        "gte": number >= wanted,
        "lt": number < wanted,
        "lte": number <= wanted,
    }[operator]
