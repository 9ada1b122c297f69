"""What one transaction reads, decides and writes: commands and replies, and no connection.

A group is a host of the batch, or a chunk of one: its keys share a slot, so one EXEC writes them
all.  `Transactions.decide` looks at what round trip 1 of a group brought, and says what round trip
2 has to write, or that nothing is to be written, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from fastfold._core import step_ledger
from fastfold.detection.commit import ChunkDetection
from fastfold.errors import ConfigError, CorruptValue, IdentityClash, Late, ParkError, UnknownForm
from fastfold.group import Group, HostWork
from fastfold.hold import Entry
from fastfold.ledger import CHUNK_PROCESSES, HostRecord
from fastfold.resp import REFUSALS, Node
from fastfold.retry import BackoffPolicy
from fastfold.store import Command, Reply, ReplyError
from fastfold.types import BatchId
from fastfold.values import Codec, ValueForm

__all__ = [
    "Applied",
    "CommitSettings",
    "Decision",
    "ErrorAnswer",
    "LookAgain",
    "MergeGroup",
    "Recut",
    "Transactions",
    "Write",
    "read_exec",
]


class MergeGroup(Protocol):
    """`fastfold._core.merge_group` of a plan."""

    def __call__(
        self, currents: list[bytes | None], deltas: list[bytes], /, *, losses: dict[str, int] | None
    ) -> list[bytes]:
        """The payloads of the states with the deltas in them; counts what reducers lost for the first time."""


_CONFLICT_BACKOFF = BackoffPolicy(0.002, 0.1)
_FAULT_BACKOFF = BackoffPolicy(0.05, 2.0)


@dataclass(frozen=True, slots=True)
class CommitSettings:
    """How states are kept.

    Attributes
    ----------
    namespace : bytes
        Prefix of every key; without braces, which would move the hash tag.
    state_ttl_s : int
        Life of a state after its last commit, seconds.
    ledger_window_s : int
        How far a batch may lie behind the newest of its host, seconds.
    form : ValueForm
        How values are written, and with what they may be read.
    pending_groups : int
        Most groups taken from the deltas at a time: bounds the memory of what waits.
    hold_s, hold_single_s : float
        How long a batch is held before it is verified, on a Redis Cluster and on a single Redis; 0 for not
        at all.
    tracks : int
        Most connections to one node for one batch.
    track_groups : int
        Least groups that must wait at the node for each of them.
    track_states : int
        Most states of a group, in the mean, for which there are several: larger ones are so much work that waiting does
        not count, and would only be open to other writers for longer.
    conflict_backoff, fault_backoff : BackoffPolicy
        Waits after a nil EXEC, and after any other fault.
    """

    namespace: bytes = b"ff:"
    state_ttl_s: int = 86_400
    ledger_window_s: int = 6 * 3600
    form: ValueForm = field(default_factory=ValueForm.load)
    pending_groups: int = 256
    hold_s: float = 30.0
    hold_single_s: float = 0.0
    tracks: int = 4
    track_groups: int = 8
    track_states: int = 16
    conflict_backoff: BackoffPolicy = _CONFLICT_BACKOFF
    fault_backoff: BackoffPolicy = _FAULT_BACKOFF

    def __post_init__(self) -> None:
        if b"{" in self.namespace or b"}" in self.namespace:
            raise ConfigError(f"namespace {self.namespace!r} holds a brace")
        if min(self.state_ttl_s, self.ledger_window_s, self.pending_groups, self.tracks, self.track_groups) < 1:
            raise ConfigError("TTL, ledger window, pending groups, tracks and groups of a track must be at least 1")
        if min(self.hold_s, self.hold_single_s) < 0:
            raise ConfigError("a hold must be at least 0 s")

    def tracks_for(self, groups: Sequence[Group]) -> int:
        """How many connections to a node these groups are worth."""
        states = sum(len(group.chunk.members) for group in groups)
        if states > self.track_states * len(groups):
            return 1
        return max(1, min(self.tracks, len(groups) // self.track_groups))


class Write(NamedTuple):
    """The SETEX of round trip 2, that of the host record first.

    Attributes
    ----------
    commands : list of Command
    losses : dict of str to int
        By name of reducer: states in which it drops or cuts something for the first time.
    """

    commands: list[Command]
    losses: dict[str, int]


@dataclass(frozen=True, slots=True)
class Applied:
    """The ledger holds the chunk."""


@dataclass(frozen=True, slots=True)
class Recut:
    """The batch was begun under another cut, by another version of us: go on with that one."""

    bits: int


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing is to be written, but what the batch has raised is not read yet: once more, with the detection record."""


Decision = Write | Applied | Recut | Late | LookAgain


_APPLIED = Applied()
_VALUE_TYPES = frozenset((bytes, type(None)))


class ErrorAnswer(Exception):
    """An error reply where a transaction cannot go on; never leaves the commit.

    Attributes
    ----------
    reply : ReplyError
    """

    def __init__(self, reply: ReplyError) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Transactions:
    """Decides groups; owned by one thread.

    Parameters
    ----------
    settings : CommitSettings
    merge_group : MergeGroup

    Attributes
    ----------
    codec : Codec
        Packs and unpacks the values.
    """

    def __init__(self, settings: CommitSettings, merge_group: MergeGroup) -> None:
        self._window_ms = settings.ledger_window_s * 1000
        self._state_ttl = b"%d" % settings.state_ttl_s
        # The ledger outlives its states: gone before them, it would let a batch be applied twice.
        self._record_ttl = b"%d" % (settings.state_ttl_s + settings.ledger_window_s)
        self.codec = Codec(settings.form)
        self._merge_group = merge_group

    def decide(self, group: Group, batch: BatchId, replies: list[Reply]) -> Decision:
        """What is to be done with a group.

        Parameters
        ----------
        group : Group
        batch : BatchId
        replies : list of Reply
            To `Group.reads`.

        Raises
        ------
        CorruptValue, IdentityClash, ParkError, UnknownForm
            The group cannot be written.
        ErrorAnswer
            A reply is an error.
        """
        host = group.host
        found = _values(replies, group.watched)
        record = self._step(group, batch, found[0])
        if not isinstance(record, bytes):
            return record if group.detection is None else self._tell_again(group.detection, group, record, found)
        losses: dict[str, int] = {}
        count = len(group.keys)
        merged = self._merge(group, found[1 : 1 + count], losses)
        detected = self._detect(group, found)
        first, *values = self.codec.pack_all([record, *merged, *detected])
        ttl = self._state_ttl
        return Write(
            [
                (b"SETEX", host.key, self._record_ttl, first),
                *[(b"SETEX", key, ttl, value) for key, value in zip(group.keys, values[:count], strict=True)],
                *[(b"SETEX", group.watched[-1], self._record_ttl, value) for value in values[count:]],
            ],
            losses,
        )

    def _detect(self, group: Group, found: Sequence[bytes | None]) -> list[bytes]:
        """The detection record to write; none if it stays as it is."""
        if group.detection is None or not group.detection.looks:
            return []
        key = group.watched[-1]
        try:
            record = group.detection.apply(self._payload(found[-1], key))
        except CorruptValue as error:
            raise error.at(key) from None
        return [] if record is None else [record]

    def _tell_again(
        self, detection: ChunkDetection, group: Group, step: Applied | Recut | Late, found: Sequence[bytes | None]
    ) -> Decision:
        """The same decision, once it is known what the batch has raised."""
        if isinstance(step, Recut):
            return step
        if not detection.looks:
            detection.look_again()
            return LookAgain()
        key = group.watched[-1]
        try:
            detection.tell_again(self._payload(found[-1], key), late=isinstance(step, Late))
        except CorruptValue as error:
            raise error.at(key) from None
        return step

    def _payload(self, value: bytes | None, key: bytes) -> bytes | None:
        return None if value is None else self.codec.unpack(value, key)

    def is_applied(self, entry: Entry, batch: BatchId, reply: Reply) -> bool:
        """Whether a batch is in the host record that a GET of its key has answered."""
        if not isinstance(reply, bytes):
            return False
        try:
            record = HostRecord.decode(self.codec.unpack(reply, entry.key))
        except (CorruptValue, UnknownForm):
            # Whoever commits again will say so, with the key.
            return False
        # An entry that newer batches have driven out since was there: they are later writes of one order.
        return record.has(batch, entry.bits, entry.chunk_index) or record.behind_ms(batch) > self._window_ms

    def _step(self, group: Group, batch: BatchId, value: bytes | None) -> bytes | Applied | Recut | Late:
        """The host record to write, or why nothing is written."""
        host, (bits, index, _) = group.host, group.chunk
        payload = self._payload(value, host.key)
        step = step_ledger(payload, host.identity, batch.time_ms, batch.id, bits, index, self._window_ms)
        if step is None:
            # Not as the core expects it: say why, or do without the core.
            return self._step_slowly(group, batch, payload)
        outcome, fact = step
        if outcome == 0:
            record: bytes = fact
            return record
        if outcome == 1:
            return _APPLIED
        return Recut(fact) if outcome == 2 else Late(host.deltas.host, fact, self._window_ms)

    def _step_slowly(self, group: Group, batch: BatchId, payload: bytes | None) -> bytes | Applied | Recut | Late:
        host, (bits, index, _) = group.host, group.chunk
        record = self._read_record(host, payload)
        found = record.bits_of(batch)
        if found is not None:
            if found != bits:
                return Recut(found)
            if record.has(batch, bits, index):
                return _APPLIED
        behind_ms = record.behind_ms(batch)
        if behind_ms > self._window_ms:
            return Late(host.deltas.host, behind_ms, self._window_ms)
        return record.with_entry(batch, self._window_ms, bits, index).encode()

    @staticmethod
    def _read_record(host: HostWork, payload: bytes | None) -> HostRecord:
        deltas = host.deltas
        if payload is None:
            return HostRecord(deltas.tenant, deltas.host)
        try:
            record = HostRecord.decode(payload)
        except CorruptValue as error:
            raise error.at(host.key) from None
        stored, ours = (record.tenant, record.host), (deltas.tenant, deltas.host)
        if stored != ours:
            raise IdentityClash(f"hosts {stored!r} and {ours!r} have one key, {host.key!r}")
        return record

    def _merge(self, group: Group, values: list[bytes | None], losses: dict[str, int]) -> list[bytes]:
        deltas, members, keys = group.host.deltas, group.chunk.members, group.keys
        if len(set(keys)) < len(keys):
            names = [deltas.processes[place] for place in members if keys.count(keys[members.index(place)]) > 1]
            raise IdentityClash(f"processes of host {deltas.host!r} have one key: {names!r:.1000}")
        payloads = [deltas.payloads[place] for place in members]
        currents = self.codec.unpack_all(values, keys, (deltas.tenant, deltas.host))
        try:
            # The core compares the identities; it does not know the keys.
            return self._merge_group(currents, payloads, losses=losses)
        except (CorruptValue, IdentityClash):
            for key, current, payload in zip(keys, currents, payloads, strict=True):
                self._blame(key, current, payload)
            raise

    def _blame(self, key: bytes, current: bytes | None, payload: bytes) -> None:
        """Raise with the key if it is this value that cannot be merged."""
        try:
            self._merge_group([current], [payload], losses=None)
        except CorruptValue as error:
            raise error.at(key) from None
        except IdentityClash as error:
            raise IdentityClash(f"{error}: key {key!r}") from None


def read_exec(answer: list[Reply], node: Node) -> bool | ReplyError:
    """What became of a transaction, from the replies to its round trip 2.

    Parameters
    ----------
    answer : list of Reply
    node : Node
        Who answered.

    Returns
    -------
    bool or ReplyError
        Whether it was done: if not, another writer was quicker.  The error for which it was not even begun.

    Raises
    ------
    ErrorAnswer
        A write was refused.
    ParkError
        A write failed.
    """
    if answer == _all_well(len(answer)):
        return True
    # The first error is the cause; EXECABORT, the last, only says that there was one.
    error = next((reply for reply in answer if isinstance(reply, ReplyError)), None)
    if error is not None:
        return error
    done = answer[-1]
    for reply in done if isinstance(done, list) else ():
        if isinstance(reply, ReplyError):
            if reply.code in REFUSALS:
                raise ErrorAnswer(reply)
            # Redis rolls nothing back, so the ledger may stand without its states, or they without it:
            # another try could lose or double.
            raise ParkError(f"{node}: a write inside EXEC failed: {reply.text}")
    return done is not None


@lru_cache(maxsize=CHUNK_PROCESSES + 4)
def _all_well(count: int) -> list[Reply]:
    """So many replies to MULTI, writes and EXEC, as they are hoped for."""
    writes = count - 2
    return [b"OK", *[b"QUEUED"] * writes, [b"OK"] * writes]


def _values(replies: list[Reply], keys: list[bytes]) -> list[bytes | None]:
    """The values of the keys, from the replies to round trip 1."""
    values = replies[1:]
    if replies[0] == b"OK" and len(values) == len(keys) and _VALUE_TYPES.issuperset(map(type, values)):
        return values  # type: ignore[return-value]
    return _judge(replies, keys)


def _judge(replies: list[Reply], keys: Sequence[bytes]) -> list[bytes | None]:
    """The same where a reply is none that is hoped for."""
    for reply in replies:
        if isinstance(reply, ReplyError) and reply.code != "WRONGTYPE":
            raise ErrorAnswer(reply)
    watched, *values = replies
    if watched != b"OK":
        raise ErrorAnswer(ReplyError(f"WATCH answered {watched!r:.100}"))
    found: list[bytes | None] = []
    for key, value in zip(keys, values, strict=True):
        if not (value is None or isinstance(value, bytes)):
            raise CorruptValue("not a string of Redis", key=key)
        found.append(value)
    return found
