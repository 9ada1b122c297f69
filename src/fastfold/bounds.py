"""How large the value of a process may become, from nothing but its fold definition.

A limit on the compressed size would depend on what zstd makes of the texts that are kept, and so on
the order in which files arrive.  The limit is therefore one on the payload, which is never smaller
than what is stored, but for a few bytes that are counted here.  What a payload can take at most::

    fixed    outer form, base, counts, numbers and times, texts of `first` and `last` at their longest
    sets     of each: its reserve and one member more
    pool     what is left of `value_bytes`: shared by the members of all sets beyond their reserves
    identity tenant, host and process id, taken out of the pool

A member weighs its bytes and `MEMBER_COST`.  The members of all sets are kept in order of time (then
set, then text) until their set is full or, once it has its reserve, the pool is used up.  A set is
full with `limit` members or once they weigh `bytes`; it is then charged the most that it can weigh,
because what it weighs may still change, and what the others may keep must not.  Each of these rules
looks only at what stands before a member, and a member that was once dropped has all that dropped it
before it for ever: so merges in any order keep the same (ARCHITECTURE.md has the proof).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastfold.errors import ConfigError
from fastfold.types import KINDS, OPS, Limits

if TYPE_CHECKING:
    from fastfold.schema_types import FoldDefinition, Reducer

__all__ = [
    "MEMBER_COST",
    "READ_BYTES",
    "check_value_bytes",
    "full_bytes",
    "least_value_bytes",
    "most_value_bytes",
    "pool_bytes",
]

MEMBER_COST = 12
"""Most bytes of a member beside its text: end, shared beginning, mark of a cut, time.

Times of members are differences that add up to less than 2^64 units, so only one of a set has ten bytes.
"""

READ_BYTES = 32_768
"""Longest text that is read, where today's limit is smaller: there was a time when such texts were kept."""

_VARINT = 10
_OUTER = 2 + 5 + 4
_BASE = 1 + _VARINT
_IDENTITY = 1 + 3
_BLOCK = 1 << 17
_FRAME = 20


def full_bytes(reducer: Reducer) -> int:
    """The most that the members of a set can weigh: they are fewer than `bytes`, or the last went past it."""
    return reducer.bytes + reducer.text_bytes + MEMBER_COST - 1


def least_value_bytes(definition: FoldDefinition) -> int:
    """Bytes that a value may take before any set goes beyond its reserve, without the identity."""
    blocks = definition.value_bytes // _BLOCK
    outer = _OUTER + (_FRAME + 3 * blocks if blocks else 0)
    return outer + _BASE + _IDENTITY + 1 + sum(_reducer_bytes(one) for one in definition.reducers)


def pool_bytes(definition: FoldDefinition) -> int:
    """What the members of all sets may weigh beyond their reserves, the identity not yet taken off."""
    return definition.value_bytes - least_value_bytes(definition)


def most_value_bytes(definition: FoldDefinition, identity_bytes: int) -> int:
    """The most that a value may take, whatever a process does.

    Parameters
    ----------
    definition : FoldDefinition
    identity_bytes : int
        Longest tenant, host or process id.
    """
    return max(definition.value_bytes, least_value_bytes(definition) + 3 * identity_bytes)


def check_value_bytes(definition: FoldDefinition, limits: Limits) -> None:
    """See that no value can become larger than is allowed.

    Raises
    ------
    ConfigError
        With the bytes that one could take.
    """
    most = most_value_bytes(definition, limits.identity_bytes)
    if most > limits.value_bytes:
        raise ConfigError(
            f"fold definition {definition.name!r} could give values of {most} bytes, allowed are {limits.value_bytes}: "
            "lower its value_bytes or its limits, or raise limit_value_bytes"
        )


def _reducer_bytes(reducer: Reducer) -> int:
    head = _varint_bytes(reducer.tag << 3 | len(OPS) - 1)
    if reducer.op == "count":
        return head + _VARINT + _VARINT * len(reducer.kinds or KINDS)
    if reducer.op == "sum":
        return head + _VARINT
    if reducer.op == "set":
        member = reducer.text_bytes + MEMBER_COST
        members = min(reducer.reserve_bytes + member, reducer.limit * member)
        return head + 3 + (reducer.limit + 7) // 8 + members
    return head + 1 + _VARINT + (reducer.text_bytes + 1 if reducer.text_bytes else 0)


def _varint_bytes(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)
