"""The definition of right: what the sets of a state may keep together (`fastfold.bounds` says why)."""

from __future__ import annotations

from collections.abc import Iterable

from fastfold.bounds import MEMBER_COST, full_bytes, pool_bytes
from fastfold.schema import FoldDefinition, Reducer
from fastfold.states import State, Text, TextSet, Value

__all__ = ["bounded"]


def bounded(state: State, definition: FoldDefinition) -> State:
    """The state with what its sets may keep.

    Parameters
    ----------
    state : State
        Each set with the earliest members that its own `limit` allows.
    definition : FoldDefinition
    """
    identity = sum(len(text.encode()) for text in (state.tenant, state.host, state.process))
    pool = max(pool_bytes(definition) - identity, 0)
    given = {one: _members(state.values.get(one.name)) for one in definition.reducers if one.op == "set"}
    kept: dict[Reducer, list[Text]] = {one: [] for one in given}
    # Python compares the members by time, then their sets by place, then the texts.
    waiting = sorted((member.time_ns, place, member, one) for place, one in enumerate(given) for member in given[one])
    for _, _, member, one in waiting:
        taken = sum(_excess(other, kept[other]) for other in kept)
        weight = _weight(kept[one])
        if weight < one.bytes and (weight < one.reserve_bytes or taken < pool):
            kept[one].append(member)
    taken = sum(_excess(one, given[one]) for one in given)
    values: dict[str, Value] = dict(state.values)
    for one, members in given.items():
        value = values.get(one.name)
        if isinstance(value, TextSet):
            weight = _weight(members)
            # Not only when something was dropped here: it may have been in a part of the events.
            more = weight >= one.bytes or (weight >= one.reserve_bytes and taken >= pool)
            values[one.name] = TextSet(value.more or more, tuple(kept[one]))
    return State(state.tenant, state.host, state.process, values)


def _members(value: Value | None) -> tuple[Text, ...]:
    return value.members if isinstance(value, TextSet) else ()


def _weight(members: Iterable[Text]) -> int:
    return sum(len(member.text.encode()) + MEMBER_COST for member in members)


def _excess(reducer: Reducer, members: Iterable[Text]) -> int:
    """What a set takes out of the pool; a full one the most it could."""
    members = tuple(members)
    weight = _weight(members)
    if len(members) == reducer.limit or weight >= reducer.bytes:
        weight = full_bytes(reducer)
    return max(weight - reducer.reserve_bytes, 0)
