"""All scenarios, in the order in which they are run."""

from __future__ import annotations

from chaos import deliveries, failovers, network, nodes, partition, storage, workers
from chaos.scenario import Mutant, Scenario

__all__ = ["SCENARIOS"]

_NO_HOLD = {"hold_s": 0.0}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "worker killed",
        workers.kill,
        full=50,
        short=3,
        mutants=(Mutant("deleted when received", "lost", "deleted_when_received", most=10),),
    ),
    Scenario("worker frozen past its visibility", workers.freeze, full=30, short=1),
    Scenario(
        "every message twice",
        deliveries.send_twice,
        full=1000,
        short=40,
        together="deliveries and S3",
        mutants=(Mutant("without a ledger", "doubled", "without_ledger"),),
    ),
    Scenario("an object in two messages", deliveries.send_to_two, full=1000, short=40, together="deliveries and S3"),
    Scenario("ten records, twice", deliveries.send_ten_twice, full=100, short=4, together="deliveries and S3"),
    Scenario("reordered", deliveries.reorder, full=1000, short=40, together="deliveries and S3"),
    Scenario("stale receipt handle", deliveries.make_stale, full=1000, short=40, together="deliveries and S3"),
    Scenario("receive reply lost", deliveries.lose_receives, full=1000, short=40, together="deliveries and S3"),
    Scenario("S3: 503", storage.be_busy, full=100, short=4, together="deliveries and S3"),
    Scenario("S3: slow body", storage.be_slow, full=100, short=4, together="deliveries and S3"),
    Scenario(
        "S3: truncated body",
        storage.cut_bodies,
        full=100,
        short=4,
        together="deliveries and S3",
        mutants=(Mutant("taken for the whole", "lost", "cut_bodies_taken", in_ci=False),),
    ),
    Scenario("S3: 404, then there", storage.be_absent, full=100, short=4, together="deliveries and S3"),
    Scenario("S3: 404", storage.miss, full=100, short=2, together="deliveries and S3"),
    Scenario("S3: replaced before the fetch", storage.replace, full=100, short=4, together="deliveries and S3"),
    Scenario("poison", storage.poison, full=1000, short=40, together="deliveries and S3"),
    Scenario("slots moved", nodes.move_slots, full=100, short=3),
    Scenario(
        "memory full",
        nodes.fill_memory,
        full=20,
        short=1,
        mutants=(Mutant("refusals ignored", "lost", "refusals_ignored", _NO_HOLD, in_ci=False),),
    ),
    Scenario("master killed", failovers.kill_master, full=10, short=1),
    Scenario(
        "acknowledged writes lost",
        failovers.lose_acknowledged,
        full=30,
        short=1,
        mutants=(Mutant("not held", "lost", settings=_NO_HOLD),),
    ),
    Scenario("shard lost, replayed", nodes.lose_shard, full=10, short=1),
    Scenario("master back empty, replayed", nodes.empty_master, full=10, short=1),
    Scenario(
        "master paused past the failover",
        failovers.pause_master,
        full=30,
        short=1,
        mutants=(Mutant("not held", "lost", settings=_NO_HOLD, most=30, in_ci=False),),
    ),
    Scenario(
        "cut before EXEC",
        network.cut_before,
        full=300,
        short=10,
        together="network",
    ),
    Scenario(
        "cut after EXEC",
        network.cut_after,
        full=300,
        short=10,
        together="network",
        mutants=(Mutant("without a ledger", "doubled", "without_ledger", in_ci=False),),
    ),
    Scenario(
        "delayed",
        network.delay,
        full=300,
        short=10,
        together="network",
    ),
    Scenario(
        "half open",
        network.half_open,
        full=100,
        short=3,
        together="network",
    ),
    Scenario(
        "slow",
        network.slow_down,
        full=300,
        short=10,
        together="network",
    ),
    Scenario(
        "master partitioned with a client",
        partition.part,
        full=30,
        short=1,
        obstacle=partition.obstacle,
        mutants=(Mutant("not held", "lost", settings=_NO_HOLD, in_ci=False),),
    ),
)
