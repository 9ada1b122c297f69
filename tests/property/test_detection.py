"""The detection against its reference: matches, the laws of the record, and any order of batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfold.detection.detecting import DetectionRules, detect, detect_again
from fastfold.detection.evaluate import evaluate
from fastfold.detection.form import decode_record, encode_record
from fastfold.detection.mark_types import Mark
from fastfold.detection.record import DetectionLimits, DetectionRecord, Found, Keep, Raised, Told, rule_digest
from fastfold.errors import CorruptValue
from fastfold.reference.detection import reference_alerts, reference_stretches
from fastfold.rules.types import KindIn, Rule, RuleType, Step
from fastfold.types import BatchId

BATCH = b"batch-00"
# They are quick, and the matches that matter are rare among random marks.
MANY = settings(max_examples=500)
SCOPES = (b"scope-01", b"scope-02")
TYPES: tuple[RuleType, ...] = ("sequence", "all", "count", "distinct")


def step(name: str) -> Step:
    return Step(name, KindIn(frozenset({"other"})))


@st.composite
def rules(draw: st.DrawFn, unless: bool | None = None) -> Rule:
    type_ = draw(st.sampled_from(TYPES))
    many = type_ in ("sequence", "all")
    with_unless = draw(st.booleans()) if unless is None else unless
    return Rule(
        id=draw(st.sampled_from(("a", "b", "c"))),
        version=draw(st.sampled_from(("0" * 16, "1" * 16))),
        title="t",
        description="",
        level="low",
        tags=(),
        references=(),
        type=type_,
        steps=tuple(step(str(number)) for number in range(draw(st.integers(1, 3)) if many else 1)),
        within_ns=draw(st.integers(0, 6)),
        scope="host",
        least=1 if many else draw(st.integers(1, 3)),
        column="file" if type_ == "distinct" else "",
        unless=step("unless") if with_unless else None,
        suppress_ns=draw(st.sampled_from((0, 1, 4, 7))),
    )


@st.composite
def marks_of(draw: st.DrawFn, rule: Rule, scopes: Sequence[bytes] = SCOPES, most: int = 9) -> list[Mark]:
    steps = len(rule.steps) + (rule.unless is not None)
    made = []
    for _ in range(draw(st.integers(0, most))):
        event = draw(st.integers(0, 4))
        time_ns = draw(st.integers(-4, 12))
        value = bytes([event]) * 8 if rule.type == "distinct" else bytes(8)
        made.append(
            Mark(
                rule_digest(rule),
                draw(st.integers(0, steps - 1)),
                draw(st.sampled_from(scopes)),
                time_ns,
                b"event-%02d" % event,
                value,
                f"p{event}",
                "other",
                (("file", str(event)),),
            )
        )
    return made


def in_record(marks: Sequence[Mark], batch: bytes = BATCH, newest_ns: int | None = None) -> DetectionRecord:
    return DetectionRecord.of_batch("t", "h", marks, batch, newest_ns)


@MANY
@given(data=st.data())
def test_matches_are_those_of_the_reference(data: st.DataObject) -> None:
    rule = data.draw(rules())
    marks = data.draw(marks_of(rule, SCOPES[:1]))
    newest_ns = data.draw(st.one_of(st.none(), st.integers(-4, 20)))
    steps: dict[int, Sequence[Found]] = {key.step: found for key, found in in_record(marks).series.items()}
    matches = evaluate(rule, steps, newest_ns)
    assert {match.stretch for match in matches} == reference_stretches(rule, marks, newest_ns)
    for match in matches:
        # What is shown is itself a match.
        shown = [found.mark for found in match.found]
        unless = [mark for mark in marks if mark.step == len(rule.steps)]
        assert match.stretch in reference_stretches(rule, [*shown, *unless], newest_ns)


@MANY
@given(data=st.data())
def test_any_split_and_order_of_batches_raises_the_alerts_of_the_reference(data: st.DataObject) -> None:
    chosen = {rule.id: rule for rule in data.draw(st.lists(rules(unless=False), min_size=1, max_size=3))}
    order = data.draw(st.randoms(use_true_random=False))
    marks = [mark for rule in chosen.values() for mark in data.draw(marks_of(rule))]
    count = data.draw(st.integers(1, 4))
    parts: list[list[Mark]] = [[] for _ in range(count)]
    for mark in marks:
        order.choice(parts).append(mark)
        if order.random() < 0.2:
            # The same event in a second file.
            order.choice(parts).append(mark)
    raised = commit_all(list(chosen.values()), parts, order)
    assert raised == reference_alerts(chosen.values(), "t", "h", marks, None)


@MANY
@given(data=st.data())
def test_unless_is_decided_by_what_has_come_before_the_span_is_over(data: st.DataObject) -> None:
    """Batches in any order, if the one that tells that all spans are over is the last: that is what is promised."""
    rule = data.draw(rules(unless=True))
    order = data.draw(st.randoms(use_true_random=False))
    marks = data.draw(marks_of(rule))
    parts: list[list[Mark]] = [[] for _ in range(3)]
    for mark in marks:
        order.choice(parts).append(mark)
    raised = commit_all([rule], parts, order, end_ns=1000)
    assert raised == reference_alerts([rule], "t", "h", marks, 1000)


def commit_all(
    chosen: Sequence[Rule], parts: Sequence[Sequence[Mark]], order: random.Random, end_ns: int | None = None
) -> set[str]:
    """Commit batches in some order, some of them twice; the ids of all alerts, each raised once."""
    rules_now = DetectionRules.of(chosen)
    record = DetectionRecord("t", "h")
    numbered = [(number, part) for number, part in enumerate(parts)]
    order.shuffle(numbered)
    if end_ns is not None:
        numbered.append((len(parts), ()))
    ids: set[str] = set()
    for number, part in numbered:
        batch = BatchId(1_000 + number, b"batch-%02d" % number)
        newest_ns = end_ns if number == len(parts) else (-100 if end_ns is not None else None)
        brought = in_record(part, batch.id, newest_ns)
        detected = detect(record, brought, rules_now, batch, "s3://b/k")
        record = record if detected.record is None else decode_record(encode_record(detected.record))
        new = {alert.id for alert in detected.alerts}
        assert not new & ids
        ids |= new
        # A second delivery raises the same again, and nothing else.
        again = detect_again(record, brought, rules_now, batch, "s3://b/k", late=False)
        assert {alert.id for alert in again} == new
    return ids


# The record


@st.composite
def records(draw: st.DrawFn, rule: Rule) -> DetectionRecord:
    record = in_record(
        draw(marks_of(rule)), draw(st.sampled_from((b"batch-01", b"batch-02"))), draw(st.sampled_from((None, -3, 9)))
    )
    if draw(st.booleans()):
        batch = draw(st.sampled_from((b"batch-01", b"batch-02")))
        raised = Raised(
            7, batch, rule_digest(rule), SCOPES[0], draw(st.integers(-2, 2)), 5, "p", draw(st.integers(0, 2))
        )
        record = record.with_raised([raised], {rule_digest(rule): Told(rule.id, rule.version, "t", "low")})
    return record


LIMITS = DetectionLimits(marks_per_step=2, marks_per_host=5, raised_per_host=2)


@MANY
@given(data=st.data())
def test_records_merge_in_any_order(data: st.DataObject) -> None:
    rule = data.draw(rules())
    keeps = {rule_digest(rule): Keep.of(rule, LIMITS)}
    one, two, three = (data.draw(records(rule)).cut(keeps, LIMITS) for _ in range(3))

    def merge(a: DetectionRecord, b: DetectionRecord) -> bytes:
        return encode_record(a.merge(b, keeps, LIMITS))

    def merged(a: DetectionRecord, b: DetectionRecord) -> DetectionRecord:
        return a.merge(b, keeps, LIMITS)

    assert merge(one, two) == merge(two, one)
    assert merge(merged(one, two), three) == merge(one, merged(two, three))
    assert merge(one, one) == encode_record(one)
    assert decode_record(merge(one, two)) == merged(one, two)


@MANY
@given(data=st.data())
def test_damaged_bytes_are_refused_or_are_what_they_say(data: st.DataObject) -> None:
    rule = data.draw(rules())
    payload = bytearray(encode_record(data.draw(records(rule))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(payload) - 1))
        payload[place] = data.draw(st.integers(0, 255))
    cut = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    for found in (bytes(payload), cut):
        try:
            record = decode_record(found)
        except CorruptValue:
            continue
        assert encode_record(record) == found


def test_bytes_that_are_nothing_of_ours_are_refused() -> None:
    with pytest.raises(CorruptValue):
        decode_record(b"somebody's value")
    with pytest.raises(CorruptValue, match="truncated"):
        decode_record(b"")
    record = encode_record(replace(DetectionRecord("t", "h"), newest_ns=5))
    with pytest.raises(CorruptValue, match="trailing"):
        decode_record(record + b"\0")
