"""The host record beside a plain set with a window, its bytes, and the chunks of a host."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from fastfold.errors import CorruptValue
from fastfold.ledger import CHUNK_PROCESSES, HostRecord, LedgerEntry, cut_chunks
from fastfold.store import process_digest
from fastfold.types import BatchId

WINDOW_MS = 100

ids = st.binary(min_size=8, max_size=8)
batches = st.builds(BatchId, st.integers(0, 400), ids)
chunks = st.integers(0, 64).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(0, 2**bits - 1)))
entries = st.lists(st.builds(lambda b, c: (b, *c), batches, chunks), max_size=30, unique=True)


def build(items: list[tuple[BatchId, int, int]], window_ms: int = WINDOW_MS) -> HostRecord:
    record = HostRecord("t", "h")
    for batch, bits, index in items:
        record = record.with_entry(batch, window_ms, bits, index)
    return record


@given(items=entries, tenant=st.text(max_size=8), host=st.text(max_size=8))
def test_a_record_comes_back(items: Any, tenant: str, host: str) -> None:
    record = HostRecord(tenant, host, build(items, 10**9).entries)
    assert HostRecord.decode(record.encode()) == record


@given(payload=st.binary(max_size=60))
def test_bytes_that_are_read_are_those_that_would_be_written(payload: bytes) -> None:
    try:
        record = HostRecord.decode(payload)
    except CorruptValue:
        return
    assert record.encode() == payload


@given(items=entries, place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_record_is_refused_or_another(items: Any, place: int, bit: int) -> None:
    payload = bytearray(build(items).encode())
    payload[place % len(payload)] ^= 1 << bit
    try:
        assert HostRecord.decode(bytes(payload)).encode() == payload
    except CorruptValue:
        return


@settings(max_examples=25)
@given(count=st.integers(0, 3000), salt=st.text(max_size=4))
def test_chunks_part_the_processes(count: int, salt: str) -> None:
    processes = [f"{salt}{number}" for number in range(count)]
    found = cut_chunks(processes)
    assert sorted(place for chunk in found for place in chunk.members) == list(range(count))
    assert all(len(chunk.members) <= CHUNK_PROCESSES for chunk in found)
    for chunk in found:
        for place in chunk.members:
            digest = int.from_bytes(process_digest(processes[place]), "big")
            assert digest >> (64 - chunk.bits) == chunk.chunk_index
    bits = found[0].bits
    if bits:
        assert max(len(chunk.members) for chunk in cut_chunks(processes, bits - 1)) > CHUNK_PROCESSES


class LedgerMachine(RuleBasedStateMachine):
    """A record beside a plain set: entries, what is late, what is gone."""

    known = Bundle("known")

    @initialize()
    def start(self) -> None:
        self.record = HostRecord("t", "h")
        self.model: set[LedgerEntry] = set()

    @rule(target=known, batch=batches, chunk=chunks)
    def meet(self, batch: BatchId, chunk: tuple[int, int]) -> tuple[BatchId, tuple[int, int]]:
        self.apply(batch, chunk)
        return batch, chunk

    @rule(item=known)
    def meet_again(self, item: tuple[BatchId, tuple[int, int]]) -> None:
        before = self.record
        was_known = before.has(item[0], *item[1])
        self.apply(*item)
        if was_known:
            assert self.record is before

    @rule(item=known)
    def store_and_read(self, item: Any) -> None:
        self.record = HostRecord.decode(self.record.encode())

    def apply(self, batch: BatchId, chunk: tuple[int, int]) -> None:
        if any(entry[1:] == (batch.id, *chunk) for entry in self.model):
            assert self.record.has(batch, *chunk)
            assert self.record.bits_of(batch) in {entry.bits for entry in self.model if entry.id == batch.id}
            return
        assert not self.record.has(batch, *chunk)
        newest = max((entry.time_ms for entry in self.model), default=batch.time_ms)
        assert self.record.behind_ms(batch) == newest - batch.time_ms
        if newest - batch.time_ms > WINDOW_MS:
            return  # the commit refuses it as late
        self.record = self.record.with_entry(batch, WINDOW_MS, *chunk)
        self.model.add(LedgerEntry(batch.time_ms, batch.id, *chunk))
        newest = max(newest, batch.time_ms)
        self.model = {entry for entry in self.model if entry.time_ms >= newest - WINDOW_MS}

    @invariant()
    def the_record_is_the_sorted_set(self) -> None:
        assert list(self.record.entries) == sorted(self.model)


TestLedgerMachine = LedgerMachine.TestCase
