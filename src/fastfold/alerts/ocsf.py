"""An alert as a Detection Finding of OCSF 1.5.0 (class 2004), with the host profile.

What OCSF has no place for, such as registry values outside of its Windows extension, stands in ``data`` of each
evidence, with every other value that matched; our own facts stand in ``unmapped``.
"""

from __future__ import annotations

from fastfold import __version__
from fastfold.alerts.attack import attacks_of, page_of
from fastfold.alerts.cut import Cut
from fastfold.alerts.native import native_steps, native_times
from fastfold.alerts.parts import base_name, span_of, split_remote, split_user
from fastfold.alerts.types import Alert, MatchedStep
from fastfold.alerts.words import words_of

__all__ = ["OCSF_VERSION", "ocsf"]

OCSF_VERSION = "1.5.0"

_CATEGORY = 2
_CLASS = 2004
_CREATE = 1
_SEVERITIES = {
    "informational": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
_RULE = 1
_UNKNOWN = 0
_NEW = 1
_NS_PER_MS = 1_000_000

_Object = dict[str, object]


def ocsf(alert: Alert, cut: Cut) -> _Object:
    """The object of an alert."""
    severity_id, severity = _SEVERITIES[alert.level]
    times = alert.times
    first_ns, last_ns = span_of(alert)
    process = _process(alert.process, alert.image, alert.command_line, alert.user, alert.parent)
    created_ms = _ms(times.committed_ns or times.published_ns or times.event_ns)
    return {
        "activity_id": _CREATE,
        "activity_name": "Create",
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "type_uid": _CLASS * 100 + _CREATE,
        "type_name": "Detection Finding: Create",
        "time": created_ms,
        "start_time": _ms(first_ns),
        "end_time": _ms(last_ns),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": _NEW,
        "status": "New",
        "is_alert": True,
        "message": words_of(alert),
        "metadata": {
            "version": OCSF_VERSION,
            "uid": alert.id,
            "product": {"name": "fastfold", "vendor_name": "fastfold", "version": __version__},
            "profiles": ["host"],
            "labels": list(alert.tags),
            **_given(tenant_uid=alert.tenant, logged_time=_ms(times.stored_ns), processed_time=_ms(times.published_ns)),
        },
        "finding_info": {
            "uid": alert.id,
            "title": alert.title,
            "analytic": {
                "type_id": _RULE,
                "type": "Rule",
                "uid": alert.rule_id,
                "name": alert.title,
                "version": alert.rule_version,
            },
            "created_time": created_ms,
            "first_seen_time": _ms(first_ns),
            "last_seen_time": _ms(last_ns),
            "data_sources": sorted({step.file for step in alert.steps if step.file}),
            **_given(desc=alert.description, attacks=_attacks(alert), src_url=next(iter(alert.references), "")),
        },
        "device": {"uid": alert.host, "name": alert.host, "type_id": _UNKNOWN, "type": "Unknown"},
        "actor": {"process": process, **_given(user=_user(alert.user))},
        "evidences": [
            _evidence(step, shown) for step, shown in zip(alert.steps, native_steps(alert.steps), strict=True)
        ],
        "unmapped": {
            "times": native_times(alert),
            "references": list(alert.references),
            "suppressed": alert.suppressed,
            "limited": alert.limited,
            **({"cut": {"texts": cut.texts, "steps": cut.steps}} if cut else {}),
        },
    }


def _evidence(step: MatchedStep, shown: _Object) -> _Object:
    values = dict(step.evidence)
    address, port = split_remote(values.get("remote", ""))
    user = values.get("user", "")
    command_line = values.get("command_line", "")
    process = _process(step.process, values.get("image", ""), command_line, user, values.get("parent", ""))
    return {
        "name": step.name,
        "process": process,
        "data": shown,
        **_given(
            uid=step.batch,
            user=_user(user),
            file=_file(values.get("file", "")),
            query={"hostname": values["domain"]} if values.get("domain") else None,
            dst_endpoint={"ip": address, **_given(port=port)} if address else None,
        ),
    }


def _process(uid: str, image: str, command_line: str, user: str, parent: str) -> _Object:
    return {
        "uid": uid,
        **_given(
            name=base_name(image),
            path=image,
            file=_file(image),
            cmd_line=command_line,
            user=_user(user),
            parent_process={"uid": parent} if parent else None,
        ),
    }


def _file(path: str) -> _Object | None:
    return {"name": base_name(path), "path": path, "type_id": _UNKNOWN} if path else None


def _user(user: str) -> _Object | None:
    domain, name = split_user(user)
    return {"name": name, **_given(domain=domain)} if user else None


def _attacks(alert: Alert) -> list[_Object]:
    """One entry for each tactic and technique: which belongs to which, tags do not say."""
    found = attacks_of(alert.tags)
    with_parts = {sub.partition(".")[0] for sub in found.subtechniques}
    attacks: list[_Object] = [
        {"tactic": {"uid": uid, "name": name, "src_url": page_of(uid)}} for uid, name in found.tactics
    ]
    attacks += [{"technique": _technique(uid)} for uid in found.techniques if uid not in with_parts]
    attacks += [
        {"technique": _technique(sub.partition(".")[0]), "sub_technique": _technique(sub)}
        for sub in found.subtechniques
    ]
    return attacks


def _technique(uid: str) -> _Object:
    return {"uid": uid, "src_url": page_of(uid)}


def _ms(time_ns: int) -> int:
    return time_ns // _NS_PER_MS


def _given(**parts: object) -> _Object:
    """The parts that there are."""
    return {name: part for name, part in parts.items() if part not in (None, "", 0, [])}
