"""Rules over the files of a scenario, what these find in a file, and the alerts that must come of it.

An event is of the kind that stands for its file, so a step is a set of files.  Marks are made by the program's own
`fastfold.detection.marks.Marker`; only the search for events that meet a step is left out, as is the parser:
neither has a part in the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from fastfold.detection.detecting import DetectionRules
from fastfold.detection.mark_types import HostMarks, Mark
from fastfold.detection.marks import Marker, event_digest
from fastfold.detection.record import DetectionLimits
from fastfold.reference.detection import reference_alerts
from fastfold.rules.types import KindIn, Level, Rule, RuleType, Scope, Step
from fastfold.types import KINDS

__all__ = ["Due", "Owner", "alerts_due", "draw_rules", "event_ns", "marks_of", "of_rules", "told"]

SECOND_NS = 1_000_000_000
START_S = 1_600_000_000


def event_ns(number: int) -> int:
    """Time of the events of a file: not in the order of the files."""
    return (START_S + number * 7 % 11) * SECOND_NS


def draw_rules(random: Random, files: int) -> tuple[Rule, ...]:
    """One rule to three, over files of these numbers."""
    return tuple(_draw_rule(random, f"rule-{number}", files) for number in range(random.randint(1, 3)))


def _draw_rule(random: Random, id_: str, files: int) -> Rule:
    type_: RuleType = random.choice(("sequence", "sequence", "all", "count", "distinct"))
    many = type_ in ("sequence", "all")
    scope: Scope = random.choice(("process", "host"))
    steps = tuple(_draw_step(random, f"step-{place}", files) for place in range(random.randint(2, 3) if many else 1))
    levels: tuple[Level, ...] = ("low", "high")
    return Rule(
        id=id_,
        version=f"{random.getrandbits(64):016x}",
        title=f"A {type_} in a {scope}",
        description="",
        level=random.choice(levels),
        tags=(),
        references=(),
        type=type_,
        steps=steps,
        within_ns=random.choice((3, 6, 20)) * SECOND_NS,
        scope=scope,
        least=1 if many else 2,
        column="file" if type_ == "distinct" else "",
        unless=_draw_step(random, "unless", files) if random.random() < 0.15 else None,
        suppress_ns=random.choice((0, 0, 4 * SECOND_NS)),
    )


def told(rule: Rule) -> str:
    """A rule in one line; a step as the numbers of the files that meet it."""
    named = [f"{step.name} {_numbers(step)}" for step in _steps(rule)]
    spans = f"within {rule.within_ns // SECOND_NS} s, suppress {rule.suppress_ns // SECOND_NS} s"
    return f"{rule.id} ({rule.level}): {rule.type} in a {rule.scope} of {', '.join(named)}, {spans}"


def _steps(rule: Rule) -> list[Step]:
    return [*rule.steps, *([rule.unless] if rule.unless else [])]


def _numbers(step: Step) -> list[int]:
    assert isinstance(step.condition, KindIn)
    return sorted(KINDS.index(kind) for kind in step.condition.kinds)


def _draw_step(random: Random, name: str, files: int) -> Step:
    """Met by the events of a few files."""
    numbers = random.sample(range(files), min(files, random.randint(1, 3)))
    return Step(name, KindIn(frozenset(KINDS[number] for number in numbers)))


@lru_cache(maxsize=256)
def of_rules(rules: tuple[Rule, ...], raised_per_host: int) -> DetectionRules:
    """The rules as the detection takes them."""
    return DetectionRules.of(rules, DetectionLimits(raised_per_host=raised_per_host))


@lru_cache(maxsize=256)
def marks_of(rules: tuple[Rule, ...], host: str, processes: tuple[str, ...], number: int) -> HostMarks:
    """What rules find in the events of a file on a host."""
    texts = {"image": f"{number}.exe", "file": f"file-{number % 3}"}
    kind, at = KINDS[number], event_ns(number)
    marks = set()
    for rule in rules:
        for step, found in enumerate(_steps(rule)):
            if number in _numbers(found):
                marker = Marker(rule, step)
                marks |= {marker.mark(at, process, kind, texts, _event(process, kind, number)) for process in processes}
    return HostMarks("", host, at, tuple(sorted(mark for mark in marks if mark is not None)))


def _event(process: str, kind: str, number: int) -> bytes:
    return event_digest(process, kind, {"image": f"{number}.exe"})


@dataclass(frozen=True)
class Owner:
    """Whose alert one is: all copies of it name the same."""

    rule: str
    host: str
    process: str


@dataclass(frozen=True)
class Due:
    """The alerts of all hosts, by id.

    Attributes
    ----------
    must : mapping of str to Owner
        Those that must have been delivered.
    may : mapping of str to Owner
        Those that may have been.
    """

    must: Mapping[str, Owner]
    may: Mapping[str, Owner]


def alerts_due(
    rules: Sequence[Rule],
    host: str,
    held: Iterable[Mark],
    ever: Iterable[Mark],
    gone: Iterable[Mark],
    newest_ns: int,
    *,
    whole: bool,
) -> Due:
    """What the reference says of one host.

    Parameters
    ----------
    rules : sequence of Rule
    host : str
    held : iterable of Mark
        Of all that the states hold.
    ever : iterable of Mark
        Of all that they may have held at a time: a failover takes no alert back.
    gone : iterable of Mark
        Of files that cannot be read again: where one may have completed a match, nothing must be.
    newest_ns : int
        Time of the newest event that the states hold.
    whole : bool
        Whether the states hold all files of the host, and all can be read again.  Otherwise nothing must be of a rule
        with `unless`: what it asks not to be there may have been there, or what decided it is gone.
    """
    closed = {(mark.rule, mark.scope) for mark in gone}
    sound = [mark for mark in held if (mark.rule, mark.scope) not in closed]
    must = _reference([rule for rule in rules if whole or rule.unless is None], host, sound, newest_ns)
    # While the span is open, or before the mark that rules it out has come, an alert is as good as one without.
    return Due(must, _reference([replace(rule, unless=None) for rule in rules], host, ever, newest_ns))


def _reference(rules: Iterable[Rule], host: str, marks: Iterable[Mark], newest_ns: int) -> dict[str, Owner]:
    found: dict[str, Owner] = {}
    for rule in rules:
        for process, own in _by_process(rule, marks).items():
            owner = Owner(rule.id, host, process)
            found.update((id_, owner) for id_ in reference_alerts([rule], "", host, own, newest_ns))
    return found


def _by_process(rule: Rule, marks: Iterable[Mark]) -> dict[str, list[Mark]]:
    """The marks of each process, in process scope; else all of them."""
    owner: Callable[[Mark], str] = (lambda mark: mark.process) if rule.scope == "process" else (lambda mark: "")
    by_process: dict[str, list[Mark]] = {}
    for mark in marks:
        by_process.setdefault(owner(mark), []).append(mark)
    return by_process
