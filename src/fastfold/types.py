"""Frozen values that cross stages, and the numbered words of the format.

The position of a word in `KINDS`, `COLUMNS` and `OPS` is its number in stored values: words are
appended, never moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["COLUMNS", "KINDS", "OPS", "VALUE_LIMIT_BYTES", "BatchId", "FoldCounts", "HostDeltas", "Limits"]

KINDS: tuple[str, ...] = (
    "process_start",
    "process_end",
    "child_start",
    "file_open",
    "file_write",
    "file_rename",
    "file_delete",
    "net_connect",
    "net_accept",
    "net_listen",
    "dns_query",
    "registry_set",
    "registry_delete",
    "module_load",
    "process_access",
    "remote_thread",
    "accessed_by",
    "injected_by",
    "script_load",
    "pipe",
    "other",
)

COLUMNS: tuple[str, ...] = (
    "image",
    "command_line",
    "user",
    "parent",
    "file",
    "remote",
    "domain",
    "registry",
    "module",
    "target",
    "hash",
    "integrity",
    "detail",
    "other_image",
)

VALUE_LIMIT_BYTES = 16_384
"""Most bytes of the value of a process, unless told otherwise."""

OPS: tuple[str, ...] = ("count", "min", "max", "sum", "first", "last", "set", "marks")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one file may ask for (DESIGN.md section 12).

    Attributes
    ----------
    record_bytes : int
        Longest line, bytes without its line feed.
    file_bytes : int
        Largest file as stored, bytes.
    inflated_bytes : int
        Largest file once inflated, bytes.
    ratio : int
        Largest inflated / stored ratio, looked at once `ratio_from_bytes` have come out.
    ratio_from_bytes : int
        Honest logs reach 400:1 in a small file; a bomb is told from them only past this many bytes.
    depth : int
        Deepest nesting of arrays and objects in a record.
    processes : int
        Most distinct processes in a file.
    identity_bytes : int
        Longest tenant, host or process id, bytes of UTF-8.
    text_total_bytes : int
        Most bytes of distinct text that one file may make the core keep.
    value_bytes : int
        Largest value of a process in Redis, bytes: a fold definition that could give a larger one is refused.
    """

    record_bytes: int = 1 << 20
    file_bytes: int = 256 << 20
    inflated_bytes: int = 1 << 30
    ratio: int = 200
    ratio_from_bytes: int = 64 << 20
    depth: int = 64
    processes: int = 1_000_000
    identity_bytes: int = 1024
    text_total_bytes: int = 512 << 20
    value_bytes: int = VALUE_LIMIT_BYTES


@dataclass(frozen=True, slots=True, order=True)
class BatchId:
    """Identity of a batch in the ledgers.

    Attributes
    ----------
    time_ms : int
        S3 LastModified, milliseconds since 1970 UTC.
    id : bytes
        64-bit keyed BLAKE2b of bucket, key, version id and ETag.
    """

    time_ms: int
    id: bytes


@dataclass(frozen=True, slots=True)
class FoldCounts:
    """What one file held.

    Attributes
    ----------
    bytes : int
        Inflated bytes.
    lines : int
        Lines, blank ones included.
    records : int
        Lines that hold a JSON value.
    events : int
        Events made of them.
    odd_text : int
        Texts of events (host, process id, columns read) in which something was replaced by U+FFFD.
    no_process : dict of str to int
        Records that gave no event, by reason.
    """

    bytes: int = 0
    lines: int = 0
    records: int = 0
    events: int = 0
    odd_text: int = 0
    no_process: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostDeltas:
    """The deltas of one batch for one host: what one commit carries.

    Attributes
    ----------
    tenant, host : str
    processes : list of str
        Process ids, ascending.
    payloads : list of bytes
        Canonical payload of each process, in the same order.
    """

    tenant: str
    host: str
    processes: list[str]
    payloads: list[bytes]
