"""Values of every version that was ever written are read, also by definitions that have grown since."""

from __future__ import annotations

import dataclasses

import pytest

from fastfold import reference
from fastfold._core import Plan, decode, encode, identity, merge_group
from fastfold.bounds import READ_BYTES
from fastfold.errors import CorruptValue
from fastfold.schema import FoldDefinition, Reducer, load_definition
from fastfold.states import State
from fastfold.types import Limits
from fastfold.values import form_of
from golden_values.golden_values import DEFINITION, FOLDER, Golden, read_golden

FIRST = load_definition(DEFINITION)
NOW = load_definition("process")
PLAN = Plan(None, FIRST, Limits())
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
ALL = [(name, golden) for name in NAMES for golden in read_golden(name)]
EACH = pytest.mark.parametrize(("name", "golden"), ALL, ids=[f"{name}-{n}" for n, (name, _) in enumerate(ALL)])
NEW = Reducer(999, "new", "set", "hash", (), 8, 64, 512, 128)


def grown(definition: FoldDefinition, *more: Reducer) -> FoldDefinition:
    return dataclasses.replace(definition, reducers=(*definition.reducers, *more))


def without(definition: FoldDefinition, tag: int, *more: Reducer) -> FoldDefinition:
    kept = [one for one in definition.reducers if one.tag != tag]
    return dataclasses.replace(definition, reducers=tuple(sorted((*kept, *more), key=lambda one: one.tag)))


def test_there_are_values_of_every_version() -> None:
    assert {form_of(golden.value) for _, golden in ALL} == {(1, 0), (2, 0), (2, 1), (3, 0), (3, 2)}


@EACH
def test_a_value_is_read(name: str, golden: Golden) -> None:
    payload = golden.payload
    assert decode(PLAN, payload) == reference.decode(payload, FIRST) == golden.state
    assert identity(payload) == (golden.state.tenant, golden.state.host, golden.state.process)


@EACH
def test_its_payload_is_written_the_same_today(name: str, golden: Golden) -> None:
    version = form_of(golden.value)[0]
    assert encode(PLAN, golden.state, version) == golden.payload
    assert reference.encode(golden.state, FIRST, version) == golden.payload


@EACH
@pytest.mark.parametrize("version", [1, 2, 3])
def test_it_is_merged_into_either_version(version: int, name: str, golden: Golden) -> None:
    stored = golden.payload
    delta = encode(PLAN, golden.state)
    (merged,) = merge_group(PLAN, [stored], [delta], version)
    both = reference.merge_states(golden.state, golden.state, FIRST)
    assert merged == reference.encode(both, FIRST, version)


@EACH
def test_a_definition_that_has_grown_reads_it(name: str, golden: Golden) -> None:
    more = grown(FIRST, NEW)
    plan = Plan(None, more, Limits())
    payload = golden.payload
    assert decode(plan, payload) == golden.state
    delta = State(golden.state.tenant, golden.state.host, golden.state.process, {"counts": {"other": 1}})
    (merged,) = merge_group(plan, [payload], [encode(plan, delta)])
    assert decode(plan, merged) == reference.merge_states(golden.state, delta, more)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (without(FIRST, 8), "reducer 8 is 'set' in the value; in fold definition 'process', version 1, there is none"),
        (without(FIRST, 8, Reducer(8, "files", "last", "file", (), 0, 64)), "it is 'last' there"),
    ],
    ids=["removed", "changed"],
)
def test_a_reducer_that_was_removed_or_changed_is_refused_with_an_explanation(
    definition: FoldDefinition, told: str, version: int
) -> None:
    state = next(golden.state for _, golden in ALL if "files" in golden.state.values)
    payload = encode(PLAN, state, version)
    plan = Plan(None, definition, Limits())
    for call in (lambda: decode(plan, payload), lambda: merge_group(plan, [payload], [payload])):
        with pytest.raises(CorruptValue, match="needs a new tag") as caught:
            call()
        assert told in caught.value.reason


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_time_is_not_taken_for_a_number(version: int) -> None:
    state = next(golden.state for _, golden in ALL if "last" in golden.state.values)
    payload = encode(PLAN, state, version)
    plan = Plan(None, without(FIRST, 2, Reducer(2, "last", "max", "detail", (), 0, 0)), Limits())
    with pytest.raises(CorruptValue, match="where a time belongs"):
        decode(plan, payload)


def test_a_changed_reducer_under_a_new_tag_is_taken_as_one_that_is_new() -> None:
    state = next(golden.state for _, golden in ALL if "files" in golden.state.values)
    renamed = dataclasses.replace(FIRST.reducers[7], name="old_files")
    definition = grown(without(FIRST, 8, renamed), Reducer(16, "files", "set", "file", (), 8, 64, 512, 128))
    found = decode(Plan(None, definition, Limits()), encode(PLAN, state))
    assert found.values["old_files"] == state.values["files"]
    assert "files" not in found.values


def test_the_definition_that_ships_has_only_grown() -> None:
    today = {one.tag: one for one in NOW.reducers}
    for one in FIRST.reducers:
        same = today[one.tag]
        assert (same.name, same.op, same.column, same.kinds) == (one.name, one.op, one.column, one.kinds)
        # Smaller limits would refuse what was stored under larger ones, but for texts.
        assert same.limit >= one.limit
        assert one.text_bytes <= READ_BYTES
