from collections.abc import Iterator
from typing import Any, Literal, final

import numpy
from numpy.typing import NDArray
from typing_extensions import Self, disjoint_base

from fastfold.schema import FoldDefinition, Schema
from fastfold.states import State
from fastfold.types import FoldCounts, HostDeltas, Limits

__all__ = (
    "EVENT_DTYPE",
    "EVENT_FIELDS",
    "Batch",
    "Deltas",
    "Folder",
    "Inflater",
    "ParsePlan",
    "Parser",
    "Plan",
    "Reader",
    "Texts",
    "decode",
    "encode",
    "identity",
    "merge",
    "merge_group",
    "simd",
    "use_simd",
)

EVENT_FIELDS: tuple[tuple[str, str, int], ...]
EVENT_DTYPE: numpy.dtype[numpy.void]

def use_simd(name: Literal["avx512", "avx2", "scalar"] | None = None) -> str: ...
def simd() -> str: ...

@disjoint_base
class Plan:
    @property
    def schema(self) -> Schema | None: ...
    @property
    def definition(self) -> FoldDefinition: ...
    @property
    def limits(self) -> Limits: ...
    def __init__(self, schema: Schema | None, definition: FoldDefinition, limits: Limits) -> None: ...

@final
class ParsePlan(Plan):
    def __init__(self, schema: Schema, limits: Limits) -> None: ...

@final
class Inflater:
    def __new__(cls, data: bytes | bytearray | memoryview, limits: Limits) -> Self: ...
    def readinto(self, room: bytearray | memoryview) -> int: ...

@disjoint_base
class Reader:
    @property
    def plan(self) -> Plan: ...
    def __new__(cls, plan: Plan, window_bytes: int = ...) -> Self: ...
    def begin(self) -> None: ...
    def window(self) -> memoryview: ...
    def advance(self, count: int) -> None: ...

@final
class Folder(Reader):
    def finish(self) -> Deltas: ...

@final
class Parser(Reader):
    def finish(self) -> Batch: ...

@final
class Deltas:
    @property
    def counts(self) -> FoldCounts: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[HostDeltas]: ...

class Texts:
    text: bytes
    offsets: NDArray[numpy.uint32]
    def __init__(self, text: bytes, offsets: NDArray[numpy.uint32]) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, code: int) -> str | None: ...

class Batch:
    events: NDArray[Any]
    strings: Texts
    hosts: list[tuple[str, str]]
    processes: list[tuple[str, str, str]]
    counts: FoldCounts
    def __init__(
        self,
        events: NDArray[Any],
        strings: Texts,
        hosts: list[tuple[str, str]],
        processes: list[tuple[str, str, str]],
        counts: FoldCounts,
    ) -> None: ...
    def __len__(self) -> int: ...

def decode(plan: Plan, payload: bytes) -> State: ...
def encode(plan: Plan, state: State) -> bytes: ...
def identity(payload: bytes) -> tuple[str, str, str]: ...
def merge(plan: Plan, a: bytes, b: bytes) -> bytes: ...
def merge_group(plan: Plan, currents: list[bytes | None], deltas: list[bytes]) -> list[bytes]: ...
