"""A failover that loses acknowledged commits: hold and verify sees it, and a hold of nothing would not."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import redis

from committing import NEVER, a_batch, a_committer, count_of, deltas, state_key
from fastfold.local import HOST
from fastfold.store import host_key, key_slot
from servers import MASTERS, NODE_TIMEOUT_MS, RedisCluster, wait_for
from shards import Shard, Shards, info

pytestmark = pytest.mark.servers

HOSTS = [str(number) for number in range(30)]
HOLD_S = 2 * NODE_TIMEOUT_MS / 1000


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    """A cluster that a test may break."""
    cluster = RedisCluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def shards(cluster: RedisCluster) -> Shards:
    """Its shards, each with a replica that follows."""
    shards = Shards(cluster)
    shards.heal()
    return shards


def counts(cluster: RedisCluster) -> dict[str, int]:
    """Events of each host, whoever serves it now."""
    with redis.RedisCluster(HOST, cluster.ports[1]) as client:
        return {host: count_of(client.get(state_key(host, "p"))) for host in HOSTS}


def of_first_master(cluster: RedisCluster) -> set[str]:
    with redis.RedisCluster(HOST, cluster.ports[0]) as client:
        return {
            host
            for host in HOSTS
            if client.nodes_manager.get_node_from_slot(key_slot(host_key("", host))).port == cluster.ports[0]
        }


def test_acknowledged_commits_that_a_failover_loses_are_seen_and_applied_again(
    cluster: RedisCluster, shards: Shards, stack: ExitStack
) -> None:
    first_shard = Shard(cluster.ports[0], cluster.ports[MASTERS])
    committer = a_committer(url=cluster.url, hold_s=HOLD_S)
    stack.callback(committer.close)
    at_risk = of_first_master(cluster)
    assert 0 < len(at_risk) < len(HOSTS)
    before = committer.commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER)
    time.sleep(0.5)
    shards.cut_replication(first_shard)
    lost = committer.commit([deltas(host, "p") for host in HOSTS], a_batch(2), NEVER)
    elsewhere = [deltas(host, "p") for host in HOSTS if host not in at_risk]
    kept = committer.commit(elsewhere, a_batch(3), NEVER)
    assert committer.verify([before.traces, lost.traces, kept.traces]) == [True] * 3, "the loss is still to come"
    shards.take_over(first_shard)
    found = counts(cluster)
    assert {host for host, count in found.items() if count == 1} == at_risk, "nothing was lost: the test is void"

    # A worker that had deleted its message would have lost it.
    assert committer.verify([lost.traces, kept.traces]) == [False, True]
    again = committer.commit([deltas(host, "p") for host in HOSTS], a_batch(2), NEVER)
    assert (again.hosts, again.already_applied) == (len(at_risk), len(HOSTS) - len(at_risk))
    assert counts(cluster) == {host: 2 if host in at_risk else 3 for host in HOSTS}
    assert committer.verify([again.traces]) == [True]


def test_a_failover_in_order_ends_at_the_new_master_and_begins_the_hold_anew(
    cluster: RedisCluster, shards: Shards, stack: ExitStack
) -> None:
    committer = a_committer(url=cluster.url, hold_s=HOLD_S)
    stack.callback(committer.close)
    everything = [deltas(host, "p") for host in HOSTS]
    first = committer.commit(everything, a_batch(1), NEVER)
    with cluster.node(cluster.ports[MASTERS]) as replica, cluster.node(cluster.ports[0]) as master:
        replica.execute_command("CLUSTER", "FAILOVER")
        wait_for(lambda: master.info("replication")["role"] == "slave", "a failover that the old master knows of")
    assert committer.verify([first.traces]) == [False], "the old master no longer serves its slots"
    second = committer.commit(everything, a_batch(2), NEVER)
    assert second.hosts == len(HOSTS)
    assert committer.counters.moved > 0
    assert committer.verify([second.traces]) == [True]
    again = committer.commit(everything, a_batch(1), NEVER)
    assert again.already_applied == len(HOSTS)
    assert set(counts(cluster).values()) == {2}


def test_a_master_that_is_killed_resets_then_the_cluster_is_down_then_all_is_applied(
    cluster: RedisCluster, shards: Shards, stack: ExitStack
) -> None:
    seen: set[str] = set()

    def sleep(seconds: float) -> None:
        time.sleep(max(seconds, 0.02))
        with suppress(redis.RedisError), redis.Redis(HOST, cluster.ports[1]) as other:
            seen.add("down" if b"cluster_state:fail" in info(other) else "ok")

    committer = a_committer(url=cluster.url, hold_s=HOLD_S, sleep=sleep)
    stack.callback(committer.close)
    everything = [deltas(host, "p") for host in HOSTS]
    first = committer.commit(everything, a_batch(1), NEVER)
    time.sleep(0.5)
    cluster.signal(cluster.ports[0], signal.SIGKILL)
    second = committer.commit(everything, a_batch(2), time.monotonic() + 60)
    assert committer.counters.reconnects > 0
    assert "down" in seen
    assert second.hosts + second.already_applied == len(HOSTS)
    assert committer.verify([first.traces]) == [False]
    committer.commit(everything, a_batch(1), NEVER)
    assert set(counts(cluster).values()) == {2}
