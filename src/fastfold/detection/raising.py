"""Alerts of what was raised: from a rule and a match, or from what the record remembers where these are gone."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import cast

from fastfold.alerts.types import Alert, AlertTimes, MatchedStep
from fastfold.detection.record import DetectionRecord, Found, Raised, Told
from fastfold.rules.types import Level, Rule
from fastfold.store import prefixed
from fastfold.types import BatchId

__all__ = ["UNLESS", "alert_id", "raise_alert", "tell_of"]

UNLESS = "unless"
"""Name of the step of marks that rule a match out."""

_ID_BYTES = 16
_STRETCH_BYTES = 9
_NS_PER_MS = 1_000_000
_OF_PROCESS = ("image", "command_line", "user", "parent")


def alert_id(told: Told, tenant: str, host: str, scope: bytes, stretch: int) -> str:
    """Thirty-two hexadecimal digits that all copies of an alert have in common.

    Examples
    --------
    >>> alert_id(Told("r", "v", "", "low"), "", "a", bytes(8), 0)
    'd4dee3cd47be39b48994701573db9369'
    """
    hasher = blake2b(digest_size=_ID_BYTES, person=b"fastfold.alert")
    for text in (told.id, told.version, tenant, host):
        hasher.update(prefixed(text))
    hasher.update(scope + stretch.to_bytes(_STRETCH_BYTES, "big", signed=True))
    return hasher.hexdigest()


def tell_of(rule: Rule) -> Told:
    """What a record remembers of a rule."""
    return Told(rule.id, rule.version, rule.title, rule.level)


def raise_alert(
    record: DetectionRecord,
    raised: Raised,
    rule: Rule | None,
    found: Sequence[Found],
    batch: BatchId,
    file: str,
) -> Alert:
    """The alert of what is raised.

    Parameters
    ----------
    record : DetectionRecord
        Of the host.
    raised : Raised
    rule : Rule or None
        ``None`` if it is not loaded any more: the record remembers the least of it.
    found : sequence of Found
        The match; empty if its marks are not there any more.
    batch : BatchId
        The one that is committed.
    file : str
        ``s3://bucket/key`` of it.
    """
    told = tell_of(rule) if rule is not None else record.told[raised.rule]
    process = found[-1].mark.process if found else raised.process
    last_ns = found[-1].mark.time_ns if found else raised.last_ns
    within_ns = rule.within_ns if rule is not None else 0
    dropped_ns = record.dropped.get(raised.rule)
    facts = _facts(found, process)
    return Alert(
        id=alert_id(told, record.tenant, record.host, raised.scope, raised.stretch),
        rule_id=told.id,
        rule_version=told.version,
        title=told.title,
        description=rule.description if rule is not None else "",
        level=cast("Level", told.level),
        tags=rule.tags if rule is not None else (),
        references=rule.references if rule is not None else (),
        tenant=record.tenant,
        host=record.host,
        process=process,
        image=facts["image"],
        command_line=facts["command_line"],
        user=facts["user"],
        parent=facts["parent"],
        steps=tuple(_step(one, rule, batch, file) for one in found),
        suppressed=raised.repeats,
        limited=not found or (dropped_ns is not None and dropped_ns >= last_ns - within_ns),
        times=AlertTimes(event_ns=last_ns, stored_ns=raised.batch_ms * _NS_PER_MS),
    )


def _facts(found: Sequence[Found], process: str) -> dict[str, str]:
    """What the marks say of the process itself, the last of them first."""
    facts = dict.fromkeys(_OF_PROCESS, "")
    for mark, _ in found:
        if mark.process == process:
            facts.update((column, text) for column, text in mark.evidence if text and column in facts)
    return facts


def _step(found: Found, rule: Rule | None, batch: BatchId, file: str) -> MatchedStep:
    mark = found.mark
    named = rule is not None and mark.step < len(rule.steps)
    return MatchedStep(
        name=rule.steps[mark.step].name if rule is not None and named else UNLESS,
        time_ns=mark.time_ns,
        process=mark.process,
        kind=mark.kind,
        evidence=mark.evidence,
        batch=found.batch.hex(),
        file=file if found.batch == batch.id else "",
    )
