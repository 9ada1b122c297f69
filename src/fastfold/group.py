"""What a commit works on: the hosts of a batch, and their groups, each of which is one transaction."""

from __future__ import annotations

from fastfold._core import name_host, state_keys
from fastfold.detection.commit import ChunkDetection, HostDetection
from fastfold.detection.record import detection_key
from fastfold.errors import Late
from fastfold.hold import Entry
from fastfold.ledger import Chunk, cut_chunks
from fastfold.resp import Node
from fastfold.store import Command
from fastfold.types import HostDeltas

__all__ = ["Group", "HostWork"]


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
    detection : HostDetection or None
        What rules have found on it; ``None`` without rules.
    """

    __slots__ = ("bits", "deltas", "detection", "identity", "key", "late", "open", "refused", "slot", "written")

    def __init__(self, deltas: HostDeltas, namespace: bytes, detection: HostDetection | None = None) -> None:
        self.deltas = deltas
        self.detection = detection
        self.identity, self.key, self.slot = name_host(deltas.tenant, deltas.host, namespace)
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
    watched : list of bytes
        Of the transaction that is under way: host record, states, and the detection record where it takes part.
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
    detection : ChunkDetection or None
        What rules have found in it; ``None`` without rules.
    """

    __slots__ = (
        "ask",
        "chunk",
        "conflicts",
        "detection",
        "done",
        "host",
        "keys",
        "losses",
        "ready_at",
        "redirects",
        "watched",
    )

    def __init__(self, host: HostWork, chunk: Chunk) -> None:
        self.host = host
        self.chunk = chunk
        self.detection: ChunkDetection | None = None
        if host.detection is not None:
            processes = host.deltas.processes
            self.detection = host.detection.of_chunk([processes[place] for place in chunk.members])
        self.keys: list[bytes] = []
        self.watched: list[bytes] = []
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
            self.keys = state_keys(self.host.key, [processes[place] for place in self.chunk.members])
        if self.detection is not None:
            self.detection.begin()
        self.watched = keys = [self.host.key, *self.keys]
        if self.detection is not None and self.detection.looks:
            keys.append(detection_key(self.host.key))
        return [(b"WATCH", *keys), *[(b"GET", key) for key in keys]]
