"""What `import fastfold` offers: batch files to events and states, without servers."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from fastfold._core import ArrowTable, Batch, Folder, ParsePlan, Parser, Plan, states_table
from fastfold._core import decode as _decode
from fastfold._core import encode as _encode
from fastfold.folding import Content, Gatherer, Identity, in_file, merge_into, read_file
from fastfold.given import File, Named, content_of, definition_of, plan_of, schema_of
from fastfold.inflate import Inflate, open_inflater
from fastfold.recognise import AUTO, HEAD_BYTES, recognise
from fastfold.schema import FoldDefinition, Schema
from fastfold.states import State
from fastfold.types import FoldCounts, Limits

__all__ = ["States", "decode", "detect_schema", "encode", "fold", "merge", "parse"]

_LOG = logging.getLogger(__name__)


def detect_schema(file: File, *, limits: Limits | None = None) -> str:
    r"""Name of the schema of this package whose records a file holds, told from the first of them.

    Parameters
    ----------
    file : bytes, path or open file
        gzip, zstd or plain NDJSON, told by its first bytes.
    limits : Limits, optional

    Returns
    -------
    str

    Raises
    ------
    Reject
        The first records are of no known format or of two, or their text is damaged.

    Examples
    --------
    >>> detect_schema(b'{"EventID":5,"Channel":"Security","Hostname":"a"}\n')
    'sysmon'
    """
    limits = limits or Limits()
    data, name = content_of(file, limits)
    with in_file(name):
        return _recognise(data, limits)


def _recognise(data: Content, limits: Limits) -> str:
    if isinstance(data, os.PathLike):
        with Path(data).open("rb") as opened:
            return _recognise_text(open_inflater(opened, limits))
    return _recognise_text(open_inflater(data, limits))


def _recognise_text(inflater: Inflate) -> str:
    head = bytearray(HEAD_BYTES)
    room = memoryview(head)
    filled = 0
    while filled < HEAD_BYTES:
        count = inflater.readinto(room[filled:])
        if count == 0:
            break
        filled += count
    return recognise(bytes(room[:filled]), whole=filled < HEAD_BYTES)


def _schema_of(schema: Named | Schema, data: Content, limits: Limits) -> Schema:
    if schema == AUTO:
        schema = _recognise(data, limits)
        _LOG.info("recognised the format %s", schema)
    return schema_of(schema)


class States:
    r"""The states of processes, as canonical payloads, decoded when asked for.

    Parameters
    ----------
    definition : FoldDefinition
    payloads : dict of (str, str, str) to bytes
        By tenant, host and process.
    counts : FoldCounts
        What the folded files held.

    Notes
    -----
    Iterates over `State` in order of tenant, host and process.

    It has Arrow's PyCapsule methods: ``polars.DataFrame(states)``, ``pyarrow.table(states)`` and duckdb's
    ``from states`` take it as it is; see `to_arrow`.

    Examples
    --------
    >>> line = b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"Hostname":"a","ProcessGuid":"{1}",'
    >>> states = fold(line + b'"UtcTime":"2026-01-02 03:04:05.678","Image":"C:\\\\x.exe"}')
    >>> states
    <States: 1 processes, fold 'process'>
    >>> ("a", "1") in states
    True
    >>> [(state.process, state.values["image"].text) for state in states]
    [('1', 'C:\\x.exe')]
    """

    def __init__(self, definition: FoldDefinition, payloads: dict[Identity, bytes], counts: FoldCounts) -> None:
        self.definition = definition
        self.counts = counts
        self._plan = plan_of(definition)
        self._payloads = payloads

    def __repr__(self) -> str:
        return f"<States: {len(self):,} processes, fold {self.definition.name!r}>"

    def __len__(self) -> int:
        return len(self._payloads)

    def __iter__(self) -> Iterator[State]:
        return (_decode(self._plan, payload) for payload in self._sorted())

    def __contains__(self, identity: object) -> bool:
        """Whether there is a state of ``(host, process)`` or ``(tenant, host, process)``."""
        return isinstance(identity, tuple) and _full(identity) in self._payloads

    def __getitem__(self, identity: tuple[str, str] | Identity) -> State:
        """The state of ``(host, process)``, or of ``(tenant, host, process)`` where there are tenants."""
        return _decode(self._plan, self._payloads[_full(identity)])

    def _sorted(self) -> list[bytes]:
        return [self._payloads[identity] for identity in sorted(self._payloads)]

    @property
    def payloads(self) -> dict[Identity, bytes]:
        """The canonical payloads, by tenant, host and process."""
        return dict(self._payloads)

    def to_arrow(self) -> ArrowTable:
        """The states as a table for other libraries, in order of tenant, host and process.

        Returns
        -------
        ArrowTable
            ``tenant``, ``host``, ``process``, then a column for each reducer, under its name:

            ============ ==================================================================
            min, max     timestamp (ns, UTC) of ``time``, else uint64
            sum          uint64
            count        struct with a uint64 for each kind
            first, last  the text
            set          list of struct: ``time`` of the first event, ``text``, ``cut``
            ============ ==================================================================

            What a state does not have is null; counts and sums are then 0, and sets empty.  At the end two
            lists of names: ``more``, the sets that dropped members, and ``cut``, the reducers that hold a text
            cut at its limit.
        """
        return states_table(self._plan, self._sorted())

    def __arrow_c_schema__(self) -> object:
        """The types of the columns, as a capsule for another library."""
        return states_table(self._plan, []).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows, as a capsule for another library; the types are ours, whatever is requested."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)


def _full(identity: tuple[str, ...]) -> Identity:
    """With the empty tenant where none is given; what is no identity is none of a state's either."""
    return cast("Identity", ("", *identity) if len(identity) == 2 else identity)


def parse(file: File, schema: Named | Schema = "sysmon", *, limits: Limits | None = None) -> Batch:
    r"""The events of one batch file.

    Parameters
    ----------
    file : bytes, path or open file
        gzip, zstd or plain NDJSON, told by its first bytes.
    schema : str, path or Schema
        Name of a schema of this package, a TOML file, or ``auto``: see `detect_schema`.
    limits : Limits, optional

    Returns
    -------
    Batch

    Raises
    ------
    Reject
        With file, line and byte offset; nothing of the file is given out.
    SchemaError
    OSError
        The file cannot be read.

    Examples
    --------
    >>> line = b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"Hostname":"a","ProcessGuid":"{1}",'
    >>> batch = parse(line + b'"UtcTime":"2026-01-02 03:04:05.678","Image":"C:\\\\x.exe"}')
    >>> batch
    <Batch: 1 events of 1 processes on 1 hosts>
    >>> batch.events["time"]
    array(['2026-01-02T03:04:05.678000000'], dtype='datetime64[ns]')
    >>> batch.strings[batch.events["image"]]
    array(['C:\\x.exe'], dtype=object)
    """
    limits = limits or Limits()
    data, name = content_of(file, limits)
    with in_file(name):
        parser = _take_parser(_schema_of(schema, data, limits), limits)
        parser.begin()
        read_file(parser, data, limits)
        batch = parser.finish()
    _spare_parsers.append(parser)
    return batch


# A parser that was used has its memory, and a page fault costs more than parsing the page.
_spare_parsers: deque[Parser] = deque(maxlen=2)


def _take_parser(schema: Schema, limits: Limits) -> Parser:
    """A parser for one file; the only one who has it is the caller."""
    with suppress(IndexError):
        spare = _spare_parsers.pop()
        if spare.plan.schema is schema and spare.plan.limits == limits:
            return spare
    return Parser(ParsePlan(schema, limits))


def fold(
    files: File | Iterable[File],
    schema: Named | Schema = "sysmon",
    definition: Named | FoldDefinition = "process",
    *,
    limits: Limits | None = None,
) -> States:
    r"""The states of one batch file, or of many.

    Parameters
    ----------
    files : bytes, path, open file, or an iterable of these
        gzip, zstd or plain NDJSON, told by its first bytes.
    schema : str, path or Schema
        Name of a schema of this package, a TOML file, or ``auto``: see `detect_schema`.
    definition : str, path or FoldDefinition
        Name of a fold definition of this package, or a TOML file.
    limits : Limits, optional
        Of each file.

    Returns
    -------
    States

    Raises
    ------
    Reject
        With file, line and byte offset; nothing is given out.
    SchemaError
    OSError
        A file cannot be read.

    Examples
    --------
    >>> line = b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"Hostname":"a","ProcessGuid":"{1}",'
    >>> file = line + b'"UtcTime":"2026-01-02 03:04:05.678","Image":"C:\\\\x.exe"}'
    >>> fold(file)["a", "1"].values["counts"]
    {'process_end': 1}
    >>> fold([file, file])["a", "1"].values["counts"]
    {'process_end': 2}
    """
    limits = limits or Limits()
    definition = definition_of(definition)
    gatherers: dict[str, Gatherer] = {}
    counts = FoldCounts()
    for file in _each(files):
        data, name = content_of(file, limits)
        with in_file(name):
            used = _schema_of(schema, data, limits)
        if used.name not in gatherers:
            gatherers[used.name] = Gatherer(Folder(Plan(used, definition, limits)), limits)
        counts = _add_counts(counts, gatherers[used.name].add(data, name))
    return merge(States(definition, {}, counts), *(_gathered(gatherer, definition) for gatherer in gatherers.values()))


def _gathered(gatherer: Gatherer, definition: FoldDefinition) -> States:
    gatherer.flush()
    return States(definition, gatherer.payloads, FoldCounts())


def _each(files: File | Iterable[File]) -> Iterable[File]:
    # Bytes and open files are iterable too: these are one file.
    one = isinstance(files, (bytes, bytearray, memoryview, str, os.PathLike)) or hasattr(files, "read")
    return (cast("File", files),) if one else cast("Iterable[File]", files)


def merge(first: States, *others: States) -> States:
    """The states of the events of all; the order does not matter.

    Parameters
    ----------
    first, *others : States
        Of the same fold definition.

    Returns
    -------
    States

    Raises
    ------
    ValueError
        They are of different fold definitions.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     merge(*pool.map(fold, [b"", b"{}"])).counts.records
    1
    """
    plan = plan_of(first.definition)
    payloads, counts = first.payloads, first.counts
    for other in others:
        if other.definition != first.definition:
            names = f"{first.definition.name!r} and {other.definition.name!r}"
            raise ValueError(f"states of two fold definitions: {names}")
        of_other = other.payloads
        merge_into(payloads, plan, list(of_other), list(of_other.values()))
        counts = _add_counts(counts, other.counts)
    return States(first.definition, payloads, counts)


def _add_counts(a: FoldCounts, b: FoldCounts) -> FoldCounts:
    reasons = {**a.no_process, **b.no_process}
    return FoldCounts(
        a.bytes + b.bytes,
        a.lines + b.lines,
        a.records + b.records,
        a.events + b.events,
        a.odd_text + b.odd_text,
        {reason: a.no_process.get(reason, 0) + b.no_process.get(reason, 0) for reason in reasons},
    )


def encode(state: State, definition: Named | FoldDefinition = "process") -> bytes:
    """The canonical payload of a state.

    Parameters
    ----------
    state : State
    definition : str, path or FoldDefinition

    Returns
    -------
    bytes

    Raises
    ------
    CorruptValue
        The state is none that a fold gives.
    """
    return _encode(plan_of(definition), state)


def decode(payload: bytes, definition: Named | FoldDefinition = "process") -> State:
    """The state of a canonical payload.

    Parameters
    ----------
    payload : bytes
    definition : str, path or FoldDefinition

    Returns
    -------
    State

    Raises
    ------
    CorruptValue
    """
    return _decode(plan_of(definition), payload)
