"""The matcher where properties do not lead: limits, what it keeps, threads, faults of rules."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastfold.detection.mark_types import HostMarks, Mark
from fastfold.detection.matching import Matcher
from fastfold.errors import ConfigError
from fastfold.reference.matching import reference_marks
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule
from fastfold.rules.types import Test as Comparison
from fastfold.types import KINDS
from matching import Event, batch_of, rule_of

ANYTHING = Exists("process")


def _marks(rule: Rule, events: list[Event], **options: int) -> list[Mark]:
    return [mark for host in Matcher([rule], **options).match(batch_of(events)) for mark in host.marks]


def test_every_host_is_told_with_its_newest_time_in_order_of_names() -> None:
    found = batch_of(
        [
            {"host": "b", "time_ns": 7},
            {"host": "a", "time_ns": -5},
            {"host": "b", "time_ns": 3},
            {"host": "a", "tenant": "t", "time_ns": 1},
        ]
    )
    hosts = Matcher([]).match(found)
    assert [(host.tenant, host.host, host.newest_ns, host.marks) for host in hosts] == [
        ("", "a", -5, ()),
        ("", "b", 7, ()),
        ("t", "a", 1, ()),
    ]


def test_a_batch_without_events_has_no_hosts() -> None:
    assert Matcher([rule_of(ANYTHING)]).match(batch_of([])) == []


def test_equal_events_at_one_time_are_one_mark() -> None:
    events: list[Event] = [{"file": "x", "time_ns": 1}, {"file": "x", "time_ns": 1}, {"file": "y", "time_ns": 1}]
    assert len(_marks(rule_of(ANYTHING), events)) == 2


def test_evidence_is_what_names_the_process_then_what_the_step_looks_at() -> None:
    event: Event = {"image": "i", "user": "u", "file": "f", "domain": "d", "hash": "h", "remote": "r", "module": "m"}
    condition = AllOf(
        (Comparison("file", "contains", "f"), Not(Comparison("registry", "equals", "x")), Exists("module"))
    )
    (mark,) = _marks(rule_of(condition, group=("hash",), type="distinct", column="domain"), [event])
    assert mark.evidence == (
        ("image", "i"),
        ("user", "u"),
        ("file", "f"),
        ("domain", "d"),
        ("module", "m"),
        ("hash", "h"),
    )


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [("é" * 4, 8, "é" * 4), ("é" * 4, 7, "é" * 3), ("a日本", 3, "a"), ("a日本", 4, "a日"), ("𐐀x", 3, "")],
)
def test_evidence_is_cut_at_a_character(text: str, limit: int, kept: str) -> None:
    (mark,) = _marks(rule_of(ANYTHING), [{"image": text}], evidence_bytes=limit)
    assert mark.evidence == (("image", kept),)


def test_a_group_that_is_absent_or_empty_leaves_no_mark() -> None:
    rule = rule_of(ANYTHING, group=("user",))
    assert _marks(rule, [{"user": ""}, {}]) == []
    assert len(_marks(rule, [{"user": "x"}])) == 1


def test_groups_are_told_apart_and_processes_only_in_process_scope() -> None:
    events: list[Event] = [
        {"process": process, "user": user, "file": file}
        for process, user, file in itertools.product("12", ("ab", "b"), ("c", "ac"))
    ]
    for scope, scopes in (("process", 4), ("host", 2)):
        assert len({mark.scope for mark in _marks(rule_of(ANYTHING, scope=scope, group=("user",)), events)}) == scopes
    # Not by their texts one behind the other.
    assert len({mark.scope for mark in _marks(rule_of(ANYTHING, scope="host", group=("file", "user")), events)}) == 4
    assert {mark.scope for mark in _marks(rule_of(ANYTHING, scope="host"), events)} == {bytes(8)}


def test_of_many_marks_the_latest_are_made_and_one_time_more() -> None:
    most = 4
    events: list[Event] = [
        {"process": process, "host": host, "time_ns": time // 2, "file": str(time)}
        for process, host, time in itertools.product("12", "ab", range(40))
    ]
    found = batch_of(events)
    for scope, group in itertools.product(("process", "host"), ((), ("file",))):
        rule = rule_of(Comparison("file", "re", "[0-9]$"), scope=scope, group=group)
        latest = _by_scope(Matcher([rule], marks_per_step=most).match(found))
        every = _by_scope(reference_marks([rule], found))
        assert latest.keys() == every.keys()
        for key, marks in every.items():
            made = latest[key]
            assert set(made) <= set(marks)
            # What is kept of all and what is kept of these is the same, and that something was dropped shows.
            assert sorted(made, key=_order)[-most:] == sorted(marks, key=_order)[-most:]
            assert (len(made) > most) == (len(marks) > most)
    rule = rule_of(Comparison("file", "re", "[0-9]$"))
    assert len(_marks(rule, events, marks_per_step=most)) == 4 * 2 * (most + 1)


def _by_scope(hosts: list[HostMarks]) -> dict[tuple[str, bytes], list[Mark]]:
    found: dict[tuple[str, bytes], list[Mark]] = {}
    for host in hosts:
        for mark in host.marks:
            found.setdefault((host.host, mark.scope), []).append(mark)
    return found


def _order(mark: Mark) -> tuple[int, bytes]:
    return mark.time_ns, mark.event


def test_more_combinations_than_are_kept_are_forgotten_and_found_again() -> None:
    letters = [chr(ord("a") + number) for number in range(17)]
    rules = [
        rule_of(AllOf((Comparison("file", "contains", letter), Not(Exists("user")))), number)
        for number, letter in enumerate(letters)
    ]
    subsets = ["".join(letter for bit, letter in enumerate(letters) if number >> bit & 1) for number in range(1 << 17)]
    many = batch_of([{"file": text, "user": "u"} for text in subsets])
    few = batch_of([{"file": text, "time_ns": 1} for text in ("abc", "q", "", "ABX")])
    expected = reference_marks(rules, few)
    matcher = Matcher(rules)
    for found in (few, many, few, many, few):
        assert [host.marks for host in matcher.match(found)] == ([()] if found is many else [expected[0].marks])


def test_threads_share_a_matcher() -> None:
    rules = [rule_of(Comparison("file", "contains", str(number)), number) for number in range(30)]
    batches = [batch_of([{"file": f"{seed}{number}", "time_ns": number} for number in range(60)]) for seed in range(20)]
    expected = [reference_marks(rules, found) for found in batches]
    matcher = Matcher(rules)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(matcher.match, batches * 5)) == expected * 5


@pytest.mark.parametrize(
    ("operator", "value"), [("re", "("), ("re", r"(a)\1"), ("re", "a(?=b)"), ("cidr", "10.0.0.1/8"), ("gt", "x")]
)
def test_a_value_that_cannot_be_compared_with_is_refused_with_its_rule(operator: str, value: str) -> None:
    with pytest.raises(ConfigError, match="rule-7"):
        Matcher([rule_of(ANYTHING), rule_of(Not(Comparison("image", operator, value)), 7)])


def test_a_condition_nested_too_deep_is_refused_with_its_rule() -> None:
    condition: Condition = ANYTHING
    for _ in range(63):
        condition = Not(condition)
    assert _marks(rule_of(condition), [{}]) == []
    with pytest.raises(ConfigError, match="rule-7"):
        Matcher([rule_of(Not(condition), 7)])


def test_long_lists_of_texts_and_many_hits_in_one_text() -> None:
    words = [f"{number:03d}" for number in range(1000)]
    condition = AnyOf(tuple(Comparison("file", "contains", word) for word in words))
    rules = [rule_of(Comparison("file", "contains", word), number) for number, word in enumerate(words)]
    found = batch_of([{"file": "".join(reversed(words))}, {"file": "x"}])
    (host,) = Matcher([*rules, rule_of(condition, 1000)]).match(found)
    assert len(host.marks) == 1001


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_told_apart(kind: str) -> None:
    found = batch_of([{"kind": other, "file": other} for other in KINDS])
    (host,) = Matcher([rule_of(KindIn(frozenset({kind})))]).match(found)
    assert [mark.kind for mark in host.marks] == [kind]
