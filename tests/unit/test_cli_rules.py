"""`fastfold rules`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastfold.cli import cli
from fastfold.exits import Exit
from fastfold.rules.ruleset import load_rules

RULES = """\
id: own
title: Own
level: high
type: sequence
within: 90s
scope: host
steps:
  - name: renamed
    kind: file_rename
    where: {file|endswith: .lock, not: {image|cased: 'C:\\Ok.exe'}}
  - name: connects
    kind: net_connect
unless: {kind: process_end}
---
title: Whoami
id: 6f1b2c3d-0000-4000-8000-000000000001
logsource: {category: process_creation, product: windows}
detection:
  s:
  - Image|endswith: '\\whoami.exe'
  - OriginalFileName: whoami.exe
  condition: s
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rules", *(str(arg) for arg in args)])


def test_check_tells_accepted_and_refused(file: Path) -> None:
    result = invoke("check", file)
    assert result.exit_code == Exit.SETUP
    assert result.stdout.splitlines() == [
        "accepted  own: Own",
        f"refused   {file}:21: rule '6f1b2c3d-0000-4000-8000-000000000001': OriginalFileName: "
        "the field OriginalFileName has no column",
        "1 accepted, 1 refused",
    ]


def test_check_tells_what_is_never_there_and_what_counts_as_absent(file: Path) -> None:
    result = invoke("check", file, "--schema", "sysmon", "--fields", "absent")
    assert result.exit_code == Exit.OK
    assert result.stdout.splitlines() == [
        "accepted  own: Own",
        "          never there: step renamed: no event is of kind file_rename",
        "accepted  6f1b2c3d-0000-4000-8000-000000000001: Whoami",
        "          has no column, and counts as absent: OriginalFileName",
        "2 accepted, 0 refused",
    ]


def test_check_as_json(file: Path) -> None:
    result = invoke("check", file, "--schema", "sysmon", "--json")
    assert result.exit_code == Exit.SETUP
    assert result.stderr == "1 accepted, 1 refused\n"
    accepted, refused = map(json.loads, result.stdout.splitlines())
    assert accepted == {
        "accepted": "own",
        "version": load_rules([file], lenient=True)[1].version,
        "title": "Own",
        "source": f"{file}:1",
        "absent": [],
        "never": ["step renamed: no event is of kind file_rename"],
    }
    assert refused == {
        "refused": "the field OriginalFileName has no column",
        "file": str(file),
        "line": 21,
        "id": "6f1b2c3d-0000-4000-8000-000000000001",
        "field": "OriginalFileName",
    }


def test_check_counts_rules_that_only_correlations_speak_of(file: Path) -> None:
    file.write_text(
        RULES.split("---\n")[1].replace("  - OriginalFileName: whoami.exe\n", "")
        + "---\ntitle: Many\nname: many\ncorrelation:\n  type: event_count\n  group-by: [Computer]\n  timespan: 1m\n"
        "  rules: [6f1b2c3d-0000-4000-8000-000000000001]\n  condition: {gte: 3}\n"
    )
    result = invoke("check", file)
    assert (result.exit_code, result.stdout) == (
        Exit.OK,
        "accepted  many: Many\n1 accepted, 0 refused, 1 of correlations alone\n",
    )


def test_paths_and_schemas_that_are_not_there_are_told(file: Path) -> None:
    result = invoke("check", file.with_name("nowhere"))
    assert result.exit_code == Exit.SETUP
    assert "nowhere: is not there" in result.stderr
    result = invoke("check", file, "--schema", "sysmom")
    assert result.exit_code == Exit.SETUP
    assert "no such schema" in result.stderr
    assert invoke("check").exit_code == Exit.USAGE


def test_list_names_the_rules_that_ship() -> None:
    result = invoke("list")
    assert result.exit_code == Exit.OK
    shown = [line.split()[:4] for line in result.stdout.splitlines()]
    assert shown == [[rule.id, rule.level, rule.type, rule.scope] for rule in load_rules(["starting"])]


def test_list_and_show_take_paths(file: Path) -> None:
    result = invoke("list", file, "--fields", "absent")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["6f1b2c3d-0000-4000-8000-000000000001", "own"]
    assert invoke("list", file).exit_code == Exit.SETUP
    result = invoke("show", "own", file, "--fields", "absent")
    version = load_rules([file], lenient=True)[1].version
    assert result.stdout.splitlines() == [
        f"own, version {version}: Own",
        "  level     high",
        "  type      sequence",
        "  within    90s",
        "  scope     host",
        f"  source    {file}:1",
        "  step 1, renamed: kind is file_rename and file endswith '.lock' and not (image equals (cased) 'C:\\Ok.exe')",
        "  step 2, connects: kind is net_connect",
        "  unless kind is process_end",
    ]


def test_show_as_json(file: Path) -> None:
    shown = json.loads(invoke("show", "own", file, "--fields", "absent", "--json").stdout)
    assert shown["within_ns"] == 90 * 10**9
    assert shown["steps"][1] == {"name": "connects", "condition": "kind is net_connect"}
    assert shown["unless"] == "kind is process_end"


def test_a_rule_that_is_not_there_is_told(file: Path) -> None:
    result = invoke("show", "nobody\x1b[2J")
    assert result.exit_code == Exit.NOT_FOUND
    assert result.stderr == "fastfold: no rule has the id nobody\\x1b[2J; 20 rules are loaded\n"


def test_nothing_in_a_file_reaches_the_terminal(file: Path) -> None:
    text = RULES.split("---\n", maxsplit=1)[0].replace("title: Own", 'title: "a\\e[2J"').replace(".lock", '"b\\u202e"')
    file.write_text(text)
    for args in (("check", file), ("list", file), ("show", "own", file), ("check", file, "--json")):
        result = invoke(*args)
        assert result.exit_code == Exit.OK
        assert not set(result.output) & set("\x1b\u202e")
    file.write_text(text.replace("level: high", 'level: "\\e[2J"'))
    result = invoke("check", file)
    assert result.exit_code == Exit.SETUP
    assert "\x1b" not in result.output
