"""Who looks can do so with an ACL user that may only read, whatever the cluster does meanwhile; and from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

import fastfold
from fastfold.config import Settings
from fastfold.errors import ConfigError, CorruptValue, IdentityClash, Unavailable, UnknownForm
from fastfold.exits import Exit
from fastfold.keyspace import Keyspace, Pace
from fastfold.local import HOST
from fastfold.store import host_key, key_slot, process_key
from fastfold.values import pack_value
from looking import DEFINITION, OWN_ID, RIGHTS, Restricted, Stored, key_of, own_dictionary, state
from proxy import PASS, Command, Proxy
from servers import MASTERS, RedisCluster, RedisServer, wait_for

pytestmark = pytest.mark.servers

CENSUS_RIGHTS = (*RIGHTS, "+pttl", "+memory|usage", "+dbsize", "+randomkey")


# Slots on the move


class Movers:
    """The master that has the slot of a host, and the one that is to get it."""

    def __init__(self, masters: list[Any], slot: int) -> None:
        self.masters = masters
        self.slot = slot
        owners = [node for node in masters if self._serves(node)]
        (self.source,) = owners
        self.target = next(node for node in masters if node is not self.source)

    def _serves(self, node: Any) -> bool:
        name = node.execute_command("CLUSTER", "MYID").decode()
        shards = node.execute_command("CLUSTER", "SLOTS")
        return any(first <= self.slot <= last and owner[2].decode() == name for first, last, owner, *_ in shards)

    def name(self, node: Any) -> str:
        name: bytes = node.execute_command("CLUSTER", "MYID")
        return name.decode()

    def begin(self) -> None:
        self.target.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.name(self.source))
        self.source.execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.name(self.target))

    def move_key(self, key: bytes) -> None:
        port = self.target.connection_pool.connection_kwargs["port"]
        assert self.source.execute_command("MIGRATE", HOST, port, key, 0, 5000) == b"OK"

    def finish(self, owner: Any) -> None:
        # The new owner first: only it raises its epoch, by which the others believe it.
        for node in [owner, *(node for node in self.masters if node is not owner)]:
            node.execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", self.name(owner))
        wait_for(lambda: self._serves(owner), f"slot {self.slot} has moved")


@pytest.fixture
def movers(redis_cluster: RedisCluster) -> Iterator[Movers]:
    with ExitStack() as stack:
        masters = [stack.enter_context(redis_cluster.node(port)) for port in redis_cluster.ports[:MASTERS]]
        movers = Movers(masters, key_slot(host_key("", "moving")))
        yield movers
        movers.target.flushall()
        for node in (movers.source, movers.target):
            node.execute_command("CLUSTER", "SETSLOT", movers.slot, "STABLE")
        movers.finish(movers.source)


def test_a_user_that_may_only_read_sees_everything(stored: Stored, restricted: Restricted) -> None:
    stored.put(*(state(f"h{number}", "p1", parent="p0", tenant="t") for number in range(30)))
    key = stored.put_record("t", "h1").decode()
    reader = restricted.may(*RIGHTS)
    for args in (
        ("t/h1", "p1"),
        ("t/h1", "p1", "--raw"),
        ("t/h1", "p1", "--tree"),
        ("t/h1", "p1", "--watch", "--for", "0"),
        ("t/h1", "p1", "p1", "--diff"),
        ("--host", "t/h1"),
        ("--scan", "--json"),
        ("--key", key),
    ):
        result = reader.inspect(*args)
        assert result.exit_code == Exit.OK, (args, result.stderr)
        assert result.stdout == stored.inspect(*args).stdout
    census = restricted.may(*CENSUS_RIGHTS).census("--json")
    assert census.exit_code == Exit.OK, census.stderr
    found = json.loads(census.stdout)
    # What needs more than reading is left out, not refused.
    assert found["used_bytes"] is None
    assert found["keys"] == found["looked_at"] == 60
    everything_read = restricted.may("on", ">s3cret", "~ff:*", "-@all", "+@read", "+cluster|slots")
    assert everything_read.census("--json", "--exact").exit_code == Exit.OK
    with fastfold.open_store(everything_read.url) as store:
        assert len(list(store)) == 30


def test_a_right_that_is_missing_is_named(stored: Stored, restricted: Restricted) -> None:
    stored.put(state("h1", "p1"))
    for rights, run, missing in (
        (("on", ">s3cret", "~ff:*", "+cluster|slots"), lambda one: one.inspect("h1", "p1"), "get"),
        (RIGHTS, lambda one: one.census(), "dbsize"),
        (("on", ">s3cret", "~ff:*", "+get"), lambda one: one.inspect("h1", "p1"), "cluster"),
        (("on", ">s3cret", "~other:*", "+@read", "+cluster|slots"), lambda one: one.inspect("h1", "p1"), "key"),
        (("on", ">another", "~ff:*", "+@read"), lambda one: one.inspect("h1", "p1"), "WRONGPASS"),
    ):
        result = run(restricted.may(*rights))
        assert result.exit_code == Exit.SETUP
        assert missing in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "s3cret" not in result.stderr


def test_nothing_but_reading_is_ever_sent(redis_server: RedisServer) -> None:
    sent: list[str] = []

    def note(command: Command) -> str:
        name = command[0].decode()
        sent.append(f"{name} {command[1].decode()}" if name in ("CLUSTER", "MEMORY", "INFO") else name)
        if name == "SCAN":
            assert int(command[-1]) <= 100
        return PASS

    with closing(Proxy(redis_server.port, note)) as proxy, redis_server.client() as client:
        stored = Stored(proxy.url.partition("?")[0], client)
        stored.put(*(state("h1", f"p{number}", parent="p0") for number in range(250)))
        for args in (("h1", "p1"), ("--host", "h1", "--tree"), ("--scan",), ("h1", "p1", "--raw")):
            assert stored.inspect(*args).exit_code == Exit.OK
        assert stored.census().exit_code == Exit.OK
        assert stored.census("--sample", "100").exit_code == Exit.OK
    assert set(sent) == {
        "CLUSTER SLOTS",
        "GET",
        "SCAN",
        "PTTL",
        "MEMORY USAGE",
        "DBSIZE",
        "RANDOMKEY",
        "INFO memory",
    }


def test_a_host_of_a_cluster_is_read_from_its_slot(redis_cluster: RedisCluster, movers: Movers) -> None:
    mine = [state("moving", f"p{number}") for number in range(250)]
    Stored(redis_cluster.url, movers.source).put(*mine)
    movers.begin()
    for one in mine[:3]:
        movers.move_key(key_of(one))
    for node in movers.masters:
        node.config_resetstat()
    with fastfold.open_store(redis_cluster.url) as store:
        assert {one.process for one in store.host("moving")} == {one.process for one in mine}
    calls = [node.info("commandstats") for node in movers.masters]
    assert not any("cmdstat_scan" in found for found in calls)


def test_the_pace_holds_for_every_key_that_is_looked_at(redis_server: RedisServer) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with redis_server.client() as client:
        stored = Stored(redis_server.url, client)
        stored.put(*(state("h1", f"p{number}") for number in range(300)))
    pace = Pace(1000.0, lambda: now[0], sleep)
    with closing(Keyspace(Settings(redis_url=redis_server.url), pace)) as keyspace:
        assert len(list(keyspace.states(b"ff:"))) == 300
        # The last page is not waited for.
        assert 0.2 <= now[0] <= 0.31
        node = keyspace.nodes[0]
        before = now[0]
        assert len(keyspace.random_keys(node, 500)) == 500
        assert now[0] - before == pytest.approx(0.5)


def test_keys_are_found_while_their_slot_moves_and_after(redis_cluster: RedisCluster, movers: Movers) -> None:
    moved, staying = state("moving", "moved"), state("moving", "staying")
    Stored(redis_cluster.url, movers.source).put(moved, staying)
    with closing(Keyspace(Settings(redis_url=redis_cluster.url))) as keyspace:
        values = keyspace.get_many([key_of(moved), key_of(staying)])
        assert None not in values
        movers.begin()
        movers.move_key(key_of(moved))
        # The source sends us to the target for the one key, and has the other.
        assert keyspace.get_many([key_of(moved), key_of(staying)]) == values
        assert all(keyspace.size_many([key_of(moved), key_of(staying)]))
        movers.move_key(key_of(staying))
        movers.finish(movers.target)
        # Both now answer MOVED, and the map is asked for again.
        assert keyspace.get_many([key_of(moved), key_of(staying)]) == values


def test_a_cluster_taken_for_a_single_redis_says_so(redis_cluster: RedisCluster) -> None:
    one = Stored(f"redis://{HOST}:{redis_cluster.ports[0]}?cluster=no", None)
    results = [one.inspect(f"h{number}", "p") for number in range(12)]
    moved = [result for result in results if result.exit_code == Exit.REDIS]
    assert moved
    assert all("keep moving between nodes" in result.stderr for result in moved)


def test_a_seed_that_is_gone_or_a_replica(redis_cluster: RedisCluster) -> None:
    url = f"redis://{HOST}:1,{HOST}:{redis_cluster.ports[5]}"
    with closing(Keyspace(Settings(redis_url=url))) as keyspace:
        assert len(keyspace.nodes) == MASTERS
    with pytest.raises(Unavailable, match="cannot connect"):
        Keyspace(Settings(redis_url=f"redis://{HOST}:1"))


# From Python


def test_states_by_host_and_process(stored: Stored) -> None:
    one, theirs = state("h1", "p1"), state("h1", "p1", tenant="acme", writes=5)
    stored.put(one, theirs, state("h1", "p0"))
    stored.put_record("", "h1")
    with fastfold.open_store(stored.url) as store:
        found = store["h1", "p1"]
        assert found == one
        assert (found.image, found.counts["file_write"], found.user, found.domains) == ("C:\\Temp\\a.exe", 2, None, ())
        assert store["acme", "h1", "p1"] == theirs
        assert store.get("h1", "p1", tenant="acme") == theirs
        assert store.get("h1", "nobody") is None
        assert ("h1", "p1") in store
        assert ("acme", "h1", "p1") in store
        assert ("h1", "nobody") not in store
        assert "h1" not in store
        with pytest.raises(KeyError):
            _ = store["h1", "nobody"]
        assert [state.process for state in store.host("h1")] == ["p0", "p1"]
        assert store.host("h1", tenant="acme") == [theirs]
        assert sorted((state.tenant, state.process) for state in store) == [("", "p0"), ("", "p1"), ("acme", "p1")]
        assert store.definition == DEFINITION


def test_dictionaries_of_ones_own_are_read_with(stored: Stored, tmp_path: Path) -> None:
    one = state("h1", "p1")
    stored.put(one, codec=own_dictionary(tmp_path))
    with fastfold.open_store(stored.url) as store:
        for read in (lambda: store["h1", "p1"], lambda: store.host("h1"), lambda: list(store)):
            with pytest.raises(UnknownForm, match=f"put {OWN_ID}.ffdict into"):
                read()
    with fastfold.open_store(stored.url, settings=Settings(dictionary_folder=str(tmp_path))) as store:
        assert list(store) == store.host("h1") == [store["h1", "p1"]] == [one]


def test_what_is_wrong_is_raised(stored: Stored) -> None:
    stored.client.set(process_key(host_key("", "h1"), "bad"), b"\x01\x00junk")
    stored.put(state("h1", "other"))
    stored.client.set(process_key(host_key("", "h2"), "p1"), stored.client.get(key_of(state("h1", "other"))))
    with fastfold.open_store(stored.url) as store:
        with pytest.raises(CorruptValue):
            _ = store["h1", "bad"]
        with pytest.raises(CorruptValue):
            list(store)
        with pytest.raises(CorruptValue, match="damaged, or of another host"):
            _ = store["h2", "p1"]
        stored.client.set(process_key(host_key("", "h1"), "p1"), stored.client.get(key_of(state("h1", "other"))))
        with pytest.raises(IdentityClash):
            _ = store["h1", "p1"]


def test_a_host_without_a_record_is_read_by_its_name_alone(stored: Stored) -> None:
    one = state("h1", "p1")
    stored.put(one)
    record = host_key("", "h1")
    kept = stored.client.get(record)
    for wrong in (None, b"\1\0junk", pack_value(b"\5")):
        stored.client.delete(record)
        if wrong is not None:
            stored.client.set(record, wrong, ex=600)
        with fastfold.open_store(stored.url) as store:
            with pytest.raises(CorruptValue, match=r"the record of its host, .*, has its name and is ") as caught:
                list(store)
            assert caught.value.key == key_of(one)
            assert store["h1", "p1"] == one
            # Once known, the host needs no record; and another that looks finds the record when it comes.
            assert list(store) == [one]
    with fastfold.open_store(stored.url) as store:
        with pytest.raises(CorruptValue):
            list(store)
        stored.client.set(record, kept, ex=600)
        assert list(store) == [one]


def test_what_cannot_be_opened_is_raised(stored: Stored) -> None:
    with pytest.raises(ConfigError):
        fastfold.open_store("http://redis")
    with fastfold.open_store(stored.url, namespace="other:") as store:
        assert list(store) == []
