"""Where the marks of one scope key meet a rule.

A match is a choice of marks (`fastfold.rules.types`); what is asked is which stretches of time have one, and one match
of each to show.  Any match ends with some mark, so it is enough to look at each mark as the last of a match, and to ask
how late a match that ends there could have begun: if that is within the span, there is one.

    sequence   before the last step the latest mark of the step before it that is not later, and so on: to take a
               later one never takes away a choice
    all        of every other step the latest mark that is not later than the last
    count      the last `least` marks; distinct: the fewest marks up to it with `least` values

`unless` only rules out marks as the first of a match: it looks at the time from there, wherever the match ends.

Every mark is looked at once, with a bisection for each step: n log n.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fastfold.detection.record import Found
from fastfold.rules.types import Rule

__all__ = ["Match", "evaluate", "stretch_of"]


class Match(NamedTuple):
    """That a stretch of time has matches: the one that ends first, and of those that end there the latest to begin.

    Attributes
    ----------
    stretch : int
    found : tuple of Found
        The marks chosen, in order of time.
    repeats : int
        Other marks in the stretch that end a match.
    """

    stretch: int
    found: tuple[Found, ...]
    repeats: int


class _Marks:
    """Marks of one step, ascending."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.found = found
        self.times = [one.mark.time_ns for one in found]

    def latest(self, time_ns: int) -> int:
        """Place of the latest that is not after a time; -1 for none."""
        return bisect_right(self.times, time_ns) - 1

    def only(self, usable: Callable[[int], bool]) -> _Marks:
        return _Marks([one for one, time_ns in zip(self.found, self.times, strict=True) if usable(time_ns)])


_Ending = Iterator[tuple[Found, list[Found]]]
"""Every mark that ends a match, ascending, with a match that it ends."""


def stretch_of(rule: Rule, last_ns: int) -> int:
    """The stretch of event time in which one alert is enough."""
    return last_ns // rule.suppress_ns if rule.suppress_ns else 0


def evaluate(rule: Rule, steps: Mapping[int, Sequence[Found]], newest_ns: int | None) -> list[Match]:
    """The matches of a rule for one scope key.

    Parameters
    ----------
    rule : Rule
    steps : mapping of int to sequence of Found
        Marks by step, each ascending by (time, event); those of `unless` under the number of steps.
    newest_ns : int or None
        Time of the newest event of the host: what `unless` looks for is not there only once the span is over.

    Returns
    -------
    list of Match
        By stretch, ascending.
    """
    count = len(rule.steps)
    marks = [_Marks(steps.get(step, ())) for step in range(count)]
    if not any(one.found for one in marks):
        return []
    usable = _usable(rule, steps.get(count, ()), newest_ns)
    endings = _ENDINGS[rule.type](rule, marks, [one.only(usable) for one in marks] if rule.unless else marks)
    first: dict[int, list[Found]] = {}
    ends: Counter[int] = Counter()
    for last, match in endings:
        stretch = stretch_of(rule, last.mark.time_ns)
        first.setdefault(stretch, match)
        ends[stretch] += 1
    return [Match(stretch, tuple(first[stretch]), ends[stretch] - 1) for stretch in sorted(first)]


def _usable(rule: Rule, unless: Sequence[Found], newest_ns: int | None) -> Callable[[int], bool]:
    """Whether a match may begin at a time."""
    times = [one.mark.time_ns for one in unless]

    def usable(time_ns: int) -> bool:
        end_ns = time_ns + rule.within_ns
        over = newest_ns is not None and newest_ns > end_ns
        return over and bisect_left(times, time_ns) == bisect_right(times, end_ns)

    return usable


def _sequence(rule: Rule, marks: Sequence[_Marks], first: Sequence[_Marks]) -> _Ending:
    steps = [first[0], *marks[1:]]
    for last, time_ns in zip(steps[-1].found, steps[-1].times, strict=True):
        match, at_ns = [last], time_ns
        for step in reversed(steps[:-1]):
            place = step.latest(at_ns)
            if place < 0:
                break
            match.append(step.found[place])
            at_ns = step.times[place]
        if len(match) == len(steps) and time_ns - at_ns <= rule.within_ns:
            yield last, match[::-1]


def _all(rule: Rule, marks: Sequence[_Marks], first: Sequence[_Marks]) -> _Ending:
    if len(marks) == 1:
        yield from _sequence(rule, marks, first)
        return
    ends = [(*_order(one), step, one) for step, found in enumerate(marks) for one in found.found]
    for time_ns, _, own, last in sorted(ends):
        latest = {step: found.latest(time_ns) for step, found in enumerate(marks) if step != own}
        if min(latest.values()) < 0:
            continue
        match = {step: marks[step].found[place] for step, place in latest.items()}
        latest_ns = min(marks[step].times[place] for step, place in latest.items())
        # The first of the match must be one that may be first: of any step but that of the last.
        begins = [(first[step].latest(latest_ns), step) for step in latest]
        begins = [(first[step].times[place], -step) for place, step in begins if place >= 0]
        if not begins:
            continue
        begin_ns, step = max(begins)
        match[-step] = first[-step].found[first[-step].latest(latest_ns)]
        if time_ns - begin_ns <= rule.within_ns:
            yield last, [*sorted(match.values(), key=_order), last]


def _count(rule: Rule, marks: Sequence[_Marks], first: Sequence[_Marks]) -> _Ending:
    found = marks[0].found
    for end in range(rule.least - 1, len(found)):
        chosen = list(found[end - rule.least + 1 : end + 1])
        begin = _begin(rule, chosen, first[0])
        if begin is not None:
            yield found[end], chosen if begin is chosen[0] else [begin, *(chosen[1:] or chosen)]


def _distinct(rule: Rule, marks: Sequence[_Marks], first: Sequence[_Marks]) -> _Ending:
    found = marks[0].found
    held: Counter[bytes] = Counter()
    start = 0
    for end, one in enumerate(found):
        held[one.mark.value] += 1
        if len(held) < rule.least:
            continue
        # As few as do: until the first is the only one of its value.
        while held[found[start].mark.value] > 1 or len(held) > rule.least:
            value = found[start].mark.value
            held[value] -= 1
            if not held[value]:
                del held[value]
            start += 1
        chosen = found[start : end + 1]
        begin = _begin(rule, chosen, first[0])
        if begin is not None:
            last_of = {other.mark.value: other for other in chosen}
            match = sorted(last_of.values(), key=_order)
            yield one, match if begin is chosen[0] else [begin, *match]


def _begin(rule: Rule, chosen: Sequence[Found], first: _Marks) -> Found | None:
    """The latest mark that a match may begin with to hold all that is chosen; ``None`` if it would be too long."""
    place = bisect_right(first.found, _order(chosen[0]), key=_order) - 1
    earliest_ns = chosen[-1].mark.time_ns - rule.within_ns
    return first.found[place] if place >= 0 and first.times[place] >= earliest_ns else None


def _order(found: Found) -> tuple[int, bytes]:
    return found.mark.time_ns, found.mark.event


_ENDINGS: dict[str, Callable[[Rule, Sequence[_Marks], Sequence[_Marks]], _Ending]] = {
    "sequence": _sequence,
    "all": _all,
    "count": _count,
    "distinct": _distinct,
}
