"""What a rule is, once it has been read: frozen values without behaviour of a file format or a stage.

A rule has steps; a step is a condition over one event.  An event that meets a step leaves a *mark*.  Marks of
all events are kept per host, and a *match* is a choice of marks that meets the rule::

    sequence    one mark of each step, in the order of the steps (equal times count as in order), within the span
    all         one mark of each step, in any order, within the span
    count       at least `least` marks of the step within the span
    distinct    marks of the step with at least `least` distinct values of `column` within the span

Marks are matched only with marks of the same *scope key*: the process, the host, or the texts of `group`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "LEVELS",
    "AllOf",
    "AnyOf",
    "Condition",
    "Exists",
    "KindIn",
    "Level",
    "Not",
    "Operator",
    "Rule",
    "RuleType",
    "Scope",
    "Step",
    "Test",
]

Level = Literal["informational", "low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = ("informational", "low", "medium", "high", "critical")
"""From the least to the most severe, as Sigma names them."""

RuleType = Literal["sequence", "all", "count", "distinct"]
Scope = Literal["process", "host"]
Operator = Literal["equals", "contains", "startswith", "endswith", "re", "cidr", "gt", "gte", "lt", "lte"]


@dataclass(frozen=True, slots=True)
class KindIn:
    """The event is of one of these kinds.

    Attributes
    ----------
    kinds : frozenset of str
        Words of `fastfold.types.KINDS`.
    """

    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Test:
    """The text of a column passes a comparison; an absent text passes none.

    Attributes
    ----------
    column : str
        A word of `fastfold.types.COLUMNS`, or ``process`` or ``host``: the ids.
    operator : str
    value : str
        What to compare with: a text, a regular expression (RE2 syntax), a network (``10.0.0.0/8``) or a number.
    cased : bool
        Whether upper and lower case are told apart; by default they are not (Unicode simple folding for plain
        texts), as Sigma defines it.
    """

    column: str
    operator: Operator
    value: str
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """The column has a text, be it empty."""

    column: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition


Condition = KindIn | Test | Exists | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Step:
    """One condition of a rule, by name.

    Attributes
    ----------
    name : str
        Unique in its rule.
    condition : Condition
    """

    name: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that has been checked.

    Attributes
    ----------
    id : str
        Unique among the rules loaded; never changes while the rule means the same.
    version : str
        Sixteen hexadecimal digits: BLAKE2b of all that decides what matches.  Another version begins with no marks.
    title, description : str
    level : Level
    tags, references : tuple of str
        ATT&CK techniques as ``attack.t1003.001``.
    type : RuleType
    steps : tuple of Step
        In order; exactly one for ``count`` and ``distinct``.
    within_ns : int
        Longest span from the first to the last mark of a match, nanoseconds; that long still matches.  0: all marks
        of a match have one time.
    scope : Scope
        Whose marks are matched with each other.
    group : tuple of str
        Columns whose texts must be equal as well; a mark with an absent or empty one is none.
    least : int
        Of ``count`` and ``distinct``; 1 elsewhere.
    column : str
        Of ``distinct``; empty elsewhere.
    unless : Step or None
        A match during whose span, from its first mark for `within_ns`, this was met is none.  Decided when an event
        of the host past that span has been committed, never before; without one it stays undecided.
    suppress_ns : int
        One alert for each such stretch of event time, counted from 1970 (by the last mark of the match); 0: one alert
        for each scope key and no more.
    source : str
        File and line it was read from.
    """

    id: str
    version: str
    title: str
    description: str
    level: Level
    tags: tuple[str, ...]
    references: tuple[str, ...]
    type: RuleType
    steps: tuple[Step, ...]
    within_ns: int
    scope: Scope
    group: tuple[str, ...] = ()
    least: int = 1
    column: str = ""
    unless: Step | None = None
    suppress_ns: int = 0
    source: str = ""
