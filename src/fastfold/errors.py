"""The errors of fastfold, as a tree by the action owed.

::

    FastfoldError
    ├── RetryError            try the same again later; the message stays in the queue
    │   ├── Unavailable       a server did not answer, or said "not now"
    │   ├── UnknownForm       a value with a dictionary that is not here yet
    │   └── Undelivered       the servers are well, but a sink has not taken an alert
    ├── RereadError           start again at WATCH: what was read is no longer true
    │   └── Conflict          EXEC answered nil: a watched key changed
    ├── ParkError             trying again cannot help: dead-letter queue, with the reason
    │   ├── Reject            a malformed record or file, with its place
    │   ├── NotAllowed        a notification that names what the configuration does not allow
    │   ├── Missing           an object that is not there, or may not be read
    │   ├── Late              a batch older than the window of a host's ledger
    │   ├── CorruptValue      a value in Redis that is not ours, or damaged
    │   └── IdentityClash     two identities under one key
    └── StopError             a person must act: the program says why and ends
        ├── ConfigError       a setting out of its range
        ├── SchemaError       a schema, fold definition or file of sinks that does not hold together
        └── RuleError         a detection rule that does not, or says what cannot be done
            └── RuleSetError  some of the rules to load

Facts are attributes; the message says what, where, and the limit.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "Conflict",
    "CorruptValue",
    "FastfoldError",
    "IdentityClash",
    "Late",
    "Missing",
    "NotAllowed",
    "ParkError",
    "Reject",
    "RereadError",
    "RetryError",
    "RuleError",
    "RuleSetError",
    "SchemaError",
    "StopError",
    "Unavailable",
    "Undelivered",
    "UnknownForm",
]


class FastfoldError(Exception):
    """Root of the tree; never raised itself."""


class RetryError(FastfoldError):
    """Try the same again later."""


class Unavailable(RetryError):
    """A server did not answer, or answered that it cannot serve now.

    Attributes
    ----------
    server : str
        Which server, without credentials.
    reason : str
        What it said, or what the socket said.
    """

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server}: {reason}")
        self.server = server
        self.reason = reason


class UnknownForm(RetryError):
    """A value in Redis with a dictionary that this process has not: others write with it already.

    It comes again, because the dictionary is on its way: readers get it before writers.  A format version that is
    not known is a `CorruptValue`: what wrote it may be anything.

    Attributes
    ----------
    what : str
        The dictionary.
    where : str
        Where it is to be put; empty where that is not known.
    key : bytes or None
        The key in Redis, where known.
    """

    def __init__(self, what: str, *, where: str = "", key: bytes | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.key = key

    def __str__(self) -> str:
        text = f"unknown {self.what}" + (f" under key {self.key!r}" if self.key is not None else "")
        return f"{text}: {self.where}" if self.where else text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_unknown, (self.what, self.where, self.key))


def _rebuild_unknown(what: str, where: str, key: bytes | None) -> UnknownForm:
    return UnknownForm(what, where=where, key=key)


class Undelivered(RetryError):
    """An alert was not taken by every sink that it is for: its message is handed back, and raises it again.

    Attributes
    ----------
    sink : str
        Name of the sink.
    reason : str
    after_s : float
        How long the message should stay hidden, seconds: a try costs as much as the first one did.
    """

    def __init__(self, sink: str, reason: str, after_s: float) -> None:
        super().__init__(f"sink {sink}: {reason}")
        self.sink = sink
        self.reason = reason
        self.after_s = after_s

    def __reduce__(self) -> tuple[object, ...]:
        return (Undelivered, (self.sink, self.reason, self.after_s))


class RereadError(FastfoldError):
    """What was read is no longer true: start again at WATCH."""


class Conflict(RereadError):
    """EXEC answered nil: another writer changed a watched key."""


class ParkError(FastfoldError):
    """Trying again cannot help: the message goes to the dead-letter queue with this reason."""


class Reject(ParkError):
    """A malformed record or file.

    Attributes
    ----------
    reason : str
        What is wrong, in a few words.
    file : str or None
        Name of the file or object.
    line : int or None
        Line number from 1; ``None`` when the fault is in the compressed stream.
    offset : int or None
        Byte offset from 0, in the inflated text when `line` is given, else in the compressed file.
    field : str or None
        The schema's name of the field at fault.
    limit : int or None
        The limit that was passed.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str | None = None,
        line: int | None = None,
        offset: int | None = None,
        field: str | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.file = file
        self.line = line
        self.offset = offset
        self.field = field
        self.limit = limit

    def __str__(self) -> str:
        what = self.reason if self.field is None else f"{self.field}: {self.reason}"
        place = []
        if self.line is not None:
            place.append(f"line {self.line}")
        if self.offset is not None:
            place.append(f"offset {self.offset}" if self.line is not None else f"compressed offset {self.offset}")
        text = f"{what} at {', '.join(place)}" if place else what
        if self.limit is not None:
            text += f", limit {self.limit}"
        return f"{self.file}: {text}" if self.file is not None else text

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only facts must survive the way from a worker process to its parent.
        facts = {"file": self.file, "line": self.line, "offset": self.offset, "field": self.field, "limit": self.limit}
        return (_rebuild_reject, (self.reason, facts))

    def at(self, file: str) -> Reject:
        """The same reject with the name of its file."""
        return Reject(self.reason, file=file, line=self.line, offset=self.offset, field=self.field, limit=self.limit)


def _rebuild_reject(reason: str, facts: dict[str, object]) -> Reject:
    return Reject(reason, **facts)  # type: ignore[arg-type]


class NotAllowed(ParkError):
    """A notification names a bucket, region or owner that the configuration does not allow."""


class Missing(ParkError):
    """An object is not there, or may not be read, after all tries."""


class Late(ParkError):
    """A batch is older than the window of a host's ledger, and not in it.

    Attributes
    ----------
    host : str
    behind_ms : int
        How far the batch lies behind the newest entry of the ledger, milliseconds.
    limit_ms : int
        The window of the ledger, milliseconds.
    """

    def __init__(self, host: str, behind_ms: int, limit_ms: int) -> None:
        super().__init__(f"late batch for host {host!r}: {behind_ms} ms behind the newest, limit {limit_ms} ms")
        self.host = host
        self.behind_ms = behind_ms
        self.limit_ms = limit_ms

    def __reduce__(self) -> tuple[object, ...]:
        return (Late, (self.host, self.behind_ms, self.limit_ms))


class CorruptValue(ParkError):
    """A value that is not ours, truncated, of an unknown version, or damaged.

    Attributes
    ----------
    reason : str
    offset : int or None
        Byte offset in the decompressed payload, where known.
    key : bytes or None
        The key in Redis, where known.
    """

    def __init__(self, reason: str, *, offset: int | None = None, key: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
        self.key = key

    def __str__(self) -> str:
        text = f"corrupt value: {self.reason}"
        if self.offset is not None:
            text += f" at offset {self.offset}"
        if self.key is not None:
            text += f" under key {self.key!r}"
        return text

    def at(self, key: bytes) -> CorruptValue:
        """The same error with the key it was found under."""
        return CorruptValue(self.reason, offset=self.offset, key=key)


class IdentityClash(ParkError):
    """Two identities hash to one key: refused, never merged."""


class StopError(FastfoldError):
    """A person must act: the program says why and ends."""


class ConfigError(StopError):
    """A setting is missing or out of its range."""


class SchemaError(StopError):
    """A schema, a fold definition or a file of sinks does not hold together.

    Attributes
    ----------
    file : str
    line : int or None
        Line of the fault in the TOML file, where it can be told.
    reason : str
    """

    def __init__(self, file: str, reason: str, line: int | None = None) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line is not None else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class RuleError(StopError):
    """A rule that does not hold together, or asks for what cannot be done.

    Attributes
    ----------
    file : str
    reason : str
    line : int or None
        From 1, where it can be told.
    rule : str
        Id of the rule, or its title or name where it has none; empty when the whole file is at fault.
    field : str
        Which part of the rule: ``steps[2].where.image|contains``; empty: the rule as a whole.
    """

    def __init__(self, file: str, reason: str, line: int | None = None, rule: str = "", field: str = "") -> None:
        place = f"{file}:{line}" if line is not None else file
        super().__init__(": ".join(part for part in (place, f"rule {rule!r}" if rule else "", field, reason) if part))
        self.file = file
        self.reason = reason
        self.line = line
        self.rule = rule
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        return (RuleError, (self.file, self.reason, self.line, self.rule, self.field))


class RuleSetError(RuleError):
    """Rules that were to be loaded together, and of which some are at fault: none is loaded.

    Attributes
    ----------
    errors : tuple of RuleError
        At least one; the attributes of the first are those of this error.
    """

    def __init__(self, errors: tuple[RuleError, ...]) -> None:
        first = errors[0]
        super().__init__(first.file, first.reason, first.line, first.rule, first.field)
        if len(errors) > 1:
            self.args = (f"{len(errors)} faults in rules:" + "".join(f"\n  {error}" for error in errors),)
        self.errors = errors

    def __reduce__(self) -> tuple[object, ...]:
        return (RuleSetError, (self.errors,))
