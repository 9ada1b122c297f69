"""Why a rule has raised an alert of a process or host, or why not: told of the marks that its events have left.

The rule is asked again, by the same `evaluate` as in a commit; where it finds no match it is asked with one demand less
at a time, and the first that helps is the reason::

    a step has no mark                          step-missing
    without `unless` there is a match           ruled-out, or undecided while the span is not over
    without `within` there is a match           too-far-apart, by how much the closest marks tell
    neither                                     out-of-order, or too-few
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from fastfold.detection.evaluate import Match, evaluate
from fastfold.detection.raising import UNLESS, alert_id
from fastfold.detection.record import DetectionRecord, Found, Raised, rule_digest
from fastfold.rules.fields import columns_of, implied_kinds, unpopulated
from fastfold.rules.types import Rule, Step
from fastfold.rules.words import condition_text, span_text
from fastfold.schema_types import Schema
from fastfold.states import State, format_time
from fastfold.store import process_digest
from fastfold.types import KINDS

__all__ = ["Event", "Explanation", "GroupStory", "RaisedStory", "Role", "StepStory", "Verdict", "explain", "short_time"]

_FOR_EVER_NS = 1 << 64
_WHOLE_MS = "000000Z"

Role = Literal["matched", "closest", "outside", "met"]
"""In a match; in what comes closest to one; too far from any match; none of these."""


class Verdict(NamedTuple):
    """How it stands, as a word for programs and a sentence for people."""

    word: str
    text: str


class RaisedStory(NamedTuple):
    """An alert that the record remembers.

    Attributes
    ----------
    alert : str
        Its id.
    version : str
        Of the rule that raised it.
    raised : Raised
    """

    alert: str
    version: str
    raised: Raised


@dataclass(frozen=True, slots=True)
class Event:
    """An event that met a step.

    Attributes
    ----------
    found : Found
    role : Role
    empty : tuple of str
        Columns that the step looks at and the event did not have.
    """

    found: Found
    role: Role
    empty: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepStory:
    """What became of a step.

    Attributes
    ----------
    name : str
        ``unless`` for the step that must not be met.
    condition : str
        In words.
    events : tuple of Event
        Ascending by time.
    missing : tuple of str
        What is known of why no event met it.
    """

    name: str
    condition: str
    events: tuple[Event, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupStory:
    """Events that the rule matches with each other: of a process, of a host, or of those with equal texts.

    Attributes
    ----------
    scope : bytes
        8 bytes: the scope key of its marks.
    verdict : Verdict
    steps : tuple of StepStory
    raised : tuple of RaisedStory
    """

    scope: bytes
    verdict: Verdict
    steps: tuple[StepStory, ...]
    raised: tuple[RaisedStory, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of a rule on a host.

    Attributes
    ----------
    rule : Rule
    tenant, host : str
    process : str or None
        ``None`` for all that there is of the host.
    verdict : Verdict
    groups : tuple of GroupStory
        What was raised first, then the latest.
    never : tuple of str
        What the rule looks at and events of the schema never have.
    dropped_ns : int or None
        Time of the newest event of the rule that a limit on marks has dropped.
    other_versions : tuple of RaisedStory
        Alerts of rules of the same id and another version.
    """

    rule: Rule
    tenant: str
    host: str
    process: str | None
    verdict: Verdict
    groups: tuple[GroupStory, ...]
    never: tuple[str, ...]
    dropped_ns: int | None
    other_versions: tuple[RaisedStory, ...]


def explain(
    rule: Rule, record: DetectionRecord, process: str | None = None, *, state: State | None = None, schema: Schema
) -> Explanation:
    """Tell why a rule has raised an alert, or why not.

    Parameters
    ----------
    rule : Rule
    record : DetectionRecord
        Of the host; without marks if there is none.
    process : str, optional
        Only what is of this process.
    state : State, optional
        Of the process, with its definition, to tell which events it had at all.
    schema : Schema
        Of the events.

    Returns
    -------
    Explanation

    Notes
    -----
    n log n in the marks of the rule, for each of four questions.
    """
    marks = _marks_by_scope(rule, record)
    raised = [one for one in record.raised if one.rule == rule_digest(rule)]
    scopes = [*marks, *(one.scope for one in raised)]
    chosen = [scope for scope in dict.fromkeys(scopes) if _is_asked_for(rule, scope, process, marks, raised)]
    groups = [
        _group(rule, record, scope, marks.get(scope, {}), [one for one in raised if one.scope == scope], state)
        for scope in chosen
    ]
    groups.sort(key=_rank)
    if not groups:
        groups = [_group(rule, record, b"", {}, [], state)]
    verdict = groups[0].verdict
    if process is not None and marks and not chosen:
        verdict = Verdict("no-event", "not raised: no event of this process met a step, though events of others did")
    return Explanation(
        rule=rule,
        tenant=record.tenant,
        host=record.host,
        process=process,
        verdict=verdict,
        groups=tuple(groups),
        never=tuple(unpopulated(rule, schema)),
        dropped_ns=record.dropped.get(rule_digest(rule)),
        other_versions=tuple(_other_versions(rule, record, process)),
    )


def short_time(time_ns: int) -> str:
    """A time with as many digits as it takes to lose nothing: three or nine.

    Examples
    --------
    >>> short_time(1_000_000), short_time(1)
    ('1970-01-01T00:00:00.001Z', '1970-01-01T00:00:00.000000001Z')
    """
    text = format_time(time_ns)
    return text.removesuffix(_WHOLE_MS) + "Z" if text.endswith(_WHOLE_MS) else text


# Which marks

_Steps = Mapping[int, Sequence[Found]]


def _marks_by_scope(rule: Rule, record: DetectionRecord) -> dict[bytes, dict[int, Sequence[Found]]]:
    digest = rule_digest(rule)
    marks: dict[bytes, dict[int, Sequence[Found]]] = {}
    for key, found in record.series.items():
        if key.rule == digest:
            marks.setdefault(key.scope, {})[key.step] = found
    return marks


def _is_asked_for(
    rule: Rule,
    scope: bytes,
    process: str | None,
    marks: Mapping[bytes, _Steps],
    raised: Iterable[Raised],
) -> bool:
    if process is None:
        return True
    if rule.scope == "process" and not rule.group:
        return scope == process_digest(process)
    met = any(one.mark.process == process for found in marks.get(scope, {}).values() for one in found)
    return met or any(one.scope == scope and one.process == process for one in raised)


def _rank(group: GroupStory) -> tuple[bool, int]:
    latest = [event.found.mark.time_ns for step in group.steps for event in step.events]
    return not group.raised, -max(latest, default=0)


def _other_versions(rule: Rule, record: DetectionRecord, process: str | None) -> Iterator[RaisedStory]:
    for one in record.raised:
        told = record.told[one.rule]
        if told.id == rule.id and told.version != rule.version and process in (None, one.process):
            yield _raised_story(record, one)


def _raised_story(record: DetectionRecord, raised: Raised) -> RaisedStory:
    told = record.told[raised.rule]
    return RaisedStory(alert_id(told, record.tenant, record.host, raised.scope, raised.stretch), told.version, raised)


# How it stands


def _group(
    rule: Rule, record: DetectionRecord, scope: bytes, marks: _Steps, raised: Sequence[Raised], state: State | None
) -> GroupStory:
    matches = evaluate(rule, marks, record.newest_ns)
    closest: Match | None = None
    if raised:
        count = "once" if len(raised) == 1 else f"{len(raised)} times"
        verdict = Verdict("raised", f"raised {count}, last for {short_time(max(one.last_ns for one in raised))}")
    elif matches:
        verdict = Verdict(
            "forgotten",
            "the events meet the rule, but no alert of it is remembered: more have been raised since than a host"
            " remembers (raised_per_host), or the events were committed by workers without this rule",
        )
    else:
        verdict, closest = _why_not(rule, marks, record.newest_ns)
    roles = _Roles(rule, matches, closest)
    steps = [_step(step, marks.get(number, ()), roles, rule, state) for number, step in enumerate(rule.steps)]
    if rule.unless is not None:
        found = marks.get(len(rule.steps), ())
        unless = Step(UNLESS, rule.unless.condition)
        steps.append(replace(_step(unless, found, roles, rule, state), missing=()))
    return GroupStory(scope, verdict, tuple(steps), tuple(_raised_story(record, one) for one in raised))


def _why_not(rule: Rule, marks: _Steps, newest_ns: int | None) -> tuple[Verdict, Match | None]:
    missing = [number for number in range(len(rule.steps)) if not marks.get(number)]
    if missing:
        names = ", ".join(f"step {number + 1} of {len(rule.steps)} ({rule.steps[number].name})" for number in missing)
        return Verdict("step-missing", f"not raised: no event met {names}"), None
    # Each mark that ends a match is a stretch of its own, so that all are seen.
    without_unless = replace(rule, unless=None, suppress_ns=1)
    fitting = evaluate(without_unless, marks, newest_ns)
    if fitting:
        return _ruled_out(rule, marks, fitting, newest_ns), fitting[-1]
    without_span = evaluate(replace(without_unless, within_ns=_FOR_EVER_NS), marks, newest_ns)
    if without_span:
        closest = min(without_span, key=_length_ns)
        lengths = f"{span_text(_length_ns(closest))} apart, at most {span_text(rule.within_ns)} is allowed"
        return Verdict("too-far-apart", f"not raised: the closest events lie {lengths}"), closest
    if rule.type in ("count", "distinct"):
        return Verdict("too-few", f"not raised: {_too_few(rule, marks[0])}"), None
    return Verdict("out-of-order", "not raised: every step was met, but not in the order of the steps"), None


def _length_ns(match: Match) -> int:
    times = [found.mark.time_ns for found in match.found]
    return max(times) - min(times)


def _too_few(rule: Rule, found: Sequence[Found]) -> str:
    if rule.type == "distinct":
        values = len({one.mark.value for one in found})
        return f"{rule.column} had {values} distinct values, {rule.least} are needed"
    return f"{len(found)} events met the step, {rule.least} are needed"


def _ruled_out(rule: Rule, marks: _Steps, fitting: Sequence[Match], newest_ns: int | None) -> Verdict:
    unless = [found.mark.time_ns for found in marks.get(len(rule.steps), ())]
    for match in reversed(fitting):
        begin_ns = min(found.mark.time_ns for found in match.found)
        end_ns = begin_ns + rule.within_ns
        if not any(begin_ns <= time_ns <= end_ns for time_ns in unless):
            newest = f"the newest is of {short_time(newest_ns)}" if newest_ns is not None else "there is none yet"
            return Verdict(
                "undecided",
                "not raised yet: the events meet the rule; whether unless is met is decided by an event of the host"
                f" after {short_time(end_ns)}, and {newest}",
            )
    return Verdict("ruled-out", f"not raised: the events meet the rule, but unless was met {_times(unless)}")


def _times(times: Sequence[int]) -> str:
    more = f" and {len(times) - 1} times more" if len(times) > 1 else ""
    return f"at {short_time(times[-1])}{more}"


# Steps


class _Roles:
    """What part the marks of a group play."""

    def __init__(self, rule: Rule, matches: Sequence[Match], closest: Match | None) -> None:
        self._matched = {found for match in matches for found in match.found}
        self._closest = set() if closest is None else set(closest.found)
        ends = [[found.mark.time_ns for found in match.found] for match in matches]
        self._spans = [(max(times) - rule.within_ns, min(times) + rule.within_ns) for times in ends]

    def of(self, found: Found) -> Role:
        if found in self._matched:
            return "matched"
        if found in self._closest:
            return "closest"
        inside = any(start_ns <= found.mark.time_ns <= end_ns for start_ns, end_ns in self._spans)
        return "met" if inside or not self._spans else "outside"


def _step(step: Step, found: Sequence[Found], roles: _Roles, rule: Rule, state: State | None) -> StepStory:
    events = tuple(Event(one, roles.of(one), _empty_columns(step, one)) for one in found)
    missing = () if found or state is None or rule.scope != "process" else tuple(_missing(step, state))
    return StepStory(step.name, condition_text(step.condition), events, missing)


def _empty_columns(step: Step, found: Found) -> tuple[str, ...]:
    there = dict(found.mark.evidence)
    wanted = (column for column, kinds in columns_of(step.condition) if found.mark.kind in kinds)
    return tuple(dict.fromkeys(column for column in wanted if not there.get(column)))


def _missing(step: Step, state: State) -> Iterator[str]:
    """What the state of a process tells of a step that none of its events met."""
    definition = state.definition
    reducers = definition.reducers if definition is not None else ()
    counts = next((state.values.get(one.name, {}) for one in reducers if one.op == "count" and not one.kinds), None)
    wanted = [kind for kind in KINDS if kind in implied_kinds(step.condition)]
    if isinstance(counts, dict):
        had = [f"{counts[kind]} of kind {kind}" for kind in wanted if counts.get(kind)]
        if not had:
            yield f"the process has had no event of kind {' or '.join(wanted)}"
            return
        yield f"of the events of the process, {', '.join(had)} did not meet it"
    looked_at = {column for column, _ in columns_of(step.condition)}
    for column in sorted(looked_at):
        keepers = [one for one in reducers if one.column == column and not one.kinds]
        if keepers and all(one.name not in state.values for one in keepers):
            yield f"{column} was empty in all events of the process"
