"""The episodes of a seed: number `n` of seed `s` is the same on every machine with the same files."""

from __future__ import annotations

import random

from fastfold._core import use_simd
from fastfold.errors import ConfigError
from fuzz.episode import LIMITS, Episode, Variant
from fuzz.formats import SCHEMAS
from fuzz.mutate import Maker
from fuzz.seeds import collect_seeds, wanted_keys
from property.strategies import DEFINITIONS

__all__ = ["Episodes", "instruction_sets"]

# Texts of an episode: enough that making its readers costs little, few enough that windows, which
# grow with the longest line, are still small in most of them.
_TEXTS = 12
_WINDOWS = (64, 64, 65, 100, 127, 128, 200, 449, 512, 1000, 4096, 1 << 18)
_WHOLE = (1 << 20,)


def instruction_sets() -> tuple[str, ...]:
    """What this machine can run, the oracle first."""
    found = []
    for name in ("scalar", "avx2", "avx512", "neon"):
        try:
            use_simd(name)  # type: ignore[arg-type]  # not all are known everywhere
        except ConfigError:
            continue
        found.append(name)
    return tuple(found)


class Episodes:
    """Makes episodes.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.sets = instruction_sets()
        self.makers = {name: Maker(collect_seeds(name), _keys(name)) for name in SCHEMAS}
        # Of one format there are real records.
        self.names = [*SCHEMAS, "sysmon", "sysmon"]

    def __getitem__(self, number: int) -> Episode:
        rng = random.Random(f"{self.seed} {number}")
        name = rng.choice(self.names)
        maker = self.makers[name]
        # Mostly of one shape: a reader may remember it from text to text.
        seed = rng.choice(maker.seeds) if rng.random() < 0.7 else None
        texts = tuple(maker.text(rng, seed) for _ in range(_TEXTS))
        definition = rng.choice(("", *DEFINITIONS))
        limits = rng.choice(("default", "default", "default", *LIMITS))
        return Episode(name, definition, limits, self._variants(rng), texts)

    def _variants(self, rng: random.Random) -> tuple[Variant, ...]:
        """Every instruction set in two windows, and where the text lies."""
        ways = [(rng.choice(_WINDOWS), _sizes(rng), in_place) for in_place in (False, False, True)]
        return tuple(Variant(name, *way) for way in ways for name in self.sets)


def _sizes(rng: random.Random) -> tuple[int, ...]:
    """Sizes of the pieces in turn; single bytes now and then, since each piece costs a call."""
    chance = rng.random()
    if chance < 0.45:
        return _WHOLE
    if chance < 0.46:
        return (1,)
    if chance < 0.7:
        return (rng.randint(20, 300),)
    return (*(rng.choice((1, 2, 3, 7, 20, 63, 64, 65)) for _ in range(rng.randint(1, 5))), rng.randint(100, 1000))


def _keys(name: str) -> list[bytes]:
    """Keys a schema wants, and some near them."""
    wanted = wanted_keys(name)
    return [*wanted, *(key[:-1] for key in wanted), *(key + b"x" for key in wanted), b"", b"unwanted"]
