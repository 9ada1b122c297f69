"""One state as a page: who it was, how long it lived, what it did and when, set by set.

The page follows the fold definition, whatever its reducers are called; only ``image``, ``first``, ``last``
and the counts by kind have places of their own where a definition has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from fastfold.ledger import HostRecord
from fastfold.printing import Line, shown
from fastfold.schema import FoldDefinition, Reducer
from fastfold.show import count_of, duration, short_time, text_of
from fastfold.states import State, Text, TextSet, format_time

__all__ = ["host_lines", "host_object", "host_page", "ids_named", "page"]

_LABEL_WIDTH = 14
_RUN = 3
"""Texts of one set that follow each other and are named in the timeline; of more, only the number is told."""

_RUN_CHARACTERS = 60
_COMMAND_CHARACTERS = 160
_NS_PER_MS = 1_000_000


class _Moment(NamedTuple):
    time_ns: int
    order: int
    label: str
    text: str


def ids_named(state: State, definition: FoldDefinition) -> list[str]:
    """Ids of other processes that a state names, each once."""
    ids: dict[str, None] = {}
    for reducer in definition.reducers:
        if reducer.column in ("parent", "target"):
            value = state.values.get(reducer.name)
            for text in value.members if isinstance(value, TextSet) else (value,):
                if isinstance(text, Text):
                    ids[text.text] = None
    return list(ids)


def page(state: State, definition: FoldDefinition, names: Mapping[str, str] | None = None) -> Iterator[Line]:
    """The lines of one state.

    Parameters
    ----------
    state : State
    definition : FoldDefinition
    names : mapping of str to str, optional
        Programs of other processes by their ids, to be shown beside these.
    """
    names = names or {}
    image = text_of(state, "image")
    yield shown(image, "title") if image else [("(no image seen)", "faint")]
    for reducer in definition.reducers:
        value = state.values.get(reducer.name)
        if isinstance(value, Text) and reducer.name != "image":
            cut: Line = [("  (cut at its limit)", "warn")] if value.cut else []
            yield _row(reducer.name.replace("_", " "), [*shown(value.text), *_name(value.text, reducer, names), *cut])
    yield _row("process", shown(state.process))
    yield _row("host", shown(state.host))
    if state.tenant:
        yield _row("tenant", shown(state.tenant))
    yield from _life(state)
    for reducer in definition.reducers:
        value = state.values.get(reducer.name)
        if isinstance(value, dict):
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in value.items())
            yield _row(reducer.name, [(f"{sum(value.values()):,}: {kinds}", "")])
        elif isinstance(value, int) and reducer.name not in ("first", "last"):
            shown_value = f"{short_time(value)} UTC" if reducer.column == "time" else f"{value:,}"
            yield _row(reducer.name, [(shown_value, "")])
    yield from _timeline(state, definition, names)
    for reducer in definition.reducers:
        value = state.values.get(reducer.name)
        if isinstance(value, TextSet):
            yield []
            yield _heading(reducer, value)
            for member in value.members:
                line: Line = [(f"    {short_time(member.time_ns)}  ", "faint"), *shown(member.text)]
                yield [*line, *_name(member.text, reducer, names), *([(" (cut)", "warn")] if member.cut else [])]


def _row(label: str, spans: Line) -> Line:
    return [(f"  {label:<{_LABEL_WIDTH}}", "label"), *spans]


def _name(text: str, reducer: Reducer, names: Mapping[str, str]) -> Line:
    name = names.get(text) if reducer.column in ("parent", "target") else None
    return [("  ", ""), *shown(name, "faint")] if name else []


def _heading(reducer: Reducer, value: TextSet) -> Line:
    line: Line = [("  ", ""), (reducer.name, "label"), (f" ({len(value.members)})", "")]
    if value.more:
        line[-1] = (f" (the earliest {len(value.members)}, more were seen and dropped)", "warn")
    return line


def _life(state: State) -> Iterator[Line]:
    first, last = state.values.get("first"), state.values.get("last")
    if not isinstance(first, int) or not isinstance(last, int):
        return
    counts = [value for value in state.values.values() if isinstance(value, dict)]
    started, ended = (any(kind in each for each in counts) for kind in ("process_start", "process_end"))
    yield _row("first", [(f"{short_time(first)} UTC", ""), ("" if started else "  (its start was not seen)", "faint")])
    seen = "it ended" if ended else "its end was not seen"
    yield _row("last", [(f"{short_time(last)} UTC", ""), (f"  ({duration(first, last)} later, {seen})", "faint")])


def _timeline(state: State, definition: FoldDefinition, names: Mapping[str, str]) -> Iterator[Line]:
    """Members of all sets in the order of their first times; neighbours of one set share a line."""
    moments: list[_Moment] = []
    full: list[_Moment] = []
    for order, reducer in enumerate(definition.reducers):
        value = state.values.get(reducer.name)
        if isinstance(value, TextSet) and value.members:
            moments += [_Moment(member.time_ns, order, reducer.name, member.text) for member in value.members]
            if value.more:
                full.append(_Moment(value.members[-1].time_ns, len(definition.reducers), reducer.name, ""))
    if not moments:
        return
    moments.sort(key=lambda moment: moment[:2])
    first = state.values.get("first")
    since = first if isinstance(first, int) else moments[0].time_ns
    yield []
    yield [("  ", ""), ("timeline", "label")]
    ids = {reducer.name for reducer in definition.reducers if reducer.column in ("parent", "target")}
    for label, run in groupby(sorted([*moments, *full], key=lambda m: m[:2]), key=lambda m: (m.label, not m.text)):
        members = list(run)
        when: Line = [(f"    {short_time(members[0].time_ns)}  {_offset(members[0].time_ns - since):>14}  ", "faint")]
        when.append((f"{label[0]:<{_LABEL_WIDTH}}", "label"))
        if label[1]:
            yield [*when, ("full: what came later was dropped", "warn")]
            continue
        texts = [names.get(m.text, m.text) if label[0] in ids else m.text for m in members]
        for number, text in enumerate(texts[:_RUN]):
            when += [(", " if number else "", ""), *shown(_tail(text, len(texts)), "", _RUN_CHARACTERS)]
        if len(texts) > _RUN:
            span = members[-1].time_ns - members[0].time_ns
            within = f" within {duration(0, span)}" if span else ""
            when.append((f" and {len(texts) - _RUN} more{within}", ""))
        yield when


def _tail(text: str, count: int) -> str:
    # Several on a line: the end of a path tells more than its start.
    return text.rpartition("\\")[2] or text if count > 1 else text


def _offset(span_ns: int) -> str:
    return f"{'+' if span_ns >= 0 else '-'}{duration(0, abs(span_ns))}"


def host_lines(states: Iterable[State]) -> Iterator[Line]:
    """One line for each state: first time, events, id, program and command line."""
    yield [(f"{'first (UTC)':<23}  {'events':>9}  process, program, command line", "label")]
    for state in states:
        first = state.values.get("first")
        when = short_time(first)[:23] if isinstance(first, int) else ""
        image = text_of(state, "image")
        line: Line = [(f"{when:<23}  ", "faint"), (f"{count_of(state):>9,}  ", ""), *shown(state.process), ("  ", "")]
        line += shown(image.rpartition("\\")[2] or image, "title") or [("(no image seen)", "faint")]
        yield [*line, ("  ", ""), *shown(text_of(state, "command_line"), "faint", _COMMAND_CHARACTERS)]


def host_page(record: HostRecord) -> Iterator[Line]:
    """The lines of a host record: which batches its states hold."""
    yield [("host ", "label"), *shown(record.host, "title")]
    if record.tenant:
        yield [("  tenant ", "label"), *shown(record.tenant)]
    yield [(f"  {len(record.entries)} batches applied, by time:", "")]
    for entry in record.entries:
        chunk = f", chunk {entry.chunk_index} of {1 << entry.bits}" if entry.bits else ""
        yield [(f"  {_batch_time(entry.time_ms)}  ", "faint"), (f"{entry.id.hex()}{chunk}", "")]


def host_object(record: HostRecord) -> dict[str, object]:
    """A host record as a JSON object."""
    shown_record: dict[str, object] = {"tenant": record.tenant} if record.tenant else {}
    shown_record["host"] = record.host
    shown_record["ledger"] = [
        {
            "time": _batch_time(entry.time_ms),
            "batch": entry.id.hex(),
            "bits": entry.bits,
            "chunk": entry.chunk_index,
        }
        for entry in record.entries
    ]
    return shown_record


def _batch_time(time_ms: int) -> str:
    return format_time(time_ms * _NS_PER_MS)[:23] + "Z"
