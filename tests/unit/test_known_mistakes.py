"""What others who match sequences got wrong, each beside the case that it is mistaken for.

Every batch goes the way of a worker: bytes are parsed and folded, matched, and committed to one store by a pod that has
seen none of the others; alerts are those that its commit raises.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from batches import record
from committing import NEVER, a_batch, a_committer, memory_connect
from fastfold._core import EventFolder, EventPlan
from fastfold.alerts.types import Alert
from fastfold.detection.detecting import BatchMarks, DetectionRules
from fastfold.detection.matching import Matcher
from fastfold.folding import fold_with_events
from fastfold.rules.ruleset import load_rules
from fastfold.rules.types import Rule
from fastfold.schema import load_definition, load_schema
from fastfold.store import MemoryStore
from fastfold.types import Limits

HEAD = "title: t\ndescription: d\nlevel: low\n"


def step(name: str) -> str:
    return f"{{name: {name}, kind: file_write, where: {{file|endswith: .{name}}}}}"


def sequence(steps: str, *more: str) -> str:
    chosen = ", ".join(step(name) for name in steps)
    return "\n".join((f"id: r\n{HEAD}type: sequence\nwithin: 5m\nsteps: [{chosen}]", *(more or ("scope: process",))))


def three(*more: str) -> str:
    return "\n".join((f"id: r\n{HEAD}least: 3\nwithin: 5m\nscope: host\nsteps: [{step('a')}]", *more))


def wrote(
    name: str, seconds: float = 0, process: int = 1, host: str = "host-a", *, file: str = "", **more: object
) -> bytes:
    """A record: so many seconds after noon, a file with this ending is written."""
    minute, second = divmod(seconds, 60)
    time = f"2026-01-01 12:{minute:02.0f}:{second:06.3f}"
    return record(process, host, UtcTime=time, TargetFilename=f"C:\\{file}.{name}", **more)


class World:
    """A store, and pods of which each takes one batch."""

    def __init__(self, folder: Path, rules: str, schema: str = "sysmon") -> None:
        path = folder / "rules.yml"
        path.write_text(rules)
        self.rules: tuple[Rule, ...] = load_rules([path])
        self.schema = load_schema(schema)
        self.store = MemoryStore(lambda: 0.0)
        self.batches = 0

    def deliver(self, *lines: bytes) -> list[Alert]:
        """One more batch, to one more pod; what it raises."""
        self.batches += 1
        folder = EventFolder(EventPlan(self.schema, load_definition("process"), Limits()))
        deltas, events = fold_with_events(folder, gzip.compress(b"".join(lines)), "", Limits())
        found = Matcher(self.rules, 64).match(events)
        marks = BatchMarks(DetectionRules.of(self.rules), found)
        pod = a_committer(memory_connect(self.store))
        pod.commit(deltas, a_batch(self.batches), NEVER, marks)
        return list(marks.alerts.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def raised(folder: Path, rules: str, batches: Iterable[Iterable[bytes]]) -> list[Alert]:
    """All alerts of some batches, one after the other, in a world of their own."""
    world = World(folder, rules)
    return [alert for lines in batches for alert in world.deliver(*lines)]


def is_raised(folder: Path, rules: str, *lines: bytes) -> bool:
    """Whether records raise an alert, and whether they do so in one batch as in a batch for each of them."""
    at_once = raised(folder, rules, [lines])
    one_by_one = raised(folder, rules, [[line] for line in lines])
    assert {alert.id for alert in at_once} == {alert.id for alert in one_by_one}
    return bool(at_once)


def test_steps_on_two_hosts_are_not_joined(folder: Path) -> None:
    rules = sequence("ab", "scope: host")
    assert is_raised(folder, rules, wrote("a", 0, 1), wrote("b", 1, 2))
    assert not is_raised(folder, rules, wrote("a", 0, 1), wrote("b", 1, 2, "host-b"))
    # Nor where the process is one of both hosts, as its id is after a machine was cloned.
    assert not is_raised(folder, sequence("ab"), wrote("a", 0, 1), wrote("b", 1, 1, "host-b"))


@pytest.mark.parametrize("nobody", [{}, {"User": ""}, {"User": None}])
def test_what_has_no_group_is_not_joined(folder: Path, nobody: dict[str, object]) -> None:
    rules = sequence("ab", "scope: host", "group: [user]")
    assert is_raised(folder, rules, wrote("a", 0, 1, User="u"), wrote("b", 1, 2, User="u"))
    assert not is_raised(folder, rules, wrote("a", 0, 1, **nobody), wrote("b", 1, 2, **nobody))
    assert not is_raised(folder, rules, wrote("a", 0, 1, User="u"), wrote("b", 1, 2, **nobody))


def test_order_is_that_of_all_steps_and_not_only_after_the_first(folder: Path) -> None:
    rules = sequence("abc")
    for order in itertools.permutations("abc"):
        lines = [wrote(name, second) for second, name in enumerate(order)]
        assert is_raised(folder, rules, *lines) == (order == ("a", "b", "c"))
    assert is_raised(folder, rules, wrote("a", 0), wrote("c", 1), wrote("b", 2), wrote("c", 3))


def test_the_span_is_exact_and_lets_no_older_event_in(folder: Path) -> None:
    rules = sequence("ab")
    assert is_raised(folder, rules, wrote("a", 0), wrote("b", 300))
    assert not is_raised(folder, rules, wrote("a", 0), wrote("b", 300.001))
    # From the first step on, not from each to the next.
    assert not is_raised(folder, sequence("abc"), wrote("a", 0), wrote("b", 200), wrote("c", 301))
    (alert,) = raised(folder, rules, [[wrote("a", 0), wrote("a", 540), wrote("b", 720)]])
    assert [step.time_ns % (3600 * 10**9) // 10**9 for step in alert.steps] == [540, 720]


@pytest.mark.parametrize("kind", ["type: count", "type: distinct\ncolumn: file"])
def test_what_is_counted_lies_within_one_span(folder: Path, kind: str) -> None:
    for last, found in ((300, True), (300.001, False)):
        lines = [wrote("a", second, file=str(second)) for second in (0, 290, last)]
        assert is_raised(folder, three(kind), *lines) == found


@pytest.mark.parametrize(
    ("time", "found"), [("12:05:00+00:00", True), ("14:05:00+02:00", True), ("12:05:00-02:00", False)]
)
def test_an_offset_from_utc_is_honoured(folder: Path, time: str, found: bool) -> None:
    def event(name: str, time: str) -> bytes:
        told = {
            "@timestamp": f"2026-01-01T{time}",
            "event": {"action": "creation", "category": ["file"]},
            "host": {"id": "h"},
            "process": {"entity_id": "p"},
            "file": {"path": f"/tmp/x.{name}"},
        }
        return json.dumps(told).encode() + b"\n"

    world = World(folder, sequence("ab"), "ecs")
    assert bool(world.deliver(event("a", "12:00:00Z"), event("b", time))) == found


def test_equal_times_are_in_order_whichever_was_written_first(folder: Path) -> None:
    for order in itertools.permutations("abc"):
        assert is_raised(folder, sequence("abc"), *(wrote(name, 7) for name in order))
    # One event may meet two steps, and is then one of both.
    assert is_raised(folder, sequence("aa").replace("name: a,", "name: first,", 1), wrote("a"))


@pytest.mark.parametrize("kind", ["type: count", "type: distinct\ncolumn: file"])
def test_what_comes_twice_counts_once(folder: Path, kind: str) -> None:
    same = [wrote("a", 1), wrote("a", 1), wrote("a", 1)]
    assert not is_raised(folder, three(kind), *same)
    assert raised(folder, three(kind), [same, same, same]) == []
    assert is_raised(folder, three(kind), *(wrote("a", second, file=str(second)) for second in range(3)))


def test_a_first_step_that_arrives_last_is_in_time(folder: Path) -> None:
    rules = sequence("abc")
    lines = [wrote("a", 0), wrote("b", 1), wrote("c", 2)]
    (wanted,) = raised(folder, rules, [lines])
    for order in itertools.permutations(lines):
        world = World(folder, rules)
        alerts = [world.deliver(line) for line in order]
        # By the batch that completes it, whichever step that is.
        assert [len(found) for found in alerts] == [0, 0, 1]
        assert alerts[-1][0].id == wanted.id
        assert [step.name for step in alerts[-1][0].steps] == ["a", "b", "c"]


def test_a_process_that_has_the_number_of_another_is_not_it(folder: Path) -> None:
    rules = sequence("ab")
    assert is_raised(folder, rules, wrote("a", 0, 1, ProcessId=4711), wrote("b", 1, 1, ProcessId=4711))
    assert not is_raised(folder, rules, wrote("a", 0, 1, ProcessId=4711), wrote("b", 1, 2, ProcessId=4711))


def test_steps_that_different_pods_saw_are_one_sequence_and_one_alert(folder: Path) -> None:
    world = World(folder, sequence("abc"))
    assert world.deliver(wrote("a", 0), wrote("a", 0, 2)) == []
    assert world.deliver(wrote("c", 2), wrote("c", 2, 2)) == []
    assert len(world.deliver(wrote("b", 1), wrote("b", 1, 3))) == 1
    assert world.deliver(wrote("b", 1.5)) == []
    assert len(world.deliver(wrote("b", 1.5, 2))) == 1
