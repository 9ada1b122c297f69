"""A state on a page, and two states side by side."""

from __future__ import annotations

import pytest

from fastfold.difference import changes, difference_lines, difference_object
from fastfold.page import host_lines, ids_named, page
from fastfold.printing import plain, shown
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet

DEFINITION = load_definition("process")
T = 1_709_539_200_000_000_000
S = 1_000_000_000


def a_state(**values: object) -> State:
    base = {"first": T, "last": T + 90 * S, "counts": {"process_start": 1, "file_write": 2}}
    return State("", "h", "p", {**base, **values})  # type: ignore[arg-type]


def lines(state: State, **names: str) -> list[str]:
    return [
        plain(line) for line in page(state, DEFINITION, {key.replace("_", "-"): name for key, name in names.items()})
    ]


def test_the_header_says_who_and_how_long() -> None:
    state = a_state(image=Text(T, "C:\\a.exe"), parent=Text(T, "id-1"), command_line=Text(T, "a /x", True))
    shown_page = lines(state, id_1="C:\\parent.exe")
    assert shown_page[:8] == [
        "C:\\a.exe",
        "  command line  a /x  (cut at its limit)",
        "  parent        id-1  C:\\parent.exe",
        "  process       p",
        "  host          h",
        "  first         2024-03-04 08:00:00.000 UTC",
        "  last          2024-03-04 08:01:30.000 UTC  (90.000 s later, its end was not seen)",
        "  counts        3: process_start 1, file_write 2",
    ]


def test_a_start_that_was_not_seen_and_an_end_that_was() -> None:
    shown_page = lines(a_state(counts={"process_end": 1}))
    assert "  first         2024-03-04 08:00:00.000 UTC  (its start was not seen)" in shown_page
    assert "  last          2024-03-04 08:01:30.000 UTC  (90.000 s later, it ended)" in shown_page


def test_the_timeline_runs_over_all_sets_and_says_where_one_is_full() -> None:
    modules = TextSet(True, tuple(Text(T + number, f"C:\\lib\\{number}.dll") for number in range(5)))
    files = TextSet(False, (Text(T + 2 * S, "C:\\out.txt"),))
    targets = TextSet(False, (Text(T + 3 * S, "id-2"),))
    state = a_state(files=files, modules=modules, targets=targets)
    shown_page = lines(state, id_2="C:\\child.exe")
    start = shown_page.index("  timeline")
    assert [" ".join(line.split()[2:]) for line in shown_page[start + 1 : start + 5]] == [
        "+0.000 s modules 0.dll, 1.dll, 2.dll and 2 more within 0.000 s",
        "+0.000 s modules full: what came later was dropped",
        "+2.000 s files C:\\out.txt",
        "+3.000 s targets C:\\child.exe",
    ]
    assert "  modules (the earliest 5, more were seen and dropped)" in shown_page
    assert "  files (1)" in shown_page
    assert "    2024-03-04 08:00:03.000  id-2  C:\\child.exe" in shown_page
    assert ids_named(state, DEFINITION) == ["id-2"]


def test_a_state_with_nothing_in_it_has_a_page() -> None:
    assert lines(State("t", "h", "p", {})) == [
        "(no image seen)",
        "  process       p",
        "  host          h",
        "  tenant        t",
    ]


@pytest.mark.parametrize("width", [1, 2, 5, 9, 30])
def test_a_width_bounds_what_is_shown(width: int) -> None:
    for text in ("", "abcd", "a\x1b" * 8, "x" * 40):
        assert len(plain(shown(text, "", width))) <= width
    assert plain(shown("abc", "", 3)) == "abc"


def test_a_host_is_one_line_for_each_state() -> None:
    state = a_state(image=Text(T, "C:\\x\\a.exe"), command_line=Text(T, "a /x"))
    (_, line) = [plain(line) for line in host_lines([state])]
    assert line == "2024-03-04 08:00:00.000          3  p  a.exe  a /x"


def test_a_difference_names_what_came_and_went() -> None:
    before = a_state(files=TextSet(False, (Text(T, "a"), Text(T + 1, "b"))), user=Text(T, "me"))
    after = a_state(
        files=TextSet(True, (Text(T, "a"), Text(T + 1, "c", True))),
        counts={"process_start": 1, "file_write": 5},
        last=T + 91 * S,
    )
    found = list(changes(before, after, DEFINITION))
    assert [(change.name, change.before, change.after) for change in found] == [
        ("last", "2024-03-04T08:01:30.000000000Z", "2024-03-04T08:01:31.000000000Z"),
        ("counts file_write", "2", "5"),
        ("user", "2024-03-04 08:00:00.000  me", None),
        ("files", "2024-03-04 08:00:00.000000001  b", None),
        ("files", None, "2024-03-04 08:00:00.000000001  c (cut)"),
        ("files overflow", None, "more were seen and dropped"),
    ]
    assert [plain(line)[:30].rstrip() for line in difference_lines(found)][:4] == [
        "- last                    2024",
        "+ last                    2024",
        "- counts file_write       2",
        "+ counts file_write       5",
    ]
    assert difference_object(found)[1] == {"name": "counts file_write", "before": "2", "after": "5"}


def test_equal_states_differ_in_nothing_and_two_processes_in_their_names() -> None:
    assert list(changes(a_state(), a_state(), DEFINITION)) == []
    one = a_state(user=Text(T, "me"))
    other = State("t", "h2", "p", a_state(user=Text(T + 1, "me")).values)
    assert [change[:3] for change in changes(one, other, DEFINITION)] == [
        ("tenant", None, "t"),
        ("host", "h", "h2"),
    ]
