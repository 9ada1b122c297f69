"""The process tree: every process once, whatever the parents say."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fastfold.printing import plain
from fastfold.states import State, Text
from fastfold.tree import INDENT_MAX, grow, tree_lines, tree_object


def one(process: str, parent: str | None = None, first: int = 0, image: str = "") -> State:
    values: dict[str, object] = {"first": first}
    if parent is not None:
        values["parent"] = Text(first, parent)
    if image:
        values["image"] = Text(first, image)
    return State("", "h", process, values)  # type: ignore[arg-type]


def drawn(*states: State, root: str | None = None) -> list[str]:
    return [plain(line) for line in tree_lines(grow(states, root), root)]


def names(*states: State, root: str | None = None) -> list[str]:
    return ["  " * branch.depth + branch.process for branch in grow(states, root)]


def test_children_stand_below_their_parent_in_order_of_time() -> None:
    family = [one("b", "a", 3), one("c", "a", 2), one("a", None, 1, "C:\\x\\root.exe"), one("d", "c", 4)]
    assert names(*family) == ["a", "  c", "    d", "  b"]
    assert [line[:30].rstrip() for line in drawn(*family)] == [
        "root.exe  a  1970-01-01 00:00:",
        "├─ (no image seen)  c  1970-01",
        "│  └─ (no image seen)  d  1970",
        "└─ (no image seen)  b  1970-01",
    ]


def test_a_parent_that_is_not_stored_keeps_its_children_together() -> None:
    family = [one("late", None, 9), one("y", "gone", 5), one("x", "gone", 2)]
    assert names(*family) == ["gone", "  x", "  y", "late"]
    assert drawn(*family)[0] == "gone  (not stored)"


def test_cycles_are_cut_open_and_marked() -> None:
    ring = [one("a", "c", 2), one("b", "a", 1), one("c", "b", 3), one("below", "a", 5), one("self", "self", 7)]
    branches = list(grow(ring))
    assert sorted(branch.process for branch in branches) == sorted(state.process for state in ring)
    assert [branch.process for branch in branches if branch.cycle] == ["b", "self"]
    assert "(its parent is its own descendant)" in drawn(*ring)[0]


def test_one_process_with_what_led_to_it_and_what_came_of_it() -> None:
    family = [one("a"), one("b", "a"), one("c", "b"), one("d", "c"), one("brother", "b"), one("other")]
    assert names(*family, root="c") == ["a", "  b", "    c", "      d"]


def test_a_chain_of_twenty_thousand_is_drawn_in_bounded_lines() -> None:
    chain = [one(f"{number:05d}", f"{number - 1:05d}" if number else None, number) for number in range(20_000)]
    lines = drawn(*chain)
    assert len(lines) == 20_000
    assert max(map(len, lines)) < 6 * INDENT_MAX + 100
    assert "level 19999: " in lines[-1]


@given(st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(0, 14)), max_size=13, unique_by=lambda t: t[0]))
def test_every_process_is_drawn_once(pairs: list[tuple[int, int | None]]) -> None:
    states = [one(str(process), None if parent is None else str(parent), process % 3) for process, parent in pairs]
    branches = list(grow(states))
    stored = [branch.process for branch in branches if branch.state is not None]
    assert sorted(stored) == sorted(state.process for state in states)
    assert len({branch.process for branch in branches}) == len(branches)
    above: list[str] = []
    for branch in branches:
        del above[branch.depth :]
        assert len(above) == branch.depth
        if branch.depth:
            assert branch.parent == above[-1]
        above.append(branch.process)
        json.dumps(tree_object(branch))
