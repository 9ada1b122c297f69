"""The layout names every byte once, says what the core says, and reads a damaged payload up to the damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfold import reference
from fastfold.errors import CorruptValue
from fastfold.ledger import HostRecord, LedgerEntry
from fastfold.rawlayout import Field, outer_fields, payload_fields
from fastfold.schema import FoldDefinition, load_definition
from fastfold.states import State, Text, TextSet, format_time
from fastfold.store import unpack_value
from property.strategies import arbitrary_states

DEFINITION = load_definition("process")
VERSION = 1


def assert_tiles(fields: list[Field], size: int) -> None:
    at = 0
    for field in fields:
        assert field.offset == at
        assert field.size > 0
        at += field.size
    assert at == size


def values_of(fields: list[Field], *names: str) -> list[str]:
    return [field.value for field in fields if field.name in names]


@given(arbitrary_states(DEFINITION))
def test_every_byte_is_named_once_and_every_value_is_there(state: State) -> None:
    payload = reference.encode(state, DEFINITION)
    fields = list(payload_fields(VERSION, payload, DEFINITION))
    assert_tiles(fields, len(payload))
    for name, value in state.values.items():
        if isinstance(value, TextSet):
            texts = [(format_time(member.time_ns), member.text) for member in value.members]
            found = values_of(fields, f"{name} time"), values_of(fields, f"{name} text", f"{name} text, cut")
            assert list(zip(*found, strict=True)) == texts
        elif isinstance(value, Text):
            assert values_of(fields, f"{name} text", f"{name} text, cut") == [value.text]
        elif isinstance(value, dict):
            kinds = values_of(fields, f"{name} kind"), values_of(fields, f"{name} count")
            assert list(zip(*kinds, strict=True)) == [(kind, str(count)) for kind, count in value.items()]
        else:
            assert values_of(fields, name)[-1] == format_time(value)


def read(payload: bytes, definition: FoldDefinition | None) -> tuple[list[Field], CorruptValue | None]:
    """The fields that can be read, and what ended them."""
    seen: list[Field] = []
    try:
        for field in payload_fields(VERSION, payload, definition):
            seen.append(field)
    except CorruptValue as error:
        return seen, error
    return seen, None


@given(arbitrary_states(DEFINITION), st.data())
def test_a_payload_cut_short_is_read_up_to_the_cut(state: State, data: st.DataObject) -> None:
    payload = reference.encode(state, DEFINITION)
    whole, _ = read(payload, DEFINITION)
    size = data.draw(st.integers(0, len(payload) - 1))
    seen, fault = read(payload[:size], DEFINITION)
    assert seen == whole[: len(seen)]
    assert len(seen) == sum(field.offset + field.size <= size for field in whole)
    if fault is not None:
        assert fault.offset is not None
        assert fault.offset <= size


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for definition in (DEFINITION, None):
        seen, fault = read(payload, definition)
        assert_tiles(seen, len(payload) if fault is None else sum(field.size for field in seen))
        assert fault is None or fault.offset is not None


def test_a_host_record_too() -> None:
    entries = (LedgerEntry(1_700_000_000_000, b"12345678", 2, 3), LedgerEntry(1_700_000_000_001, b"abcdefgh", 0, 0))
    payload = HostRecord("t", "h", entries).encode()
    fields = list(payload_fields(VERSION, payload, None))
    assert_tiles(fields, len(payload))
    assert values_of(fields, "batch id") == [b"12345678".hex(), b"abcdefgh".hex()]
    assert values_of(fields, "chunk bits", "chunk") == ["2", "3", "0", "0"]


def test_a_version_without_a_layout_is_named() -> None:
    with pytest.raises(CorruptValue, match="format version 9 has no layout here"):
        list(payload_fields(9, b"x", DEFINITION))


def test_the_outer_form_of_a_value_that_cannot_be_read() -> None:
    assert list(outer_fields(b"")) == []
    assert list(outer_fields(b"\x07")) == [Field(0, 1, "format version", "7")]
    broken = list(outer_fields(b"\x01\x00broken"))
    assert [field.name for field in broken] == ["format version", "dictionary", "no zstd frame"]
    assert_tiles(broken, 8)
    with pytest.raises(CorruptValue):
        unpack_value(b"\x01\x00broken")
