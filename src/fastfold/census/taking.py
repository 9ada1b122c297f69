"""The census itself: from keys to a report.

With few keys, or when asked to, every key is looked at (SCAN); else keys at random, from each master in proportion
to what it holds (RANDOMKEY).  Of each key: MEMORY USAGE and PTTL, and of our own also the value.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from fastfold.census.costs import ReducerCost, reducer_costs
from fastfold.census.totals import Census, Estimate, Observation, age_of, spread
from fastfold.config import Settings
from fastfold.decoding import UNREADABLE, Decoder, is_detection_key, is_host_key
from fastfold.dictionaries import dictionary_for
from fastfold.errors import CorruptValue, UnknownForm
from fastfold.keyspace import SCAN_COUNT, KeySize, Keyspace, Pace
from fastfold.resp import Node
from fastfold.scan_progress import Progress
from fastfold.schema import load_definition
from fastfold.states import State
from fastfold.values import ValueForm

__all__ = ["Report", "Wish", "take"]

_LEAST_SAMPLE = 100
"""Keys looked at of a node, however few of all it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to take the census.

    Attributes
    ----------
    exact : bool
        Look at every key, however many there are.
    sample : int
        Keys to look at otherwise; with no more keys than this it is exact anyway.
    states : int
        States, of those looked at, on which the cost of reducers is measured.
    top : int
        Hosts and processes to name.
    keys_per_s : float
        0 for no limit.
    seed : int or None
        Of the choice of states for the reducers.
    """

    exact: bool = False
    sample: int = 20_000
    states: int = 2000
    top: int = 10
    keys_per_s: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a census found; of the values of each form that is not known here, the first that was met."""

    exact: bool
    keys: int
    used_bytes: int | None
    census: Census
    reducers: list[ReducerCost]
    reducer_states: int
    top: int
    unknown_forms: list[UnknownForm]

    def to_dict(self) -> dict[str, object]:
        """The report for a program."""
        census = self.census
        sizes = spread(census.state_sizes)
        return {
            "exact": self.exact,
            "keys": self.keys,
            "looked_at": census.looked_at,
            "confidence": None if self.exact else 0.95,
            "used_bytes": self.used_bytes,
            "total": _numbers(census.estimate("all", "")),
            "state_bytes": None if sizes is None else sizes._asdict(),
            "kinds": [{"kind": name} | _numbers(found) for name, found in census.groups("kind")],
            "tenants": [{"tenant": name} | _numbers(found) for name, found in census.groups("tenant")],
            "ages": [{"age": name} | _numbers(found) for name, found in census.groups("age")],
            "versions": [{"version": name} | _numbers(found) for name, found in census.groups("version")],
            "dictionaries": [{"dictionary": name} | _numbers(found) for name, found in census.groups("dictionary")],
            "hosts": [
                {"tenant": name[0], "host": name[1]} | _numbers(found)  # type: ignore[index]
                for name, found in census.groups("host")[: self.top]
            ],
            "processes": [
                {
                    "tenant": seen.tenant,
                    "host": seen.host,
                    "process": seen.process,
                    "key": seen.key.decode(errors="backslashreplace"),
                    "bytes": seen.memory_bytes,
                }
                for seen in census.largest()
            ],
            "reducer_states": self.reducer_states,
            "reducers": [_cost_numbers(cost) for cost in self.reducers],
            "unknown_forms": [error.what for error in self.unknown_forms],
        }


def _numbers(found: Estimate) -> dict[str, object]:
    return {name: _finite(value) for name, value in found._asdict().items()}


def _finite(value: float) -> float | None:
    # JSON has no infinity: of one key nobody can tell how sure it is.
    return value if math.isfinite(value) else None


def _cost_numbers(cost: ReducerCost) -> dict[str, object]:
    numbers: dict[str, object] = {
        "name": cost.name,
        "op": cost.op,
        "states": cost.states,
        "bytes_per_state": cost.bytes_per_state,
        "margin": _finite(cost.margin),
        "share": cost.share,
    }
    if cost.limit:
        saved = {str(limit): saved for limit, saved in cost.at_limit.items()}
        numbers |= {"limit": cost.limit, "members": cost.members, "full": cost.full, "saved_at_limit": saved}
    return numbers


def take(settings: Settings, wish: Wish, definition: str, progress: Progress) -> Report:
    """Look at the keys.

    Parameters
    ----------
    settings : Settings
    wish : Wish
    definition : str
    progress : Progress
    """
    # Weighed is what the workers would write, where the settings are theirs.
    form = ValueForm.load(
        dictionary_for(settings.dictionary, settings.state_version), settings.zstd_level, settings.dictionary_folder
    )
    with closing(Keyspace(settings, Pace(wish.keys_per_s))) as keyspace:
        decoder = Decoder(load_definition(definition), settings.limits, form, keyspace.get_many)
        populations = {node: keyspace.key_count(node) for node in keyspace.nodes}
        total = sum(populations.values())
        exact = wish.exact or total <= wish.sample
        taking = _Taking(keyspace, decoder, settings, wish)
        progress.begin("looking at keys", total if exact else wish.sample)
        for node, population in populations.items():
            taking.census.begin(node, None if exact else population)
            for keys in taking.pages(node) if exact else taking.sample(node, population, total):
                taking.look(node, keys)
                progress.step(len(keys))
        used_bytes = keyspace.used_bytes()
    states = taking.states
    progress.begin("weighing reducers", len(decoder.definition.reducers))
    costs = []
    for cost in reducer_costs(states, decoder) if states else ():
        costs.append(cost)
        progress.step(1)
    return Report(exact, total, used_bytes, taking.census, costs, len(states), wish.top, list(taking.unknown.values()))


class _Taking:
    """Keys to observations; some states are put by for the reducers."""

    def __init__(self, keyspace: Keyspace, decoder: Decoder, settings: Settings, wish: Wish) -> None:
        self.census = Census(wish.top)
        self.states: list[State] = []
        self.unknown: dict[str, UnknownForm] = {}
        self._keyspace = keyspace
        self._decoder = decoder
        self._wish = wish
        self._life_s = decoder.definition.ttl_s or settings.state_ttl_s
        self._record_life_s = self._life_s + settings.ledger_window_s
        tag = rb"[A-Za-z0-9_-]{11}"
        self._ours = re.compile(re.escape(settings.namespace.encode()) + rb"\{" + tag + rb"\}(?:" + tag + rb")?")
        self._random = random.Random(wish.seed)  # noqa: S311 - a sample, no secret
        self._met_states = 0

    def pages(self, node: Node) -> Iterator[list[bytes]]:
        """All keys of a node."""
        return self._keyspace.pages(b"*", node)

    def sample(self, node: Node, population: int, total: int) -> Iterator[list[bytes]]:
        """Keys of a node at random, as many as is its share."""
        wanted = max(round(self._wish.sample * population / total), _LEAST_SAMPLE) if population else 0
        for start in range(0, wanted, SCAN_COUNT):
            yield self._keyspace.random_keys(node, min(SCAN_COUNT, wanted - start))

    def look(self, node: Node, keys: Sequence[bytes]) -> None:
        """Count some keys."""
        ours = [key for key in keys if self._ours.fullmatch(key)]
        values = dict(zip(ours, self._keyspace.get_many(ours), strict=True))
        self._decoder.learn(ours)
        for key, size in zip(keys, self._keyspace.size_many(keys), strict=True):
            if size is None:  # expired since it was met
                continue
            if key not in values:
                self.census.add(node, Observation(size.memory_bytes, "not ours", key))
                continue
            value = values[key]
            if value is not None:
                self.census.add(node, self._observe(key, value, size))

    def _observe(self, key: bytes, value: bytes | CorruptValue, size: KeySize) -> Observation:
        try:
            if isinstance(value, CorruptValue):
                raise value
            version, dictionary = self._decoder.form(value)
            if is_host_key(key):
                record = self._decoder.host_record(key, value)
                age = age_of(size.life_ms, self._record_life_s)
                names = ("host record", key, record.tenant, record.host, "")
            elif is_detection_key(key):
                found = self._decoder.detection_record(key, value)
                age = age_of(size.life_ms, self._record_life_s)
                names = ("detection record", key, found.tenant, found.host, "")
            else:
                names = ("state", key, *self._decoder.identity(key, value))
                age = age_of(size.life_ms, self._life_s)
                self._keep(key, value)
        except UNREADABLE as error:
            # Counted by its kind, and told by the exit code; `inspect --scan` names each.
            if isinstance(error, UnknownForm):
                self.unknown.setdefault(error.what, error)
            return Observation(size.memory_bytes, "unreadable", key)
        return Observation(size.memory_bytes, *names, age, version, dictionary)

    def _keep(self, key: bytes, value: bytes) -> None:
        """Each state that is met is kept with the same chance (reservoir sampling)."""
        self._met_states += 1
        if len(self.states) < self._wish.states:
            self.states.append(self._decoder.state(key, value))
        elif (place := self._random.randrange(self._met_states)) < self._wish.states:
            self.states[place] = self._decoder.state(key, value)
