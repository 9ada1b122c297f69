"""Marks of one batch, as the matcher finds them and the detection takes them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HostMarks", "Mark"]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """That an event met a step of a rule; the order is that of the state.

    Attributes
    ----------
    rule : bytes
        8 bytes: BLAKE2b of the id and version of the rule.
    step : int
        Place of the step in the rule; the number of steps for `unless`.
    scope : bytes
        8 bytes: whose marks may be matched with it.  `fastfold.store.process_digest` of the process, or a hash of
        the texts of `group` (and of the process in process scope), or zeros.
    time_ns : int
        Of the event, nanoseconds since 1970 UTC.
    event : bytes
        8 bytes: BLAKE2b of process id, kind and the texts of all columns.  Two equal events at one time are one.
    value : bytes
        8 bytes: BLAKE2b of the text of `column`; zeros where the rule is not ``distinct``.
    process : str
        Process id of the event.
    kind : str
    evidence : tuple of (str, str)
        Columns that the step looks at and their texts, cut to a limit at a character; first come image,
        command_line, user and parent of the event where it has them.
    """

    rule: bytes
    step: int
    scope: bytes
    time_ns: int
    event: bytes
    value: bytes
    process: str
    kind: str
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HostMarks:
    """What a batch found on one host.

    Attributes
    ----------
    tenant, host : str
    newest_ns : int
        Time of the newest event of the host in the batch.
    marks : tuple of Mark
        In ascending order, each once.
    """

    tenant: str
    host: str
    newest_ns: int
    marks: tuple[Mark, ...]
