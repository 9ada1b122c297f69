"""The golden records reach every corner of every schema: nothing can be taken out of one unnoticed.

Each mapping, each of its discriminator values and each of its conditions is left out in turn.  What a schema says
in many places alike (a default column, the id of the actor, a condition) is left out in all of them at once: each
column, each alternative of a field, each value of a condition.  The events or the counts must then be others.

The limit of events per record is lifted: it hides what a condition too few would add.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from fastfold import reference
from fastfold.errors import Reject
from fastfold.reference import records as reference_records
from fastfold.schema import Condition, EventMapping, Schema, Source, load_schema
from golden.golden import FORMATS, Golden, Row, counted, shown

Mutant = tuple[str, Schema]


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_of_a_schema_can_be_left_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = Golden.load(name)
    schema = load_schema(name)
    monkeypatch.setattr(reference_records, "EVENTS_PER_RECORD", len(schema.events))
    whole = _reading(golden, schema)
    assert whole is not None
    mutants = list(_mutants(schema))
    assert len(mutants) > len(schema.events)
    assert [what for what, mutant in mutants if _reading(golden, mutant) == whole] == []


def _reading(golden: Golden, schema: Schema) -> tuple[list[Row], Row] | None:
    """What the records give; ``None`` when they are refused."""
    try:
        reading = reference.read_lines(golden.data, schema)
    except Reject:
        return None
    return shown(reading.events), counted(reading.counts)


def _mutants(schema: Schema) -> Iterator[Mutant]:
    for number, event in enumerate(schema.events):
        where = f"[[event]] {number + 1} {event.kind}"
        yield where, _with_event(schema, number, None)
        for value, rest in _without_each(event.when):
            yield f"{where}: when {value}", _with_event(schema, number, dataclasses.replace(event, when=rest))
        for index, condition in enumerate(event.where):
            left = (*event.where[:index], *event.where[index + 1 :])
            what = f"{where}: where {index + 1}, {condition.paths[0]}"
            yield what, _with_event(schema, number, dataclasses.replace(event, where=left))
    yield from _alike(schema)
    for field in ("tenant", "host", "discriminator", "roots", "embedded", "unknown_ids"):
        for value, rest in _without_each(getattr(schema, field)):
            yield f"{field}: {value!r}", dataclasses.replace(schema, **{field: rest})
    for number, condition in enumerate(schema.require):
        others = (*schema.require[:number], *schema.require[number + 1 :])
        yield f"require: {condition.reason}", dataclasses.replace(schema, require=others)
        for what, mutant in _condition_mutants(condition):
            given = (*schema.require[:number], mutant, *schema.require[number + 1 :])
            yield f"require: {condition.reason}, {what}", dataclasses.replace(schema, require=given)
    for number, time in enumerate(schema.times):
        for path, rest in _without_each(time.paths):
            times = (*schema.times[:number], dataclasses.replace(time, paths=rest), *schema.times[number + 1 :])
            yield f"time: {path}", dataclasses.replace(schema, times=times)


def _with_event(schema: Schema, number: int, event: EventMapping | None) -> Schema:
    kept = () if event is None else (event,)
    return dataclasses.replace(schema, events=(*schema.events[:number], *kept, *schema.events[number + 1 :]))


def _everywhere(schema: Schema, change: Callable[[EventMapping], EventMapping]) -> Schema:
    return dataclasses.replace(schema, events=tuple(change(event) for event in schema.events))


def _alike(schema: Schema) -> Iterator[Mutant]:
    """What may stand in many events, left out in all of them."""
    for condition in dict.fromkeys(condition for event in schema.events for condition in event.where):
        for what, other in _condition_mutants(condition):

            def change(event: EventMapping, old: Condition = condition, new: Condition = other) -> EventMapping:
                return dataclasses.replace(event, where=tuple(new if c == old else c for c in event.where))

            yield f"where {condition.paths[0]} {condition.op}: {what}", _everywhere(schema, change)
    for column, source in dict.fromkeys(item for event in schema.events for item in event.columns.items()):

        def drop(event: EventMapping, name: str = column, old: Source = source) -> EventMapping:
            left = {key: given for key, given in event.columns.items() if (key, given) != (name, old)}
            return dataclasses.replace(event, columns=left)

        yield f"{column}: {source.paths}", _everywhere(schema, drop)
    sources = [source for event in schema.events for source in (event.process, *event.columns.values())]
    for source in dict.fromkeys(sources):
        for what, mutant in _source_mutants(source):

            def swap(event: EventMapping, old: Source = source, new: Source = mutant) -> EventMapping:
                columns = {name: new if given == old else given for name, given in event.columns.items()}
                return dataclasses.replace(
                    event, process=new if event.process == old else event.process, columns=columns
                )

            yield f"{source}: {what}", _everywhere(schema, swap)


def _condition_mutants(condition: Condition) -> Iterator[tuple[str, Condition]]:
    for value, rest in _without_each(condition.values):
        yield f"value {value!r}", dataclasses.replace(condition, values=rest)
    for path, rest in _without_each(condition.paths):
        yield f"path {path}", dataclasses.replace(condition, paths=rest)


def _source_mutants(source: Source) -> Iterator[tuple[str, Source]]:
    for field in ("paths", "tail", "parts", "absent"):
        for value, rest in _without_each(getattr(source, field)):
            yield f"{field} {value!r}", dataclasses.replace(source, **{field: rest})


def _without_each(values: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for number, value in enumerate(values):
        yield value, (*values[:number], *values[number + 1 :])
