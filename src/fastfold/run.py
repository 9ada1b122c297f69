"""What one call of the commit keeps track of: counts, what is pending, and what is under way at each node."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

from fastfold.errors import Conflict, Late, ParkError, Unavailable, UnknownForm
from fastfold.group import Group
from fastfold.hold import Footprint, Trace, Tracer
from fastfold.resp import Node
from fastfold.topology import Link
from fastfold.types import BatchId

__all__ = ["CommitResult", "Counters", "Counts", "Lane", "Run", "Track"]


class Counts(Protocol):
    """Where the committer counts, for instance `fastfold.metrics.Meter`."""

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Count something."""


@dataclass(slots=True)
class Counters:
    """What a committer has met since it was made; anybody may read it.

    Attributes
    ----------
    commits : int
        Transactions acknowledged.
    processes : int
        States written by them.
    conflicts : int
        EXECs that answered nil.
    retries : int
        Faults after which work started again at WATCH.
    reconnects : int
        Connections given up after a fault.
    moved : int
        MOVED replies.
    redirects : int
        Groups that were answered ASK or TRYAGAIN.
    already_applied : int
        Hosts whose ledger held all of their batch.
    late : int
        Hosts for which their batch came too late.
    refused : int
        Groups not written: corrupt or unknown value, identity clash, or a value too long.
    """

    commits: int = 0
    processes: int = 0
    conflicts: int = 0
    retries: int = 0
    reconnects: int = 0
    moved: int = 0
    redirects: int = 0
    already_applied: int = 0
    late: int = 0
    refused: int = 0

    def since(self, before: Counters) -> Counters:
        """The difference to an earlier copy."""
        return Counters(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What became of the hosts of one batch.

    Attributes
    ----------
    hosts : int
        Hosts written to.
    already_applied : int
        Hosts whose ledger already held all of the batch.
    late : tuple of Late
        Hosts for which the batch came too late: what of it was not applied before, is not applied.
    conflicts, retries : int
        Transactions that started again, because of another writer and because of a fault.
    processes : int
        Processes whose states were written.
    tries : int
        Transactions begun for the group that took the most.
    traces : tuple of Trace
        What `Committer.verify` wants to know after `Committer.hold_s`.
    """

    hosts: int
    already_applied: int
    late: tuple[Late, ...]
    conflicts: int
    retries: int
    processes: int
    tries: int
    traces: tuple[Trace, ...]


@dataclass(slots=True)
class Run:
    """One call of `Committer.commit`."""

    batch: BatchId
    deadline: float
    tracer: Tracer
    pending: list[Group] = field(default_factory=list)
    hosts: int = 0
    tries: int = 0
    late: list[Late] = field(default_factory=list)
    refusal: ParkError | UnknownForm | None = None
    faults: dict[Node | None, int] = field(default_factory=dict)
    last: Unavailable | Conflict | None = None


class Track:
    """Transaction after transaction on one connection.

    Attributes
    ----------
    link : Link
    footprint : Footprint
    begun : Group or None
        The one whose round trip 1 is under way.
    ending : Group or None
        The one whose round trip 2 is under way, unless that only forgets what was watched.
    reads, writes : int
        Replies to come of round trip 1, and before them of the round trip 2 that is under way.
    """

    __slots__ = ("begun", "ending", "footprint", "link", "reads", "writes")

    def __init__(self, link: Link, footprint: Footprint) -> None:
        self.link = link
        self.footprint = footprint
        self.begun: Group | None = None
        self.ending: Group | None = None
        self.reads = 0
        self.writes = 0

    def under_way(self) -> list[Group]:
        """The groups of which Redis has been sent something."""
        return [group for group in (self.ending, self.begun) if group is not None]


class Lane:
    """What is to be done at one node, and the tracks that share it.

    Attributes
    ----------
    node : Node
    waiting : deque of Group
        What no track has begun.
    tracks : list of Track
    """

    __slots__ = ("node", "tracks", "waiting")

    def __init__(self, node: Node, groups: Sequence[Group]) -> None:
        self.node = node
        self.waiting = deque(groups)
        self.tracks: list[Track] = []

    def take(self, track: Track, now: float) -> Group | None:
        """The first group whose time has come, unless a transaction of its host is under way on another track.

        Both would write one host record, and one of them meet a conflict.
        """
        busy = [group.host for one in self.tracks if one is not track for group in one.under_way()]
        for place, group in enumerate(self.waiting):
            if group.ready_at <= now and group.host not in busy:
                del self.waiting[place]
                return group
        return None

    def left(self) -> list[Group]:
        """The groups that are not done."""
        return [group for track in self.tracks for group in track.under_way()] + list(self.waiting)
