"""Messages whose hold is over, when something fails between one and the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fastfold.errors import ParkError, Unavailable
from fastfold.metrics import Meter
from fastfold.pipeline import Fault, Held, Pipeline
from fastfold.source import Message


def a_pipeline(queue: Any, there: dict[str, bool], finished: list[str]) -> Pipeline:
    commit = SimpleNamespace(verify=lambda held: [there[traces[0]] for traces in held], hold_s=1.0)
    return Pipeline(
        queue=queue,
        keeper=SimpleNamespace(finish=lambda message: finished.append(message.receipt)),  # type: ignore[arg-type]
        read=lambda body: pytest.fail("nothing is read"),
        fetch=SimpleNamespace(),  # type: ignore[arg-type]
        fold=lambda body, name: pytest.fail("nothing is folded"),
        commit=commit,  # type: ignore[arg-type]
        meter=Meter(),
        file_deadline_s=1.0,
        clock=lambda: 10.0,
    )


def hold(pipeline: Pipeline, receipt: str, *faults: Fault) -> None:
    pipeline._held.append(Held(9.0, Message(receipt, ""), list(faults), [receipt]))  # type: ignore[list-item]


def test_a_message_in_doubt_is_given_back_though_another_cannot_be_parked() -> None:
    """Forgotten, it would be kept hidden for ever, and nobody would work on it."""
    answers = iter([Unavailable("SQS", "not now"), None])

    def park(*_: object) -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    finished: list[str] = []
    pipeline = a_pipeline(SimpleNamespace(park=park), {"doubtful": False, "broken": True}, finished)
    hold(pipeline, "doubtful")
    hold(pipeline, "broken", Fault(ParkError("poison"), "f"))
    with pytest.raises(Unavailable):
        pipeline.verify()
    assert finished == []
    assert [message.receipt for message in pipeline.verify()] == ["doubtful"]
    assert finished == ["broken"]
    assert pipeline.pause_s() is None
