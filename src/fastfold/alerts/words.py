r"""An alert in a few lines of text, for a chat, a mail or a terminal.

::

    [high] Office program starts a shell that connects out
    on WORKSTATION5 (tenant acme), by ACME\\bob
    process C:\\Windows\\System32\\cmd.exe: cmd.exe /c whoami
    3 events in 2.5 s, the last at 2026-11-25T04:50:33Z:
      start: process_start, command_line cmd.exe /c whoami
      connect: net_connect, remote 203.0.113.7:443
      ...

What is shown was chosen by attackers: control characters and directional marks are made visible, every text
is cut, and none can begin a line of its own.
"""

from __future__ import annotations

from fastfold.alerts.parts import span_of
from fastfold.alerts.types import Alert, MatchedStep
from fastfold.states import format_time
from fastfold.text import escape

__all__ = ["span_s", "words_of"]

TEXT_CHARACTERS = 120
"""Longest text of an event that is shown."""

TITLE_CHARACTERS = 200
STEPS = 6
"""Most events that are shown."""

_NS_PER_SECOND = 1_000_000_000

# These say who, and are told once, above.
_OF_THE_PROCESS = frozenset({"image", "user", "parent"})


def words_of(alert: Alert) -> str:
    """The text of an alert, lines separated by line feeds, no longer than some 3,000 characters."""
    lines = [f"[{alert.level}] {escape(alert.title, TITLE_CHARACTERS)}", _where(alert), _process(alert)]
    count = len(alert.steps)
    if count:
        events = "1 event" if count == 1 else f"{count:,} events in {_span(alert)}, the last"
        lines.append(f"{events} at {format_time(alert.steps[-1].time_ns)[:19]}Z:")
        lines += [f"  {_step(step)}" for step in alert.steps[:STEPS]]
    if count > STEPS:
        lines.append(f"  and {count - STEPS:,} more")
    if alert.limited:
        lines.append("a limit was hit: earlier events may be missing")
    return "\n".join(line for line in lines if line)


def span_s(alert: Alert) -> float:
    """Seconds from the first to the last matched event."""
    first_ns, last_ns = span_of(alert)
    return (last_ns - first_ns) / _NS_PER_SECOND


def _span(alert: Alert) -> str:
    return f"{span_s(alert):,.3f}".rstrip("0").rstrip(".") + " s"


def _where(alert: Alert) -> str:
    tenant = f" (tenant {_shown(alert.tenant)})" if alert.tenant else ""
    user = f", by {_shown(alert.user)}" if alert.user else ""
    return f"on {_shown(alert.host)}{tenant}{user}"


def _process(alert: Alert) -> str:
    name = _shown(alert.image or alert.process)
    return f"process {name}: {_shown(alert.command_line)}" if alert.command_line else f"process {name}"


def _step(step: MatchedStep) -> str:
    values = [f"{column} {_shown(text)}" for column, text in step.evidence if column not in _OF_THE_PROCESS and text]
    return f"{_shown(step.name)}: {', '.join([_shown(step.kind), *values])}"


def _shown(text: str) -> str:
    return escape(text, TEXT_CHARACTERS)
