"""docs/alerts.md says what sinks and alerts are in truth."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from alerts import SECOND_NS, START_NS, an_alert
from fastfold.alerts.cut import LEAST_BYTES, NO_CUT
from fastfold.alerts.ecs import ECS_VERSION
from fastfold.alerts.forms import FORMS
from fastfold.alerts.native import native
from fastfold.alerts.ocsf import OCSF_VERSION
from fastfold.errors import SchemaError
from fastfold.metrics import METRICS, RULES
from fastfold.rules.types import LEVELS
from fastfold.sinks.read import _COMMON, _OF_KIND, ATTRIBUTE_BYTES, MESSAGE_BYTES, read_sinks
from fastfold.sinks.types import KINDS
from fastfold.sinks.webhook import sign
from repo.project import ROOT

PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs" / "alert.schema.json").read_text())


def rows(page: str) -> dict[str, list[str]]:
    """Rows of all tables by each word in backticks of their first cell."""
    found = {}
    for line in page.splitlines():
        cells = line.strip("| ").split(" | ")
        if line.startswith("| ") and len(cells) > 1:
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells)
    return found


def block(kind: str) -> str:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[0]


def test_every_key_of_a_sink_has_a_row() -> None:
    keys = {*_COMMON, *(key for keys, _, _ in _OF_KIND.values() for key in keys)}
    assert keys - rows(PAGE).keys() == set()
    for word in (*KINDS, *FORMS, *LEVELS):
        assert f"`{word}`" in PAGE or f"**{word}**" in PAGE, word
    assert f"from {LEAST_BYTES:,}" in PAGE
    assert f"{MESSAGE_BYTES - ATTRIBUTE_BYTES:,}" in PAGE
    assert OCSF_VERSION in PAGE
    assert ECS_VERSION.startswith("8.11")


def test_the_example_of_sinks_is_read() -> None:
    assert [sink.name for sink in read_sinks("sinks.toml", block("toml").encode())] == ["archive", "soc"]


def test_the_error_shown_is_the_one_that_is_told() -> None:
    text = '[[sink]]\nname = "soc"\nkind = "webhook"\nurl = "http://soc.example/"\n'
    with pytest.raises(SchemaError) as caught:
        read_sinks("sinks.toml", text.encode())
    assert f"fastfold: {caught.value}" in PAGE


def test_the_alert_shown_is_a_true_one() -> None:
    alert = an_alert(42)
    times = replace(alert.times, published_ns=START_NS + 25 * SECOND_NS // 2)
    assert json.loads(block("json")) == native(replace(alert, times=times), NO_CUT)
    jsonschema.validate(json.loads(block("json")), SCHEMA)


def test_every_part_of_an_alert_is_told() -> None:
    assert SCHEMA["properties"].keys() - {"format"} - rows(PAGE).keys() - {"host"} == set()


def test_the_receiver_shown_accepts_our_signature_and_no_other() -> None:
    made: dict[str, Any] = {}
    exec(block("python"), made)
    now = str(int(time.time()))
    assert made["is_ours"](b"key", now, sign(b"key", now, b"body"), b"body")
    assert not made["is_ours"](b"key", now, sign(b"key", now, b"body"), b"other")
    old = str(int(time.time()) - 1000)
    assert not made["is_ours"](b"key", old, sign(b"key", old, b"body"), b"body")
    assert sign(b"key", "1", b"body") == "v1=" + hmac.new(b"key", b"1.body", hashlib.sha256).hexdigest()


def test_every_metric_of_alerts_has_a_row() -> None:
    names = {name for name, metric in METRICS.items() if metric.label in {"rule", "sink"}} | {"oldest_waiting_seconds"}
    shown = {f"fastfold_{name}{'_total' if METRICS[name].kind == 'counter' else ''}": name for name in names}
    assert shown.keys() - rows(PAGE).keys() == set()
    for metric, name in shown.items():
        assert rows(PAGE)[metric][1].strip() == (METRICS[name].label or "pod"), metric
    assert f"first {RULES} rules" in PAGE


def test_the_alarms_ask_for_metrics_that_there_are() -> None:
    alarms = re.findall(r"```yaml\n(.*?)```", OPERATIONS, re.DOTALL)
    asked = set(re.findall(r"fastfold_(\w+)", "".join(alarms)))
    names = {re.sub("_(total|bucket)$", "", name) for name in asked}
    assert names
    assert names <= METRICS.keys()
    assert [f"> {limit}" in alarms[0] for limit in (300, 600)] == [True, True]
