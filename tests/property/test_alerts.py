"""Whatever is written in an alert: its lines, attributes and headers stay in one piece, and within their limits."""

from __future__ import annotations

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts import alerts
from fastfold.alerts.cut import LEAST_BYTES
from fastfold.alerts.forms import FORMS, line_of
from fastfold.alerts.types import Alert
from fastfold.alerts.words import words_of
from fastfold.sinks.aws import BATCH_BYTES, QueueSink, TopicSink
from fastfold.sinks.read import ATTRIBUTE_BYTES, MESSAGE_BYTES
from fastfold.sinks.types import Parcel, WebhookFacts
from fastfold.sinks.webhook import WebhookSink

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What a terminal, a log or a reader of lines may take for something else; JSON never needs these as they are.
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]")
# What SQS and SNS take: the characters of XML 1.0.
XML = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


def a_parcel(alert: Alert, most_bytes: int = MESSAGE_BYTES - ATTRIBUTE_BYTES) -> Parcel:
    body, _ = line_of(alert, "native", most_bytes)
    return Parcel(alert.id, alert.rule_id, alert.level, alert.tenant, alert.host, alert.title, body)


@FEW
@given(alerts(), st.sampled_from(sorted(FORMS)), st.sampled_from([LEAST_BYTES, 64 << 10, 256 << 10]))
def test_an_alert_is_one_line_of_json_that_fits(alert: Alert, form: str, most_bytes: int) -> None:
    line, cut = line_of(alert, form, most_bytes)
    assert len(line) <= most_bytes
    text = line.decode()
    assert len(text.splitlines()) == 1
    assert HARMFUL.search(text) is None
    document = json.loads(text)
    # With equal bytes for equal alerts, however often it is published.
    assert line_of(alert, form, most_bytes) == (line, cut)
    assert bool(cut) == ('"cut"' in {f'"{name}"' for name in _keys(document)})


def _keys(document: object) -> set[str]:
    if not isinstance(document, dict):
        return set()
    return set(document).union(*(_keys(value) for value in document.values()))


@FEW
@given(alerts())
def test_the_text_has_a_line_for_each_thing_it_tells(alert: Alert) -> None:
    words = words_of(alert)
    shown = min(len(alert.steps), 6)
    more = (len(alert.steps) > 6) + alert.limited
    assert len(words.splitlines()) == len(words.split("\n")) == 4 + shown + more
    assert HARMFUL.search(words.translate({0x0A: None, 0xFFFE: None, 0xFFFF: None})) is None
    assert len(words) <= 16_384


@FEW
@given(alerts(), st.booleans())
def test_sqs_and_sns_take_every_message(alert: Alert, fifo: bool) -> None:
    end = ".fifo" if fifo else ""
    parcel = a_parcel(alert)
    for entry in (QueueSink(None, f"q{end}")._entry(parcel), TopicSink(None, f"t{end}")._entry(parcel)):
        texts = [entry.get("MessageBody", ""), entry.get("Message", ""), entry.get("Subject", "")]
        assert 1 <= len(entry["MessageAttributes"]) <= 10
        for name, value in entry["MessageAttributes"].items():
            assert XML.fullmatch(value["StringValue"]), name
            assert len(value["StringValue"]) <= 256
            texts += [name, value["DataType"], value["StringValue"]]
        assert all(XML.fullmatch(text) for text in texts if text)
        assert sum(len(text.encode()) for text in texts) <= BATCH_BYTES
        assert entry["MessageAttributes"]["id"]["StringValue"] == alert.id
        if "Subject" in entry:
            assert re.fullmatch(r"\[[ -~]{1,99}", entry["Subject"])
        if fifo:
            assert entry["MessageDeduplicationId"] == alert.id
            assert re.fullmatch("[0-9a-f]{32}", entry["MessageGroupId"])


@FEW
@given(alerts())
def test_no_text_of_an_alert_gets_into_a_header(alert: Alert) -> None:
    facts = WebhookFacts("http://example.com/", allow_http=True)
    sink = WebhookSink(facts, b"key", "Bearer token", now=lambda: 1_764_000_000.9)
    headers = sink._headers(a_parcel(alert))
    assert headers == headers | {
        "Host": "example.com",
        "Content-Type": "application/json",
        "Fastfold-Alert": alert.id,
        "Fastfold-Timestamp": "1764000000",
        "Authorization": "Bearer token",
    }
    assert re.fullmatch("v1=[0-9a-f]{64}", headers["Fastfold-Signature"])
    assert len(headers) == 7
