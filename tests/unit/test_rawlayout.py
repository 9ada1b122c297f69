"""The layout names every byte once, says what the core says, and reads a damaged payload up to the damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfold import reference
from fastfold.errors import CorruptValue
from fastfold.ledger import HostRecord, LedgerEntry
from fastfold.raw.layout import outer_fields, payload_fields
from fastfold.raw.walk import Field
from fastfold.schema import FoldDefinition, load_definition
from fastfold.states import State, Text, TextSet, format_time
from fastfold.values import unpack_value
from property.strategies import arbitrary_states

DEFINITION = load_definition("process")

VERSIONS = st.sampled_from([2, 3])

# A state in version 2: two GUIDs beside its own, an endpoint, a set that is cut and full.
SECOND = bytes.fromhex(
    "80000280bae9c1aa5d0139e4a257d60f7117000000000700740068000900120018810124013c024629025614762200433a5c612e65786500"
    "433a5c785c6f6e65000574776f0001ac020005000000010000006c6e170a00000101bb707117d79fcfe42faaaaaaaa0000000000000001"
)


def version_of(payload: bytes) -> int:
    """The format version of a payload: the second and the third begin with marks."""
    return 3 if payload.startswith(b"\x80\x80\x00") else 2 if payload.startswith(b"\x80\x00") else 1


def end_of(field: Field) -> int:
    """Where it ends, in bits."""
    return 8 * (field.offset + field.size) + field.bit + field.bits


def assert_tiles(fields: list[Field], size: int | None) -> None:
    at = 0
    for field in fields:
        assert 8 * field.offset + field.bit == at
        at = end_of(field)
        assert at > 8 * field.offset + field.bit
    assert size is None or at == 8 * size


def values_of(fields: list[Field], *names: str) -> list[str]:
    return [field.value for field in fields if field.name in names]


@given(arbitrary_states(DEFINITION), VERSIONS)
def test_every_byte_is_named_once_and_every_value_is_there(state: State, version: int) -> None:
    payload = reference.encode(state, DEFINITION, version)
    fields = list(payload_fields(version_of(payload), payload, DEFINITION))
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
            told = [(kind, str(count)) for kind, count in value.items()]
            in_second = [(kind, one) for kind in value for one in values_of(fields, f"{name} {kind}")]
            assert told in (list(zip(*kinds, strict=True)), in_second)
        else:
            assert values_of(fields, name)[-1] == format_time(value)


def read(
    payload: bytes, definition: FoldDefinition | None, version: int | None = None
) -> tuple[list[Field], CorruptValue | None]:
    """The fields that can be read, and what ended them."""
    seen: list[Field] = []
    try:
        for field in payload_fields(version or version_of(payload), payload, definition):
            seen.append(field)
    except CorruptValue as error:
        return seen, error
    return seen, None


@given(arbitrary_states(DEFINITION), VERSIONS, st.data())
def test_a_payload_cut_short_is_read_up_to_the_cut(state: State, version: int, data: st.DataObject) -> None:
    payload = reference.encode(state, DEFINITION, version)
    whole, _ = read(payload, DEFINITION)
    size = data.draw(st.integers(0, len(payload) - 1))
    seen, fault = read(payload[:size], DEFINITION, version_of(payload))
    assert seen == whole[: len(seen)]
    assert len(seen) == sum(end_of(field) <= 8 * size for field in whole)
    if fault is not None:
        assert fault.offset is not None
        assert fault.offset <= size


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for version, definition in ((1, DEFINITION), (2, DEFINITION), (3, DEFINITION), (1, None)):
        seen, fault = read(payload, definition, version)
        assert_tiles(seen, len(payload) if fault is None else None)
        assert fault is None or fault.offset is not None


def test_the_second_version() -> None:
    fields = list(payload_fields(2, SECOND, DEFINITION))
    assert_tiles(fields, len(SECOND))
    guid = "39e4a257-79fb-5f92-7117-000000000700"
    assert values_of(fields, "process", "tenant", "host") == [guid, "t", "h"]
    assert values_of(fields, "counts process_start", "counts net_connect") == ["1", "300"]
    assert values_of(fields, "files text", "files time") == [
        "C:\\x\\one",
        "C:\\x\\two",
        "2020-10-23T06:20:00.000000000Z",
        "2020-10-23T06:20:00.001000000Z",
    ]
    assert values_of(fields, "files head") == ["tag 8, set of 2 texts, some cut, more were dropped"]
    assert values_of(fields, "remotes text") == ["10.0.0.1:443"]
    assert values_of(fields, "parent text") == ["39e4a257-79ed-5f92-6e17-000000000700"]
    assert values_of(fields, "targets text") == [guid, "aaaaaaaa-0000-0000-0000-000000000001"]
    for size in range(len(SECOND)):
        seen, fault = read(SECOND[:size], DEFINITION, 2)
        assert seen == fields[: len(seen)]
        assert fault is not None


def test_the_third_version() -> None:
    state = reference.decode(SECOND, DEFINITION)
    payload = reference.encode(state, DEFINITION)
    fields = list(payload_fields(3, payload, DEFINITION))
    assert_tiles(fields, len(payload))
    second = list(payload_fields(2, SECOND, DEFINITION))
    assert values_of(fields, "host") == ["h, not stored"]
    for name in {field.name for field in second} - {"mark", "tenant", "host"}:
        assert values_of(fields, name) == values_of(second, name)
    for size in range(len(payload)):
        seen, fault = read(payload[:size], DEFINITION, 3)
        assert seen == fields[: len(seen)]
        assert fault is not None


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (
            "22830503aabbccdd" + "00" * 3 + "ff" * 9,
            ["size of texts", "size of numbers", "checksum", "numbers", "texts"],
        ),
        ("4600830500aabbccdd", ["form", "size of texts", "size of numbers", "checksum"]),
        ("ff81", ["size of texts"]),
        ("20", []),
    ],
    ids=["block", "frame", "cut", "form alone"],
)
def test_the_outer_form_of_the_third_version(value: str, names: list[str]) -> None:
    data = bytes.fromhex(value)
    fields = list(outer_fields(data))
    assert [field.name for field in fields] == ["format version and dictionary", *names]
    assert_tiles(fields, len(data))


def test_the_outer_form_of_the_second_version() -> None:
    fields = list(outer_fields(bytes.fromhex("0201b403d3c4") + b"x" * 9))
    assert_tiles(fields, 15)
    assert fields[2].value == "payload of 109 bytes, one zstd block and its checksum"
    assert [field.name for field in outer_fields(b"\x02\x00")] == ["format version", "dictionary"]


def test_a_host_record_too() -> None:
    entries = (LedgerEntry(1_700_000_000_000, b"12345678", 2, 3), LedgerEntry(1_700_000_000_001, b"abcdefgh", 0, 0))
    payload = HostRecord("t", "h", entries).encode()
    fields = list(payload_fields(1, payload, None))
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
