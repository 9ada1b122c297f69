"""CPU time of rewriting a state: expand, merge, compress, as a commit does for a whole host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fastfold._core import Dictionary, Plan, identity, merge_group
from fastfold.dictionaries import OWN_IDS, compressed_part, find_dictionaries, train
from fastfold.types import Limits
from fastfold.values import ZSTD_LEVEL, Codec, ValueForm
from state_source import Fleet

__all__ = ["Times", "time_states"]

LEVELS = (1, 3, 4, 5, 6, 9, 12, 19)
GROUP = 64
"""States in one call: a host of usual size."""
REPEAT = 7


@dataclass(frozen=True, slots=True)
class Times:
    """Of one size of states, microseconds each."""

    level: int
    title: str
    payload_bytes: float
    value_bytes: float
    expand_us: float
    merge_us: float
    compress_us: float


def time_states(fleet: Fleet, judged: Fleet) -> list[Times]:
    """By level at the median and at the mean size, and by size at the level that is the default."""
    payloads = sorted(judged.payloads.values(), key=len)
    middle = len(payloads) // 2
    sizes = {"all (mean)": payloads, "around the median": payloads[max(middle - 100, 0) : middle + 100]}
    trained = fleet is not judged
    times = []
    plan = Plan(None, fleet.definition, Limits())
    content = find_dictionaries()[-1].content
    if trained:
        others = [compressed_part(payload) for name, payload in fleet.payloads.items() if name not in judged.payloads]
        content = train(others, OWN_IDS[0], "another fleet").content
    for level in LEVELS:
        codec = Codec(ValueForm((Dictionary(OWN_IDS[0], content, level),), OWN_IDS[0], level))
        times += [_time(plan, codec, level, title, some) for title, some in sizes.items()]
    codec = Codec(ValueForm((Dictionary(OWN_IDS[0], content, ZSTD_LEVEL),), OWN_IDS[0], ZSTD_LEVEL))
    step = len(payloads) // 10
    for tenth in (0, 2, 4, 6, 8, 9):
        some = payloads[tenth * step : (tenth + 1) * step]
        times.append(_time(plan, codec, ZSTD_LEVEL, f"{10 * tenth} to {10 * tenth + 10} % by size", some))
    return times


def _time(plan: Plan, codec: Codec, level: int, title: str, payloads: list[bytes]) -> Times:
    groups = _group(payloads)
    values = [(host, codec.pack_all(group)) for host, group in groups]
    count = len(payloads)
    return Times(
        level,
        title,
        sum(map(len, payloads)) / count,
        sum(len(value) for _, group in values for value in group) / count,
        _least(lambda: [codec.unpack_all(group, None, host) for host, group in values]) / count * 1e6,
        # A state with itself: the delta is as large as the state, which is more than it ever is.
        _least(lambda: [merge_group(plan, group, group) for _, group in groups]) / count * 1e6,
        _least(lambda: [codec.pack_all(group) for _, group in groups]) / count * 1e6,
    )


def _group(payloads: list[bytes]) -> list[tuple[tuple[str, str], list[bytes]]]:
    """States of one host each, as a commit has them."""
    by_host: dict[tuple[str, str], list[bytes]] = {}
    for payload in payloads:
        by_host.setdefault(identity(payload)[:2], []).append(payload)
    return [(host, some[at : at + GROUP]) for host, some in by_host.items() for at in range(0, len(some), GROUP)]


def _least(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(REPEAT):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)
