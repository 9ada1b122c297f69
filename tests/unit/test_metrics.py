"""Metrics: what workers count is summed and shown, also after a worker has ended."""

from __future__ import annotations

import pickle
import threading
import urllib.error
import urllib.request

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fastfold.health import HealthServer
from fastfold.metrics import ALERT_BUCKETS_S, LABELS, METRICS, RULES, TOP, Collector, Meter, Tally, total


def shown(tally: Tally) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(Collector(tally))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        sample.name + "".join(f"{{{value}}}" for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_of_workers_are_summed_and_outlive_them() -> None:
    tally, one, two = Tally(), Meter(), Meter()
    one.add("files", 3)
    one.add("in_flight", 2)
    two.add("files", 4)
    two.add("in_flight", 1)
    tally.update(1, one.snapshot())
    tally.update(2, two.snapshot())
    assert shown(tally)["fastfold_files_total"] == 7
    assert shown(tally)["fastfold_in_flight"] == 3
    tally.end(1)
    assert shown(tally)["fastfold_files_total"] == 7
    assert shown(tally)["fastfold_in_flight"] == 1
    one.add("files", 1)
    tally.update(1, one.snapshot())
    assert total(tally.snapshot(), "files") == 11


def test_labels_and_histograms_are_shown() -> None:
    tally, meter = Tally(), Meter()
    meter.add_all("no_process", {"channel": 2, "kind": 1})
    meter.add("parked", label="Reject")
    meter.observe("stage_seconds", 0.0005, "fold")
    meter.observe("stage_seconds", 0.02, "fold")
    meter.observe("stage_seconds", 1000, "fold")
    tally.update(1, meter.snapshot())
    found = shown(tally)
    assert found["fastfold_no_process_total{channel}"] == 2
    assert found["fastfold_parked_total{Reject}"] == 1
    assert found["fastfold_stage_seconds_bucket{0.001}{fold}"] == 1
    assert found["fastfold_stage_seconds_bucket{0.025}{fold}"] == 2
    assert found["fastfold_stage_seconds_bucket{+Inf}{fold}"] == 3
    assert found["fastfold_stage_seconds_sum{fold}"] == 1000.0205


def test_the_oldest_message_of_a_pod_is_that_of_one_worker_not_the_sum() -> None:
    tally, one, two = Tally(), Meter(), Meter()
    one.set("oldest_waiting_seconds", 40)
    two.set("oldest_waiting_seconds", 300)
    tally.update(1, one.snapshot())
    tally.update(2, two.snapshot())
    assert shown(tally)["fastfold_oldest_waiting_seconds"] == 300
    tally.end(2)
    assert shown(tally)["fastfold_oldest_waiting_seconds"] == 40
    one.set("oldest_waiting_seconds", 0)
    tally.update(1, one.snapshot())
    assert shown(tally)["fastfold_oldest_waiting_seconds"] == 0


def test_alerts_are_shown_by_rule_with_buckets_around_fifteen_minutes() -> None:
    assert {300.0, 600.0, 900.0} <= set(ALERT_BUCKETS_S)
    tally, meter = Tally(), Meter()
    meter.add("alerts", label="office-shell")
    meter.observe("alert_stored_seconds", 700, "office-shell")
    meter.observe("alert_stored_seconds", 5000, "office-shell")
    for number in range(RULES + 5):
        meter.add("alerts_delayed", label=f"rule {number}")
    tally.update(1, meter.snapshot())
    found = shown(tally)
    assert found["fastfold_alerts_total{office-shell}"] == 1
    assert found["fastfold_alert_stored_seconds_bucket{600.0}{office-shell}"] == 0
    assert found["fastfold_alert_stored_seconds_bucket{900.0}{office-shell}"] == 1
    assert found["fastfold_alert_stored_seconds_bucket{+Inf}{office-shell}"] == 2
    assert found["fastfold_alerts_delayed_total{other}"] == 5


def test_every_metric_is_shown_from_the_start() -> None:
    found = shown(Tally())
    assert {name for name, metric in METRICS.items() if not metric.label} == {
        name.removeprefix("fastfold_").removesuffix("_total") for name in found
    }


def test_one_label_cannot_fill_the_memory() -> None:
    meter = Meter()
    for index in range(LABELS * 3):
        meter.add("rejects", label=f"reason {index}")
    snapshot = meter.snapshot()
    assert total(snapshot, "rejects") == LABELS * 3
    assert snapshot.values["rejects", "other"] == LABELS * 2
    assert len(snapshot.values) == LABELS + 1


def test_threads_lose_no_count() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(2000):
            meter.add("records")
            meter.observe("stage_seconds", 0.1, "fold")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = pickle.loads(pickle.dumps(meter.snapshot()))
    assert total(snapshot, "records") == 8000
    assert sum(snapshot.times["stage_seconds", "fold"][0]) == 8000


def test_a_snapshot_does_not_change_any_more() -> None:
    meter = Meter()
    meter.observe("stage_seconds", 0.1, "fold")
    before = meter.snapshot()
    meter.observe("stage_seconds", 0.1, "fold")
    assert sum(before.times["stage_seconds", "fold"][0]) == 1


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_is_told_over_http() -> None:
    wrong = {"alive": "", "ready": "all workers wait"}
    server = HealthServer("127.0.0.1", 0, Tally(), lambda: wrong["alive"], lambda: wrong["ready"])
    try:
        assert answer(server.port, "/healthz") == (200, "ok\n")
        assert answer(server.port, "/readyz") == (503, "all workers wait\n")
        wrong["ready"] = ""
        assert answer(server.port, "/readyz") == (200, "ok\n")
        status, text = answer(server.port, "/metrics")
        assert status == 200
        assert "fastfold_files_total 0.0" in text
        assert answer(server.port, "/other")[0] == 404
    finally:
        server.close()


def test_a_top_keeps_the_labels_that_have_the_most() -> None:
    meter = Meter()
    for round_ in range(50):
        for host in range(4):
            meter.add("hot_hosts", label=f"hot-{host}")
        # Many that were met once must not drive out those that are met again and again.
        meter.add("hot_hosts", label=f"once-{round_}")
    values = {label: value for (name, label), value in meter.snapshot().values.items() if name == "hot_hosts"}
    assert len(values) == TOP
    most = sorted(values, key=lambda label: -values[label])[:4]
    assert sorted(most) == [f"hot-{host}" for host in range(4)]
    assert all(values[f"hot-{host}"] == 50 for host in range(4))


def test_the_top_of_all_workers_is_shown_with_the_most_first_and_no_more() -> None:
    tally = Tally()
    for worker in range(3):
        meter = Meter()
        for host in range(TOP):
            meter.add("hot_hosts", 1 + host, label=f"host-{worker}-{host}")
        meter.add("hot_hosts", 100, label="shared")
        tally.update(worker, meter.snapshot())
    (family,) = [one for one in Collector(tally).collect() if one.name == "fastfold_hot_hosts"]
    shown = [(sample.labels["host"], sample.value) for sample in family.samples]
    assert len(shown) == TOP
    assert shown[0] == ("shared", 3 * 100 + 3)
