"""Batches and states as tables hold what they hold as Python objects, whatever that is."""

from __future__ import annotations

import dataclasses

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfold
from arrow import batch_rows, rows, state_rows
from fastfold.types import FoldCounts
from property.strategies import DEFINITIONS, SCHEMAS, arbitrary_states, texts


@pytest.mark.parametrize("name", SCHEMAS)
@given(data=st.data())
def test_a_table_of_events_is_the_batch(name: str, data: st.DataObject) -> None:
    batch = fastfold.parse(data.draw(texts(SCHEMAS[name])), SCHEMAS[name])
    assert rows(pyarrow.table(batch)) == batch_rows(batch)


@pytest.mark.parametrize("name", DEFINITIONS)
@given(data=st.data())
def test_a_table_of_states_is_the_states(name: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[name]
    payloads = {}
    for number, drawn in enumerate(data.draw(st.lists(arbitrary_states(definition), max_size=4))):
        state = dataclasses.replace(drawn, process=f"{drawn.process}{number}")
        payloads[state.tenant, state.host, state.process] = fastfold.encode(state, definition)
    states = fastfold.States(definition, payloads, FoldCounts())
    assert rows(pyarrow.table(states)) == state_rows(states)
