"""What an event leaves behind that met a step of a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b

from fastfold.detection.mark_types import Mark
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, Not, Rule, Test
from fastfold.store import prefixed, process_digest
from fastfold.types import COLUMNS, KINDS

__all__ = ["EVIDENCE_BYTES", "Marker", "event_digest", "rule_digest"]

EVIDENCE_BYTES = 1024
"""Longest text of evidence, UTF-8; longer ones are cut at a character."""

_ALWAYS_SHOWN = ("image", "command_line", "user", "parent")
_DIGEST_BYTES = 8
_NOTHING = bytes(_DIGEST_BYTES)


# A process of many events is met many times.
_process_scope = lru_cache(maxsize=4096)(process_digest)


def rule_digest(rule: Rule) -> bytes:
    """Eight bytes that name a rule and its version in marks."""
    return _digest(b"fastfold.rule", prefixed(rule.id), prefixed(rule.version))


def event_digest(process: str, kind: str, texts: Mapping[str, str]) -> bytes:
    """Eight bytes of all that an event says but when and where: process id, kind and the texts of its columns."""
    named = [bytes((number,)) + prefixed(texts[name]) for number, name in enumerate(COLUMNS) if name in texts]
    return _digest(b"fastfold.event", prefixed(process), bytes((KINDS.index(kind),)), *named)


def _digest(person: bytes, *parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=_DIGEST_BYTES, person=person).digest()


def _cut(text: str, limit: int) -> str:
    if 4 * len(text) <= limit:
        return text
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")


def _columns_of(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Test | Exists):
        yield condition.column
    elif isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from _columns_of(part)
    elif isinstance(condition, Not):
        yield from _columns_of(condition.part)


class Marker:
    """Makes the marks of one step of a rule.

    Parameters
    ----------
    rule : Rule
    step : int
        Number of the step; the number of steps for `unless`.
    evidence_bytes : int
        Longest text of evidence.

    Attributes
    ----------
    name : str
        Of rule and step, for a person.
    condition : Condition
    in_process : bool
        Whether marks of one process only are matched with each other.
    group : tuple of str
    """

    def __init__(self, rule: Rule, step: int, evidence_bytes: int = EVIDENCE_BYTES) -> None:
        is_unless = step == len(rule.steps)
        found = rule.unless if is_unless else rule.steps[step]
        if found is None:
            raise ValueError(f"rule {rule.id!r} has no step {step}")
        self.name = f"rule {rule.id}, step {found.name}"
        self.condition = found.condition
        self.in_process = rule.scope == "process"
        self.group = rule.group
        self._rule = rule_digest(rule)
        self._step = step
        self._value = rule.column if rule.type == "distinct" and not is_unless else ""
        self._evidence_bytes = evidence_bytes
        seen = {*_columns_of(self.condition), *rule.group, self._value}
        self._shown = (*_ALWAYS_SHOWN, *(name for name in COLUMNS if name in seen and name not in _ALWAYS_SHOWN))

    def mark(self, time_ns: int, process: str, kind: str, texts: Mapping[str, str], event: bytes) -> Mark | None:
        """The mark of an event that meets the step.

        Parameters
        ----------
        time_ns : int
        process, kind : str
        texts : mapping of str to str
            By column, and the ids as ``process`` and ``host``; what is absent is left out.
        event : bytes
            Its `event_digest`.

        Returns
        -------
        Mark or None
            ``None`` where a text of the group is absent or empty, or that of a ``distinct`` rule is absent.
        """
        group = [texts.get(name, "") for name in self.group]
        if not all(group) or (self._value and self._value not in texts):
            return None
        value = _digest(b"fastfold.value", texts[self._value].encode()) if self._value else _NOTHING
        limit = self._evidence_bytes
        evidence = tuple([(name, _cut(texts[name], limit)) for name in self._shown if name in texts])
        scope = self._scope(process, group)
        return Mark(self._rule, self._step, scope, time_ns, event, value, process, kind, evidence)

    def _scope(self, process: str, group: list[str]) -> bytes:
        if group:
            owner = prefixed(process) if self.in_process else b""
            return _digest(b"fastfold.group", owner, *map(prefixed, group))
        return _process_scope(process) if self.in_process else _NOTHING
