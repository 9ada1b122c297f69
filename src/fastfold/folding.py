"""Files to deltas, states or events: inflate, parse and fold, window by window over one buffer.

This is the pipeline without servers, and what the library's `fastfold.fold` and `fastfold.parse` are.
Nothing of a file is given out before its last byte has been inflated, checked, parsed and folded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

from fastfold._core import (
    ArrowTable,
    Batch,
    Deltas,
    Folder,
    Inflater,
    ParsePlan,
    Parser,
    Plan,
    Reader,
    merge_group,
    states_table,
)
from fastfold._core import decode as _decode
from fastfold._core import encode as _encode
from fastfold.errors import Reject
from fastfold.given import File, Named, definition_of, load_file, plan_of, schema_of
from fastfold.inflate import open_inflater
from fastfold.recognise import AUTO, HEAD_BYTES, recognise
from fastfold.schema import FoldDefinition, Schema
from fastfold.states import State
from fastfold.types import FoldCounts, Limits

__all__ = ["States", "decode", "detect_schema", "encode", "fold", "fold_file", "merge", "parse"]


Identity = tuple[str, str, str]

_LOG = logging.getLogger(__name__)


def fold_file(folder: Folder, data: bytes | memoryview, name: str, limits: Limits) -> Deltas:
    """Fold one file.

    Parameters
    ----------
    folder : Folder
        Used for one file after the other; owned by the calling thread.
    data : bytes or memoryview
        The whole file as stored: gzip, zstd or plain NDJSON.
    name : str
        What to call the file in an error; may be empty.
    limits : Limits

    Returns
    -------
    Deltas

    Raises
    ------
    Reject
        With file, line and byte offset; nothing of the file is given out.
    """
    with _named(name):
        _read(folder, data, limits)
        return folder.finish()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say in a reject which file it is, where that is known."""
    try:
        yield
    except Reject as reject:
        raise (reject.at(name) if name else reject) from None


def _read(reader: Reader, data: bytes | memoryview, limits: Limits) -> None:
    inflater = open_inflater(data, limits)
    reader.begin()
    if isinstance(inflater, Inflater) and (text := inflater.plain()) is not None:
        reader.feed(text)
        return
    while count := inflater.readinto(reader.window()):
        reader.advance(count)


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
    data, name = load_file(file, limits)
    with _named(name):
        return _recognise(data, limits)


def _recognise(data: bytes | memoryview, limits: Limits) -> str:
    inflater = open_inflater(data, limits)
    head = bytearray(HEAD_BYTES)
    room = memoryview(head)
    filled = 0
    while filled < HEAD_BYTES:
        count = inflater.readinto(room[filled:])
        if count == 0:
            break
        filled += count
    return recognise(bytes(room[:filled]), whole=filled < HEAD_BYTES)


def _schema_of(schema: Named | Schema, data: bytes | memoryview, limits: Limits) -> Schema:
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
    data, name = load_file(file, limits)
    with _named(name):
        parser = Parser(ParsePlan(_schema_of(schema, data, limits), limits))
        _read(parser, data, limits)
        return parser.finish()


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
    plan = Plan(None, definition, limits)
    folders: dict[str, Folder] = {}
    payloads: dict[Identity, bytes] = {}
    counts = FoldCounts()
    for file in _each(files):
        data, name = load_file(file, limits)
        with _named(name):
            used = _schema_of(schema, data, limits)
        if used.name not in folders:
            folders[used.name] = Folder(Plan(used, definition, limits))
        deltas = fold_file(folders[used.name], data, name, limits)
        names = [(host.tenant, host.host, process) for host in deltas for process in host.processes]
        _merge_into(payloads, plan, names, [payload for host in deltas for payload in host.payloads])
        counts = _add_counts(counts, deltas.counts)
    return States(definition, payloads, counts)


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
        _merge_into(payloads, plan, list(of_other), list(of_other.values()))
        counts = _add_counts(counts, other.counts)
    return States(first.definition, payloads, counts)


def _merge_into(payloads: dict[Identity, bytes], plan: Plan, names: list[Identity], deltas: list[bytes]) -> None:
    merged = merge_group(plan, [payloads.get(name) for name in names], deltas)
    payloads.update(zip(names, merged, strict=True))


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
