"""The host record and the chunk rule."""

from __future__ import annotations

import pytest

from fastfold.errors import CorruptValue
from fastfold.ledger import CHUNK_PROCESSES, HostRecord, LedgerEntry, cut_chunks
from fastfold.store import process_digest
from fastfold.types import BatchId

WINDOW_MS = 1000


def batch(time_ms: int, name: int = 0) -> BatchId:
    return BatchId(time_ms, name.to_bytes(8, "big"))


def record(*batches: BatchId) -> HostRecord:
    found = HostRecord("t", "h")
    for one in batches:
        found = found.with_entry(one, WINDOW_MS)
    return found


def test_the_bytes_are_fixed_for_ever() -> None:
    found = record(batch(5, 1)).with_entry(batch(300, 2), WINDOW_MS, 2, 3)
    assert found.encode().hex() == "01740168020500000000000000010000a70200000000000000020203"
    assert HostRecord.decode(found.encode()) == found


def test_an_empty_record() -> None:
    assert HostRecord.decode(HostRecord("", "h").encode()) == HostRecord("", "h")
    assert HostRecord("", "h").behind_ms(batch(0)) == 0


def test_entries_are_ordered_by_time_then_id_then_chunk() -> None:
    found = record(batch(7, 2), batch(7, 1), batch(5, 9))
    assert [entry[:2] for entry in found.entries] == [(5, batch(5, 9).id), (7, batch(7, 1).id), (7, batch(7, 2).id)]


def test_only_what_is_older_than_the_newest_less_the_window_goes() -> None:
    found = record(batch(1000, 1), batch(1001, 2), batch(2001, 3))
    assert [entry.time_ms for entry in found.entries] == [1001, 2001]


def test_a_batch_is_known_by_its_id_alone() -> None:
    found = HostRecord("t", "h").with_entry(batch(5, 1), WINDOW_MS, 2, 3)
    # The same object copied onto itself: a new time, the same bytes.
    assert found.has(batch(9, 1), 2, 3)
    assert not found.has(batch(9, 1), 2, 2)
    assert not found.has(batch(5, 2), 2, 3)
    assert found.bits_of(batch(9, 1)) == 2
    assert found.bits_of(batch(5, 2)) is None


def test_how_far_a_batch_is_behind() -> None:
    found = record(batch(5000))
    assert found.behind_ms(batch(4000)) == 1000
    assert found.behind_ms(batch(6000)) == -1000


HEAD = bytes.fromhex("01740168")
ENTRY = b"\x05" + bytes(8) + b"\x00\x00"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (HEAD, "truncated"),
        (HEAD + b"\x01", "truncated"),
        (HEAD + b"\x01" + ENTRY[:-1], "truncated"),
        (HEAD + b"\x01" + ENTRY + b"x", "trailing"),
        (HEAD + b"\x02" + ENTRY + b"\x00" + bytes(8) + b"\x00\x00", "out of order"),
        (HEAD + b"\x01\x85\x00" + bytes(8) + b"\x00\x00", "shortest"),
        (HEAD + b"\x01" + b"\xff" * 9 + b"\x02" + bytes(8) + b"\x00\x00", "shortest"),
        (HEAD + b"\x01" + b"\xff" * 11, "64 bits"),
        (HEAD + b"\x01\x05" + bytes(8) + b"\x41\x00", "chunk"),
        (HEAD + b"\x01\x05" + bytes(8) + b"\x02\x04", "chunk"),
        (b"\x01\xff\x00\x00", "UTF-8"),
        (HEAD + b"\xff\xff\xff\xff\x0f", "truncated"),
    ],
)
def test_only_what_we_write_is_read(payload: bytes, reason: str) -> None:
    with pytest.raises(CorruptValue, match=reason):
        HostRecord.decode(payload)


def test_an_entry_names_its_parts() -> None:
    assert LedgerEntry(1, b"i", 2, 3)._asdict() == {"time_ms": 1, "id": b"i", "bits": 2, "chunk_index": 3}


def names(count: int) -> list[str]:
    return [f"process-{number}" for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, CHUNK_PROCESSES])
def test_a_host_of_up_to_256_processes_is_one_chunk(count: int) -> None:
    assert cut_chunks(names(count)) == [(0, 0, list(range(count)))]


@pytest.mark.parametrize("count", [CHUNK_PROCESSES + 1, 700, 5000])
def test_a_larger_one_is_cut_by_the_fewest_top_bits_of_the_tag(count: int) -> None:
    processes = names(count)
    chunks = cut_chunks(processes)
    bits = chunks[0].bits
    assert bits > 0
    assert {chunk.bits for chunk in chunks} == {bits}
    assert sorted(place for chunk in chunks for place in chunk.members) == list(range(count))
    assert [chunk.chunk_index for chunk in chunks] == sorted({chunk.chunk_index for chunk in chunks})
    for chunk in chunks:
        assert 0 < len(chunk.members) <= CHUNK_PROCESSES
        assert chunk.members == sorted(chunk.members)
        tops = {int.from_bytes(process_digest(processes[place]), "big") >> (64 - bits) for place in chunk.members}
        assert tops == {chunk.chunk_index}
    assert max(len(chunk.members) for chunk in cut_chunks(processes, bits - 1)) > CHUNK_PROCESSES


def test_the_cut_does_not_depend_on_the_order() -> None:
    forward = names(700)
    members = [{forward[place] for place in chunk.members} for chunk in cut_chunks(forward)]
    backward = forward[::-1]
    assert members == [{backward[place] for place in chunk.members} for chunk in cut_chunks(backward)]


@pytest.mark.parametrize("bits", [0, 1, 5, 64])
def test_bits_that_the_ledger_holds_are_kept(bits: int) -> None:
    chunks = cut_chunks(names(300), bits)
    assert {chunk.bits for chunk in chunks} == {bits}
    assert sum(len(chunk.members) for chunk in chunks) == 300
