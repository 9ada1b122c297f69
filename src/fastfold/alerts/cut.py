"""Cuts the evidence of an alert until it fits, and says so.

An alert may hold thousands of marks with texts chosen by attackers; a message of SQS holds 256 KiB.  What is cut, in
this order, more at each level: the texts of steps (each ends in ``…`` then), the steps in the middle, and last of all
the texts of the alert itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from fastfold.alerts.types import Alert, MatchedStep

__all__ = ["LEAST_BYTES", "NO_CUT", "Cut", "fit"]

LEAST_BYTES = 16 << 10
"""What every alert can be cut to fit, in each of the forms."""


class Cut(NamedTuple):
    """What has been cut: texts that are shorter now, and steps that are left out."""

    texts: int = 0
    steps: int = 0

    def __bool__(self) -> bool:
        return bool(self.texts or self.steps)


NO_CUT = Cut()

# Characters of a text of a step, steps, characters of a text of the alert, and members of its lists.
_LEVELS: tuple[tuple[int, int, int, int], ...] = (
    (1024, 512, 32_768, 256),
    (256, 128, 8192, 256),
    (128, 32, 2048, 64),
    (64, 8, 512, 32),
    (32, 4, 96, 16),
    (16, 2, 32, 8),
)


def fit(alert: Alert, render: Callable[[Alert, Cut], bytes], most_bytes: int) -> tuple[bytes, Cut]:
    """The bytes of an alert, cut only as far as is needed.

    Parameters
    ----------
    alert : Alert
    render : callable
        Makes bytes of an alert and of what was cut.
    most_bytes : int
        At least `LEAST_BYTES`.

    Raises
    ------
    ValueError
        If it does not fit whatever is cut, because `most_bytes` is too low.
    """
    whole = render(alert, NO_CUT)
    if len(whole) <= most_bytes:
        return whole, NO_CUT
    for level in _LEVELS:
        cutter = _Cutter()
        body = render(cutter.alert(alert, *level), cutter.cut)
        if len(body) <= most_bytes:
            return body, cutter.cut
    raise ValueError(f"an alert does not fit in {most_bytes} bytes")


_TEXTS = ("rule_id", "title", "description", "tenant", "host", "process", "image", "command_line", "user", "parent")


class _Cutter:
    """Counts what it cuts."""

    def __init__(self) -> None:
        self.cut = NO_CUT

    def alert(self, alert: Alert, step_width: int, steps: int, width: int, members: int) -> Alert:
        kept = _ends(alert.steps, steps)
        self.cut = Cut(0, len(alert.steps) - len(kept))
        texts: dict[str, Any] = {name: self._text(getattr(alert, name), width) for name in _TEXTS}
        return replace(
            alert,
            steps=tuple(self._step(step, step_width) for step in kept),
            tags=self._texts(alert.tags, width, members),
            references=self._texts(alert.references, width, members),
            **texts,
        )

    def _step(self, step: MatchedStep, width: int) -> MatchedStep:
        return replace(
            step,
            name=self._text(step.name, width),
            process=self._text(step.process, width),
            file=self._text(step.file, width),
            evidence=tuple((column, self._text(text, width)) for column, text in step.evidence),
        )

    def _texts(self, texts: tuple[str, ...], width: int, members: int) -> tuple[str, ...]:
        self.cut = self.cut._replace(texts=self.cut.texts + max(0, len(texts) - members))
        return tuple(self._text(text, width) for text in texts[:members])

    def _text(self, text: str, width: int) -> str:
        if len(text) <= width:
            return text
        self.cut = self.cut._replace(texts=self.cut.texts + 1)
        return text[: width - 1] + "…"


def _ends(steps: tuple[MatchedStep, ...], most: int) -> tuple[MatchedStep, ...]:
    """The first and the last of the steps."""
    return steps if len(steps) <= most else (*steps[: most // 2], *steps[len(steps) - (most - most // 2) :])
