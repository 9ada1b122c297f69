"""The two implementations, the reference and the core, behind one face of canonical payloads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fastfold import reference
from fastfold._core import Folder, Plan
from fastfold._core import decode as core_decode
from fastfold._core import encode as core_encode
from fastfold._core import merge as core_merge
from fastfold.reference import Identity
from fastfold.schema import FoldDefinition, Schema
from fastfold.states import State
from fastfold.types import FoldCounts, Limits

__all__ = ["CORE", "IMPLEMENTATIONS", "REFERENCE", "VERSIONS", "Implementation", "core_fold", "feed", "plan_of"]

Payloads = dict[Identity, bytes]
VERSIONS = (1, 2, 3)


@dataclass(frozen=True)
class Implementation:
    name: str
    fold: Callable[[bytes, Schema, FoldDefinition, Limits], tuple[Payloads, FoldCounts]]
    merge: Callable[[bytes, bytes, FoldDefinition], bytes]
    encode: Callable[..., bytes]
    decode: Callable[[bytes, FoldDefinition], State]

    def __repr__(self) -> str:
        return self.name

    def merge_all(self, a: Payloads, b: Payloads, definition: FoldDefinition) -> Payloads:
        both = a.keys() & b.keys()
        return {**a, **b, **{name: self.merge(a[name], b[name], definition) for name in both}}


def _reference_fold(
    data: bytes, schema: Schema, definition: FoldDefinition, limits: Limits
) -> tuple[Payloads, FoldCounts]:
    reading = reference.read_lines(data, schema, limits, definition.columns())
    states = reference.fold_events(reading.events, definition)
    return {name: reference.encode(state, definition) for name, state in states.items()}, reading.counts


def _reference_merge(a: bytes, b: bytes, definition: FoldDefinition) -> bytes:
    merged = reference.merge_states(reference.decode(a, definition), reference.decode(b, definition), definition)
    return reference.encode(merged, definition)


def feed(folder: Folder, data: bytes, sizes: Iterable[int]) -> Iterator[None]:
    """Hand `data` to a folder in pieces of at most `sizes`; yields after each."""
    folder.begin()
    at = 0
    for size in sizes:
        room = folder.window()
        count = min(size, len(room), len(data) - at)
        room[:count] = data[at : at + count]
        folder.advance(count)
        at += count
        yield
        if at == len(data):
            return


# Plans are immutable, and compiling one takes longer than folding a short file.  They keep their
# schema and definition alive, so that no other takes the place of one in memory.
_plans: dict[tuple[int, int, Limits], Plan] = {}


def plan_of(schema: Schema | None, definition: FoldDefinition, limits: Limits | None = None) -> Plan:
    key = (id(schema), id(definition), limits or Limits())
    if key not in _plans:
        _plans[key] = Plan(schema, definition, key[2])
    return _plans[key]


def core_fold(
    data: bytes,
    schema: Schema,
    definition: FoldDefinition,
    limits: Limits | None = None,
    window_bytes: int = 4096,
    sizes: Iterable[int] = (1 << 20,),
) -> tuple[Payloads, FoldCounts]:
    """Fold with the core, whose window has `window_bytes`, handing over pieces of `sizes` in turn."""
    folder = Folder(plan_of(schema, definition, limits), window_bytes)
    for _ in feed(folder, data, itertools.cycle(sizes)):
        pass
    deltas = folder.finish()
    payloads = {
        (host.tenant, host.host, process): payload
        for host in deltas
        for process, payload in zip(host.processes, host.payloads, strict=True)
    }
    assert len(payloads) == len(deltas)
    assert list(payloads) == sorted(payloads)
    return payloads, deltas.counts


REFERENCE = Implementation("reference", _reference_fold, _reference_merge, reference.encode, reference.decode)
CORE = Implementation(
    "core",
    core_fold,
    lambda a, b, definition: core_merge(plan_of(None, definition), a, b),
    lambda state, definition, version=3: core_encode(plan_of(None, definition), state, version),
    lambda payload, definition: core_decode(plan_of(None, definition), payload),
)
IMPLEMENTATIONS = (REFERENCE, CORE)
