"""The files of a scenario as the program meets them: objects, their fold, and the state they should give.

A file's events are of a kind of its own, one for each process it names, so that a state tells which
files it holds and how often.  Payloads are made and merged by the core; only reading a file is left
out, because it has no part in the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

from fastfold import pipeline
from fastfold._core import Plan, decode, encode, merge_group
from fastfold.detection.detecting import BatchMarks
from fastfold.errors import Reject
from fastfold.schema import load_definition
from fastfold.states import State, Text
from fastfold.types import KINDS, FoldCounts, HostDeltas, Limits
from simulation.rules import event_ns, marks_of, of_rules
from simulation.scenario import File, Scenario

__all__ = ["BUCKET", "Folded", "body_of", "expected", "fold", "kinds_in", "merge", "payload"]

BUCKET = "sim"

_PLAN = Plan(None, load_definition("process"), Limits())

merge = partial(merge_group, _PLAN)
"""`fastfold.transaction.MergeGroup` of the default fold."""


class Folded:
    """The deltas of one file, as `fastfold.pipeline.Deltas` has them."""

    counts = FoldCounts()

    def __init__(self, hosts: list[HostDeltas]) -> None:
        self._hosts = hosts

    def __len__(self) -> int:
        return sum(len(host.processes) for host in self._hosts)

    def __iter__(self) -> Iterator[HostDeltas]:
        return iter(self._hosts)


@cache
def payload(host: str, process: str, number: int) -> bytes:
    """The delta of a file for a process."""
    at = event_ns(number)
    values = {"first": at, "last": at, "counts": {KINDS[number]: 1}, "image": Text(at, f"{number}.exe", False)}
    return encode(_PLAN, State("", host, process, values))


@cache
def _deltas(host: str, processes: tuple[str, ...], number: int) -> HostDeltas:
    return HostDeltas("", host, list(processes), [payload(host, process, number) for process in processes])


@cache
def expected(host: str, process: str, numbers: tuple[int, ...]) -> bytes:
    """The state of a process that holds just these files, each once."""
    state: list[bytes | None] = [None]
    for number in numbers:
        state = [*merge(state, [payload(host, process, number)])]
    assert state[0] is not None
    return state[0]


def kinds_in(state: bytes) -> dict[int, int]:
    """How often a state holds each file."""
    counts = decode(_PLAN, state).values["counts"]
    assert isinstance(counts, dict)
    return {KINDS.index(kind): count for kind, count in counts.items()}


def body_of(file: File) -> bytes:
    """What lies in S3."""
    return b"poison" if file.fault == "poison" else b"%d" % file.number


def fold(scenario: Scenario, order: Callable[[list[HostDeltas]], object] | None = None) -> pipeline.Fold:
    """`fastfold.pipeline.Fold` for a scenario; `order` puts the hosts of a file into another order."""
    by_body = {body_of(file): file for file in scenario.files}
    rules = scenario.rules

    def fold_one(body: memoryview, name: str) -> pipeline.Folded:
        file = by_body.get(bytes(body))
        if file is None or bytes(body) == b"poison":
            raise Reject("malformed", file=name, line=1)
        hosts = [_deltas(*part, file.number) for part in file.parts]
        if order is not None:
            order(hosts)
        if not rules:
            return pipeline.Folded(Folded(hosts))
        found = [marks_of(rules, *part, file.number) for part in file.parts]
        return pipeline.Folded(Folded(hosts), BatchMarks(of_rules(rules, scenario.raised_per_host), found, name))

    return fold_one
