"""An alert as a document of the Elastic Common Schema, ``event.kind: alert``.

What ECS has no field for stands under ``fastfold``, as in the native form: the matched steps above all.
"""

from __future__ import annotations

from fastfold import __version__
from fastfold.alerts.attack import attacks_of, page_of
from fastfold.alerts.cut import Cut
from fastfold.alerts.native import native_steps, native_times
from fastfold.alerts.parts import base_name, span_of, split_remote, split_user
from fastfold.alerts.types import Alert
from fastfold.alerts.words import words_of
from fastfold.rules.types import LEVELS
from fastfold.states import format_time

__all__ = ["ECS_VERSION", "ecs"]

ECS_VERSION = "8.11.0"

_SEVERITY_STEP = 25

_Object = dict[str, object]


def ecs(alert: Alert, cut: Cut) -> _Object:
    """The object of an alert."""
    first_ns, last_ns = span_of(alert)
    domain, name = split_user(alert.user)
    shown: _Object = {
        "@timestamp": format_time(last_ns),
        "ecs": {"version": ECS_VERSION},
        "message": words_of(alert),
        "tags": list(alert.tags),
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "module": "fastfold",
            "dataset": "fastfold.alert",
            "provider": "fastfold",
            "id": alert.id,
            "code": alert.rule_id,
            "severity": LEVELS.index(alert.level) * _SEVERITY_STEP,
            "created": format_time(alert.times.committed_ns or alert.times.published_ns or last_ns),
            "start": format_time(first_ns),
            "end": format_time(last_ns),
            "duration": last_ns - first_ns,
        },
        "observer": {"product": "fastfold", "vendor": "fastfold", "version": __version__, "type": "detection"},
        "rule": _given(
            id=alert.rule_id,
            name=alert.title,
            description=alert.description,
            version=alert.rule_version,
            reference=next(iter(alert.references), ""),
        ),
        "host": {"id": alert.host, "name": alert.host},
        "process": {
            "entity_id": alert.process,
            **_given(executable=alert.image, name=base_name(alert.image), command_line=alert.command_line),
            **({"parent": {"entity_id": alert.parent}} if alert.parent else {}),
        },
        "related": _related(alert),
        "fastfold": {
            "level": alert.level,
            "references": list(alert.references),
            "steps": native_steps(alert.steps),
            "times": native_times(alert),
            "suppressed": alert.suppressed,
            "limited": alert.limited,
            **({"cut": {"texts": cut.texts, "steps": cut.steps}} if cut else {}),
        },
    }
    if alert.user:
        shown["user"] = {"name": name, **_given(domain=domain)}
    if alert.tenant:
        shown["organization"] = {"id": alert.tenant}
    threat = _threat(alert)
    if threat:
        shown["threat"] = {"framework": "MITRE ATT&CK", **threat}
    return shown


def _threat(alert: Alert) -> _Object:
    found = attacks_of(alert.tags)
    threat: _Object = {}
    if found.tactics:
        ids = [uid for uid, _ in found.tactics]
        names = [name for _, name in found.tactics]
        threat["tactic"] = {"id": ids, "name": names, "reference": [page_of(uid) for uid in ids]}
    if found.techniques:
        technique: _Object = _ids(found.techniques)
        if found.subtechniques:
            technique["subtechnique"] = _ids(found.subtechniques)
        threat["technique"] = technique
    return threat


def _ids(ids: tuple[str, ...]) -> _Object:
    return {"id": list(ids), "reference": [page_of(uid) for uid in ids]}


def _related(alert: Alert) -> _Object:
    """What else of this alert other documents may be found by."""
    evidence = [pair for step in alert.steps for pair in step.evidence]
    users = {text for column, text in evidence if column == "user"} | {alert.user}
    addresses = {split_remote(text)[0] for column, text in evidence if column == "remote"}
    domains = {text for column, text in evidence if column == "domain"}
    return _given(
        hosts=sorted({alert.host, *domains} - {""}),
        user=sorted({split_user(user)[1] for user in users} - {""}),
        ip=sorted(addresses - {""}),
    )


def _given(**parts: object) -> _Object:
    """The parts that there are."""
    return {name: part for name, part in parts.items() if part not in ("", [])}
