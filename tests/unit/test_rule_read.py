"""Rules of our own language: what is read of them, and what is refused, where."""

from __future__ import annotations

import pickle

import pytest
import yaml

from fastfold.errors import RuleError, RuleSetError, StopError
from fastfold.rules import yaml as rule_yaml
from fastfold.rules.read import read_rule
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule, Step
from fastfold.rules.types import Test as Compare
from fastfold.rules.values import ValueFault, number_of, pattern_of, span_ns
from fastfold.rules.version import version_of
from fastfold.rules.yaml import documents

RULE = r"""
id: office.shell-1
title: A shell
description: >
  Two
  lines.
level: high
tags: [attack.t1059, attack.t1204.002]
references: ['https://example.org/1']
type: sequence
within: 5m
scope: host
group: [user]
suppress: 1h
unless:
  kind: process_end
steps:
  - name: start
    kind: process_start
    where:
      image|endswith: ['\cmd.exe', '\powershell.exe']
      not: {command_line: 'C:\Temp\\*'}
  - name: connect
    kind: [net_connect, net_accept]
"""


def read(text: str) -> Rule:
    (document,) = documents("r.yml", text.encode())
    return read_rule("r.yml", document)


def where(text: str) -> Condition:
    rule = read(
        "id: a\ntitle: b\nlevel: low\ntype: count\nleast: 1\nwithin: 0s\nscope: process\n"
        f"steps:\n- name: s\n  where: {text}\n"
    )
    return rule.steps[0].condition


def test_a_rule_is_what_it_says() -> None:
    rule = read(RULE)
    assert rule == Rule(
        id="office.shell-1",
        version=rule.version,
        title="A shell",
        description="Two lines.\n",
        level="high",
        tags=("attack.t1059", "attack.t1204.002"),
        references=("https://example.org/1",),
        type="sequence",
        steps=(
            Step(
                "start",
                AllOf(
                    (
                        KindIn(frozenset({"process_start"})),
                        AnyOf(
                            (
                                Compare("image", "endswith", "\\cmd.exe"),
                                Compare("image", "endswith", "\\powershell.exe"),
                            )
                        ),
                        Not(Compare("command_line", "startswith", "C:\\Temp\\")),
                    )
                ),
            ),
            Step("connect", KindIn(frozenset({"net_connect", "net_accept"}))),
        ),
        within_ns=300 * 10**9,
        scope="host",
        group=("user",),
        unless=Step("unless", KindIn(frozenset({"process_end"}))),
        suppress_ns=3600 * 10**9,
        source="r.yml:2",
    )


IMAGE = "image"
ENDS = "image|endswith: ['\\cmd.exe', "
NOT = "not: {command_line: 'C:\\Temp\\\\*'}"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("{image: cmd.exe}", Compare(IMAGE, "equals", "cmd.exe")),
        ("{image: '*cmd*'}", Compare(IMAGE, "contains", "cmd")),
        ("{image: 'cmd*'}", Compare(IMAGE, "startswith", "cmd")),
        ("{image: '*cmd'}", Compare(IMAGE, "endswith", "cmd")),
        ("{image: '*'}", Exists(IMAGE)),
        (r"{image: 'a?(b)*[c'}", Compare(IMAGE, "re", r"(?s)\Aa.\(b\).*\[c\z")),
        (r"{image: 'a\*b\?'}", Compare(IMAGE, "equals", "a*b?")),
        (r"{image: '\\srv\c\\*'}", Compare(IMAGE, "startswith", "\\\\srv\\c\\")),
        (r"{image|contains: 'a*b?\'}", Compare(IMAGE, "contains", "a*b?\\")),
        ("{image: ''}", Compare(IMAGE, "equals", "")),
        ("{image|cased: Cmd*}", Compare(IMAGE, "startswith", "Cmd", cased=True)),
        ("{image|re|cased: '^a+$'}", Compare(IMAGE, "re", "^a+$", cased=True)),
        ("{image|contains|all: [a, b]}", AllOf((Compare(IMAGE, "contains", "a"), Compare(IMAGE, "contains", "b")))),
        ("{image: [a, 'b*']}", AnyOf((Compare(IMAGE, "equals", "a"), Compare(IMAGE, "startswith", "b")))),
        ("{remote|cidr: 10.0.0.0/8}", Compare("remote", "cidr", "10.0.0.0/8")),
        ("{detail|gte: 1.50}", Compare("detail", "gte", "1.50")),
        ("{image: 0x1F}", Compare(IMAGE, "equals", "0x1F")),
        ("{image: yes}", Compare(IMAGE, "equals", "yes")),
        ("{image: 2026-03-04}", Compare(IMAGE, "equals", "2026-03-04")),
        ("{image|exists: true}", Exists(IMAGE)),
        ("{image|exists: no}", Not(Exists(IMAGE))),
        ("{kind: pipe}", KindIn(frozenset({"pipe"}))),
        ("{process: p1, host: h}", AllOf((Compare("process", "equals", "p1"), Compare("host", "equals", "h")))),
        ("[{image: a}, {user: b}]", AnyOf((Compare(IMAGE, "equals", "a"), Compare("user", "equals", "b")))),
        (
            "{or: [{image: a}, {not: {user: b}}]}",
            AnyOf((Compare(IMAGE, "equals", "a"), Not(Compare("user", "equals", "b")))),
        ),
        (
            "{1 of: [{image: a}], all of: [{user: b}]}",
            AllOf((Compare(IMAGE, "equals", "a"), Compare("user", "equals", "b"))),
        ),
        ("{and: [{image: a}, {image: b}]}", AllOf((Compare(IMAGE, "equals", "a"), Compare(IMAGE, "equals", "b")))),
        (
            "{and: [[{image: a}, {image: b}], {user: c}]}",
            AllOf(
                (AnyOf((Compare(IMAGE, "equals", "a"), Compare(IMAGE, "equals", "b"))), Compare("user", "equals", "c"))
            ),
        ),
    ],
)
def test_a_condition_is_what_it_says(text: str, condition: Condition) -> None:
    assert where(text) == condition


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "reason"),
    [
        ("level: high", "level: severe", 7, "level", "'severe' is none of informational, low"),
        ("level: high\n", "", 2, "", "level is missing"),
        ("title: A shell", "heading: A shell", 3, "heading", "unknown key; allowed: id, title"),
        ("title: A shell", "title: ' '", 3, "title", "must be a text"),
        ("title: A shell", "title: [a]", 3, "title", "must be a text"),
        ("type: sequence", "type: order", 10, "type", "'order' is none of sequence, all, count, distinct"),
        ("type: sequence", "type: count", 17, "steps", "has one step, not 2"),
        ("within: 5m", "within: 5 minutes", 11, "within", "no span of time like 90s"),
        ("within: 5m", "within: 367d", 11, "within", "longer than 366 days"),
        ("scope: host", "scope: fleet", 12, "scope", "'fleet' is none of process, host"),
        ("group: [user]", "group: [user, usr]", 13, "group[2]", "'usr' is none of image"),
        ("group: [user]", "group: [user, user]", 13, "group[2]", "'user' stands twice"),
        ("group: [user]", "group: []", 13, "group", "is empty"),
        ("group: [user]", "least: 3", 13, "least", "is for count and distinct, the type is sequence"),
        ("kind: process_end", "kind: process_stop", 16, "unless.kind", "'process_stop' is none of process_start"),
        ("  - name: connect\n", "  - name: start\n", 23, "steps[2].name", "two steps are called 'start'"),
        ("  - name: connect\n    ", "  - ", 23, "steps[2]", "name is missing"),
        ("    kind: [net_connect, net_accept]\n", "", 23, "steps[2]", "neither kind nor where"),
        ("net_connect, net_accept", "net_connect, net", 24, "steps[2].kind[2]", "'net' is none of"),
        ("image|endswith", "img|endswith", 21, "steps[1].where.img|endswith", "unknown field 'img'; there are image"),
        ("image|endswith", "image|ends", 21, "steps[1].where.image|ends", "unknown modifier 'ends'"),
        ("image|endswith", "image|endswith|contains", 21, "steps[1].where.image|endswith|contains", "one of them"),
        ("image|endswith", "image|cidr|cased", 21, "steps[1].where.image|cidr|cased", "cased is not for cidr"),
        ("image|endswith", "image|all|all", 21, "steps[1].where.image|all|all", "the modifier all stands twice"),
        ("image|endswith", "kind|re", 21, "steps[1].where.kind|re", "kind has no modifiers"),
        (ENDS, "image|re: ['(?=a)', ", 21, "steps[1].where.image|re[1]", "expression of RE2"),
        (ENDS, "image|cidr: [10.0.0.1/8, ", 21, "steps[1].where.image|cidr[1]", "host bits"),
        (ENDS, "image|gt: [ten, ", 21, "steps[1].where.image|gt[1]", "'ten' is no number"),
        (ENDS, "image|contains: ['', ", 21, "steps[1].where.image|contains[1]", "every text"),
        (ENDS, "image: [null, ", 21, "steps[1].where.image[1]", "exists: false"),
        (NOT, "not: []", 22, "steps[1].where.not", "is empty"),
        (NOT, "not: 5", 22, "steps[1].where.not", "must be a mapping"),
        (NOT, "or: {user: a}", 22, "steps[1].where.or", "must be a list of conditions"),
        (NOT, "user|exists: 1", 22, "steps[1].where.user|exists", "true or false"),
        (NOT, "user|exists|all: true", 22, "steps[1].where.user|exists|all", "alone"),
        (NOT, "user|all: a", 22, "steps[1].where.user|all", "for a list of values"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_line_rule_and_field(old: str, new: str, line: int, field: str, reason: str) -> None:
    assert old in RULE
    with pytest.raises(RuleError) as caught:
        read(RULE.replace(old, new, 1))
    error = caught.value
    assert (error.file, error.line, error.rule, error.field) == ("r.yml", line, "office.shell-1", field)
    assert reason in error.reason
    assert str(error).startswith(f"r.yml:{line}: rule 'office.shell-1': ")


@pytest.mark.parametrize("rule_id", ["", "a b", "-a", "ä", "a" * 129, "[a]"])
def test_an_id_is_a_short_word(rule_id: str) -> None:
    with pytest.raises(RuleError) as caught:
        read(RULE.replace("id: office.shell-1", f"id: {rule_id}"))
    assert (caught.value.line, caught.value.rule, caught.value.field) == (2, "", "id")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("type: count\nleast: 0\n", "from 1 to 64"),
        ("type: count\nleast: 65\n", "from 1 to 64"),
        ("type: count\nleast: '2'\n", "from 1 to 64"),
        ("type: count\nleast: true\n", "from 1 to 64"),
        ("type: count\nleast: 2\ncolumn: user\n", "is for distinct, the type is count"),
        ("type: distinct\nleast: 2\n", "column is missing"),
        ("type: distinct\nleast: 2\ncolumn: process\n", "'process' is none of"),
        ("type: distinct\ncolumn: user\n", "least is missing"),
    ],
)
def test_what_is_counted_is_checked(text: str, reason: str) -> None:
    with pytest.raises(RuleError, match=reason):
        read(f"id: a\ntitle: b\nlevel: low\nwithin: 1m\nscope: host\nsteps: [{{name: s, kind: pipe}}]\n{text}")


# YAML


def faults(text: str | bytes) -> RuleError:
    with pytest.raises(RuleError) as caught:
        list(documents("r.yml", text if isinstance(text, bytes) else text.encode()))
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands twice, first in line 1"),
        ("a: {b: 1,\n b: 2}\n", 2, "the key 'b' stands twice, first in line 1"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: !!python/object/apply:os.system [echo]\n", 1, "is not of rules"),
        ("a: !x 1\n", 1, "not YAML"),
        ("? [1]\n: 2\n", 1, "a key that is no text"),
        ("a: &x [*x]\n", 1, "nested deeper"),
        ("a: 2026-13-45\n", 1, "is not what it looks like"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        ("a: \x00\n", None, "not YAML"),
        ("a: *nowhere\n", 1, "not YAML"),
    ],
)
@pytest.mark.parametrize("loader", [rule_yaml._LOADER, yaml.SafeLoader])
def test_what_is_no_yaml_of_rules_is_told(
    text: str | bytes, line: int | None, reason: str, loader: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_yaml, "_LOADER", loader)
    error = faults(text)
    assert error.line == line
    assert reason in error.reason


@pytest.mark.parametrize("loader", [rule_yaml._LOADER, yaml.SafeLoader])
def test_nesting_is_bounded(loader: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_yaml, "_LOADER", loader)
    assert "nest" in faults("[" * 100_000).reason
    assert faults("[" * 66 + "]" * 66).reason == "nested deeper than 64"


def test_aliases_cannot_become_more_than_a_file_may_hold() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "each use of an alias counts" in faults("\n".join(lines)).reason


def test_an_alias_stands_for_what_it_names() -> None:
    (document,) = documents("r.yml", b"a: &x [1, 2]\nb: *x\n")
    assert document.plain() == {"a": [1, 2], "b": [1, 2]}


def test_a_file_that_is_too_large_is_not_read() -> None:
    assert faults(b"#" * ((8 << 20) + 1)).reason == "larger than 8,388,608 bytes"


def test_documents_know_their_lines_and_empty_ones_are_none() -> None:
    found = list(documents("r.yml", "\ufeff# first\n---\na: 1\n---\n---\n\nb: 2\n".encode()))
    assert [(one.plain(), one.line) for one in found] == [({"a": 1}, 3), ({"b": 2}, 7)]


# Values


@pytest.mark.parametrize(
    ("text", "ns"), [("0s", 0), ("250ms", 250_000_000), ("90s", 90 * 10**9), ("2d", 2 * 86_400 * 10**9)]
)
def test_spans_are_read(text: str, ns: int) -> None:
    assert span_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "m", "-1s", "1.5h", "1w", "1 s", "٣s"])
def test_what_is_no_span_is_told(text: str) -> None:
    with pytest.raises(ValueFault):
        span_ns(text)


def test_numbers_are_those_of_people() -> None:
    assert [number_of(text) for text in ("1", "-1.5", "+.5", "1e3", "7.")] == [1, -1.5, 0.5, 1000, 7]
    assert [number_of(text) for text in ("", "1_0", " 1", "inf", "nan", "0x1", "1e999", "1,5")] == [None] * 8


@pytest.mark.parametrize("text", ["\\" * 9 + "a", "\\" * 9, "\\" * 10_000 + "b\\", "a\\b\\\\c"])
def test_backslashes_that_escape_nothing_stay(text: str) -> None:
    assert pattern_of(text) == (text,)


# Versions


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: A shell", "title: Another"),
        ("level: high", "level: low"),
        ("tags: [attack.t1059, attack.t1204.002]\n", ""),
        ("- name: start", "- name: other"),
        ("['\\cmd.exe', '\\powershell.exe']", "['\\powershell.exe', '\\cmd.exe', '\\cmd.exe']"),
        ("id: office.shell-1", "id: other"),
        ("# no comment", "# no comment"),
    ],
)
def test_what_changes_no_match_changes_no_version(old: str, new: str) -> None:
    assert read(RULE.replace(old, new, 1)).version == read(RULE).version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type: sequence", "type: all"),
        ("within: 5m", "within: 6m"),
        ("scope: host", "scope: process"),
        ("group: [user]\n", ""),
        ("suppress: 1h\n", ""),
        ("unless:\n  kind: process_end\n", ""),
        ("kind: process_end", "kind: pipe"),
        ("\\cmd.exe", "\\csc.exe"),
        ("image|endswith", "image|endswith|cased"),
        ("image|endswith", "image|endswith|all"),
        ("image|endswith", "user|endswith"),
        ("not: {command_line", "and: [{command_line"),
        ("[net_connect, net_accept]", "net_connect"),
    ],
)
def test_what_changes_a_match_changes_the_version(old: str, new: str) -> None:
    text = RULE.replace(old, new, 1)
    if "and: [{" in new:
        text = text.replace("\\\\*'}", "\\\\*'}]")
    changed = read(text)
    assert changed.version != read(RULE).version
    assert len(changed.version) == 16
    assert version_of(changed) == changed.version


def test_the_version_stays_over_releases() -> None:
    """Marks of another version are not looked at: a change here makes every deployment begin anew."""
    assert read(RULE).version == "2132531c061a6fd9"


# Errors


def test_errors_survive_the_way_from_a_worker() -> None:
    error = RuleError("a.yml", "why", 3, "r", "steps")
    both = RuleSetError((error, RuleError("b.yml", "not UTF-8")))
    for one in (error, both, RuleSetError((error,))):
        copy = pickle.loads(pickle.dumps(one))
        assert (str(copy), type(copy), copy.line) == (str(one), type(one), 3)
        assert isinstance(copy, StopError)
    assert str(both) == "2 faults in rules:\n  a.yml:3: rule 'r': steps: why\n  b.yml: not UTF-8"
    assert str(RuleSetError((error,))) == str(error)
