"""What a record schema and a fold definition are, once read and checked.

Frozen dataclasses, the words their fields are made of, and the one thing that needs thought:
`Schema.expand`, which says in what places of a record a path may be found.  `fastfold.schema` loads
them, the core compiles them, `fastfold.reference.records` is their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fastfold.types import VALUE_LIMIT_BYTES

__all__ = [
    "ALTERNATIVES",
    "CONDITION_OPS",
    "EMBEDDED",
    "EVENTS_PER_RECORD",
    "ID_FORMS",
    "LAST",
    "MAPPINGS_PER_WHEN",
    "OUTCOMES",
    "PATH_KEYS",
    "SOURCE_FORMS",
    "TIME_FORMS",
    "Condition",
    "EventMapping",
    "FoldDefinition",
    "Reducer",
    "Schema",
    "Source",
    "TimeSource",
    "expand_paths",
]

TIME_FORMS = ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "epoch_s_or_filetime", "audit")
ID_FORMS = ("guid", "text")
SOURCE_FORMS = ("text", "id", "endpoint", "registry", "words")
CONDITION_OPS = ("equals", "starts", "ends", "contains", "has")

# Most mappings for one discriminator value, wildcards included, and most of them that may hold for
# one record: the core keeps both in fixed room.  Of more that hold, the first in the order of the
# file count.
MAPPINGS_PER_WHEN = 12
EVENTS_PER_RECORD = 2

# Most keys in a path with its root, and most alternatives a field may have once expanded.
PATH_KEYS = 6
ALTERNATIVES = 64

# Most places where JSON may stand inside a string.
EMBEDDED = 4

# The end of a key whose value is an array of objects, of which the last counts.
LAST = "[-1]"

# What records without an event are counted under besides the reasons of `require`.
OUTCOMES = ("not_object", "kind", "host", "process", "time", "identity", "embedded")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the text of a column, or the id of a process, comes from.

    Attributes
    ----------
    paths : tuple of str
        Alternatives; the first that is present counts.
    form : str
        ``text``; ``id``, treated as a process id; ``endpoint``, an address with a port; ``registry``,
        a key with the name of a value; ``words``, all scalars of an array with a space between.
    tail : tuple of str
        Alternatives for the port of an endpoint or the name of a registry value.
    parts : tuple of str
        Of an id: one path each, joined with ``:`` when none of `paths` is present.
    absent : tuple of str
        Texts that count as absent; not of an id.
    """

    paths: tuple[str, ...]
    form: str = "text"
    tail: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeSource:
    """One way to the time of a record.

    Attributes
    ----------
    paths : tuple of str
    form : str
        One of `TIME_FORMS`.
    """

    paths: tuple[str, ...]
    form: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of a field's text; an absent field passes only a negated one.

    Attributes
    ----------
    paths : tuple of str
    op : str
        ``equals``, ``starts``, ``ends`` or ``contains``, with any of `values`; or ``has``: one of the
        parts between bars (``A | B``) is any of `values`.
    values : tuple of str
    negate : bool
    reason : str
        What a record that fails is counted under; only of the conditions of `Schema.require`.
    """

    paths: tuple[str, ...]
    op: str
    values: tuple[str, ...]
    negate: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EventMapping:
    """What event a record gives.

    Attributes
    ----------
    when : tuple of str
        Values of the discriminator; a ``*`` at the start or the end stands for any text.
    kind : str
    process : Source
        Of the form ``id``.
    where : tuple of Condition
        All must hold.
    columns : dict of str to Source
        The schema's defaults included.
    """

    when: tuple[str, ...]
    kind: str
    process: Source
    where: tuple[Condition, ...]
    columns: dict[str, Source]

    def is_for(self, value: str) -> bool:
        """Whether one of `when` matches a value of the discriminator, which is not empty."""
        return any(_matches(pattern, value) for pattern in self.when)


@dataclass(frozen=True, slots=True)
class Schema:
    """One vendor format.

    Attributes
    ----------
    name : str
    version : int
    description : str
    roots : tuple of str
        Every path is tried under each; ``""`` is the record itself.
    tenant, host, discriminator : tuple of str
        Paths; `tenant` may be empty.
    times : tuple of TimeSource
        The first that is present counts, and must be readable in its form.
    require : tuple of Condition
        Looked at in order before anything else.
    id_form : str
    unknown_ids : tuple of str
        Process ids that mean "unknown", in the form of ids.
    events : tuple of EventMapping
    embedded : tuple of str
        Top-level keys whose value, when it is a string, is JSON text that holds fields.
    detect : tuple of tuple of str
        A record looks like this format when all paths of one of them are present.
    """

    name: str
    version: int
    description: str
    roots: tuple[str, ...]
    tenant: tuple[str, ...]
    host: tuple[str, ...]
    discriminator: tuple[str, ...]
    times: tuple[TimeSource, ...]
    require: tuple[Condition, ...]
    id_form: str
    unknown_ids: tuple[str, ...]
    events: tuple[EventMapping, ...]
    embedded: tuple[str, ...] = ()
    detect: tuple[tuple[str, ...], ...] = ()

    def expand(self, paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """The alternatives of a field in the order they are tried, as sequences of keys.

        Parameters
        ----------
        paths : tuple of str

        Returns
        -------
        tuple of tuple of str
            Path by path, for each root by root; of each, nested keys before dotted ones.  A key
            that ends in ``[-1]`` is followed by keys of the last element of its array.
        """
        return expand_paths(self.roots, paths)

    def columns(self) -> frozenset[str]:
        """The columns that some event can fill."""
        return frozenset(name for event in self.events for name in event.columns)


@dataclass(frozen=True, slots=True)
class Reducer:
    """One part of a state.

    Attributes
    ----------
    tag : int
        Its number in stored values, never used again for another.
    name : str
    op : str
        One of `fastfold.types.OPS`.
    column : str or None
        A column, or ``time``; ``None`` for ``count``.
    kinds : tuple of str
        The kinds of events it sees; empty means all.
    limit : int
        Most members of a set; 0 for other ops.
    text_bytes : int
        Longest text kept, in bytes of UTF-8; 0 for ops that keep none.
    bytes : int
        What the members of a set may weigh before it is full; 0 for other ops.
    reserve_bytes : int
        What the members of a set may weigh whatever other sets hold.
    """

    tag: int
    name: str
    op: str
    column: str | None
    kinds: tuple[str, ...]
    limit: int
    text_bytes: int
    bytes: int = 0
    reserve_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FoldDefinition:
    """What a state is made of.

    Attributes
    ----------
    name : str
    version : int
    description : str
    reducers : tuple of Reducer
        In order of their tags.
    ttl_s : int
        Life of a state after its last write, seconds; 0 leaves it to the setting.
    value_bytes : int
        Most bytes that the value of a process may take; `fastfold.bounds` has the rules that keep it there.
    """

    name: str
    version: int
    description: str
    reducers: tuple[Reducer, ...]
    ttl_s: int = 0
    value_bytes: int = VALUE_LIMIT_BYTES

    def columns(self) -> frozenset[str]:
        """The columns that some reducer reads (``time`` is not one)."""
        return frozenset(r.column for r in self.reducers if r.column is not None and r.column != "time")


@lru_cache(maxsize=4096)
def expand_paths(roots: tuple[str, ...], paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """See `Schema.expand`."""
    sequences: dict[tuple[str, ...], None] = {}
    for path in paths:
        for root in roots:
            full = f"{root}.{path}" if root else path
            sequences.update(dict.fromkeys(_groupings(full.split("."))))
    return tuple(sequences)


def _groupings(keys: list[str]) -> list[tuple[str, ...]]:
    """All ways to read dotted keys, the most nested first: ``a.b`` is a then b, or one key "a.b".

    What stands in an array has keys of its own: no dotted key reaches over a ``[-1]``.
    """
    found: list[tuple[str, ...]] = []
    for count in range(1, len(keys)):
        head = ".".join(keys[:count])
        found += [(head, *rest) for rest in _groupings(keys[count:])]
        if keys[count - 1].endswith(LAST):
            return found
    return [*found, (".".join(keys),)]


def _matches(pattern: str, value: str) -> bool:
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern
