"""One file to deltas or events: inflate, parse and fold, window by window over one buffer.

This is the pipeline without servers, and what the library's `fastfold.fold` and `fastfold.parse` are.
Nothing of a file is given out before its last byte has been inflated, checked, parsed and folded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from fastfold._core import Batch, Deltas, Folder, ParsePlan, Parser, Plan, Reader, merge_group
from fastfold._core import decode as _decode
from fastfold._core import encode as _encode
from fastfold.errors import Reject
from fastfold.inflate import open_inflater
from fastfold.recognise import AUTO, HEAD_BYTES, recognise
from fastfold.schema import FoldDefinition, Schema, load_definition, load_schema
from fastfold.states import State
from fastfold.types import FoldCounts, Limits

__all__ = ["States", "decode", "detect_schema", "encode", "fold", "fold_file", "merge", "parse"]

Identity = tuple[str, str, str]
Named = str | os.PathLike[str]

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
        What to call the file in an error.
    limits : Limits

    Returns
    -------
    Deltas

    Raises
    ------
    Reject
        With file, line and byte offset; nothing of the file is given out.
    """
    try:
        _read(folder, data, limits)
        return folder.finish()
    except Reject as reject:
        raise reject.at(name) from None


def _read(reader: Reader, data: bytes | memoryview, limits: Limits) -> None:
    inflater = open_inflater(data, limits)
    reader.begin()
    while count := inflater.readinto(reader.window()):
        reader.advance(count)


def detect_schema(data: bytes | memoryview, *, limits: Limits | None = None) -> str:
    r"""Name of the schema of this package whose records a file holds, told from the first of them.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file as stored: gzip, zstd or plain NDJSON.
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
    inflater = open_inflater(data, limits or Limits())
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
        schema = detect_schema(data, limits=limits)
        _LOG.info("recognised the format %s", schema)
    return schema if isinstance(schema, Schema) else load_schema(schema)


class States:
    """The states of processes, as canonical payloads, decoded when asked for.

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
    """

    def __init__(self, definition: FoldDefinition, payloads: dict[Identity, bytes], counts: FoldCounts) -> None:
        self.definition = definition
        self.counts = counts
        self._plan = Plan(None, definition, Limits())
        self._payloads = payloads

    def __len__(self) -> int:
        return len(self._payloads)

    def __iter__(self) -> Iterator[State]:
        return (_decode(self._plan, self._payloads[identity]) for identity in sorted(self._payloads))

    def __getitem__(self, identity: tuple[str, str] | Identity) -> State:
        """The state of ``(host, process)``, or of ``(tenant, host, process)`` where there are tenants."""
        tenant, host, process = identity if len(identity) == 3 else ("", *identity)
        return _decode(self._plan, self._payloads[tenant, host, process])

    @property
    def payloads(self) -> dict[Identity, bytes]:
        """The canonical payloads, by tenant, host and process."""
        return dict(self._payloads)


def parse(data: bytes | memoryview, schema: Named | Schema = "sysmon", *, limits: Limits | None = None) -> Batch:
    """The events of one batch file.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file as stored: gzip, zstd or plain NDJSON.
    schema : str, path or Schema
        Name of a schema of this package, a TOML file, or ``auto``: see `detect_schema`.
    limits : Limits, optional

    Returns
    -------
    Batch

    Raises
    ------
    Reject
    SchemaError
    """
    limits = limits or Limits()
    parser = Parser(ParsePlan(_schema_of(schema, data, limits), limits))
    _read(parser, data, limits)
    return parser.finish()


def fold(
    data: bytes | memoryview,
    schema: Named | Schema = "sysmon",
    definition: Named | FoldDefinition = "process",
    *,
    limits: Limits | None = None,
) -> States:
    r"""The states of one batch file.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file as stored: gzip, zstd or plain NDJSON.
    schema : str, path or Schema
        Name of a schema of this package, a TOML file, or ``auto``: see `detect_schema`.
    definition : str, path or FoldDefinition
        Name of a fold definition of this package, or a TOML file.
    limits : Limits, optional

    Returns
    -------
    States

    Raises
    ------
    Reject
    SchemaError

    Examples
    --------
    >>> line = b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"Hostname":"a","ProcessGuid":"{1}",'
    >>> states = fold(line + b'"UtcTime":"2026-01-02 03:04:05.678","Image":"C:\\\\x.exe"}')
    >>> states["a", "1"].values["counts"]
    {'process_end': 1}
    """
    limits = limits or Limits()
    definition = definition if isinstance(definition, FoldDefinition) else load_definition(definition)
    folder = Folder(Plan(_schema_of(schema, data, limits), definition, limits))
    _read(folder, data, limits)
    deltas = folder.finish()
    payloads = {
        (host.tenant, host.host, process): payload
        for host in deltas
        for process, payload in zip(host.processes, host.payloads, strict=True)
    }
    return States(definition, payloads, deltas.counts)


def merge(a: States, b: States) -> States:
    """The states of the events of both; the order does not matter.

    Parameters
    ----------
    a, b : States
        Of the same fold definition.

    Returns
    -------
    States

    Raises
    ------
    ValueError
        They are of different fold definitions.
    """
    if a.definition != b.definition:
        raise ValueError(f"states of two fold definitions: {a.definition.name!r} and {b.definition.name!r}")
    payloads = a.payloads
    names, deltas = list(b.payloads), list(b.payloads.values())
    plan = Plan(None, a.definition, Limits())
    merged = merge_group(plan, [payloads.get(name) for name in names], deltas)
    payloads.update(zip(names, merged, strict=True))
    return States(a.definition, payloads, _add_counts(a.counts, b.counts))


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
    return _encode(_payload_plan(definition), state)


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
    return _decode(_payload_plan(definition), payload)


def _payload_plan(definition: Named | FoldDefinition) -> Plan:
    loaded = definition if isinstance(definition, FoldDefinition) else load_definition(definition)
    return Plan(None, loaded, Limits())
