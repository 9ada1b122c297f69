"""`fastfold explain` of a real Redis and a real cluster, with the least of rights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from batches import record
from fastfold import api
from fastfold.backtest import Backtest
from fastfold.detection.form import encode_record
from fastfold.detection.record import detection_key
from fastfold.exits import Exit
from fastfold.rules.ruleset import load_rules
from fastfold.schema import load_definition, load_schema
from fastfold.store import host_key, process_key
from fastfold.types import Limits
from fastfold.values import pack_value
from looking import RIGHTS, Restricted, Stored

pytestmark = pytest.mark.servers

RULE = """
id: written-then-connected
title: Written, then connected
description: For tests.
level: high
type: sequence
within: 10m
scope: process
steps:
  - {name: writes, kind: file_write}
  - {name: connects, kind: net_connect}
"""
RAISED, WROTE, NOTHING = (f"00000000-0000-0000-0000-{number + 1:012d}" for number in (1, 2, 3))


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.yml"
    path.write_text(RULE)
    return str(path)


@pytest.fixture
def filled(stored: Stored, rules: str, tmp_path: Path) -> Stored:
    """What a worker leaves of a batch in which one process meets both steps, one the first, one neither."""
    address = {"DestinationIp": "203.0.113.7", "DestinationPort": "443", "Initiated": "true"}
    connected = record(1, EventID=3, UtcTime="2026-01-01 00:05:00.000", **address)
    ended = record(3, EventID=5)
    path = tmp_path / "batch.json.gz"
    path.write_bytes(gzip.compress(record(1) + record(2) + connected + ended))
    made = Backtest(load_rules([rules]), load_schema("sysmon"), load_definition("process"), Limits())
    made.take(path)
    value = pack_value(encode_record(made.record("", "host-a")))
    stored.client.set(detection_key(host_key("", "host-a")), value, ex=600)
    stored.put(*api.fold([path]))
    return stored


def verdict(stored: Stored, rules: str, *where: str) -> str:
    result = stored.explain("written-then-connected", *where, "--rules", rules, "--json")
    assert result.exit_code == Exit.OK, result.output
    return str(json.loads(result.stdout)["verdict"])


def test_each_process_has_its_own_verdict(filled: Stored, rules: str) -> None:
    assert verdict(filled, rules, "host-a", RAISED) == "raised"
    assert verdict(filled, rules, "host-a", f"{{{WROTE.upper()}}}") == "step-missing"
    assert verdict(filled, rules, "host-a", NOTHING) == "no-event"
    assert verdict(filled, rules, "host-a") == "raised"


def test_the_batch_and_its_time_are_told(filled: Stored, rules: str) -> None:
    page = filled.explain("written-then-connected", "host-a", RAISED, "--rules", rules).stdout
    assert "raised once, last for 2026-01-01T00:05:00.000Z" in page
    assert " of 1970-01-01T00:00:01.000Z  process " in page


def test_a_host_without_a_record_of_rules_is_told_from_one_that_is_unknown(filled: Stored, rules: str) -> None:
    filled.client.delete(detection_key(host_key("", "host-a")))
    assert verdict(filled, rules, "host-a", WROTE) == "step-missing"
    assert verdict(filled, rules, "host-a") == "step-missing"
    result = filled.explain("written-then-connected", "host-b", "--rules", rules)
    assert result.exit_code == Exit.NOT_FOUND


def test_alerts_of_another_version_are_told_as_such(filled: Stored, rules: str) -> None:
    Path(rules).write_text(RULE.replace("10m", "20m"))
    result = filled.explain("written-then-connected", "host-a", RAISED, "--rules", rules, "--json")
    told = json.loads(result.stdout)
    assert told["verdict"] == "step-missing"
    assert [one["process"] for one in told["other_versions"]] == [RAISED]
    page = filled.explain("written-then-connected", "host-a", RAISED, "--rules", rules).stdout
    assert "of the rule, which is not loaded, has raised:" in page


def test_a_damaged_record_is_named_and_a_damaged_state_is_left_out(filled: Stored, rules: str) -> None:
    key = detection_key(host_key("", "host-a"))
    value = filled.client.get(key)
    filled.client.set(process_key(host_key("", "host-a"), RAISED), b"\x03damaged")
    assert verdict(filled, rules, "host-a", RAISED) == "raised"
    filled.client.set(key, value[:-3])
    result = filled.explain("written-then-connected", "host-a", "--rules", rules)
    assert result.exit_code == Exit.CORRUPT
    assert key.decode() in result.stderr


def test_reading_by_key_is_all_that_it_needs(filled: Stored, restricted: Restricted, rules: str) -> None:
    few = restricted.may(*(right for right in RIGHTS if right != "+scan"))
    assert verdict(few, rules, "host-a", RAISED) == "raised"
