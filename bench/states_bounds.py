"""What the sets of a state may keep together, in plain Python: the rules are those of `fastfold.bounds`."""

from __future__ import annotations

__all__ = ["SET_LIMIT", "Member", "bound_sets"]

Member = tuple[str, tuple[str, bool]]
"""Time, and a text with whether it was cut."""

SET_LIMIT = 64
COST = 12
FULL = 96 * SET_LIMIT
RESERVE = 128
POOL = 9276
# What a full set is counted as: it could have one member of the greatest length more.
FULL_AS = tuple(FULL + most + COST - 1 for most in (512, 512, 64, 256, 512, 512, 128, 128))


def bound_sets(sets: list[list[Member]], identity_bytes: int) -> tuple[list[list[Member]], list[bool]]:
    """The members that are kept, and which sets have reached a bound.

    Parameters
    ----------
    sets : list of list of Member
        Each in order, with at most `SET_LIMIT` members.
    identity_bytes : int
        Bytes of tenant, host and process id.
    """
    pool = POOL - identity_bytes
    weights = [sum(_weight(member) for member in members) for members in sets]
    taken = sum(_excess(which, len(members), weights[which]) for which, members in enumerate(sets))
    full = [weight >= FULL or (weight >= RESERVE and taken >= pool) for weight in weights]
    if taken < pool and max(weights) < FULL:
        return sets, full
    kept: list[list[Member]] = [[] for _ in sets]
    held = [0] * len(sets)
    for _, which, member in sorted((one[0], which, one) for which, members in enumerate(sets) for one in members):
        taken = sum(_excess(other, len(kept[other]), held[other]) for other in range(len(sets)))
        if held[which] < FULL and (held[which] < RESERVE or taken < pool):
            kept[which].append(member)
            held[which] += _weight(member)
    return kept, full


def _weight(member: Member) -> int:
    return len(member[1][0].encode()) + COST


def _excess(which: int, count: int, weight: int) -> int:
    counted = FULL_AS[which] if count == SET_LIMIT or weight >= FULL else weight
    return max(counted - RESERVE, 0)
