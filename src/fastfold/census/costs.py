"""What each reducer costs, and what each limit of a set would: a state is written without it, and weighed.

Bytes are those of the value as today's writer would store it, compression included, which is why they do not add up:
what two reducers have in common is compressed away as long as one of them is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fastfold.census.totals import mean_and_margin
from fastfold.decoding import Decoder
from fastfold.schema import Reducer
from fastfold.states import State, TextSet

__all__ = ["ReducerCost", "reducer_costs"]

_FRACTIONS = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class ReducerCost:
    """The cost of one reducer, mean over all states looked at.

    Attributes
    ----------
    name, op : str
    states : int
        States in which it saw something.
    bytes_per_state, margin : float
        Bytes of the value that would be saved without it.
    share : float
        Of the bytes of all values.
    limit : int
        Most members of a set; 0 for what is none.
    members : float
        Mean members of a set, over the states that have it.
    full : int
        States in which the set dropped members.
    at_limit : dict of int to float
        Bytes per state that smaller limits would save.
    """

    name: str
    op: str
    states: int
    bytes_per_state: float
    margin: float
    share: float
    limit: int
    members: float
    full: int
    at_limit: dict[int, float]


def reducer_costs(states: Sequence[State], decoder: Decoder) -> Iterator[ReducerCost]:
    """The costs of all reducers of the definition, one after the other as they are found.

    Parameters
    ----------
    states : sequence of State
        Not empty.
    decoder : Decoder
    """
    sizes = [decoder.value_bytes(state) for state in states]
    total = sum(sizes)
    for reducer in decoder.definition.reducers:
        with_it = [(state, size) for state, size in zip(states, sizes, strict=True) if reducer.name in state.values]
        saved = [size - decoder.value_bytes(_without(state, reducer)) for state, size in with_it]
        mean, margin = mean_and_margin(saved, len(states))
        sets = [value for state, _ in with_it if isinstance(value := state.values[reducer.name], TextSet)]
        at_limit = {
            limit: sum(size - decoder.value_bytes(_limited(state, reducer, limit)) for state, size in with_it)
            / len(states)
            for limit in _lower_limits(reducer)
        }
        yield ReducerCost(
            name=reducer.name,
            op=reducer.op,
            states=len(with_it),
            bytes_per_state=mean,
            margin=margin,
            share=sum(saved) / total,
            limit=reducer.limit,
            members=sum(len(value.members) for value in sets) / len(sets) if sets else 0.0,
            full=sum(value.more for value in sets),
            at_limit=at_limit,
        )


def _lower_limits(reducer: Reducer) -> list[int]:
    return [reducer.limit // part for part in _FRACTIONS if reducer.limit >= part]


def _without(state: State, reducer: Reducer) -> State:
    return replace(state, values={name: value for name, value in state.values.items() if name != reducer.name})


def _limited(state: State, reducer: Reducer, limit: int) -> State:
    value = state.values[reducer.name]
    if not isinstance(value, TextSet) or len(value.members) <= limit:
        return state
    return replace(state, values=state.values | {reducer.name: TextSet(True, value.members[:limit])})
