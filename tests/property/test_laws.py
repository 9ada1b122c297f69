"""The laws of the fold, on the reference and on the core."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfold.bounds import least_value_bytes, most_value_bytes
from fastfold.reference import Event, decode, encode, fold_events, merge_states
from fastfold.schema import FoldDefinition, Reducer
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import Limits
from fastfold.values import pack_value
from property.implementations import IMPLEMENTATIONS, VERSIONS, Implementation
from property.strategies import (
    DEFINITIONS,
    NARROWER,
    ONE_PROCESS,
    PROCESS_IDS,
    ROOM,
    SCHEMAS,
    arbitrary_states,
    crowds,
    events,
    lines,
    rushes,
    states,
)

ALL = pytest.mark.parametrize("kit", IMPLEMENTATIONS, ids=repr)
# By name: a failing example then prints in a line.
DEFINED = pytest.mark.parametrize("fold", DEFINITIONS)
IN_SCHEMA = pytest.mark.parametrize("shape", SCHEMAS)
LIMITS = Limits()


# --- law 1: merging ------------------------------------------------------------------------------


@ALL
@DEFINED
@given(data=st.data())
def test_merging_commutes(kit: Implementation, fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    a, b = (kit.encode(data.draw(states(definition)), definition) for _ in range(2))
    assert kit.merge(a, b, definition) == kit.merge(b, a, definition)


@ALL
@DEFINED
@given(data=st.data())
def test_merging_associates(kit: Implementation, fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    a, b, c = (kit.encode(data.draw(states(definition)), definition) for _ in range(3))
    left = kit.merge(kit.merge(a, b, definition), c, definition)
    assert left == kit.merge(a, kit.merge(b, c, definition), definition)


@ALL
@DEFINED
@given(data=st.data())
def test_merging_commutes_and_associates_on_states_that_no_small_fold_gives(
    kit: Implementation, fold: str, data: st.DataObject
) -> None:
    definition = DEFINITIONS[fold]
    tenant = data.draw(st.sampled_from(["", "t"]))
    process = data.draw(PROCESS_IDS)
    drawn = (data.draw(arbitrary_states(definition)) for _ in range(3))
    a, b, c = (kit.encode(State(tenant, s.host, process, s.values), definition) for s in drawn)
    assert kit.merge(a, b, definition) == kit.merge(b, a, definition)
    left = kit.merge(kit.merge(a, b, definition), c, definition)
    assert left == kit.merge(a, kit.merge(b, c, definition), definition)


# --- law 2: folding ------------------------------------------------------------------------------


@DEFINED
@given(data=st.data())
def test_folding_events_cut_anywhere_in_any_order_is_merging(fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    given_events: list[Event] = data.draw(st.one_of(st.lists(events(), max_size=12), crowds(), rushes()))
    whole = fold_events(given_events, definition)
    mixed = data.draw(st.permutations(given_events))
    assert fold_events(mixed, definition) == whole
    at = data.draw(st.integers(0, len(mixed)))
    x, y = fold_events(mixed[:at], definition), fold_events(mixed[at:], definition)
    both = {name: merge_states(x[name], y[name], definition) for name in x.keys() & y.keys()}
    assert {**x, **y, **both} == whole


@ALL
@DEFINED
@given(data=st.data())
def test_parts_merged_in_any_order_are_the_whole(kit: Implementation, fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    given_events: list[Event] = data.draw(st.one_of(st.lists(ONE_PROCESS, min_size=1), rushes()))
    order = data.draw(st.randoms(use_true_random=False))
    (whole,) = fold_events(given_events, definition).values()
    assert _merged_in_parts(kit, given_events, definition, order) == whole


@ALL
@given(given_events=rushes(), definition=st.sampled_from(NARROWER), order=st.randoms(use_true_random=False))
def test_whatever_sets_share_parts_merged_in_any_order_are_the_whole(
    kit: Implementation, given_events: list[Event], definition: FoldDefinition, order: random.Random
) -> None:
    (whole,) = fold_events(given_events, definition).values()
    for _ in range(10):
        assert _merged_in_parts(kit, given_events, definition, order) == whole


def _merged_in_parts(
    kit: Implementation, given_events: list[Event], definition: FoldDefinition, order: random.Random
) -> State:
    parts: dict[int, list[Event]] = {}
    for event in given_events:
        parts.setdefault(order.randrange(5), []).append(event)
    states_of_parts = [one for part in parts.values() for one in fold_events(part, definition).values()]
    payloads = [kit.encode(one, definition) for one in states_of_parts]
    while len(payloads) > 1:
        order.shuffle(payloads)
        payloads.append(kit.merge(payloads.pop(), payloads.pop(), definition))
    return kit.decode(payloads[0], definition)


@ALL
@IN_SCHEMA
@DEFINED
@given(data=st.data())
def test_folding_files_cut_anywhere_in_any_order_is_merging(
    kit: Implementation, shape: str, fold: str, data: st.DataObject
) -> None:
    schema = SCHEMAS[shape]
    definition = DEFINITIONS[fold]
    given_lines = data.draw(lines(schema))
    whole, _ = kit.fold(b"\n".join(given_lines), schema, definition, LIMITS)
    mixed = data.draw(st.permutations(given_lines))
    at = data.draw(st.integers(0, len(mixed)))
    x, _ = kit.fold(b"\n".join(mixed[:at]), schema, definition, LIMITS)
    y, _ = kit.fold(b"\n".join(mixed[at:]), schema, definition, LIMITS)
    assert kit.merge_all(x, y, definition) == whole


# --- law 3: encoding -----------------------------------------------------------------------------


@ALL
@DEFINED
@given(data=st.data())
def test_decoding_undoes_encoding(kit: Implementation, fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    state = data.draw(st.one_of(states(definition), arbitrary_states(definition)))
    for version in VERSIONS:
        decoded = kit.decode(kit.encode(state, definition, version), definition)
        assert decoded == state
        assert list(decoded.values) == list(state.values)


@DEFINED
@given(data=st.data())
def test_equal_states_and_only_they_have_equal_bytes(fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    a, b = (data.draw(arbitrary_states(definition)) for _ in range(2))
    for version in VERSIONS:
        assert (a == b) == (encode(a, definition, version) == encode(b, definition, version))


# --- law 4: bounds -------------------------------------------------------------------------------


@DEFINED
@given(data=st.data())
def test_the_size_of_a_state_is_bounded_and_every_loss_is_seen(fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    given_events: list[Event] = data.draw(st.one_of(st.lists(ONE_PROCESS, min_size=1, max_size=30), crowds(), rushes()))
    (state,) = fold_events(given_events, definition).values()
    payload = encode(state, definition)
    assert decode(payload, definition) == state
    # The smallest limit that this definition may have is kept, whatever is left for the sets to share.
    assert len(pack_value(payload)) <= most_value_bytes(definition, 1)
    least = replace(definition, value_bytes=least_value_bytes(definition))
    (state,) = fold_events(given_events, least).values()
    assert len(pack_value(encode(state, least))) <= most_value_bytes(least, 1)
    for reducer in definition.reducers:
        if reducer.column not in (None, "time") and reducer.text_bytes:
            _check_losses(reducer, state.values.get(reducer.name), given_events)


def _check_losses(reducer: Reducer, value: Value | None, given_events: list[Event]) -> None:
    whole = {
        event.columns[reducer.column]
        for event in given_events
        if reducer.column in event.columns and (not reducer.kinds or event.kind in reducer.kinds)
    }
    kept = {(text.encode()[: reducer.text_bytes].decode("utf-8", "ignore"), _is_long(text, reducer)) for text in whole}
    if isinstance(value, TextSet):
        found = {(member.text, member.cut) for member in value.members}
        assert found <= kept
        # Nothing is lost unseen.  A mark without a loss is only where a bound on bytes was reached.
        assert value.more or found == kept
        if len(kept) <= reducer.limit and reducer.reserve_bytes == ROOM:
            assert not value.more
    elif isinstance(value, Text):
        assert (value.text, value.cut) in kept
    else:
        assert not kept


def _is_long(text: str, reducer: Reducer) -> bool:
    return len(text.encode()) > reducer.text_bytes
