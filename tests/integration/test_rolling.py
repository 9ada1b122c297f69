"""A rolling deployment on a real Redis: writers of both versions and of several dictionaries beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from committing import NEVER, PLAN, a_batch, a_committer, count_of, deltas, record_of, state_key
from fastfold._core import decode, merge_group
from fastfold.commit import Committer
from fastfold.dictionaries import compressed_part, train
from fastfold.errors import CorruptValue, UnknownForm
from fastfold.store import host_key, process_key
from fastfold.values import Codec, ValueForm, form_of, unpack_value
from golden_values.golden_values import read_golden

pytestmark = pytest.mark.servers
PROCESSES = [f"39e4a257-79fb-5f92-7117-0000000007{n:02d}" for n in range(20)]


@pytest.fixture
def server(redis_server: Any) -> Any:
    redis_server.clear()
    return redis_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dictionary of one's own."""
    path = tmp_path_factory.mktemp("dictionaries")
    samples = [
        compressed_part(payload) for n in range(20) for payload in deltas(f"pc-{n}", PROCESSES, time_s=n).payloads
    ]
    (path / "64.ffdict").write_bytes(train(samples, 64, "a test", 4096).dump())
    return path


Writers = Callable[..., Committer]


@pytest.fixture
def a_writer(server: Any) -> Iterator[Writers]:
    """Makes committers of a version, with a dictionary, which are closed with the test."""
    made: list[Committer] = []

    def make(version: int, dictionary: int = 1, folder: str = "", **settings: Any) -> Committer:
        merge = partial(merge_group, PLAN, version=version)
        form = ValueForm.load(dictionary, folder=folder)
        made.append(a_committer(url=f"{server.url}?cluster=no", merge=merge, form=form, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_writers_of_all_versions_take_turns_and_lose_nothing(server: Any, a_writer: Writers, folder: Path) -> None:
    own = str(folder)
    # First 1 everywhere, then a mix of all that may ever run beside each other.
    turns = [
        (1, 0, ""),
        (1, 0, ""),
        (2, 1, ""),
        (1, 0, ""),
        (2, 0, ""),
        (2, 1, own),
        (2, 64, own),
        (2, 1, own),
        (1, 64, own),
        (3, 2, own),
        (2, 1, own),
        (3, 64, own),
        (3, 0, own),
        (1, 0, own),
        (3, 2, own),
    ]
    with server.client() as client:
        for number, (version, dictionary, where) in enumerate(turns, 1):
            writer = a_writer(version, dictionary, where)
            for _ in range(2):  # a batch that comes again is applied once
                writer.commit([deltas("a", PROCESSES, time_s=number)], a_batch(number), NEVER)
            codec = Codec(ValueForm.load(folder=where))
            for process in PROCESSES:
                value = client.get(state_key("a", process))
                assert form_of(value) == (version, 0 if version == 1 else dictionary)
                state = decode(PLAN, codec.unpack(value, None, ("", "a")))
                assert state.values["counts"] == {"other": number}
                assert state.values["last"] == number * 1_000_000_000
            assert len(record_of(client.get, "a").entries) == number


def test_a_worker_without_the_dictionary_says_which(server: Any, a_writer: Writers, folder: Path) -> None:
    a_writer(2, 64, str(folder)).commit([deltas("a", PROCESSES)], a_batch(1), NEVER)
    with server.client() as client:
        before = {key: client.get(key) for key in client.scan_iter()}
        behind = a_writer(2)
        with pytest.raises(UnknownForm, match=r"unknown dictionary 64 under key .*put 64\.ffdict into"):
            behind.commit([deltas("a", PROCESSES[:1]), deltas("b", PROCESSES)], a_batch(2), NEVER)
        after = {key: client.get(key) for key in client.scan_iter()}
        assert {key: after[key] for key in before} == before
        # The other host of the batch was served; the message is to come again for the first.
        assert count_of(after[state_key("b", PROCESSES[0])]) == 1
        ready = a_writer(2, 1, str(folder))
        result = ready.commit([deltas("a", PROCESSES[:1]), deltas("b", PROCESSES)], a_batch(2), NEVER)
        assert (result.hosts, result.already_applied) == (1, 1)
        assert count_of(client.get(state_key("a", PROCESSES[0]))) == 2


@pytest.mark.parametrize("unknown", ["a", "b"])
def test_a_batch_with_an_unknown_and_a_damaged_value_comes_again(server: Any, a_writer: Writers, unknown: str) -> None:
    # Parked for the damaged one, it would never be applied to the host of the other.
    damaged = "b" if unknown == "a" else "a"
    with server.client() as client:
        a_writer(2).commit([deltas("a", ["p"]), deltas("b", ["p"])], a_batch(1), NEVER)
        value = client.get(state_key("a", "p"))
        client.set(state_key(unknown, "p"), value[:1] + b"\x40" + value[2:], ex=600)
        client.set(state_key(damaged, "p"), value[:-1], ex=600)
        with pytest.raises(UnknownForm):
            a_writer(2).commit([deltas("a", ["p"]), deltas("b", ["p"])], a_batch(2), NEVER)


@pytest.mark.parametrize("name", ["version-1", "version-2", "version-3"])
def test_golden_values_in_redis_are_merged_by_the_writer_of_today(server: Any, a_writer: Writers, name: str) -> None:
    golden = [one for one in read_golden(name) if "counts" in one.state.values and one.state.process]
    with server.client() as client:
        for one in golden:
            host = host_key(one.state.tenant, one.state.host)
            client.set(process_key(host, one.state.process), one.value, ex=600)
        writer = a_writer(3, 2)
        for number, one in enumerate(golden):
            tenant, host, process = one.state.tenant, one.state.host, one.state.process
            writer.commit([deltas(host, [process], tenant=tenant)], a_batch(number), NEVER)
            found = client.get(process_key(host_key(tenant, host), process))
            merged = decode(PLAN, unpack_value(found, None, (tenant, host)))
            counts: Any = one.state.values["counts"]
            now: Any = merged.values["counts"]
            assert now["other"] == counts.get("other", 0) + 1
            assert merged.values.get("files") == one.state.values.get("files")


def test_a_value_of_a_newer_version_is_not_touched(server: Any, a_writer: Writers) -> None:
    with server.client() as client:
        a_writer(2).commit([deltas("a", PROCESSES)], a_batch(1), NEVER)
        key = state_key("a", PROCESSES[0])
        client.set(key, b"\3" + client.get(key)[1:], ex=600)
        newer = client.get(key)
        with pytest.raises(CorruptValue, match=r"format version 3, which is not known here under key b'ff:.*'"):
            a_writer(2).commit([deltas("a", PROCESSES)], a_batch(2), NEVER)
        assert client.get(key) == newer


def test_every_write_starts_a_life_anew_and_the_host_record_outlives_it(server: Any, a_writer: Writers) -> None:
    writer = a_writer(2, state_ttl_s=100, ledger_window_s=50)
    with server.client() as client:
        writer.commit([deltas("a", ["p", "q"])], a_batch(1), NEVER)
        state, other, record = state_key("a", "p"), state_key("a", "q"), host_key("", "a")
        for key in (state, other, record):
            client.expire(key, 30)
        writer.commit([deltas("a", ["p"])], a_batch(2), NEVER)
        assert 95 <= client.ttl(state) <= 100
        assert 0 < client.ttl(other) <= 30
        assert 145 <= client.ttl(record) <= 150


def test_a_damaged_value_is_still_told_from_an_unknown_one(server: Any, a_writer: Writers) -> None:
    with server.client() as client:
        writer: redis.Redis = client
        a_writer(2).commit([deltas("a", ["p"])], a_batch(1), NEVER)
        value = writer.get(state_key("a", "p"))
        assert isinstance(value, bytes)
        writer.set(state_key("a", "p"), value[:-1], ex=600)
        with pytest.raises(CorruptValue, match="damaged"):
            a_writer(2).commit([deltas("a", ["p"])], a_batch(2), NEVER)
