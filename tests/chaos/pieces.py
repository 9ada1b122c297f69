"""The real files in pieces, and what the reference makes of those that were delivered."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from fastfold import reference
from fastfold.schema import load_definition, load_schema
from fastfold.states import State
from states import Identity

__all__ = ["Pieces", "Truth", "events_of"]

PIECE_LINES = 60
MOST_BYTES = 160_000
"""Larger files are left out: they are the same records again and again, and the reference is slow."""

_SCHEMA, _DEFINITION = load_schema("sysmon"), load_definition("process")


class Pieces:
    """Pieces of the real files as files of their own, in random order, again and again."""

    def __init__(self, files: list[Path], choice: random.Random) -> None:
        self._all = [
            b"".join(lines[start : start + PIECE_LINES])
            for path in files
            if path.stat().st_size <= MOST_BYTES
            for lines in [gzip.decompress(path.read_bytes()).splitlines(keepends=True)]
            for start in range(0, len(lines), PIECE_LINES)
        ]
        choice.shuffle(self._all)
        self._next: Iterator[bytes] = itertools.cycle(self._all)

    def take(self, count: int) -> list[bytes]:
        """The next pieces, as text."""
        return list(itertools.islice(self._next, count))


class Truth:
    """The states of all that was delivered, by the reference; what is delivered again counts again."""

    # A piece comes up in many key spaces, and the reference is slow.
    _folded: dict[bytes, dict[Identity, State]] = {}

    def __init__(self) -> None:
        self._states: dict[Identity, State] = {}
        self._payloads: dict[Identity, bytes] = {}
        self._waiting: list[bytes] = []

    def add(self, text: bytes) -> None:
        """A batch was delivered that nothing is wrong with."""
        self._waiting.append(text)

    def payloads(self) -> dict[Identity, bytes]:
        """The canonical payload of every process."""
        waiting, self._waiting = self._waiting, []
        changed = set()
        for text in waiting:
            states = self._folded.get(text)
            if states is None:
                states = self._folded[text] = reference.fold(text, _SCHEMA, _DEFINITION)
            for identity, state in states.items():
                known = self._states.get(identity)
                merged = state if known is None else reference.merge_states(known, state, _DEFINITION)
                self._states[identity] = merged
                changed.add(identity)
        for identity in changed:
            self._payloads[identity] = reference.encode(self._states[identity], _DEFINITION)
        return dict(self._payloads)


def events_of(payload: bytes) -> int:
    """How many events a state holds."""
    counts = reference.decode(payload, _DEFINITION).values["counts"]
    assert isinstance(counts, dict)
    return sum(counts.values())
