"""What one transaction reads, decides and writes: commands and replies, and no connection.

A group is a host of the batch, or a chunk of one: its keys share a slot, so one EXEC writes them
all.  `Transactions.decide` looks at what round trip 1 of a group brought, and says what round trip
2 has to write, or that nothing is to be written, and why.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastfold._core import step_ledger
from fastfold.errors import ConfigError, CorruptValue, IdentityClash, Late, UnknownForm
from fastfold.hold import Entry
from fastfold.ledger import Chunk, HostRecord, cut_chunks
from fastfold.resp import Node
from fastfold.retry import BackoffPolicy
from fastfold.store import Command, Reply, ReplyError, identity_key, key_slot, prefixed, process_digest
from fastfold.types import BatchId, HostDeltas
from fastfold.values import Codec, ValueForm

__all__ = [
    "Applied",
    "CommitSettings",
    "Decision",
    "ErrorAnswer",
    "Group",
    "HostWork",
    "MergeGroup",
    "Recut",
    "Transactions",
    "Write",
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
    conflict_backoff: BackoffPolicy = _CONFLICT_BACKOFF
    fault_backoff: BackoffPolicy = _FAULT_BACKOFF

    def __post_init__(self) -> None:
        if b"{" in self.namespace or b"}" in self.namespace:
            raise ConfigError(f"namespace {self.namespace!r} holds a brace")
        if min(self.state_ttl_s, self.ledger_window_s, self.pending_groups) < 1:
            raise ConfigError("TTL, ledger window and pending groups must be at least 1")
        if min(self.hold_s, self.hold_single_s) < 0:
            raise ConfigError("a hold must be at least 0 s")


class HostWork:
    """A host of the batch, while any group of it is open.

    Attributes
    ----------
    deltas : HostDeltas
    key : bytes
        Of the host record.
    identity : bytes
        How the host record begins.
    slot : int
        Of all its keys.
    bits : int
        Of the cut that counts.
    open : int
        Groups that are not done.
    written, refused : bool
        Whether any group was.
    late : Late or None
    """

    __slots__ = ("bits", "deltas", "identity", "key", "late", "open", "refused", "slot", "written")

    def __init__(self, deltas: HostDeltas, namespace: bytes) -> None:
        self.deltas = deltas
        self.identity = prefixed(deltas.tenant) + prefixed(deltas.host)
        self.key = identity_key(self.identity, namespace)
        self.slot = key_slot(self.key)
        self.bits = 0
        self.open = 0
        self.written = False
        self.refused = False
        self.late: Late | None = None

    def cut(self, bits: int | None = None) -> list[Group]:
        """The groups of the host, by the bits given or the fewest that do; they are open from now on."""
        chunks = cut_chunks(self.deltas.processes, bits)
        groups = [Group(self, chunk) for chunk in chunks]
        self.bits = chunks[0].bits if bits is None else bits
        self.open += len(groups)
        return groups


class Group:
    """A chunk of a host on its way: the unit of a transaction.

    Attributes
    ----------
    host : HostWork
    chunk : Chunk
    keys : list of bytes
        Of the states; made when they are first asked for.
    conflicts : int
        EXECs that answered nil.
    redirects : int
        Answers that its keys are on their way to another node.
    ask : Node or None
        That node, when it must be asked the next time.
    ready_at : float
        When it may be tried again, on the committer's clock.
    losses : dict of str to int
        Of the writes that are under way.
    done : bool
    """

    __slots__ = ("ask", "chunk", "conflicts", "done", "host", "keys", "losses", "ready_at", "redirects")

    def __init__(self, host: HostWork, chunk: Chunk) -> None:
        self.host = host
        self.chunk = chunk
        self.keys: list[bytes] = []
        self.conflicts = 0
        self.redirects = 0
        self.ask: Node | None = None
        self.ready_at = 0.0
        self.losses: dict[str, int] = {}
        self.done = False

    @property
    def entry(self) -> Entry:
        """Where the ledger says that it is applied."""
        return Entry(self.host.key, self.chunk.bits, self.chunk.chunk_index)

    def reads(self) -> list[Command]:
        """The commands of round trip 1; as many replies as commands."""
        if not self.keys:
            processes = self.host.deltas.processes
            self.keys = _state_keys(self.host.key, [processes[place] for place in self.chunk.members])
        keys = (self.host.key, *self.keys)
        return [(b"WATCH", *keys), *[(b"GET", key) for key in keys]]


@dataclass(frozen=True, slots=True)
class Write:
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


Decision = Write | Applied | Recut | Late


_APPLIED = Applied()


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
        found = _values(replies, (host.key, *group.keys))
        record = self._step(group, batch, found[0])
        if not isinstance(record, bytes):
            return record
        losses: dict[str, int] = {}
        merged = self._merge(group, found[1:], losses)
        first, *values = self.codec.pack_all([record, *merged])
        ttl = self._state_ttl
        return Write(
            [
                (b"SETEX", host.key, self._record_ttl, first),
                *[(b"SETEX", key, ttl, value) for key, value in zip(group.keys, values, strict=True)],
            ],
            losses,
        )

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
        payload = None if value is None else self.codec.unpack(value, host.key)
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

    def _merge(self, group: Group, values: Sequence[bytes | None], losses: dict[str, int]) -> list[bytes]:
        deltas, members, keys = group.host.deltas, group.chunk.members, group.keys
        if len(set(keys)) < len(keys):
            names = [deltas.processes[place] for place in members if keys.count(keys[members.index(place)]) > 1]
            raise IdentityClash(f"processes of host {deltas.host!r} have one key: {names!r:.1000}")
        payloads = [deltas.payloads[place] for place in members]
        currents = self.codec.unpack_all(values, keys)
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


def _state_keys(host_key: bytes, processes: Sequence[str]) -> list[bytes]:
    """`fastfold.store.process_key` of several processes of a host."""
    # Nine bytes give twelve characters with none left over, so one call encodes all; the ninth is 0, as are
    # the bits with which base64 fills up eight.
    tags = urlsafe_b64encode(b"".join([process_digest(process) + b"\0" for process in processes]))
    return [host_key + tags[start : start + 11] for start in range(0, len(tags), 12)]


def _values(replies: list[Reply], keys: Sequence[bytes]) -> list[bytes | None]:
    """The values of the keys, from the replies to round trip 1."""
    values = replies[1:]
    if replies[0] == b"OK" and len(values) == len(keys):
        for value in values:
            if value is not None and value.__class__ is not bytes:
                break
        else:
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
