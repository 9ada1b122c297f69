"""Sigma rules and Sigma correlations, read by pySigma, to rules of ours.

A detection rule becomes a ``count`` of one event in process scope: it alerts once for each process.  A correlation
becomes what its type says; the rules it refers to are its steps, and raise nothing of their own unless it says
``generate: true``.  Whatever cannot be honoured is an error that names rule and feature: docs/rules.md has the table.

pySigma (LGPL-2.1) comes with the extra ``sigma``; it is imported here and in `sigma_conditions`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sigma.correlations import (
    CorrelationConditionAND,
    SigmaCorrelationCondition,
    SigmaCorrelationConditionOperator,
    SigmaCorrelationRule,
    SigmaCorrelationType,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from fastfold.errors import RuleError
from fastfold.rules.read import LEAST_MOST, STEPS_MOST, Outcome
from fastfold.rules.sigma_conditions import Refused, Walk
from fastfold.rules.sigma_fields import CATEGORIES, UNKNOWN_CATEGORIES, Category
from fastfold.rules.types import LEVELS, Condition, Level, Rule, RuleType, Scope, Step
from fastfold.rules.values import SPAN_MOST_NS, any_of
from fastfold.rules.version import versioned
from fastfold.rules.yaml import Node
from fastfold.types import COLUMNS

__all__ = ["read_sigma"]

_LEVEL: Level = "medium"
"""Of a rule that does not say."""

_NS = 1_000_000_000
_TYPES: Mapping[SigmaCorrelationType, RuleType] = {
    SigmaCorrelationType.EVENT_COUNT: "count",
    SigmaCorrelationType.VALUE_COUNT: "distinct",
    SigmaCorrelationType.TEMPORAL: "all",
    SigmaCorrelationType.TEMPORAL_ORDERED: "sequence",
}
# What pySigma raises on documents that are no rules at all, besides its own errors.
_MALFORMED = (SigmaError, AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Detection:
    """A detection rule as far as a correlation needs it."""

    name: str
    category: Category
    condition: Condition
    absent: tuple[str, ...]


def read_sigma(given: Sequence[tuple[str, Node]], *, lenient: bool = False) -> Iterator[Outcome]:
    """What each of some documents is: all that are loaded, because correlations refer to rules in other files.

    Parameters
    ----------
    given : sequence of (str, Node)
        Each the name of a file and a document of it, which is a mapping.
    lenient : bool
        See `sigma_conditions.Walk`.

    Yields
    ------
    Outcome
        One for each document, in order.
    """
    read = [_Reading(file, document, lenient) for file, document in given]
    by_reference: dict[str, _Reading] = {}
    for one in read:
        for name in one.references():
            by_reference.setdefault(name, one)
    for one in read:
        one.correlate(by_reference)
    for one in read:
        yield one.outcome()


class _Reading:
    """One document on its way to a rule."""

    def __init__(self, file: str, document: Node, lenient: bool) -> None:
        self.file = file
        self.node = document
        self.lenient = lenient
        self.parsed: SigmaRule | SigmaCorrelationRule | None = None
        self.detection: _Detection | None = None
        self.rule: Rule | None = None
        self.error: RuleError | None = None
        self.silent = False
        self.absent: tuple[str, ...] = ()
        assert isinstance(document.value, dict)
        self.values: dict[str, Node] = document.value
        self.guarded(self.parse)

    def references(self) -> Iterator[str]:
        for key in ("id", "name"):
            if key in self.values and self.values[key].is_text:
                yield self.values[key].text

    def title(self) -> str:
        title = (node.text for key, node in self.values.items() if key == "title")
        return next(chain(self.references(), title), "")

    def guarded(self, work: Callable[[], None]) -> None:
        """Keep what is wrong with this document, instead of ending all."""
        try:
            work()
        except Refused as refused:
            self.fail(refused.reason, refused.field)
        except _MALFORMED as error:
            reason = str(error) if isinstance(error, SigmaError) else f"is no rule of Sigma: {error}"
            self.fail(" ".join(reason.split()))

    def fail(self, reason: str, field: str = "") -> None:
        if self.error is None:
            line = _line_of(self.node, field) or self.node.line
            self.error = RuleError(self.file, reason, line, self.title(), field)

    # A document by itself

    def parse(self) -> None:
        for key, reason in (
            ("filter", "filters are not read: write the exception into the rule"),
            ("action", "collections by action are not read: write each rule out"),
        ):
            if key in self.values:
                raise Refused(reason, key)
        plain = self.node.plain()
        if "correlation" in self.values:
            self.parsed = SigmaCorrelationRule.from_dict(plain)
        else:
            self.parsed = SigmaRule.from_dict(plain)
        if not next(self.references(), ""):
            raise Refused("has neither id nor name")
        if isinstance(self.parsed, SigmaRule):
            self.detect(self.parsed)

    def detect(self, parsed: SigmaRule) -> None:
        category = _category(parsed)
        walk = Walk(category, self.lenient)
        condition = walk.whole([one.parse() for one in parsed.detection.parsed_condition])
        self.absent = tuple(dict.fromkeys(walk.absent))
        self.detection = _Detection(parsed.name or parsed.title, category, condition, self.absent)
        self.rule = self.make("count", (Step("event", condition),), 0, "process", (), 1)

    def make(
        self,
        kind: RuleType,
        steps: tuple[Step, ...],
        within_ns: int,
        scope: Scope,
        group: tuple[str, ...],
        least: int,
        column: str = "",
        suppress_ns: int = 0,
    ) -> Rule:
        parsed = self.parsed
        assert parsed is not None
        level = next((word for word in LEVELS if parsed.level is not None and word == str(parsed.level)), _LEVEL)
        return versioned(
            Rule(
                id=str(parsed.id or parsed.name),
                version="",
                title=parsed.title,
                description=(parsed.description or "").strip(),
                level=level,
                tags=tuple(dict.fromkeys(map(str, parsed.tags))),
                references=tuple(dict.fromkeys(map(str, parsed.references))),
                type=kind,
                steps=steps,
                within_ns=within_ns,
                scope=scope,
                group=group,
                least=least,
                column=column,
                suppress_ns=suppress_ns,
                source=f"{self.file}:{self.node.line}",
            )
        )

    def outcome(self) -> Outcome:
        if self.error is not None:
            return Outcome(self.error)
        return Outcome(None if self.silent else self.rule, self.absent)

    # A correlation, when all documents are known

    def correlate(self, known: dict[str, _Reading]) -> None:
        if self.error is None and isinstance(self.parsed, SigmaCorrelationRule):
            parsed = self.parsed
            self.guarded(lambda: self.correlated(parsed, known))

    def correlated(self, parsed: SigmaCorrelationRule, known: dict[str, _Reading]) -> None:
        kind = _TYPES.get(parsed.type)
        if kind is None:
            raise Refused(f"the correlation {parsed.type.name.lower()} is not honoured", "type")
        rules = self.referred(parsed, known)
        aliases = {alias.alias: {r.reference: f for r, f in alias.mapping.items()} for alias in parsed.aliases}
        scope, group = self.scoped(parsed, rules, aliases)
        span_ns = parsed.timespan.seconds * _NS
        if span_ns > SPAN_MOST_NS:
            raise Refused(f"timespan {parsed.timespan.spec} is too long", "timespan")
        least, column = 1, ""
        if kind in ("count", "distinct"):
            least = _least(parsed, self.node)
            conditions = [rule.condition for rule in rules.values()]
            steps: tuple[Step, ...] = (Step("event", any_of(conditions)),)
            if kind == "distinct":
                column = _counted(parsed, rules, aliases)
        else:
            titles = [rule.name for rule in rules.values()]
            # Two rules may have one title; what the correlation calls them is different.
            named = titles if len(set(titles)) == len(titles) else list(rules)
            steps = tuple(Step(name, rule.condition) for name, rule in zip(named, rules.values(), strict=True))
            _check_temporal(parsed, list(rules))
        self.absent = tuple(dict.fromkeys(field for rule in rules.values() for field in rule.absent))
        self.rule = self.make(kind, steps, span_ns, scope, group, least, column, span_ns)
        if not parsed.generate:
            for name in rules:
                known[name].silent = True

    def referred(self, parsed: SigmaCorrelationRule, known: dict[str, _Reading]) -> dict[str, _Detection]:
        names = _names(parsed)
        if not names:
            raise Refused("refers to no rules", "rules")
        if len(set(names)) < len(names):
            raise Refused("refers to one rule twice", "rules")
        if len(names) > STEPS_MOST:
            raise Refused(f"refers to {len(names)} rules; at most {STEPS_MOST}", "rules")
        rules: dict[str, _Detection] = {}
        for name in names:
            one = known.get(name)
            if one is None:
                raise Refused(f"refers to {name}, which is not among the rules", "rules")
            if one.error is not None:
                raise Refused(f"refers to {name}, which is refused: {one.error.reason}", "rules")
            if one.detection is None:
                raise Refused(f"refers to {name}, a correlation itself", "rules")
            rules[name] = one.detection
        return rules

    def scoped(
        self, parsed: SigmaCorrelationRule, rules: dict[str, _Detection], aliases: dict[str, dict[str, str]]
    ) -> tuple[Scope, tuple[str, ...]]:
        """Scope and group that ``group-by`` stands for."""
        columns = {_column(field, rules, aliases): None for field in parsed.group_by or ()}
        if "process" in columns:
            return "process", tuple(column for column in columns if column in COLUMNS)
        if "host" not in columns:
            raise Refused(
                "is over several hosts: group-by must name the host (Computer) or the process (ProcessGuid), because"
                " what has been seen is kept per host",
                "group-by" if parsed.group_by else "",
            )
        return "host", tuple(column for column in columns if column in COLUMNS)


def _category(parsed: SigmaRule) -> Category:
    source = parsed.logsource
    if source.category is None or (source.service is not None and source.service != "sysmon"):
        given = {"category": source.category, "product": source.product, "service": source.service}
        words = ", ".join(f"{key} {word}" for key, word in given.items() if word is not None)
        raise Refused(f"the log source {words} is not one of events of processes", "logsource")
    category = CATEGORIES.get(source.category)
    if category is None:
        reason = UNKNOWN_CATEGORIES.get(source.category, f"known are {', '.join(CATEGORIES)}")
        raise Refused(f"the category {source.category} is not honoured: {reason}", "logsource")
    return category


def _names(parsed: SigmaCorrelationRule) -> list[str]:
    if parsed.rules is not None:
        return [str(rule.reference) for rule in parsed.rules]
    assert isinstance(parsed.condition, SigmaExtendedCorrelationCondition)
    return parsed.condition.get_referenced_rules()


def _column(field: str, rules: dict[str, _Detection], aliases: dict[str, dict[str, str]]) -> str:
    """The one column that a field, or what it is an alias for, is in all of the rules."""
    found: dict[str, None] = {}
    for name, rule in rules.items():
        own = aliases[field].get(name) if field in aliases else field
        if own is None:
            raise Refused(f"the alias {field} does not say what it is of {name}", "aliases")
        column = {"ProcessId": "process"}.get(own) or rule.category.fields.get(own)
        if column is None or (column not in COLUMNS and column not in ("process", "host")):
            raise Refused(f"{own} of {name} has no column of its own", field)
        found[column] = None
    if len(found) > 1:
        raise Refused(f"{field} is not one column in all rules, but {', '.join(found)}", field)
    return next(iter(found))


def _least(parsed: SigmaCorrelationRule, node: Node) -> int:
    condition = parsed.condition
    assert isinstance(condition, SigmaCorrelationCondition)
    operator = condition.op
    if operator not in (SigmaCorrelationConditionOperator.GTE, SigmaCorrelationConditionOperator.GT):
        raise Refused(
            f"the condition {operator.name.lower()} is not honoured: what has been seen can only become more, so "
            "gt and gte are",
            "condition",
        )
    # As it is written: some versions of pySigma cut it to a whole number.
    written = node.plain()["correlation"]["condition"][operator.name.lower()]
    if not isinstance(written, int) or isinstance(written, bool):
        raise Refused(f"{written} is no whole number", "condition")
    least = written + (operator is SigmaCorrelationConditionOperator.GT)
    if not 1 <= least <= LEAST_MOST:
        raise Refused(f"{least} is not within 1 to {LEAST_MOST}: no more events are kept of a step", "condition")
    return least


def _counted(parsed: SigmaCorrelationRule, rules: dict[str, _Detection], aliases: dict[str, dict[str, str]]) -> str:
    assert isinstance(parsed.condition, SigmaCorrelationCondition)
    field = parsed.condition.fieldref
    if not isinstance(field, str):
        raise Refused("value_count of several fields is not honoured", "field")
    column = _column(field, rules, aliases)
    if column not in COLUMNS:
        raise Refused(f"values of {field} are not counted: it is no column", "field")
    return column


def _check_temporal(parsed: SigmaCorrelationRule, names: list[str]) -> None:
    condition = parsed.condition
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        found = list(_conjunction(condition.parsed))
        if found != names:
            raise Refused("the condition must name all rules in their order, with and between", "condition")
    elif (condition.op, condition.count) != (SigmaCorrelationConditionOperator.GTE, len(names)):
        raise Refused("a condition on the number of rules is not honoured: all of them must match", "condition")


def _conjunction(node: object) -> Iterator[str]:
    if isinstance(node, SigmaRuleReference):
        yield node.reference
    elif isinstance(node, CorrelationConditionAND):
        for part in node.args:
            yield from _conjunction(part)
    else:
        raise Refused("a condition with or and not is not honoured", "condition")


def _line_of(node: Node, field: str) -> int | None:
    """The first line with a key of this name, with or without modifiers, or this text in a list."""
    if not field:
        return None
    parts: Iterable[tuple[str, Node]] = ()
    if isinstance(node.value, dict):
        parts = node.value.items()
    elif isinstance(node.value, list):
        parts = ((part.text, part) for part in node.value)
    for key, part in parts:
        if key.split("|")[0] == field:
            return part.line
        line = _line_of(part, field)
        if line is not None:
            return line
    return None
