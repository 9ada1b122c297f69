"""Rules over files without servers, and expectations of what they find."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from batches import record
from fastfold.cli import cli
from fastfold.errors import SchemaError
from fastfold.exits import Exit
from fastfold.expectations import load_expectations

RULE = """
id: written-then-connected
title: Written, then connected
description: For tests.
level: high
tags: [attack.t1105]
type: sequence
within: 10m
scope: process
steps:
  - {name: writes, kind: file_write}
  - {name: connects, kind: net_connect}
"""


def connection(process: int) -> bytes:
    facts = {"DestinationIp": "203.0.113.7", "DestinationPort": "443", "Initiated": "true"}
    return record(process, EventID=3, UtcTime="2026-01-01 00:05:00.000", **facts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yml").write_text(RULE)
    batches = tmp_path / "batches"
    batches.mkdir()
    (batches / "1.json.gz").write_bytes(gzip.compress(record(1) + record(2)))
    (batches / "2.json.gz").write_bytes(gzip.compress(connection(1)))
    return tmp_path


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["backtest", str(folder / "rules.yml"), str(folder / "batches"), *args])


def test_files_are_batches_of_one_fleet(folder: Path) -> None:
    result = run(folder, "--json")
    assert result.exit_code == Exit.OK
    (alert,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert alert["rule"]["id"] == "written-then-connected"
    assert [step["name"] for step in alert["steps"]] == ["writes", "connects"]
    assert "2 files, 3 records, 3 events, 3 met a step" in result.stderr
    assert "1 alerts, 333333.3 in a million records" in result.stderr


def test_apart_each_file_is_a_world_of_its_own(folder: Path) -> None:
    result = run(folder, "--apart")
    assert result.exit_code == Exit.OK
    assert result.stdout == ""
    assert "0 alerts" in result.stderr


def test_an_alert_is_one_line_in_which_nothing_runs(folder: Path) -> None:
    (folder / "batches" / "3.json.gz").write_bytes(gzip.compress(connection(2).replace(b"cmd.exe", b"\\u001b[2J.exe")))
    result = run(folder)
    assert len(result.stdout.splitlines()) == 2
    assert "\x1b" not in result.stdout


def test_a_file_that_is_refused_is_told_and_the_rest_is_taken(folder: Path) -> None:
    (folder / "batches" / "1a.json.gz").write_bytes(gzip.compress(b"{"))
    result = run(folder)
    assert result.exit_code == Exit.REJECTED
    assert "1a.json.gz" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_expectations_that_do_not_come_true_are_told_and_written(folder: Path) -> None:
    expected = folder / "expected.toml"
    expected.write_text(
        '[[expect]]\nfile = "2.*"\nrule = "written-then-connected"\nhost = "host-a"\n'
        '[[expect]]\nfile = "1.*"\nrule = "written-then-connected"\n'
        '[[expect]]\nfile = "2.*"\nrule = "written-then-connected"\nabsent = true\n'
        '[[expect]]\nfile = "none"\nrule = "written-then-connected"\n'
    )
    report = folder / "report.xml"
    result = run(folder, "--expect", str(expected), "--junit", str(report))
    assert result.exit_code == Exit.UNEXPECTED
    faults = [line for line in result.stderr.splitlines() if line.startswith("not as expected")]
    assert faults == [
        "not as expected: written-then-connected in 1.* was not found",
        "not as expected: written-then-connected in 2.* was found",
        "not as expected: written-then-connected in none there is no such file",
    ]
    assert "1 of 4 expectations came true" in result.stderr
    (suite,) = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "3")
    assert sum(case.find("failure") is not None for case in suite) == 3


def test_expectations_are_checked_with_their_line(folder: Path) -> None:
    wrong = folder / "wrong.toml"
    wrong.write_text('[[expect]]\nfile = "a"\nrule = "b"\nfond = true\n')
    with pytest.raises(SchemaError, match=r"wrong.toml:4: "):
        load_expectations(str(wrong))
    assert run(folder, "--junit", "x").exit_code == Exit.USAGE
