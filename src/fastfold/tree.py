"""The process tree of a host, from what each state says of its parent.

States come from the logs of a machine that may be hostile: a parent may be missing, may be its own child, and a
chain may be as long as there are processes.  Every process is drawn exactly once, without recursion, and beyond
`INDENT_MAX` levels the indentation stands still and the level is written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fastfold.printing import Line, shown
from fastfold.show import short_time, text_of
from fastfold.states import State, Text, format_time

__all__ = ["INDENT_MAX", "Branch", "grow", "tree_lines", "tree_object"]

INDENT_MAX = 32
_NS_MAX = (1 << 63) - 1
_COMMAND_CHARACTERS = 160


class Branch(NamedTuple):
    """A process in its place.

    Attributes
    ----------
    process : str
    state : State or None
        ``None`` for a parent that is named by others, but not stored itself.
    depth : int
        0 for a root.
    last : bool
        Whether no brother follows.
    parent : str or None
        Its parent's id, as far as it is known.
    cycle : bool
        Its parent is its own descendant: drawn as a root.
    """

    process: str
    state: State | None
    depth: int
    last: bool
    parent: str | None
    cycle: bool = False


def grow(states: Iterable[State], root: str | None = None) -> Iterator[Branch]:
    """The tree, from top to bottom.

    Parameters
    ----------
    states : iterable of State
        Of one host.
    root : str, optional
        Only this process, what led to it, and what came of it.
    """
    by_id = {state.process: state for state in states}
    parents = {process: parent for process, state in by_id.items() if (parent := _parent_of(state)) is not None}
    if root is not None:
        kept = _line_of(root, parents)
        kept |= _descendants(root, _children(parents, by_id))
        by_id = {process: state for process, state in by_id.items() if process in kept}
        parents = {process: parent for process, parent in parents.items() if process in kept}
    children = _children(parents, by_id)
    tops = {parents.get(process, process) for process in by_id if parents.get(process) not in by_id}
    drawn: set[str] = set()
    yield from _draw(_ordered(tops, by_id, children), by_id, parents, children, drawn)
    # What no root leads to is on a cycle or below one: it is cut open above its earliest process.
    for process in _ordered(by_id.keys() - drawn, by_id, children):
        if process not in drawn:
            yield from _draw([_on_cycle(process, parents)], by_id, parents, children, drawn)


def _parent_of(state: State) -> str | None:
    return text_of(state, "parent") or None


def _children(parents: dict[str, str], by_id: dict[str, State]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for process, parent in parents.items():
        children.setdefault(parent, []).append(process)
    return {parent: _ordered(found, by_id, {}) for parent, found in children.items()}


def _first_ns(process: str, by_id: dict[str, State]) -> int:
    state = by_id.get(process)
    first = state.values.get("first") if state is not None else None
    return first if isinstance(first, int) else _NS_MAX


def _ordered(found: Iterable[str], by_id: dict[str, State], children: dict[str, list[str]]) -> list[str]:
    """By time; one that is not stored goes by its first child."""
    times = {each: _first_ns(each if each in by_id else children[each][0], by_id) for each in found}
    return sorted(times, key=lambda each: (times[each], each))


def _line_of(process: str, parents: dict[str, str]) -> set[str]:
    line: set[str] = set()
    at: str | None = process
    while at is not None and at not in line:
        line.add(at)
        at = parents.get(at)
    return line


def _descendants(process: str, children: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [process]
    while waiting:
        at = waiting.pop()
        if at not in found:
            found.add(at)
            waiting += children.get(at, ())
    return found


def _on_cycle(process: str, parents: dict[str, str]) -> str:
    """The first process that is met twice on the way up."""
    met: set[str] = set()
    while process not in met:
        met.add(process)
        process = parents[process]
    return process


def _draw(
    roots: Sequence[str],
    by_id: dict[str, State],
    parents: dict[str, str],
    children: dict[str, list[str]],
    drawn: set[str],
) -> Iterator[Branch]:
    waiting = [(root, 0, True) for root in reversed(roots)]
    while waiting:
        process, depth, last = waiting.pop()
        drawn.add(process)
        cycle = depth == 0 and parents.get(process) in by_id
        yield Branch(process, by_id.get(process), depth, last, parents.get(process), cycle)
        # A process has one parent, so it can only have been drawn before where a cycle was cut open.
        below = [child for child in children.get(process, ()) if child not in drawn]
        waiting += [(child, depth + 1, child == below[-1]) for child in reversed(below)]


def tree_lines(branches: Iterable[Branch], marked: str | None = None) -> Iterator[Line]:
    """The tree for a person.

    Parameters
    ----------
    branches : iterable of Branch
    marked : str, optional
        The process that was asked for.
    """
    rails: list[bool] = []
    for branch in branches:
        del rails[max(branch.depth - 1, 0) :]
        line: Line = []
        if 0 < branch.depth <= INDENT_MAX:
            rail = "".join("   " if ended else "│  " for ended in rails)
            line.append((f"{rail}{'└─ ' if branch.last else '├─ '}", "faint"))
        elif branch.depth:
            line.append((f"{'   ' * INDENT_MAX}level {branch.depth}: ", "faint"))
        if 0 < branch.depth < INDENT_MAX:
            rails.append(branch.last)
        yield [*line, *_label(branch, marked)]


def _label(branch: Branch, marked: str | None) -> Line:
    if branch.state is None:
        return [*shown(branch.process, "faint"), ("  (not stored)", "faint")]
    image = text_of(branch.state, "image")
    name = image.rpartition("\\")[2] or image or "(no image seen)"
    first = branch.state.values.get("first")
    line = shown(name, "title" if branch.process != marked else "added")
    line += [("  ", ""), *shown(branch.process)]
    if isinstance(first, int):
        line.append((f"  {short_time(first)}", "faint"))
    if branch.cycle:
        line.append(("  (its parent is its own descendant)", "warn"))
    command = text_of(branch.state, "command_line")
    return [*line, ("  ", ""), *shown(command, "faint", _COMMAND_CHARACTERS)] if command else line


def tree_object(branch: Branch) -> dict[str, object]:
    """A process in its place for a program: flat, because a chain may be longer than JSON may be deep."""
    found: dict[str, object] = {"process": branch.process, "depth": branch.depth, "stored": branch.state is not None}
    if branch.parent is not None:
        found["parent"] = branch.parent
    if branch.cycle:
        found["cycle"] = True
    if branch.state is not None:
        for name in ("image", "command_line", "user"):
            value = branch.state.values.get(name)
            if isinstance(value, Text):
                found[name] = value.text
        first = branch.state.values.get("first")
        if isinstance(first, int):
            found["first"] = format_time(first)
    return found
