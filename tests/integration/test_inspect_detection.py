"""Detection records, looked at: by key and in the census."""

from __future__ import annotations

import json

import pytest

from fastfold.detection.form import encode_record
from fastfold.detection.mark_types import Mark
from fastfold.detection.record import DetectionRecord, Raised, Told, detection_key
from fastfold.exits import Exit
from fastfold.store import host_key
from fastfold.values import pack_value
from looking import Stored, state

pytestmark = pytest.mark.servers

NASTY = "a\x1b[2J\u202eb"
RULE = b"rule-001"
NOON_NS = 1_767_268_800_000_000_000


def put_record(stored: Stored, host: str) -> str:
    mark = Mark(RULE, 0, bytes(8), NOON_NS, b"event-01", bytes(8), "p1", "file_write", (("file", NASTY),))
    record = DetectionRecord.of_batch("", host, [mark], b"batch-01", NOON_NS)
    raised = Raised(NOON_NS // 1_000_000, b"batch-01", RULE, bytes(8), 0, NOON_NS, "p1", 2)
    record = record.with_raised([raised], {RULE: Told("a-rule", "0" * 16, NASTY, "high")})
    key = detection_key(host_key("", host))
    stored.client.set(key, pack_value(encode_record(record)), ex=600)
    return key.decode()


def test_a_detection_record_is_shown_by_its_key(stored: Stored) -> None:
    key = put_record(stored, "h1")
    result = stored.inspect("--key", key)
    assert result.exit_code == Exit.OK
    assert "1 alerts raised" in result.stdout
    assert "a-rule [high] " in result.stdout
    assert "2026-01-01T12:00:00.000Z  file_write" in result.stdout
    assert not set(result.stdout) & set("\x1b\u202e")
    shown = json.loads(stored.inspect("--key", key, "--json").stdout)
    assert shown["raised"][0]["rule"] == "a-rule"
    assert shown["marks"][0]["evidence"] == {"file": NASTY}


@pytest.mark.parametrize("option", ["--raw", "--watch"])
def test_what_needs_a_state_says_so(stored: Stored, option: str) -> None:
    result = stored.inspect("--key", put_record(stored, "h1"), option)
    assert result.exit_code == Exit.SETUP
    assert "detection record" in result.stderr or "host record" in result.stderr


def test_a_scan_shows_states_only_and_a_host_none_more(stored: Stored) -> None:
    put_record(stored, "h1")
    stored.put(state("h1", "p1"))
    assert len(stored.inspect("--scan", "--json").stdout.splitlines()) == 1
    assert len(stored.inspect("--host", "h1", "--json").stdout.splitlines()) == 1
