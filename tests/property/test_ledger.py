"""The ledger: batches in any order and any number of times, and what is left of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from committing import NEVER, NOON_MS, a_batch, a_committer, count_of, deltas, memory_connect, record_of, state_key
from fastfold.ledger import HostRecord
from fastfold.store import MemoryStore
from fastfold.types import BatchId

WINDOW_MS = 1000


def batches(ages_ms: st.SearchStrategy[int]) -> st.SearchStrategy[list[BatchId]]:
    """Distinct batches, of few distinct times: the order of equal times is part of the law."""
    return st.lists(ages_ms, min_size=1, max_size=8).map(
        lambda ages: [a_batch(number, NOON_MS - age) for number, age in enumerate(ages)]
    )


IN_WINDOW = st.one_of(st.sampled_from([0, 1, WINDOW_MS]), st.integers(0, WINDOW_MS))
ANY_AGE = st.one_of(IN_WINDOW, st.integers(0, 5 * WINDOW_MS))


def deliver(data: st.DataObject, sent: list[BatchId]) -> list[BatchId]:
    """Every batch at least once, in any order, some again."""
    return data.draw(st.permutations([*sent, *data.draw(st.lists(st.sampled_from(sent), max_size=6))]))


def apply(record: HostRecord, batch: BatchId) -> HostRecord:
    """What a commit does with the record."""
    if record.has(batch) or record.behind_ms(batch) > WINDOW_MS:
        return record
    return record.with_entry(batch, WINDOW_MS)


@given(data=st.data())
def test_any_order_and_repetition_gives_the_same_store(data: st.DataObject) -> None:
    sent = data.draw(batches(IN_WINDOW))
    found = []
    for order in (sent, deliver(data, sent)):
        store = MemoryStore(lambda: 0.0)
        committer = a_committer(memory_connect(store), ledger_window_s=WINDOW_MS // 1000)
        written = applied = 0
        for batch in order:
            result = committer.commit([deltas("a", "pq", time_s=1 + sent.index(batch))], batch, NEVER)
            written += result.processes
            applied += result.already_applied
            assert result.late == ()
        assert (written, applied) == (2 * len(sent), len(order) - len(sent))
        found.append(store.snapshot())
    assert found[0] == found[1]
    assert count_of(found[0][state_key("a", "p")]) == count_of(found[0][state_key("a", "q")]) == len(sent)
    assert {entry.id for entry in record_of(found[0].get, "a").entries} == {batch.id for batch in sent}


@given(data=st.data())
def test_what_is_left_depends_on_the_times_of_the_batches_alone(data: st.DataObject) -> None:
    sent = data.draw(batches(ANY_AGE))
    record = HostRecord("", "a")
    for batch in deliver(data, sent):
        record = apply(record, batch)
    newest_ms = max(batch.time_ms for batch in sent)
    kept = sorted((batch.time_ms, batch.id) for batch in sent if batch.time_ms >= newest_ms - WINDOW_MS)
    assert [entry[:2] for entry in record.entries] == kept
    assert HostRecord.decode(record.encode()) == record


@given(data=st.data())
def test_no_batch_is_applied_twice_whatever_the_ledger_forgot(data: st.DataObject) -> None:
    sent = data.draw(batches(ANY_AGE))
    record, applied = HostRecord("", "a"), []
    for batch in deliver(data, sent):
        before, record = record, apply(record, batch)
        if record is not before:
            applied.append(batch.id)
    assert len(applied) == len(set(applied))
