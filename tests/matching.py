"""Rules, and batches of events that were made and not parsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from fastfold._core import EVENT_DTYPE, Batch, Texts
from fastfold.detection.detecting import DetectionRules, detect
from fastfold.detection.matching import Matcher
from fastfold.detection.record import DetectionRecord
from fastfold.rules.types import Condition, Rule, Step
from fastfold.types import COLUMNS, KINDS, BatchId, FoldCounts

Event = dict[str, Any]

LATER_NS = 366 * 86_400 * 10**9


def rule_of(condition: Condition, number: int = 0, **more: Any) -> Rule:
    """A rule of one step."""
    given = {
        "id": f"rule-{number}",
        "version": f"{number:016x}",
        "title": "",
        "description": "",
        "level": "low",
        "tags": (),
        "references": (),
        "type": "count",
        "steps": (Step("only", condition),),
        "within_ns": 0,
        "scope": "process",
    }
    return Rule(**given | more)


def batch_of(events: Sequence[Event]) -> Batch:
    """A batch of events as iteration over one gives them; what is left out has a default."""
    texts = [""]
    codes: dict[str, int] = {}

    def code_of(text: str | None) -> int:
        if text is None:
            return 0
        if text not in codes:
            codes[text] = len(texts)
            texts.append(text)
        return codes[text]

    hosts: dict[tuple[str, str], int] = {}
    processes: dict[tuple[int, str], int] = {}
    rows = numpy.zeros(len(events), EVENT_DTYPE)
    for number, event in enumerate(events):
        host = hosts.setdefault((event.get("tenant", ""), event.get("host", "host-a")), len(hosts))
        rows[number]["host"] = host
        rows[number]["process"] = processes.setdefault((host, event.get("process", "1")), len(processes))
        rows[number]["time"] = event.get("time_ns", 0)
        rows[number]["kind"] = KINDS.index(event.get("kind", "other"))
        rows[number]["record"] = number + 1
        for column in COLUMNS:
            rows[number][column] = code_of(event.get(column))
    host_pairs = [(code_of(tenant or None), code_of(host)) for tenant, host in hosts]
    process_pairs = [(host + 1, code_of(process)) for host, process in processes]
    encoded = [text.encode() for text in texts]
    offsets = numpy.cumsum([0, *map(len, encoded)], dtype="<u4")
    return Batch(
        rows,
        Texts(b"".join(encoded), offsets),
        numpy.array(host_pairs, "<u4").reshape(-1, 2),
        numpy.array(process_pairs, "<u4").reshape(-1, 2),
        FoldCounts(events=len(events)),
    )


def finds(rule: Rule, events: Sequence[Event]) -> bool:
    """Whether events raise an alert, by the matcher and the detection of a worker; their ``time`` is in seconds.

    Each host has one more event, a year later, by which what `unless` waits for is decided.
    """
    timed = [event | {"time_ns": round(event["time"] * 1e9)} for event in events]
    hosts = dict.fromkeys(event["host"] for event in timed)
    batch = batch_of([*timed, *({"host": host, "process": "later", "time_ns": LATER_NS} for host in hosts)])
    rules = DetectionRules.of([rule])
    batch_id = BatchId(0, bytes(8))
    alerts = 0
    for host in Matcher([rule]).match(batch):
        brought = DetectionRecord.of_batch(host.tenant, host.host, host.marks, batch_id.id, host.newest_ns)
        alerts += len(detect(DetectionRecord(host.tenant, host.host), brought, rules, batch_id, "").alerts)
    return alerts > 0
