"""The forms of an alert: what they hold, and that the schemas of others take them."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from alerts import HOSTILE, START_NS, a_step, an_alert, hostile_alert
from ecs_fields import FIELDS
from fastfold.alerts.attack import TACTICS, attacks_of
from fastfold.alerts.cut import NO_CUT, Cut
from fastfold.alerts.ecs import ecs
from fastfold.alerts.forms import FORMS, LEAST_BYTES, line_of
from fastfold.alerts.native import native
from fastfold.alerts.ocsf import OCSF_VERSION, ocsf
from fastfold.alerts.parts import base_name, split_remote, split_user
from fastfold.alerts.types import Alert, AlertTimes
from fastfold.alerts.words import words_of
from fastfold.rules.types import LEVELS

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
NATIVE = jsonschema.Draft202012Validator(SCHEMA)
OCSF = jsonschema.Draft202012Validator(
    OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION)).get_class_schema(
        "detection_finding", profiles=["host"]
    )
)
BARE = an_alert(
    tenant="", image="", command_line="", user="", parent="", tags=(), references=(), description="", steps=(a_step(),)
)
ANY = [an_alert(), BARE, an_alert(limited=True, suppressed=3), *(hostile_alert(text) for text in HOSTILE)]


def faults(validator: Any, document: object) -> list[str]:
    return [f"{list(error.path)}: {error.message[:200]}" for error in validator.iter_errors(document)]


def leaves(document: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found


@pytest.mark.parametrize("alert", ANY)
def test_the_native_form_is_as_its_schema_says(alert: Alert) -> None:
    assert faults(NATIVE, native(alert, NO_CUT)) == []
    assert faults(NATIVE, native(alert, Cut(2, 3))) == []


def test_the_schema_refuses_what_is_not_an_alert() -> None:
    good = native(an_alert(), NO_CUT)
    for wrong in ({"id": "x"}, {"more": 1}, {"times": {}}, {"steps": []}, {"rule": {**good["rule"], "level": "bad"}}):  # type: ignore[dict-item]
        assert faults(NATIVE, {**good, **wrong})


def test_the_native_form_holds_every_text_as_it_is() -> None:
    document = json.loads(line_of(an_alert(), "native", 1 << 18)[0])
    assert document["rule"]["tags"] == ["attack.execution", "attack.t1059.003", "attack.t1566"]
    assert document["process"]["command_line"] == "cmd.exe /c whoami"
    assert [step["values"].get("remote") for step in document["steps"]] == [None, "203.0.113.7:443"]
    assert document["span_s"] == 2.5
    assert document["times"] == {
        "event": "2025-11-24T16:00:02.500000000Z",
        "stored": "2025-11-24T16:00:10.000000000Z",
        "received": "2025-11-24T16:00:11.000000000Z",
        "committed": "2025-11-24T16:00:12.000000000Z",
    }
    for text in HOSTILE:
        shown = json.loads(line_of(hostile_alert(text), "native", 1 << 22)[0])
        same = {shown["host"], shown["process"]["user"], shown["steps"][0]["values"]["detail"]} == {text}
        assert same, text[:40]


@pytest.mark.parametrize("alert", ANY)
def test_ocsf_is_a_detection_finding_by_the_schema_of_ocsf(alert: Alert) -> None:
    document = json.loads(line_of(alert, "ocsf", 1 << 22)[0])
    assert faults(OCSF, document) == []
    assert (document["class_uid"], document["type_uid"], document["is_alert"]) == (2004, 200401, True)


def test_ocsf_says_who_did_what_when() -> None:
    document: Any = ocsf(an_alert(), NO_CUT)
    assert document["severity_id"] == 4
    assert document["time"] == START_NS // 10**6 + 12_000
    assert (document["start_time"], document["end_time"]) == (START_NS // 10**6, START_NS // 10**6 + 2500)
    assert document["metadata"]["tenant_uid"] == "acme"
    assert document["device"]["uid"] == "WORKSTATION5"
    process = document["actor"]["process"]
    assert (process["name"], process["parent_process"]) == ("cmd.exe", {"uid": "p-0"})
    assert document["actor"]["user"] == {"name": "bob", "domain": "ACME"}
    connect = document["evidences"][1]
    assert connect["dst_endpoint"] == {"ip": "203.0.113.7", "port": 443}
    assert connect["query"] == {"hostname": "c2.example"}
    attacks = document["finding_info"]["attacks"]
    assert [attack.get("tactic", {}).get("uid") for attack in attacks] == ["TA0002", None, None]
    assert [attack.get("technique", {}).get("uid") for attack in attacks] == [None, "T1566", "T1059"]
    assert attacks[2]["sub_technique"]["uid"] == "T1059.003"


@pytest.mark.parametrize("level", LEVELS)
def test_levels_keep_their_order_in_every_form(level: Any) -> None:
    alert = an_alert(level=level)
    place = LEVELS.index(level)
    assert ocsf(alert, NO_CUT)["severity_id"] == place + 1
    assert ecs(alert, NO_CUT)["event"]["severity"] == 25 * place  # type: ignore[index]


@pytest.mark.parametrize("alert", ANY)
def test_ecs_uses_its_fields_as_their_types_say(alert: Alert) -> None:
    document = json.loads(line_of(alert, "ecs", 1 << 22)[0])
    document.pop("fastfold")
    for name, value in leaves(document).items():
        kind = FIELDS[name]
        values = value if kind.endswith("[]") else [value]
        assert isinstance(values, list), name
        for each in values:
            match kind.removesuffix("[]"):
                case "long":
                    assert isinstance(each, int), name
                case "date":
                    assert faults(jsonschema.Draft202012Validator(SCHEMA["$defs"]["time"]), each) == []
                case "ip":
                    assert ipaddress.ip_address(each)
                case _:
                    assert isinstance(each, str), name


def test_ecs_is_an_alert_with_its_threat() -> None:
    document: Any = ecs(an_alert(), NO_CUT)
    assert document["event"]["kind"] == "alert"
    # Of this category ECS allows the types allowed, denied and info.
    assert (document["event"]["category"], document["event"]["type"]) == (["intrusion_detection"], ["info"])
    assert document["event"]["duration"] == 2_500_000_000
    assert document["threat"]["tactic"]["name"] == ["Execution"]
    assert document["threat"]["technique"]["id"] == ["T1059", "T1566"]
    assert document["threat"]["technique"]["subtechnique"]["id"] == ["T1059.003"]
    assert document["related"] == {"hosts": ["WORKSTATION5", "c2.example"], "user": ["bob"], "ip": ["203.0.113.7"]}
    assert document["fastfold"]["steps"] == native(an_alert(), NO_CUT)["steps"]
    bare: Any = ecs(BARE, NO_CUT)
    assert not {"threat", "user", "organization"} & bare.keys()


def test_the_text_tells_what_happened() -> None:
    assert words_of(an_alert()).splitlines() == [
        "[high] Office program starts a shell that connects out",
        "on WORKSTATION5 (tenant acme), by ACME\\bob",
        "process C:\\Windows\\System32\\cmd.exe: cmd.exe /c whoami",
        "2 events in 2.5 s, the last at 2025-11-24T16:00:02Z:",
        "  start: process_start, command_line cmd.exe /c whoami",
        "  connect: net_connect, remote 203.0.113.7:443, domain c2.example",
    ]
    many = an_alert(steps=tuple(a_step(second=second) for second in range(3000)), limited=True)
    assert words_of(many).splitlines()[3] == "3,000 events in 2,999 s, the last at 2025-11-24T16:49:59Z:"
    assert words_of(many).splitlines()[-2:] == ["  and 2,994 more", "a limit was hit: earlier events may be missing"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_forges_a_line_of_the_text(text: str) -> None:
    words = words_of(hostile_alert(text))
    assert len(words.splitlines()) == 6
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", words) is None
    assert len(words) < 16_384


@pytest.mark.parametrize("form", FORMS)
def test_what_does_not_fit_is_cut_and_said_to_be(form: str) -> None:
    whole, cut = line_of(an_alert(), form, LEAST_BYTES)
    assert (cut, b'"cut"' in whole) == (NO_CUT, False)
    evidence = (("command_line", "x" * 5000), ("detail", "short"))
    alert = an_alert(steps=tuple(a_step(second=second, evidence=evidence) for second in range(20)))
    line, cut = line_of(alert, form, 100 << 10)
    assert len(line) <= 100 << 10
    assert cut.texts >= 20
    assert cut.steps == 0
    assert line.count(("x" * 255 + "…").encode()) + line.count(("x" * 1023 + "…").encode()) >= 20
    many = an_alert(steps=tuple(a_step(f"step {number}", number) for number in range(5000)))
    line, cut = line_of(many, form, 256 << 10)
    assert len(line) <= 256 << 10
    assert cut.steps > 4000
    assert b'"cut"' in line
    assert (b"step 0" in line, b"step 4999" in line) == (True, True)


def test_the_steps_that_are_kept_are_the_first_and_the_last() -> None:
    many = an_alert(steps=tuple(a_step(f"{number}", number) for number in range(5000)))
    line, cut = line_of(many, "native", 64 << 10)
    names = [int(step["name"]) for step in json.loads(line)["steps"]]
    half = len(names) // 2
    assert names == [*range(half), *range(5000 - half, 5000)]
    assert cut.steps == 5000 - len(names)


def test_too_low_a_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit in 100 bytes"):
        line_of(an_alert(), "native", 100)


def test_times_that_are_unknown_are_left_out() -> None:
    alert = replace(an_alert(), times=AlertTimes(event_ns=START_NS, stored_ns=0))
    assert json.loads(line_of(alert, "native", 1 << 18)[0])["times"].keys() == {"event"}
    assert faults(OCSF, json.loads(line_of(alert, "ocsf", 1 << 18)[0])) == []


def test_tags_of_attack_are_read() -> None:
    assert len(TACTICS) == 14
    assert len({uid for uid, _ in TACTICS.values()}) == 14
    found = attacks_of(["attack.T1003.001", "attack.t1003.002", "attack.g0016", "attack.t12", "cve.2024.1", "attack."])
    assert (found.tactics, found.techniques, found.subtechniques) == ((), ("T1003",), ("T1003.001", "T1003.002"))
    assert attacks_of(["attack.command_and_control", "attack.command-and-control"]).tactics == (
        ("TA0011", "Command and Control"),
    )


@pytest.mark.parametrize(
    ("remote", "parts"),
    [
        ("203.0.113.7:443", ("203.0.113.7", 443)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("203.0.113.7", ("203.0.113.7", None)),
        ("203.0.113.7:99999", ("", None)),
        ("host:443", ("", None)),
        ("", ("", None)),
        ("1.2.3.4:443\n", ("", None)),
    ],
)
def test_addresses_are_told_from_ports(remote: str, parts: tuple[str, int | None]) -> None:
    assert split_remote(remote) == parts


def test_names_and_domains_are_told_apart() -> None:
    assert [split_user(user) for user in ("A\\b", "b", "A\\", "\\\\x\\b")] == [
        ("A", "b"),
        ("", "b"),
        ("", "A\\"),
        ("", "\\\\x\\b"),
    ]
    assert [base_name(path) for path in ("C:\\a\\b.exe", "/usr/bin/id", "id", "C:\\", "")] == [
        "b.exe",
        "id",
        "id",
        "C:\\",
        "",
    ]
