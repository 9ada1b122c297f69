"""Sigma correlations: what becomes of them, and what is refused, by name."""

from __future__ import annotations

import textwrap

import pytest

pytest.importorskip("sigma", reason="pySigma is not installed")

from fastfold.errors import RuleError
from fastfold.reference.matching import reference_holds
from fastfold.rules.read import Outcome
from fastfold.rules.types import Rule
from matching import finds
from sigma_rules import detection, outcomes

TWO = """\
title: First
name: first
logsource: {category: process_creation}
detection:
  s: {Image|endswith: '\\a.exe'}
  condition: s
---
title: Second
name: second
logsource: {category: file_event}
detection:
  s: {TargetFilename|endswith: .zip}
  condition: s
---
"""


def correlation(body: str, before: str = TWO) -> list[Outcome]:
    lines = textwrap.indent(textwrap.dedent(body).strip(), "  ")
    return outcomes(f"{before}title: Both\nname: both\nlevel: critical\ncorrelation:\n{lines}\n")


def correlated(body: str, before: str = TWO) -> Rule:
    rule = correlation(body, before)[-1].rule
    if isinstance(rule, RuleError):
        raise rule
    assert isinstance(rule, Rule)
    return rule


def test_temporal_ordered_is_a_sequence() -> None:
    rule = correlated("type: temporal_ordered\nrules: [first, second]\ngroup-by: [Computer, User]\ntimespan: 5m")
    assert (rule.type, rule.scope, rule.group, rule.within_ns) == ("sequence", "host", ("user",), 300 * 10**9)
    assert (rule.level, rule.suppress_ns) == ("critical", 300 * 10**9)
    assert [step.name for step in rule.steps] == ["first", "second"]
    events = [
        {"time": 0, "host": "h", "process": "p", "kind": "process_start", "image": "C:\\a.exe", "user": "u"},
        {"time": 300, "host": "h", "process": "q", "kind": "file_write", "file": "x.ZIP", "user": "u"},
    ]
    assert finds(rule, events)
    assert not finds(rule, [events[0], {**events[1], "user": "v"}])
    assert not finds(rule, [events[0], {**events[1], "time": 301}])
    assert not finds(rule, [events[0], {**events[1], "time": -1}])
    any_order = correlated("type: temporal\nrules: [first, second]\ngroup-by: [Computer, User]\ntimespan: 5m")
    assert any_order.type == "all"
    assert finds(any_order, [events[0], {**events[1], "time": -1}])


def test_event_count_is_a_count() -> None:
    rule = correlated(
        "type: event_count\nrules: [first, second]\ngroup-by: [ProcessGuid]\ntimespan: 1h\ncondition: {gt: 3}"
    )
    assert (rule.type, rule.scope, rule.group, rule.least) == ("count", "process", (), 4)
    assert len(rule.steps) == 1
    assert reference_holds(rule.steps[0].condition, {"kind": "process_start", "image": "\\a.exe"})
    assert reference_holds(rule.steps[0].condition, {"kind": "file_write", "file": "a.zip"})


def test_value_count_is_a_count_of_distinct_texts() -> None:
    rule = correlated(
        "type: value_count\nrules: second\ngroup-by: host\ntimespan: 10s\ncondition: {gte: 3, field: TargetFilename}"
    )
    assert (rule.type, rule.scope, rule.column, rule.least) == ("distinct", "host", "file", 3)


@pytest.mark.parametrize(("generate", "own"), [("", []), ("\ngenerate: false", []), ("\ngenerate: true", ["first"])])
def test_rules_of_a_correlation_raise_nothing_of_their_own(generate: str, own: list[str]) -> None:
    found = correlation(
        f"type: event_count\nrules: [first]\ngroup-by: [host]\ntimespan: 1m\ncondition: {{gte: 2}}{generate}"
    )
    raised = [one.rule.id for one in found if isinstance(one.rule, Rule)]
    assert raised == [*own, "second", "both"]


def test_an_alias_may_say_what_a_field_is_called_in_each_rule() -> None:
    body = """
    type: temporal
    rules: [first, remote]
    group-by: [host, program]
    timespan: 1m
    aliases:
      program: {first: Image, remote: SourceImage}
    """
    thread = """\
title: Remote
name: remote
logsource: {category: create_remote_thread}
detection:
  s: {TargetImage|endswith: lsass.exe}
  condition: s
---
"""
    assert correlated(body, TWO + thread).group == ("image",)
    assert "the alias program does not say what it is of remote" in str(
        correlation(body.replace(", remote: SourceImage", ""), TWO + thread)[-1].rule
    )
    assert "program is not one column in all rules, but image, other_image" in str(
        correlation(body.replace("SourceImage", "TargetImage"), TWO + thread)[-1].rule
    )


def test_a_condition_may_name_the_rules() -> None:
    body = "type: temporal\ngroup-by: [host]\ntimespan: 1m\ncondition: first and second"
    assert [step.name for step in correlated(body).steps] == ["first", "second"]
    for condition in ("first or second", "first and not second"):
        assert "or and not" in str(correlation(body.replace("first and second", condition))[-1].rule)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("type: event_count", "type: value_sum", "the correlation value_sum is not honoured"),
        ("type: event_count", "type: value_avg", "the correlation value_avg is not honoured"),
        ("type: event_count", "type: value_percentile", "the correlation value_percentile is not honoured"),
        ("type: event_count", "type: value_median", "the correlation value_median is not honoured"),
        ("type: event_count", "type: something", "no valid Sigma correlation type"),
        ("type: event_count", "type: value_count", "values of host are not counted: it is no column"),
        ("[first]", "[]", "refers to no rules"),
        ("[first]", "[first, nowhere]", "refers to nowhere, which is not among the rules"),
        ("[first]", "[first, first]", "refers to one rule twice"),
        ("[first]", "[other]", "refers to other, a correlation itself"),
        ("[first]", "[broken]", "refers to broken, which is refused: the field Company has no column"),
        ("group-by: [host]", "group-by: [User]", "is over several hosts: group-by must name the host"),
        ("group-by: [host]\n", "", "is over several hosts"),
        ("group-by: [host]", "group-by: [host, LogonId]", "LogonId of first has no column of its own"),
        ("{gte: 2, field: host}", "{lt: 2}", "the condition lt is not honoured"),
        ("{gte: 2, field: host}", "{eq: 2}", "the condition eq is not honoured"),
        ("{gte: 2, field: host}", "{gte: 65}", "65 is not within 1 to 64"),
        ("{gte: 2, field: host}", "{gte: 1.5}", "1.5 is no whole number"),
        ("timespan: 1m", "timespan: 1x", "Timespan '1x' is invalid"),
        ("timespan: 1m", "timespan: 2y", "timespan 2y is too long"),
        ("timespan: 1m\n", "", "without timespan"),
    ],
)
def test_what_a_correlation_cannot_have_is_refused_by_name(old: str, new: str, reason: str) -> None:
    before = (
        TWO
        + "title: Broken\nname: broken\nlogsource: {category: process_creation}\n"
        + "detection:\n  s: {Company: a}\n  condition: s\n---\n"
        + "title: Other\nname: other\ncorrelation:\n  type: event_count\n  rules: [second]\n  group-by: [host]\n"
        + "  timespan: 1m\n  condition: {gte: 2}\n---\n"
    )
    body = "type: event_count\nrules: [first]\ngroup-by: [host]\ntimespan: 1m\ncondition: {gte: 2, field: host}"
    assert isinstance(correlation(body, before)[-1].rule, Rule)
    assert old in body
    error = correlation(body.replace(old, new, 1), before)[-1].rule
    assert isinstance(error, RuleError)
    assert reason in error.reason
    assert error.rule == "both"
    assert error.line is not None
    assert error.line >= 30


def test_rules_are_found_by_id_too() -> None:
    before = detection("s: {Image: a}") + "---\n"
    rule = "6f1b2c3d-0000-4000-8000-000000000001"
    body = f"type: event_count\nrules: [{rule}]\ngroup-by: host\ntimespan: 1m\ncondition: {{gte: 2}}"
    assert correlated(body, before).type == "count"
