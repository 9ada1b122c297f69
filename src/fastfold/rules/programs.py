"""The conditions of all rules, compiled together: what `fastfold._core.Conditions` is made of.

A *pattern* is a comparison with a text; equal ones of all rules and columns are one.  An *atom* is a pattern in a
column.  Plain comparisons are found by the core, all in one pass; the others are *looked up* in Python, each for the
distinct texts of its columns, and most only for texts that the core has found a required text in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fastfold._core import KEY_PLACES, Conditions
from fastfold.errors import ConfigError
from fastfold.rules.comparisons import caseless, caseless_points
from fastfold.rules.required_text import required_text
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Operator, Test
from fastfold.types import KINDS

__all__ = ["Lookup", "Programs", "compile_conditions"]

_PLAIN: tuple[Operator, ...] = ("contains", "startswith", "endswith", "equals")
"""By their numbers in the core."""

_ATOM, _KINDS, _EXISTS, _ALL, _ANY, _NOT = range(6)
_DEPTH = 64
"""Of the deepest condition: the core goes down by recursion."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A comparison that the core does not make.

    Attributes
    ----------
    pattern : int
        Its number.
    operator : str
    value : str
    cased : bool
    columns : list of str
        Where rules look for it.
    gate : int or None
        Number of the pattern without which it cannot hold.
    owner : str
        The first that asks for it: a step, for a person.
    """

    pattern: int
    operator: Operator
    value: str
    cased: bool
    columns: list[str]
    gate: int | None
    owner: str


@dataclass(frozen=True, slots=True)
class Programs:
    """What was compiled.

    Attributes
    ----------
    conditions : Conditions
    lookups : tuple of Lookup
    """

    conditions: Conditions
    lookups: tuple[Lookup, ...]


def compile_conditions(conditions: Sequence[Condition], names: Sequence[str]) -> Programs:
    """Compile the conditions of steps; their numbers are their places.

    Parameters
    ----------
    conditions : sequence of Condition
    names : sequence of str
        What to call each in an error.

    Raises
    ------
    ConfigError
        A condition is nested too deep, or all texts together are too long.
    """
    for name, condition in zip(names, conditions, strict=True):
        if _is_deep(condition):
            raise ConfigError(f"{name}: the condition is nested deeper than {_DEPTH}")
    compiler = _Compiler(conditions, names)
    programs = [compiler.program(condition) for condition in conditions]
    guards: list[list[int]] = [[] for _ in compiler.atoms]
    always = []
    for step, condition in enumerate(conditions):
        atoms = compiler.guards(condition)
        if atoms is None:
            always.append(step)
        else:
            for atom in set(atoms):
                guards[atom].append(step)
    uses: list[list[tuple[int, int]]] = [[] for _ in range(compiler.pattern_count)]
    for (column, pattern), atom in compiler.atoms.items():
        uses[pattern].append((KEY_PLACES[column], atom))
    core = Conditions(list(compiler.plain), uses, programs, guards, always, caseless_points())
    return Programs(core, tuple(compiler.lookups()))


@dataclass(slots=True)
class _Compiler:
    """Numbers patterns and atoms.

    Attributes
    ----------
    plain : list
        Patterns for the core, gates among them; those looked up are numbered behind them.
    atoms : dict
        Number of an atom, by column and pattern.
    """

    conditions: Sequence[Condition]
    names: Sequence[str]
    plain: list[tuple[int, bytes, bytes, bool]] = field(default_factory=list)
    atoms: dict[tuple[str, int], int] = field(default_factory=dict)
    _tests: dict[Test, int | None] = field(default_factory=dict)
    _patterns: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    _elsewhere: list[tuple[Test, list[str], int | None, str]] = field(default_factory=list)
    _mentions: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        tests = [list(_tests_of(condition)) for condition in self.conditions]
        owners = {
            test: name for name, of_step in zip(reversed(self.names), reversed(tests), strict=True) for test in of_step
        }
        elsewhere: dict[tuple[str, str, bool], tuple[list[str], list[Test]]] = {}
        for test in dict.fromkeys(test for of_step in tests for test in of_step):
            if test.operator in _PLAIN and test.value:
                self._tests[test] = self._atom(test.column, self._plain(test))
            elif test.operator in _PLAIN and test.operator != "equals":
                self._tests[test] = None
            else:
                columns, same = elsewhere.setdefault((test.operator, test.value, test.cased), ([], []))
                columns.append(test.column)
                same.append(test)
        gates = [self._gate(same[0]) for _, same in elsewhere.values()]
        for gate, (columns, same) in zip(gates, elsewhere.values(), strict=True):
            pattern = len(self.plain) + len(self._elsewhere)
            self._elsewhere.append((same[0], columns, gate, owners[same[0]]))
            for test in same:
                self._tests[test] = self._atom(test.column, pattern)
        self._mentions.update(atom for of_step in tests for test in of_step if (atom := self._tests[test]) is not None)

    @property
    def pattern_count(self) -> int:
        return len(self.plain) + len(self._elsewhere)

    def lookups(self) -> Iterator[Lookup]:
        for number, (test, columns, gate, owner) in enumerate(self._elsewhere):
            pattern = len(self.plain) + number
            yield Lookup(pattern, test.operator, test.value, test.cased, columns, gate, owner)

    def program(self, condition: Condition) -> list[int]:
        """The nodes of a condition, as conditions.pxi has them."""
        if isinstance(condition, KindIn):
            return [_KINDS, 3, sum(1 << KINDS.index(kind) for kind in condition.kinds)]
        if isinstance(condition, Exists):
            return [_EXISTS, 3, KEY_PLACES[condition.column]]
        if isinstance(condition, Test):
            atom = self._tests[condition]
            # Every text contains the empty one.
            return [_EXISTS, 3, KEY_PLACES[condition.column]] if atom is None else [_ATOM, 3, atom]
        op = {AllOf: _ALL, AnyOf: _ANY, Not: _NOT}[type(condition)]
        words = [word for part in _parts(condition) for word in self.program(part)]
        return [op, 2 + len(words), *words]

    def guards(self, condition: Condition) -> list[int] | None:
        """Atoms of which at least one holds where the condition does; ``None`` if there are no such.

        Of several choices the one that fewest conditions speak of: it is likely to be the rarest in events.
        """
        if isinstance(condition, Test):
            atom = self._tests[condition]
            return None if atom is None else [atom]
        if isinstance(condition, AnyOf):
            of_parts = [self.guards(part) for part in condition.parts]
            known = [atom for atoms in of_parts if atoms is not None for atom in atoms]
            return None if None in of_parts else known
        if isinstance(condition, AllOf):
            choices = [atoms for part in condition.parts if (atoms := self.guards(part)) is not None]
            return min(choices, key=self._cost, default=None)
        return None

    def _cost(self, atoms: list[int]) -> int:
        return sum(self._mentions[atom] for atom in atoms)

    def _atom(self, column: str, pattern: int) -> int:
        return self.atoms.setdefault((column, pattern), len(self.atoms))

    def _plain(self, test: Test) -> int:
        value = test.value if test.cased else caseless(test.value)
        written = test.value.encode() if test.cased else b""
        return self._pattern(test.operator, value, written, is_gate=False)

    def _gate(self, test: Test) -> int | None:
        text = required_text(test.value) if test.operator == "re" else ""
        return self._pattern("contains", text, b"", is_gate=True) if text else None

    def _pattern(self, operator: Operator, value: str, written: bytes, *, is_gate: bool) -> int:
        key = ("gate" if is_gate else operator, value if written else caseless(value), bool(written))
        if key not in self._patterns:
            self._patterns[key] = len(self.plain)
            self.plain.append((_PLAIN.index(operator), caseless(value).encode(), written, is_gate))
        return self._patterns[key]


def _parts(condition: Condition) -> tuple[Condition, ...]:
    if isinstance(condition, AllOf | AnyOf):
        return condition.parts
    return (condition.part,) if isinstance(condition, Not) else ()


def _tests_of(condition: Condition) -> Iterator[Test]:
    if isinstance(condition, Test):
        yield condition
    for part in _parts(condition):
        yield from _tests_of(part)


def _is_deep(condition: Condition) -> bool:
    level = [condition]
    for _ in range(_DEPTH):
        level = [part for above in level for part in _parts(above)]
    return bool(level)
