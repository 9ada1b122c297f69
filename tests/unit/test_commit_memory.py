"""The commit on the store in memory: what is written, conflicts, what is late, damaged or cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from committing import (
    NEVER,
    NOON_MS,
    Counts,
    Tapped,
    Time,
    a_batch,
    a_committer,
    big,
    count_of,
    counts_of,
    deltas,
    memory_connect,
    payload,
    record_of,
    state_key,
    writes,
)
from fastfold import group as group_module
from fastfold.errors import Conflict, CorruptValue, IdentityClash, ParkError
from fastfold.ledger import HostRecord, cut_chunks
from fastfold.resp import Node
from fastfold.store import (
    Command,
    Connection,
    MemoryStore,
    ReplyError,
    host_key,
    process_key,
)
from fastfold.values import pack_value, unpack_value

HOUR_MS = 3_600_000
DAY_S = 86_400
WINDOW_S = 6 * 3600


# What is written


def test_states_and_ledger(store: MemoryStore, time: Time, counts: Counts) -> None:
    committer = a_committer(memory_connect(store), counts=counts, clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    assert (result.hosts, result.processes, result.already_applied, result.conflicts, result.retries) == (2, 3, 0, 0, 0)
    assert result.late == ()
    assert set(store.snapshot()) == {
        host_key("", "a"),
        host_key("", "b"),
        state_key("a", "p"),
        state_key("a", "q"),
        state_key("b", "p"),
    }
    assert record_of(store.snapshot().get, "a") == HostRecord("", "a").with_entry(a_batch(1), 0)
    assert unpack_value(store.snapshot()[state_key("a", "q")], None, ("", "a")) == payload("a", "q")


def test_the_host_record_outlives_its_states(store: MemoryStore, time: Time) -> None:
    committer = a_committer(memory_connect(store), clock=time, sleep=time.sleep)
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert store.ttl_s(state_key("a", "p")) == DAY_S
    assert store.ttl_s(host_key("", "a")) == DAY_S + WINDOW_S


def test_the_same_batch_again_changes_no_byte(store: MemoryStore, time: Time, counts: Counts) -> None:
    committer = a_committer(memory_connect(store), counts=counts, clock=time, sleep=time.sleep)
    committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    before = store.snapshot()
    result = committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    assert (result.hosts, result.already_applied, result.processes) == (0, 2, 0)
    assert store.snapshot() == before
    assert counts.seen["already_applied"] == 2


def test_batches_in_any_order_give_the_same_bytes(time: Time) -> None:
    found = []
    for order in ([1, 2, 3], [3, 1, 2], [2, 3, 1]):
        store = MemoryStore(time)
        committer = a_committer(memory_connect(store), clock=time, sleep=time.sleep)
        for number in order:
            committer.commit([deltas("a", "pq", time_s=number)], a_batch(number, NOON_MS + number), NEVER)
        found.append(store.snapshot())
    assert found[0] == found[1] == found[2]
    assert count_of(found[0][state_key("a", "p")]) == 3


def test_nothing_to_commit(store: MemoryStore) -> None:
    assert a_committer(memory_connect(store)).commit([], a_batch(1), NEVER).hosts == 0
    assert store.snapshot() == {}


def test_a_packet_carries_the_end_of_one_host_and_the_begin_of_the_next(store: MemoryStore) -> None:
    packets: list[list[bytes]] = []

    def connect(node: Node) -> Connection:
        return Tapped(store.connect(), lambda commands: packets.append([command[0] for command in commands]))

    a_committer(connect).commit([deltas(host, "pq") for host in "abc"], a_batch(1), NEVER)
    reads, ends = [b"WATCH", *[b"GET"] * 3], [b"MULTI", *[b"SETEX"] * 3, b"EXEC"]
    assert packets == [[b"MULTI", b"EXEC"], reads, ends + reads, ends + reads, ends]


def test_a_host_that_needs_nothing_leaves_no_watch(store: MemoryStore) -> None:
    committer = a_committer(memory_connect(store))
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert store._watchers == {}


def test_deltas_are_taken_as_they_are_needed(store: MemoryStore) -> None:
    taken = 0

    def many() -> Any:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield deltas(str(number), "p")

    def tap(commands: Sequence[Command]) -> None:
        assert taken < 1000 or len(store._values) > 1000

    a_committer(lambda node: Tapped(store.connect(), tap)).commit(many(), a_batch(1), NEVER)
    assert len(store.snapshot()) == 2000


# Conflicts


def test_another_writer_in_between(store: MemoryStore, time: Time, counts: Counts) -> None:
    other = a_committer(memory_connect(store), clock=time, sleep=time.sleep)
    interruptions = iter([2, 3, 4])

    def tap(commands: Sequence[Command]) -> None:
        if any(command[:2] == (b"SETEX", host_key("", "a")) for command in commands):
            number = next(interruptions, None)
            if number is not None:
                other.commit([deltas("a", "p")], a_batch(number), NEVER)

    committer = a_committer(lambda n: Tapped(store.connect(), tap), counts=counts, clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    assert result.conflicts == counts.seen["conflicts"] == counts.seen["hot_hosts"] == 3
    assert result.tries == 4
    assert result.hosts == 2
    assert counts_of(store) == {state_key("a", "p"): 4, state_key("a", "q"): 1, state_key("b", "p"): 1}
    assert len(record_of(store.snapshot().get, "a").entries) == 4


def test_two_workers_on_one_file(store: MemoryStore, time: Time) -> None:
    other = a_committer(memory_connect(store), clock=time, sleep=time.sleep)

    def tap(commands: Sequence[Command]) -> None:
        if writes(commands):
            other.commit([deltas("a", "p")], a_batch(1), NEVER)

    committer = a_committer(lambda node: Tapped(store.connect(), tap), clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert (result.conflicts, result.already_applied, result.hosts) == (1, 1, 0)
    assert counts_of(store) == {state_key("a", "p"): 1}


def test_conflicts_without_end_stop_at_the_deadline(store: MemoryStore, time: Time) -> None:
    def tap(commands: Sequence[Command]) -> None:
        if writes(commands):
            store.put(host_key("", "a"), pack_value(HostRecord("", "a").encode()), 60)

    committer = a_committer(lambda node: Tapped(store.connect(), tap), clock=time, sleep=time.sleep)
    with pytest.raises(Conflict, match=r"nil .* \(deadline passed\)"):
        committer.commit([deltas("a", "p")], a_batch(1), time.now + 1)
    assert counts_of(store) == {}


# Late


def test_a_late_batch_writes_nothing_for_that_host_and_is_told(store: MemoryStore, counts: Counts) -> None:
    committer = a_committer(memory_connect(store), counts=counts)
    committer.commit([deltas("a", "p")], a_batch(1, NOON_MS), NEVER)
    before = store.snapshot()
    batch = a_batch(2, NOON_MS - WINDOW_S * 1000 - 1)
    result = committer.commit([deltas("a", "p"), deltas("b", "p")], batch, NEVER)
    (late,) = result.late
    assert (late.host, late.behind_ms, late.limit_ms) == ("a", WINDOW_S * 1000 + 1, WINDOW_S * 1000)
    assert (result.hosts, result.already_applied) == (1, 0)
    assert {key: value for key, value in store.snapshot().items() if key in before} == before


def test_the_edge_of_the_window_is_not_late(store: MemoryStore) -> None:
    committer = a_committer(memory_connect(store))
    committer.commit([deltas("a", "p")], a_batch(1, NOON_MS), NEVER)
    assert committer.commit([deltas("a", "p")], a_batch(2, NOON_MS - WINDOW_S * 1000), NEVER).hosts == 1
    assert counts_of(store) == {state_key("a", "p"): 2}


# Values that are not ours


def flip(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


OTHER_HOST = pack_value(HostRecord("", "somebody").encode())


@pytest.mark.parametrize(
    ("key", "spoil", "error"),
    [
        (state_key("b", "p"), flip, CorruptValue),
        (state_key("b", "p"), lambda value: b"", CorruptValue),
        (state_key("b", "p"), lambda value: pack_value(b"\xff"), CorruptValue),
        (state_key("b", "p"), lambda value: pack_value(payload("b", "q")), IdentityClash),
        (state_key("b", "p"), lambda value: pack_value(payload("b", "p", tenant="t")), CorruptValue),
        (host_key("", "b"), flip, CorruptValue),
        (host_key("", "b"), lambda value: pack_value(b"\xff"), CorruptValue),
        (host_key("", "b"), lambda value: OTHER_HOST, IdentityClash),
    ],
)
def test_a_value_that_is_not_ours_is_named_and_stays(
    store: MemoryStore, counts: Counts, key: bytes, spoil: Any, error: type[ParkError]
) -> None:
    committer = a_committer(memory_connect(store), counts=counts)
    committer.commit([deltas("b", "pq")], a_batch(1), NEVER)
    store.put(key, spoil(store.snapshot()[key]), 600)
    before = store.snapshot()
    with pytest.raises(error) as caught:
        committer.commit([deltas("a", "p"), deltas("b", "pq"), deltas("c", "p")], a_batch(2), NEVER)
    assert repr(key) in str(caught.value)
    after = store.snapshot()
    assert {key: value for key, value in after.items() if key in before} == before
    # One host must not hold up the others of the file.
    assert count_of(after[state_key("a", "p")]) == count_of(after[state_key("c", "p")]) == 1
    assert store._watchers == {}


def test_a_key_of_another_type(store: MemoryStore) -> None:
    def connect(node: Node) -> Connection:
        connection = Tapped(store.connect(), lambda commands: None)
        wrong = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
        connection.change = lambda replies: [*replies[:2], wrong] if len(replies) == 3 else replies
        return connection

    with pytest.raises(CorruptValue) as caught:
        a_committer(connect).commit([deltas("a", "p")], a_batch(1), NEVER)
    assert caught.value.key == state_key("a", "p")
    assert store.snapshot() == {}


def test_two_processes_of_a_batch_under_one_key(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "state_keys", lambda host_key, processes: [host_key + b"p"] * len(processes))
    with pytest.raises(IdentityClash, match=r"'p', 'q'"):
        a_committer(memory_connect(store)).commit([deltas("a", "pq")], a_batch(1), NEVER)
    assert store.snapshot() == {}


# Chunks


def test_a_large_host_is_cut(store: MemoryStore) -> None:
    sizes: list[int] = []

    def tap(commands: Sequence[Command]) -> None:
        sizes.append(sum(command[0] == b"SETEX" for command in commands))

    committer = a_committer(lambda node: Tapped(store.connect(), tap))
    result = committer.commit([big(700)], a_batch(1), NEVER)
    assert (result.hosts, result.processes) == (1, 700)
    assert max(sizes) <= 257
    assert sum(sizes) == 700 + len(record_of(store.snapshot().get, "a").entries)
    assert len(record_of(store.snapshot().get, "a").entries) > 2
    assert set(counts_of(store).values()) == {1}
    before = store.snapshot()
    assert committer.commit([big(700)], a_batch(1), NEVER).already_applied == 1
    assert store.snapshot() == before


@pytest.mark.parametrize("bits", [0, 1, 5])
def test_a_batch_begun_under_another_cut_goes_on_with_it(store: MemoryStore, bits: int) -> None:
    committer = a_committer(memory_connect(store))
    # As if another version of us had applied one chunk of this cut.
    whole = big(700)
    first = cut_chunks(whole.processes, bits)[0]
    key = host_key("", "a")
    for place in first.members:
        store.put(process_key(key, whole.processes[place]), pack_value(whole.payloads[place]), 600)
    record = HostRecord("", "a").with_entry(a_batch(1), 1, bits, first.chunk_index)
    store.put(key, pack_value(record.encode()), 600)
    result = committer.commit([whole, deltas("b", "p")], a_batch(1), NEVER)
    assert result.processes == 701 - len(first.members)
    counts = counts_of(store)
    assert len(counts) == 701
    assert set(counts.values()) == {1}
    assert {entry.bits for entry in record_of(store.snapshot().get, "a").entries} == {bits}
