"""Sigma rules: what becomes of them, and what is refused, by name."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sigma", reason="pySigma is not installed")

from fastfold.reference.matching import reference_holds
from fastfold.rules.sigma_fields import ADDRESS, CATEGORIES, INITIATED, PORT
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule
from fastfold.rules.types import Test as Compare
from fastfold.types import COLUMNS, KINDS
from sigma_rules import HEAD, detection, found, outcomes, refusal, rule_of


def test_a_detection_rule_counts_one_event_of_a_process() -> None:
    rule = rule_of(detection("s: {Image: 'C:\\a.exe'}"))
    assert rule == Rule(
        id="6f1b2c3d-0000-4000-8000-000000000001",
        version=rule.version,
        title="A rule",
        description="What it finds",
        level="high",
        tags=("attack.execution", "attack.t1059.001"),
        references=("https://example.org/1",),
        type="count",
        steps=rule.steps,
        within_ns=0,
        scope="process",
        source="s.yml:1",
    )
    (step,) = rule.steps
    assert step.name == "event"
    assert step.condition == AllOf((KindIn(frozenset({"process_start"})), Compare("image", "equals", "C:\\a.exe")))


def test_an_id_may_be_a_name_and_a_level_may_be_missing() -> None:
    text = detection("s: {Image: a}").replace("id: 6f1b2c3d-0000-4000-8000-000000000001\n", "")
    assert rule_of(text).id == "a_rule"
    assert rule_of(text.replace("level: high\n", "")).level == "medium"
    assert "neither id nor name" in refusal(text.replace("name: a_rule\n", "")).reason


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_kinds_and_columns(category: str) -> None:
    known = CATEGORIES[category]
    assert known.kinds
    assert known.kinds <= set(KINDS)
    assert set(known.fields.values()) <= {*COLUMNS, "process", "host", ADDRESS, PORT, INITIATED}


@pytest.mark.parametrize(
    ("category", "field", "column"),
    [
        ("process_creation", "Image", "image"),
        ("process_creation", "CommandLine", "command_line"),
        ("process_creation", "ParentImage", "other_image"),
        ("process_creation", "User", "user"),
        ("process_creation", "Hashes", "hash"),
        ("process_creation", "IntegrityLevel", "integrity"),
        ("file_event", "TargetFilename", "file"),
        ("file_delete", "TargetFilename", "file"),
        ("file_rename", "SourceFilename", "detail"),
        ("registry_set", "TargetObject", "registry"),
        ("registry_event", "Details", "detail"),
        ("image_load", "ImageLoaded", "module"),
        ("dns_query", "QueryName", "domain"),
        ("create_remote_thread", "SourceImage", "image"),
        ("create_remote_thread", "TargetImage", "other_image"),
        ("process_access", "GrantedAccess", "detail"),
        ("pipe_created", "PipeName", "detail"),
        ("network_connection", "DestinationHostname", "domain"),
        ("ps_script", "ScriptBlockText", "detail"),
    ],
)
def test_a_field_is_the_column_of_its_log_source(category: str, field: str, column: str) -> None:
    assert found(f"s: {{{field}: x}}", category) == Compare(column, "equals", "x")


IMAGE = "image"


@pytest.mark.parametrize(
    ("entry", "condition"),
    [
        ("Image|endswith: '\\a.exe'", Compare(IMAGE, "endswith", "\\a.exe")),
        ("Image|startswith: 'C:\\'", Compare(IMAGE, "startswith", "C:\\")),
        ("Image|contains: 'a'", Compare(IMAGE, "contains", "a")),
        (r"Image: 'C:\\*\a.exe'", Compare(IMAGE, "re", r"(?s)\AC:\\.*\\a\.exe\z")),
        ("Image: 'a?b'", Compare(IMAGE, "re", r"(?s)\Aa.b\z")),
        ("Image|contains: 'a*b'", Compare(IMAGE, "re", r"(?s)\A.*a.*b.*\z")),
        (r"Image|contains: 'a\*b'", Compare(IMAGE, "contains", "a*b")),
        ("Image: '*'", Exists(IMAGE)),
        ("Image|cased: 'Abc*'", Compare(IMAGE, "startswith", "Abc", cased=True)),
        ("Image: null", Not(Exists(IMAGE))),
        ("Image: ''", AnyOf((Not(Exists(IMAGE)), Compare(IMAGE, "equals", "")))),
        ("Image|exists: true", Exists(IMAGE)),
        ("Image|exists: false", Not(Exists(IMAGE))),
        ("Image: 5", Compare(IMAGE, "equals", "5")),
        ("Image: true", Compare(IMAGE, "equals", "true")),
        ("Image|gt: 5", Compare(IMAGE, "gt", "5")),
        ("Image|lte: 1.5", Compare(IMAGE, "lte", "1.5")),
        ("Image|neq: 5", Not(Compare(IMAGE, "equals", "5"))),
        ("Image|re: '^a[0-9]+$'", Compare(IMAGE, "re", "^a[0-9]+$", cased=True)),
        ("Image|re|i: '^a$'", Compare(IMAGE, "re", "^a$")),
        ("Image|re|i|m|s: '^a$'", Compare(IMAGE, "re", "(?ms)^a$")),
        ("Image|contains: [a, b]", AnyOf((Compare(IMAGE, "contains", "a"), Compare(IMAGE, "contains", "b")))),
        ("Image|contains|all: [a, b]", AllOf((Compare(IMAGE, "contains", "a"), Compare(IMAGE, "contains", "b")))),
        (
            "CommandLine|windash|contains: ' -enc'",
            AnyOf(tuple(Compare("command_line", "contains", f" {dash}enc") for dash in "-/–—―")),
        ),
        ("CommandLine|base64|contains: 'foobar'", Compare("command_line", "contains", "Zm9vYmFy")),
        (
            "CommandLine|base64offset|contains: 'foobar'",
            AnyOf(tuple(Compare("command_line", "contains", text) for text in ("Zm9vYmFy", "Zvb2Jhc", "mb29iYX"))),
        ),
        ("CommandLine|wide|base64|contains: 'ab'", Compare("command_line", "contains", "YQBiAA==")),
    ],
)
def test_a_modifier_is_honoured(entry: str, condition: Condition) -> None:
    assert found(f"s: {{{entry}}}") == condition


@pytest.mark.parametrize(
    ("condition", "passing"),
    [
        ("a and b", "ab abc"),
        ("a or b", "a b ab bc abc"),
        ("a and not b", "a"),
        ("not (a or b)", "-"),
        ("1 of them", "a b ab bc abc"),
        ("all of them", "abc"),
        ("1 of a*", "a ab abc"),
        ("a or b and c", "a ab bc abc"),
    ],
)
def test_conditions_mean_what_they_say(condition: str, passing: str) -> None:
    text = detection("a: {Image: a}\nb: {User: b}\nc: {CommandLine: c}", condition=condition)
    (step,) = rule_of(text).steps
    columns = {"a": ("image", "a"), "b": ("user", "b"), "c": ("command_line", "c")}
    for given in ("-", "a", "b", "ab", "bc", "abc"):
        event = {"kind": "process_start", **dict(columns[letter] for letter in given if letter != "-")}
        assert reference_holds(step.condition, event) == (given in passing.split()), given
        assert not reference_holds(step.condition, {**event, "kind": "pipe"})


def test_several_conditions_are_alternatives() -> None:
    text = detection("a: {Image: a}\nb: {User: b}").replace("condition: s", "condition: [a, b]")
    (step,) = rule_of(text).steps
    assert not reference_holds(step.condition, {"kind": "process_start", "image": "b", "user": "a"})
    assert reference_holds(step.condition, {"kind": "process_start", "image": "A"})
    assert reference_holds(step.condition, {"kind": "process_start", "user": "B"})


def test_a_list_of_mappings_is_any_of_them() -> None:
    assert found("s:\n- Image: a\n- {User: b, CommandLine: c}") == AnyOf(
        (
            Compare("image", "equals", "a"),
            AllOf((Compare("user", "equals", "b"), Compare("command_line", "equals", "c"))),
        )
    )


# Parts of `remote`


@pytest.mark.parametrize(
    ("entry", "passing", "failing"),
    [
        ("DestinationPort: 443", ["10.0.0.1:443", "[::1]:443"], ["10.0.0.1:8443", "10.0.0.1:4430", "10.0.0.1"]),
        ("DestinationPort: ['80', 8080]", ["1.1.1.1:80", "1.1.1.1:8080"], ["1.1.1.1:808"]),
        ("DestinationIp: '10.0.0.1'", ["10.0.0.1:80", "10.0.0.1"], ["10.0.0.11:80", "110.0.0.1:80"]),
        ("DestinationIp: '::1'", ["[::1]:80", "::1"], ["[::11]:80", "[1::1]:80"]),
        ("DestinationIp|startswith: '10.'", ["10.0.0.1:80"], ["110.0.0.1:80"]),
        ("DestinationIp|startswith: 'fe80:'", ["[fe80::1]:80", "FE80::1"], ["[fd80::1]:80"]),
        ("DestinationIp|endswith: '.1'", ["10.0.0.1:80", "10.0.0.1"], ["10.0.0.11:80", "10.0.0.2:1"]),
        ("DestinationIp|contains: '.20.'", ["10.20.0.1:80"], ["10.2.0.1:20", "120.0.0.1"]),
        ("DestinationIp: '10.*.1'", ["10.5.5.1:9"], ["10.5.5.2:1"]),
        ("DestinationIp|cidr: ['10.0.0.0/8', 'fd00::/8']", ["10.1.1.1:9", "[fd00::1]:9"], ["11.1.1.1:9", "x"]),
    ],
)
def test_parts_of_remote_are_found_in_it(entry: str, passing: list[str], failing: list[str]) -> None:
    text = detection(f"s: {{Initiated: 'true', {entry}}}", "network_connection")
    (step,) = rule_of(text).steps
    event: dict[str, Any] = {"kind": "net_connect"}
    for remotes, holds in ((passing, True), (failing, False)):
        assert [reference_holds(step.condition, {**event, "remote": one}) for one in remotes] == [holds] * len(remotes)
    assert not reference_holds(step.condition, {"kind": "net_accept", "remote": passing[0]})


def test_the_side_that_opened_a_connection_is_its_kind() -> None:
    for value, kind in (("'false'", "net_accept"), ("false", "net_accept"), ("'true'", "net_connect")):
        assert found(f"s: {{Initiated: {value}}}", "network_connection") == KindIn(frozenset({kind}))


# What is refused

SELECTIONS = [
    ("s: {OriginalFileName: a.exe}", "the field OriginalFileName has no column", "OriginalFileName"),
    ("s: {ParentCommandLine|contains: a}", "the field ParentCommandLine has no column", "ParentCommandLine"),
    ("s: [a, b]", "a search for a without a field", ""),
    ("s: {'|contains': a}", "a search for *a* without a field", ""),
    ("s: {Image|expand: '%admins%'}", "the placeholder %admins% is not known", "Image"),
    ("s: {Image|fieldref: User}", "a comparison with another field is not honoured", "Image"),
    ("s: {Image|minute: 5}", "parts of times are not compared", "Image"),
    ("s: {Image|nothing: 5}", "Unknown modifier", ""),
]


@pytest.mark.parametrize(("text", "reason", "field"), SELECTIONS)
def test_what_a_selection_cannot_have_is_refused_by_name(text: str, reason: str, field: str) -> None:
    error = refusal(detection(text))
    assert reason in error.reason
    assert (error.file, error.rule, error.field) == ("s.yml", "6f1b2c3d-0000-4000-8000-000000000001", field)
    assert error.line == (16 if field else 1)


@pytest.mark.parametrize("regex", ["(?=a)b", "(a)\\1", "a**", "("])
def test_an_expression_that_re2_does_not_take_is_refused(regex: str) -> None:
    """By pySigma, where it uses RE2 itself, or by us."""
    error = refusal(detection(f"s: {{Image|re: '{regex}'}}"))
    assert regex in error.reason
    assert (error.file, error.rule) == ("s.yml", "6f1b2c3d-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s: {DestinationIp: 10.0.0.1}", "the rule must ask for Initiated: 'true' as well"),
        ("s: {DestinationPort: 80, Initiated: 'false'}", "the rule must ask for Initiated: 'true' as well"),
        ("s: {SourceIp: 10.0.0.1}", "the field SourceIp has no column"),
        ("s: {Initiated: 'true', DestinationPort|gt: 1024}", "whole numbers only"),
        ("s: {Initiated: 'true', DestinationPort: '44*'}", "whole numbers only"),
        ("s: {Initiated: 'true', DestinationIp: '*:1'}", "may only stand at its end"),
        ("s: {Initiated: 'true', DestinationIp|re: '^10'}", "is not honoured for a part of a text"),
        ("s: {Initiated: maybe}", "is true or false"),
    ],
)
def test_what_cannot_be_told_of_a_connection_is_refused(text: str, reason: str) -> None:
    assert reason in refusal(detection(text, "network_connection")).reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{category: driver_load, product: windows}", "a driver is loaded by no process"),
        ("{category: webserver}", "the category webserver is not honoured: known are process_creation"),
        ("{product: windows, service: security}", "the log source product windows, service security is not one of"),
        ("{product: linux, service: auditd}", "the log source product linux, service auditd"),
        ("{category: process_creation, service: audit}", "the log source category process_creation, service audit"),
        ("{category: registry_add}", "no kind tells keys that were created"),
        ("{}", "can't be empty"),
        ("process_creation", "valid YAML map"),
    ],
)
def test_a_log_source_without_events_of_ours_is_refused(source: str, reason: str) -> None:
    text = f"{HEAD}logsource: {source}\ndetection:\n  s: {{Image: a}}\n  condition: s\n"
    error = refusal(text)
    assert reason in error.reason
    assert error.line in (1, 12)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("condition: s", "condition: s and t"),
        ("condition: s", "condition: s | count() > 5"),
        ("condition: s", "condition: 1 of t*"),
        ("condition: s", "condition: s and"),
        ("condition: s", "condition: {a: b}"),
        ("condition: s", "timeframe: 5"),
        ("s: {Image: a}", "s: {}"),
        ("s: {Image: a}", "s: {Image: {a: b}}"),
        ("level: high", "level: severe"),
        ("tags: [", "tags: [[x], "),
        ("id: 6f1b2c3d", "id: x6f1b2c3d"),
        ("title: A rule", "title: [a]"),
        ("title: A rule\n", ""),
        ("logsource:", "logsauce:"),
        ("detection:", "detection: 5\nother:"),
    ],
)
def test_what_pysigma_does_not_take_is_refused_with_its_place(old: str, new: str) -> None:
    text = detection("s: {Image: a}")
    assert old in text
    error = refusal(text.replace(old, new, 1))
    assert (error.file, error.line) == ("s.yml", 1)
    assert error.reason
    assert "\n" not in error.reason


def test_filters_and_collections_by_action_are_refused() -> None:
    assert "filters are not read" in refusal("title: f\nname: f\nfilter: {rules: [a], condition: s}\n").reason
    assert "collections by action" in refusal("action: global\ntitle: f\n").reason


# Fields without a column, taken as absent


def test_a_field_without_a_column_may_count_as_absent() -> None:
    text = "s:\n- Image|endswith: a\n- OriginalFileName: a.exe"
    assert "OriginalFileName" in refusal(detection(text)).reason
    assert found(text, lenient=True) == Compare("image", "endswith", "a")
    (outcome,) = outcomes(detection(text), lenient=True)
    assert outcome.absent == ("OriginalFileName",)


@pytest.mark.parametrize(
    ("text", "condition", "reason"),
    [
        ("s: {OriginalFileName: a}", "s", "nothing is left without OriginalFileName"),
        ("s: {Image: a, Company: b}", "s", "nothing is left without Company"),
        ("s: {Image: a}\nf: {Company: b}", "s and not f", "Company has no column, and is looked at under not"),
        ("s: {Image: a}\nf: [{Company: b}, {User: c}]", "s and not f", "Company has no column, and is looked at under"),
    ],
)
def test_absent_fields_never_make_a_rule_match_more(text: str, condition: str, reason: str) -> None:
    assert reason in refusal(detection(text, condition=condition), lenient=True).reason
