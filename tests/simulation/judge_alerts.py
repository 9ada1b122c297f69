"""What must hold of alerts when a world has come to rest.

* Every alert of the reference, over all that the states hold, was delivered to each sink that it is for; but not where
  a file had a part in it that was replaced while it was in work, for it cannot be read again, or that came too late for
  a host that remembers few alerts.
* None was delivered that the reference does not have.
* All copies of an alert have the id of the reference; an id names one rule, host and process.
* The detection record of a host holds the marks of what the states hold, and no others.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fastfold.detection.form import decode_record
from fastfold.detection.mark_types import Mark
from fastfold.detection.record import detection_key, rule_digest
from fastfold.store import host_key, process_key
from simulation.rules import Due, Owner, alerts_due, event_ns, marks_of
from simulation.scenario import File, Scenario
from simulation.sinks import Receiver

__all__ = ["AlertJudge", "Held"]


FEW = 10
"""A host that remembers fewer alerts than that may forget some in a scenario."""


@dataclass
class Held:
    """What the states hold, as far as `fastfold` has not let it expire.

    Attributes
    ----------
    values : mapping of bytes to bytes
        Payloads by key.
    expired : set of bytes
        Keys that have been lost with their time to live at least once.
    files : dict of bytes to set of int
        By key of the state, the files that it holds.
    """

    values: Mapping[bytes, bytes]
    expired: set[bytes]
    files: dict[bytes, set[int]]


class AlertJudge:
    """Judges one world with rules.

    Parameters
    ----------
    scenario : Scenario
    held : Held
    receivers : sequence of Receiver
    counted : sequence of File
        Those that are not at fault themselves.
    """

    def __init__(self, scenario: Scenario, held: Held, receivers: Sequence[Receiver], counted: Sequence[File]) -> None:
        self._scenario = scenario
        self._held = held
        self._receivers = receivers
        self._counted = counted

    def faults(self) -> Iterator[str]:
        """What does not hold."""
        must: dict[str, Owner] = {}
        may: dict[str, Owner] = {}
        for host in {host: None for file in self._counted for host, _ in file.parts}:
            due = yield from self._host(host)
            must.update(due.must)
            may.update(due.may)
        levels = {rule.id: rule.level for rule in self._scenario.rules}
        for receiver in self._receivers:
            for id_, owner in must.items():
                wanted = receiver.facts.route.level != "high" or levels[owner.rule] == "high"
                if wanted and id_ not in receiver.got:
                    yield f"alert {id_} of {_named(owner)} was not delivered to sink {receiver.facts.name}"
            yield from self._delivered(receiver, may)

    def _host(self, host: str) -> Generator[str, None, Due]:
        """Judge the record of a host; returns what is due."""
        rules, held, ever, gone = self._scenario.rules, set(), set(), set()
        newest_ns, whole, living = 0, True, True
        record_key = host_key("", host)
        for file in self._counted:
            for processes in (processes for named, processes in file.parts if named == host):
                marks = marks_of(rules, host, processes, file.number).marks
                ever.update(marks)
                if file.fault == "replaced" and not self._scenario.versions:
                    gone.update(marks)
                    # Its newest event may have been what a rule with `unless` waited for, whosever the match is.
                    whole = False
                for process in processes:
                    key = process_key(record_key, process)
                    living = living and key not in self._held.expired
                    if file.number in self._held.files.get(key, ()):
                        newest_ns = max(newest_ns, event_ns(file.number))
                        held.update(mark for mark in marks if mark.process == process)
                    else:
                        whole = False
        key = detection_key(record_key)
        due = alerts_due(rules, host, held, ever, gone, newest_ns, whole=whole and living)
        if key in self._held.expired:
            return Due({}, due.may)
        if living:
            yield from self._record(host, key, held)
        forgets = self._scenario.raised_per_host < FEW and self._may_be_late(host)
        return Due({}, due.may) if forgets else due

    def _may_be_late(self, host: str) -> bool:
        times_ms = [file.modified_ms for file in self._counted if host in {named for named, _ in file.parts}]
        return max(times_ms) - min(times_ms) > self._scenario.ledger_window_s * 1000

    def _record(self, host: str, key: bytes, held: set[Mark]) -> Iterator[str]:
        value = self._held.values.get(key)
        record = decode_record(value) if value is not None else None
        marks = {found.mark for series in record.series.values() for found in series} if record is not None else set()
        # Of a rule that counts values, some marks stand for others.
        thinned = {rule_digest(rule) for rule in self._scenario.rules if rule.type == "distinct"}
        for mark in sorted(mark for mark in held - marks if mark.rule not in thinned):
            yield f"the detection record of {host} lacks a mark of {mark.process}, {mark.kind}"
        for mark in sorted(marks - held):
            yield f"the detection record of {host} has a mark of {mark.process}, {mark.kind}, whose state has not"

    def _delivered(self, receiver: Receiver, may: Mapping[str, Owner]) -> Iterator[str]:
        scopes = {rule.id: rule.scope for rule in self._scenario.rules}
        for id_, bodies in receiver.got.items():
            if id_ not in may:
                yield f"alert {id_} of {json.loads(bodies[0])['rule']['id']} is none of the reference"
                continue
            for body in dict.fromkeys(bodies):
                said = json.loads(body)
                rule = said["rule"]["id"]
                process = said["process"]["id"] if scopes[rule] == "process" else ""
                if (said["id"], Owner(rule, said["host"], process)) != (id_, may[id_]):
                    yield f"alert {id_} of {_named(may[id_])} was delivered as {said['id']} of {rule}"


def _named(owner: Owner) -> str:
    return f"{owner.rule} for {owner.host}" + (f"/{owner.process}" if owner.process else "")
