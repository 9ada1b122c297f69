"""The core's look at a host record is that of `HostRecord`, on every record and on what is none."""

from __future__ import annotations

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from fastfold._core import pack_commands, step_ledger
from fastfold.errors import CorruptValue
from fastfold.ledger import HostRecord
from fastfold.store import prefixed
from fastfold.types import BatchId

TIMES = st.integers(0, 40) | st.integers(0, 1 << 45)
IDS = st.sampled_from([bytes([number] * 8) for number in range(4)])
CHUNKS = st.sampled_from([(0, 0), (1, 0), (1, 1), (5, 17), (64, (1 << 64) - 1)])
BATCHES = st.builds(BatchId, TIMES, IDS)
NAMES = st.text(max_size=5) | st.just("a" * 200)
WINDOWS = st.integers(0, 50) | st.integers(0, 1 << 45)
RECORDS = st.tuples(NAMES, NAMES, st.lists(st.tuples(BATCHES, CHUNKS), max_size=8), WINDOWS)


def a_record(tenant: str, host: str, entries: list[tuple[BatchId, tuple[int, int]]], window_ms: int) -> HostRecord:
    record = HostRecord(tenant, host)
    for batch, (bits, index) in entries:
        if not record.has(batch, bits, index) and record.behind_ms(batch) <= window_ms:
            record = record.with_entry(batch, window_ms, bits, index)
    return record


def expected(record: HostRecord, batch: BatchId, chunk: tuple[int, int], window_ms: int) -> tuple[int, object]:
    bits = record.bits_of(batch)
    if bits is not None and bits != chunk[0]:
        return 2, bits
    if record.has(batch, *chunk):
        return 1, None
    if record.behind_ms(batch) > window_ms:
        return 3, record.behind_ms(batch)
    return 0, record.with_entry(batch, window_ms, *chunk).encode()


@given(made=RECORDS, batch=BATCHES, chunk=CHUNKS, window_ms=WINDOWS)
def test_the_core_steps_as_the_record_does(
    made: tuple[str, str, list[tuple[BatchId, tuple[int, int]]], int],
    batch: BatchId,
    chunk: tuple[int, int],
    window_ms: int,
) -> None:
    record = a_record(*made)
    identity = prefixed(record.tenant) + prefixed(record.host)
    payload = record.encode() if record.entries else None
    found = step_ledger(payload, identity, batch.time_ms, batch.id, *chunk, window_ms)
    assert found == expected(record, batch, chunk, window_ms)


@given(made=RECORDS, place=st.integers(0, 1 << 20), value=st.integers(0, 255), cut=st.booleans(), batch=BATCHES)
def test_what_the_core_reads_the_record_reads_too(
    made: tuple[str, str, list[tuple[BatchId, tuple[int, int]]], int],
    place: int,
    value: int,
    cut: bool,
    batch: BatchId,
) -> None:
    record = a_record(*made)
    payload = bytearray(record.encode())
    place %= len(payload)
    payload[place] = value
    damaged = bytes(payload[:place] if cut else payload)
    identity = prefixed(record.tenant) + prefixed(record.host)
    found = step_ledger(damaged, identity, batch.time_ms, batch.id, 0, 0, 100)
    try:
        read: HostRecord | None = HostRecord.decode(damaged)
    except CorruptValue:
        read = None
    if read is None or (read.tenant, read.host) != (record.tenant, record.host):
        assert found is None
    elif found is not None:
        assert found == expected(read, batch, (0, 0), 100)
    else:
        assert read.entries[-1].time_ms > 1 << 62, "only times that no clock has are left to the record"


def test_an_id_of_another_length_is_none() -> None:
    assert step_ledger(None, b"\0\1a", 1, b"short", 0, 0, 1) is None
    assert step_ledger(b"", b"\0\1a", 1, bytes(8), 0, 0, 1) is None


@given(st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=5).map(tuple), max_size=10))
def test_commands_are_packed_as_hiredis_packs_them(commands: list[tuple[bytes, ...]]) -> None:
    assert pack_commands(commands) == b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]
