"""An explanation for a person, and for a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastfold.detection.explaining import Event, Explanation, GroupStory, RaisedStory, StepStory, short_time
from fastfold.detection.raising import UNLESS
from fastfold.printing import Line, shown
from fastfold.rules.words import span_text
from fastfold.states import format_time

__all__ = ["explanation_object", "explanation_page"]

_NS_PER_MS = 1_000_000
_TEXT_CHARACTERS = 100
_ROLES = {"matched": "matched", "closest": "closest", "outside": "outside of the span", "met": ""}

Files = Mapping[bytes, str]
"""Where batches came from, by id, as far as it is known."""


def explanation_page(explanation: Explanation, files: Files) -> Iterator[Line]:
    """The lines of an explanation.

    Parameters
    ----------
    explanation : Explanation
    files : mapping of bytes to str
    """
    rule = explanation.rule
    yield [*shown(rule.title, "title"), (f"  [{rule.level}]", "")]
    yield [("  rule     ", "label"), *shown(rule.id), (f", version {rule.version}", "")]
    yield [("  type     ", "label"), (_demand(explanation), "")]
    yield [("  host     ", "label"), *_host(explanation)]
    if explanation.process is not None:
        yield [("  process  ", "label"), *shown(explanation.process)]
    yield [("  verdict  ", "label"), *shown(explanation.verdict.text, "warn")]
    for what in explanation.never:
        yield [("  never    ", "label"), *shown(what), (": the schema has none", "")]
    if explanation.dropped_ns is not None:
        limits = "a limit (marks_per_step, marks_per_host) has dropped events of this rule, up to"
        yield [("  limited  ", "label"), (f"{limits} {short_time(explanation.dropped_ns)}", "")]
    for one in explanation.other_versions:
        yield [(f"  version {one.version} of the rule, which is not loaded, has raised:", "warn")]
        yield from _raised_lines(one, files)
    for group in explanation.groups:
        yield from _group_lines(explanation, group, files)


def _demand(explanation: Explanation) -> str:
    rule = explanation.rule
    least = f", at least {rule.least}" if rule.type in ("count", "distinct") else ""
    column = f" values of {rule.column}" if rule.column else ""
    group = f" and equal {', '.join(rule.group)}" if rule.group else ""
    return f"{rule.type}{least}{column} within {span_text(rule.within_ns)}, of one {rule.scope}{group}"


def _host(explanation: Explanation) -> Line:
    tenant = shown(f"{explanation.tenant}/") if explanation.tenant else []
    return [*tenant, *shown(explanation.host)]


def _group_lines(explanation: Explanation, group: GroupStory, files: Files) -> Iterator[Line]:
    yield []
    if len(explanation.groups) > 1:
        yield [(f"  group {group.scope.hex()}: ", "label"), *shown(group.verdict.text)]
    for number, step in enumerate(group.steps, 1):
        yield from _step_lines(number, step, files)
    for one in group.raised:
        yield from _raised_lines(one, files)


def _step_lines(number: int, step: StepStory, files: Files) -> Iterator[Line]:
    title = f"  {UNLESS}" if step.name == UNLESS else f"  step {number}, {step.name}"
    yield [*shown(title, "label"), (": ", "label"), *shown(step.condition)]
    if not step.events:
        yield [("    no event met it", "faint" if step.name == UNLESS else "warn")]
    for reason in step.missing:
        yield [("    ", ""), *shown(reason)]
    for event in step.events:
        yield from _event_lines(event, files)


def _event_lines(event: Event, files: Files) -> Iterator[Line]:
    mark, batch = event.found
    role = _ROLES[event.role]
    yield [
        (f"    {short_time(mark.time_ns)}  ", "faint"),
        *shown(mark.kind),
        (f"  {role}" if role else "", "title"),
        ("  process ", "label"),
        *shown(mark.process),
        ("  batch ", "label"),
        *shown(files.get(batch, batch.hex())),
    ]
    for column, text in mark.evidence:
        yield [(f"      {column} ", "label"), *shown(text, width=_TEXT_CHARACTERS)]
    if event.empty:
        yield [("      empty ", "label"), (", ".join(event.empty), "")]


def _raised_lines(one: RaisedStory, files: Files) -> Iterator[Line]:
    raised = one.raised
    yield [("  raised ", "label"), (one.alert, "title"), (f" for the event of {short_time(raised.last_ns)}", "")]
    # A file in a folder has no time at which it arrived.
    arrived = "" if raised.batch in files else f" of {short_time(raised.batch_ms * _NS_PER_MS)}"
    yield [
        ("    by batch ", "label"),
        *shown(files.get(raised.batch, raised.batch.hex())),
        (arrived, ""),
        ("  process ", "label"),
        *shown(raised.process),
    ]
    if raised.repeats:
        yield [(f"    {raised.repeats} more matches in the same stretch of time were suppressed", "")]


def explanation_object(explanation: Explanation, files: Files) -> dict[str, object]:
    """An explanation as a JSON object; see `explanation_page`."""
    rule = explanation.rule
    dropped_ns = explanation.dropped_ns
    return {
        "rule": {
            "id": rule.id,
            "version": rule.version,
            "title": rule.title,
            "level": rule.level,
            "type": rule.type,
            "within_ns": rule.within_ns,
            "scope": rule.scope,
            "group": list(rule.group),
            "least": rule.least,
            "column": rule.column or None,
        },
        "tenant": explanation.tenant or None,
        "host": explanation.host,
        "process": explanation.process,
        "verdict": explanation.verdict.word,
        "text": explanation.verdict.text,
        "never": list(explanation.never),
        "dropped_until": None if dropped_ns is None else format_time(dropped_ns),
        "other_versions": [_raised_object(one, files) for one in explanation.other_versions],
        "groups": [_group_object(group, files) for group in explanation.groups],
    }


def _group_object(group: GroupStory, files: Files) -> dict[str, object]:
    return {
        "scope": group.scope.hex(),
        "verdict": group.verdict.word,
        "text": group.verdict.text,
        "raised": [_raised_object(one, files) for one in group.raised],
        "steps": [_step_object(step, files) for step in group.steps],
    }


def _raised_object(one: RaisedStory, files: Files) -> dict[str, object]:
    raised = one.raised
    return {
        "alert": one.alert,
        "version": one.version,
        "last": format_time(raised.last_ns),
        "process": raised.process,
        "batch": raised.batch.hex(),
        "batch_time": None if raised.batch in files else format_time(raised.batch_ms * _NS_PER_MS),
        "file": files.get(raised.batch),
        "suppressed": raised.repeats,
    }


def _step_object(step: StepStory, files: Files) -> dict[str, object]:
    return {
        "name": step.name,
        "condition": step.condition,
        "missing": list(step.missing),
        "events": [_event_object(event, files) for event in step.events],
    }


def _event_object(event: Event, files: Files) -> dict[str, object]:
    mark, batch = event.found
    return {
        "time": format_time(mark.time_ns),
        "role": event.role,
        "process": mark.process,
        "kind": mark.kind,
        "evidence": dict(mark.evidence),
        "empty": list(event.empty),
        "batch": batch.hex(),
        "file": files.get(batch),
    }
