"""An alert: that a rule has matched, with all that a person needs to judge it."""

from __future__ import annotations

from dataclasses import dataclass

from fastfold.rules.types import Level

__all__ = ["Alert", "AlertTimes", "MatchedStep"]


@dataclass(frozen=True, slots=True)
class MatchedStep:
    """One mark of the match.

    Attributes
    ----------
    name : str
        Of the step.
    time_ns : int
        Event time, nanoseconds since 1970 UTC.
    process, kind : str
    evidence : tuple of (str, str)
        Columns and texts, as in `fastfold.detection.mark_types.Mark`.
    batch : str
        Id of the batch that brought the mark, sixteen hexadecimal digits.
    file : str
        ``s3://bucket/key`` of it where it is the one being committed, empty elsewhere.
    """

    name: str
    time_ns: int
    process: str
    kind: str
    evidence: tuple[tuple[str, str], ...]
    batch: str
    file: str


@dataclass(frozen=True, slots=True)
class AlertTimes:
    """How long an alert took, nanoseconds since 1970 UTC, 0 where unknown.

    Attributes
    ----------
    event_ns : int
        Of the last mark of the match.
    stored_ns : int
        S3 LastModified of the batch that completed it.
    received_ns, committed_ns, published_ns : int
        By the clock of the worker.
    """

    event_ns: int
    stored_ns: int
    received_ns: int = 0
    committed_ns: int = 0
    published_ns: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """A match of a rule, raised.

    Attributes
    ----------
    id : str
        Thirty-two hexadecimal digits: BLAKE2b of rule id, rule version, tenant, host, scope key and stretch; not of the
        evidence, which late data may change.  All copies of an alert have one id.
    rule_id, rule_version, title, description : str
    level : Level
    tags, references : tuple of str
    tenant, host : str
    process : str
        The process id in process scope; that of the last matched step in host scope.
    image, command_line, user, parent : str
        Of that process, from the evidence; empty where unknown.
    steps : tuple of MatchedStep
        In order of time; of a ``count`` or ``distinct`` the first `least`.
    suppressed : int
        Matches since that were not raised again.
    limited : bool
        A limit on marks was hit: earlier evidence may be missing.
    times : AlertTimes
    """

    id: str
    rule_id: str
    rule_version: str
    title: str
    description: str
    level: Level
    tags: tuple[str, ...]
    references: tuple[str, ...]
    tenant: str
    host: str
    process: str
    image: str
    command_line: str
    user: str
    parent: str
    steps: tuple[MatchedStep, ...]
    suppressed: int
    limited: bool
    times: AlertTimes
