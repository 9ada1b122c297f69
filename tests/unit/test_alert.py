"""Publishing: what was taken by all may go, what was not comes again, and nobody waits for ever."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from alerts import START_NS, an_alert
from aws import wait_until
from fastfold.alert import CHUNK, Publisher
from fastfold.alerts.types import Alert
from fastfold.errors import ConfigError, RetryError, Unavailable, Undelivered
from fastfold.metrics import Meter
from fastfold.retry import BackoffPolicy
from fastfold.sinks.lane import REMEMBERED_S, RETURN_MOST_S, Lane, Outlet, Waiter
from fastfold.sinks.types import TAKEN, Answer, Parcel, Route, SinkFacts

END_S = 10
REFUSED = Answer("refused", "not\nthis")
SOON = BackoffPolicy(0.01, 0.01)


class FakeSink:
    """Keeps what it takes; answers as `behave` says."""

    def __init__(self, most: int = 10) -> None:
        self.most = most
        self.taken: list[str] = []
        self.calls: list[list[str]] = []
        self.bodies: dict[str, dict[str, Any]] = {}
        self.behave: Callable[[Parcel], Answer] = lambda _: TAKEN
        self.closed = False

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        self.calls.append([parcel.id for parcel in parcels])
        answers = [self.behave(parcel) for parcel in parcels]
        for parcel, answer in zip(parcels, answers, strict=True):
            if answer == TAKEN:
                self.taken.append(parcel.id)
                self.bodies[parcel.id] = json.loads(parcel.body)
        return answers

    def close(self) -> None:
        self.closed = True


def down(_: Parcel) -> Answer:
    raise Unavailable("sink", "connection refused")


class Bench:
    """A publisher to fake sinks."""

    def __init__(self, *sinks: FakeSink, **facts: Any) -> None:
        self.meter = Meter()
        self.now_s = 0.0
        how = {"queue_alerts": 1000, "patience_s": 0.3} | {
            name: facts.pop(name) for name in ("queue_alerts", "patience_s") if name in facts
        }
        routes = facts.pop("routes", [Route()] * len(sinks))
        self.lanes = [
            Lane(f"s{number}", sink, self.meter, policy=SOON, random=lambda: 1.0, clock=self.clock, **how)
            for number, sink in enumerate(sinks)
        ]
        outlets = [
            Outlet(SinkFacts(lane.name, "stdout", route=route, **facts), lane)
            for lane, route in zip(self.lanes, routes, strict=True)
        ]
        self.publisher = Publisher(outlets, self.meter, clock=self.clock, now_ns=lambda: START_NS + 20 * 10**9)
        self.publisher.start()

    def clock(self) -> float:
        return time.monotonic() + self.now_s

    def publish(self, *alerts: Alert, within_s: float = END_S) -> None:
        self.publisher.publish(alerts, self.clock() + within_s)

    def fault(self, *alerts: Alert, within_s: float = END_S) -> Undelivered:
        with pytest.raises(Undelivered) as caught:
            self.publish(*alerts, within_s=within_s)
        return caught.value

    def count(self, name: str, label: str = "office-shell") -> float:
        return self.meter.snapshot().values.get((name, label), 0)


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*sinks: FakeSink, **facts: Any) -> Bench:
        made.append(Bench(*sinks, **facts))
        return made[-1]

    yield make
    for bench in made:
        bench.publisher.close(1)


Make = Callable[..., Bench]


def ids(*numbers: int) -> list[str]:
    return [f"{number:032x}" for number in numbers]


def test_every_sink_takes_every_alert(make: Make) -> None:
    one, two = FakeSink(), FakeSink(most=1)
    bench = make(one, two)
    bench.publish(*(an_alert(number) for number in range(25)))
    assert one.taken == two.taken == ids(*range(25))
    assert max(len(call) for call in one.calls) <= 10
    assert bench.count("alerts") == 25
    assert (bench.count("sink_taken", "s0"), bench.count("sink_taken", "s1")) == (25, 25)


def test_alerts_go_where_their_routes_lead(make: Make) -> None:
    one, two = FakeSink(), FakeSink()
    bench = make(one, two, routes=[Route("critical"), Route(tenants=("acme",))])
    bench.publish(an_alert(1), an_alert(2, level="critical"), an_alert(3, tenant="other"))
    assert (one.taken, two.taken) == (ids(2), ids(1, 2))
    assert (bench.count("alerts"), bench.count("alerts_unrouted")) == (2, 1)


def test_an_alert_says_when_it_was_published(make: Make) -> None:
    sink = FakeSink()
    bench = make(sink)
    bench.publish(an_alert(1, suppressed=4))
    assert sink.bodies[ids(1)[0]]["times"]["published"] == "2025-11-24T16:00:20.000000000Z"
    times = bench.meter.snapshot().times
    seconds = {name: value[1] for (name, rule), value in times.items() if rule == "office-shell"}
    assert seconds == {
        "alert_event_seconds": 17.5,
        "alert_stored_seconds": 10.0,
        "alert_received_seconds": 9.0,
        "alert_committed_seconds": 8.0,
    }
    assert bench.count("alerts_suppressed") == 4


def test_times_that_are_unknown_or_ahead_do_no_harm(make: Make) -> None:
    bench = make(FakeSink())
    alert = an_alert()
    ahead = replace(alert.times, event_ns=START_NS + 10**12, stored_ns=0)
    bench.publish(replace(alert, times=ahead))
    times = bench.meter.snapshot().times
    assert times["alert_event_seconds", "office-shell"][1] == 0
    assert ("alert_stored_seconds", "office-shell") not in times


def test_an_alert_that_is_raised_again_is_not_sent_again(make: Make) -> None:
    sink = FakeSink()
    bench = make(sink)
    bench.publish(an_alert(1))
    bench.publish(an_alert(1), an_alert(2))
    assert sink.taken == ids(1, 2)
    assert (bench.count("alerts"), bench.count("alerts_repeated")) == (2, 1)
    bench.now_s += REMEMBERED_S
    bench.publish(an_alert(1))
    assert sink.taken == ids(1, 2, 1)


def test_a_sink_that_fails_for_a_moment_is_tried_again(make: Make) -> None:
    sink = FakeSink()
    failures = iter([1, 1, 0, 0])
    sink.behave = lambda parcel: down(parcel) if next(failures) else TAKEN
    bench = make(sink)
    bench.publish(an_alert(1), an_alert(2))
    assert sink.taken == ids(1, 2)
    assert bench.count("sink_failures", "s0") == 2
    assert bench.count("sinks_down", "s0") == 0


def test_a_sink_that_is_down_delays_its_alerts_and_no_others(make: Make) -> None:
    dead, well = FakeSink(), FakeSink()
    dead.behave = down
    bench = make(dead, well, routes=[Route("high"), Route()])
    fault = bench.fault(an_alert(1))
    assert str(fault) == "sink s0: sink: connection refused"
    assert isinstance(fault, RetryError)
    assert 5 <= fault.after_s <= RETURN_MOST_S
    assert well.taken == ids(1), "the other sink has it meanwhile"
    bench.publish(an_alert(2, level="low"))
    assert well.taken == ids(1, 2)
    assert (bench.count("alerts_delayed"), bench.count("sinks_down", "s0")) == (1, 1)
    dead.behave = lambda _: TAKEN
    wait_until(lambda: _publishes(bench, an_alert(1)), END_S, "the sink takes it")
    assert (dead.taken, well.taken) == (ids(1), ids(1, 2))
    assert bench.count("sinks_down", "s0") == 0


def _publishes(bench: Bench, alert: Alert) -> bool:
    try:
        bench.publish(alert)
    except Undelivered:
        return False
    return True


def test_while_a_sink_is_down_nobody_waits_and_one_tries_after_each_pause(make: Make) -> None:
    sink = FakeSink()
    sink.behave = down
    bench = make(sink)
    bench.lanes[0]._policy = BackoffPolicy(1000, 1000)
    bench.fault(an_alert(1))
    tries = len(sink.calls)
    for number in range(20):
        bench.fault(an_alert(number))
    assert len(sink.calls) == tries
    bench.now_s += 1000
    bench.fault(an_alert(1))
    bench.fault(an_alert(2))
    assert len(sink.calls) == tries + 1


def test_the_longer_a_sink_is_down_the_later_messages_come_again(make: Make) -> None:
    sink = FakeSink()
    sink.behave = down
    bench = make(sink)
    found = [bench.fault(an_alert(1)).after_s]
    for _ in range(4):
        bench.now_s += 400
        found.append(bench.fault(an_alert(1)).after_s)
    assert found == sorted(found)
    assert found[0] == 5
    assert 100 <= found[1] <= 110
    assert found[-1] == RETURN_MOST_S


def test_a_server_that_asks_to_be_left_alone_is(make: Make) -> None:
    sink = FakeSink()
    sink.behave = lambda _: Answer("later", "status 429", 120.0)
    bench = make(sink)
    bench.fault(an_alert(1))
    bench.fault(an_alert(1))
    assert len(sink.calls) == 1
    sink.behave = lambda _: TAKEN
    bench.now_s += 121
    bench.publish(an_alert(1))


def test_an_alert_that_is_refused_keeps_no_other_back(make: Make) -> None:
    sink = FakeSink()
    sink.behave = lambda parcel: REFUSED if parcel.id == ids(2)[0] else TAKEN
    bench = make(sink)
    fault = bench.fault(an_alert(1), an_alert(2), an_alert(3))
    assert (str(fault), fault.after_s) == ("sink s0: refused: not\\x0athis", 60)
    assert sink.taken == ids(1, 3)
    assert (bench.count("alerts"), bench.count("alerts_delayed"), bench.count("sink_refused", "s0")) == (2, 1, 1)
    assert bench.count("sinks_down", "s0") == 0


def test_while_all_is_refused_messages_come_again_later_and_later(make: Make) -> None:
    sink = FakeSink()
    sink.behave = lambda _: REFUSED
    bench = make(sink)
    found = []
    for pause_s in (0, 600, 2000):
        bench.now_s += pause_s
        found.append(round(bench.fault(an_alert(1)).after_s))
    assert found == [60, 150, 300]
    sink.behave = lambda parcel: REFUSED if parcel.id == ids(1)[0] else TAKEN
    bench.publish(an_alert(2))
    assert bench.fault(an_alert(1)).after_s == 60


def test_part_of_a_batch_that_fails_is_sent_again_in_order(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    sink = FakeSink()
    turn = iter([1, 1])
    sink.behave = lambda parcel: Answer("later", "busy") if parcel.id in ids(1, 3) and next(turn, 0) else TAKEN
    bench = make(sink)
    bench.publish(*(an_alert(number) for number in range(5)))
    assert sink.taken == ids(0, 2, 4, 1, 3)
    assert sink.calls == [ids(0, 1, 2, 3, 4), ids(1), ids(3)]
    assert "sink s0: busy" in caplog.messages


def test_more_alerts_than_the_queue_holds_go_through_in_pieces(make: Make) -> None:
    sink = FakeSink()
    bench = make(sink, queue_alerts=CHUNK)
    bench.publish(*(an_alert(number) for number in range(5 * CHUNK + 1)))
    assert sink.taken == ids(*range(5 * CHUNK + 1))


def test_a_full_queue_gives_the_message_back_at_once(make: Make) -> None:
    sink, go = FakeSink(most=1), threading.Event()

    def wait(_: Parcel) -> Answer:
        assert go.wait(END_S)
        return TAKEN

    sink.behave = wait
    bench = make(sink, queue_alerts=2, patience_s=60)
    first = threading.Thread(target=bench.publish, args=(an_alert(1), an_alert(2)))
    first.start()
    wait_until(lambda: bool(sink.calls), END_S, "the first is being sent")
    fault = bench.fault(an_alert(3), an_alert(4))
    assert "1 alerts wait for it, limit 2" in str(fault)
    go.set()
    first.join()
    bench.publish(an_alert(3), an_alert(4))
    assert sink.taken == ids(1, 2, 3, 4)


def test_a_sink_that_hangs_is_given_up_and_refused_after_that(make: Make) -> None:
    sink, go = FakeSink(most=1), threading.Event()
    sink.behave = lambda _: TAKEN if go.wait(END_S) else REFUSED
    bench = make(sink)
    assert "no answer for 0.3 s" in str(bench.fault(an_alert(1), an_alert(2)))
    assert (bench.count("sinks_down", "s0"), bench.count("sink_failures", "s0")) == (1, 1)
    with pytest.raises(Undelivered):
        bench.lanes[0].offer([Parcel(ids(3)[0], "r", "low", "", "h", "t", b"{}")], Waiter())
    go.set()
    wait_until(lambda: bool(sink.taken), END_S, "the answer after all")
    assert sink.calls == [ids(1)], "nobody waits for the second any more"
    assert bench.count("sinks_down", "s0") == 0
    bench.publish(an_alert(1))
    assert sink.calls == [ids(1)]


def test_the_deadline_of_the_file_is_kept(make: Make) -> None:
    sink = FakeSink()
    sink.behave = down
    bench = make(sink, patience_s=60)
    assert "the deadline of the file has passed" in str(bench.fault(an_alert(1), within_s=0.3))
    calls = len(sink.calls)
    time.sleep(0.1)
    assert len(sink.calls) <= calls + 1, "what nobody waits for is not sent"


def test_two_slots_with_one_alert_send_it_once(make: Make) -> None:
    sink, go = FakeSink(), threading.Event()
    sink.behave = lambda _: TAKEN if go.wait(END_S) else REFUSED
    bench = make(sink, patience_s=60)
    slots = [threading.Thread(target=bench.publish, args=(an_alert(1), an_alert(1))) for _ in range(3)]
    for slot in slots:
        slot.start()
    wait_until(lambda: bool(sink.calls), END_S, "it is being sent")
    time.sleep(0.05)
    go.set()
    for slot in slots:
        slot.join(END_S)
        assert not slot.is_alive()
    assert sink.taken == ids(1)
    assert (bench.count("alerts"), bench.count("alerts_delayed")) == (3, 0)


@pytest.mark.parametrize("error", [ConfigError("no such queue"), RuntimeError("a fault"), Undelivered("s", "r", 1)])
def test_whatever_a_sink_raises_its_lane_goes_on(make: Make, error: Exception) -> None:
    sink = FakeSink()
    failures = iter([1, 0])

    def behave(_: Parcel) -> Answer:
        if next(failures, 0):
            raise error
        return TAKEN

    sink.behave = behave
    bench = make(sink)
    bench.publish(an_alert(1))
    assert sink.taken == ids(1)


def test_closing_gives_back_what_waits(make: Make) -> None:
    sink = FakeSink()
    sink.behave = down
    bench = make(sink, patience_s=60)
    faults: list[Undelivered] = []
    slot = threading.Thread(target=lambda: faults.append(bench.fault(an_alert(1))))
    slot.start()
    wait_until(lambda: bool(sink.calls), END_S, "it is tried")
    bench.publisher.close(5)
    slot.join(END_S)
    assert [str(fault) for fault in faults] == ["sink s0: the worker ends"]
    assert sink.closed
    assert "the worker ends" in str(bench.fault(an_alert(2)))


def test_a_form_is_made_once_for_all_sinks_that_want_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    from fastfold import alert as stage

    real = stage.line_of
    monkeypatch.setattr(stage, "line_of", lambda alert, *how: made.append(alert.id) or real(alert, *how))
    make(FakeSink(), FakeSink(), FakeSink()).publish(an_alert(1))
    assert made == ids(1)


def test_what_is_cut_is_counted(make: Make) -> None:
    sink = FakeSink()
    bench = make(sink, body_bytes=16 << 10)
    alert = an_alert(1)
    bench.publish(replace(alert, steps=alert.steps * 500))
    assert sink.bodies[alert.id]["cut"]["steps"] > 900
    assert bench.count("alerts_cut", "s0") == 1
