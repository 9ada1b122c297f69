"""How long the alerts of the demo took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alerts import SECOND_NS, START_NS, a_step, an_alert
from fastfold.alerts.forms import line_of
from fastfold.alerts.types import Alert
from fastfold.demo_alerts import Latency, alert_latency, write_sinks
from fastfold.sinks.read import load_sinks
from fastfold.sinks.types import FileFacts


def line(number: int, published_s: float, *files: str, rule: str = "r") -> str:
    alert: Alert = an_alert(number, rule_id=rule, steps=tuple(a_step(file=file) for file in files))
    times = replace(alert.times, published_ns=START_NS + int(published_s * SECOND_NS))
    return line_of(replace(alert, times=times), "native", 1 << 18)[0].decode()


def test_an_alert_is_measured_from_the_upload_of_its_last_file() -> None:
    uploaded_ns = {"s3://b/1": START_NS, "s3://b/2": START_NS + 3 * SECOND_NS}
    lines = [
        line(1, 4.5, "s3://b/1", "s3://b/2"),
        # A copy, and one of another rule whose file is not known.
        line(1, 9.0, "s3://b/1", "s3://b/2"),
        line(2, 5.25, "s3://b/2", "", rule="other"),
        line(3, 5.0, "", rule="other"),
    ]
    found = alert_latency(lines, uploaded_ns)
    assert found == Latency(alerts=3, rules=2, seconds=(1.5, 2.25))
    assert str(found) == "3 alerts of 2 rules, from upload to alert: p50 1.50 s, p99 2.25 s, max 2.25 s"
    assert str(alert_latency(lines[:1], {})) == "1 alert of 1 rule"
    assert str(alert_latency([], {})) == "no alerts"


@pytest.mark.parametrize(
    ("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (101, 51, 100), (1000, 500, 990)]
)
def test_percentiles_are_times_that_were_met(count: int, p50: int, p99: int) -> None:
    latency = Latency(count, 1, tuple(float(number) for number in range(1, count + 1)))
    assert (latency.at(0.5), latency.at(0.99)) == (p50, p99)


def test_the_sinks_of_the_demo_are_a_file(tmp_path: Path) -> None:
    folder = tmp_path / 'a "quoted" folder é'
    folder.mkdir()
    settings, alerts = write_sinks(folder)
    (sink,) = load_sinks(str(settings))
    assert sink.of_kind == FileFacts(str(alerts), sync=False)
