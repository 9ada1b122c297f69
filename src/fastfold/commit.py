"""Commit: the deltas of a batch into the states of Redis, by optimistic transactions.

Keys are those of `fastfold.store`: a host record ``h`` and states ``p1 .. pn``, all in one slot.  One
transaction is one group: a host, or one chunk of a host that has more than 256 processes::

     packet 1   WATCH h p1 .. pn   GET h   GET p1 .. GET pn
     here       in the ledger?  late?  else merge                      nothing is held on the server
     packet 2   MULTI   SETEX h   SETEX p1 .. SETEX pn   EXEC
                and behind the EXEC packet 1 of the next group for this node

EXEC clears every WATCH of its connection, so a transaction begins only behind the EXEC of the one before:
packet 1 of the next may ride in the same packet, never earlier.  What leaves nothing to write still sends an
empty MULTI and EXEC, to forget what it watched.

All nodes are served side by side: each gets its packet before the reply of any is waited for.  The groups for a node
are a lane, and each of its connections a track: one, or up to four where many small groups wait.  One half of them is
worked on while the replies to the other are on their way, and its packets leave together, which wakes the server once.

What can go wrong, and what is done:

===========================  =========================================================================
EXEC answers nil             a conflict: wait with full jitter, start again at WATCH
ASK or TRYAGAIN instead of   its slot is on the way to another node: start again at WATCH, after an ASK at
a group's values or EXEC     that node, with ASKING before WATCH, before each GET and before MULTI
any other error before the   the connection is closed, the topology asked for again, and what was in
reply of EXEC                flight starts again at WATCH: the ledger tells whether EXEC was done
NOPERM, NOAUTH, WRONGPASS    `ConfigError`: a person must act
a value that is not ours,    nothing is written of its group; the others go on, then it is raised
or that we cannot read yet
a write fails inside EXEC    `ParkError` at once: Redis rolls nothing back, so another try could lose or double
===========================  =========================================================================

EXEC is never sent again by itself.  A failover may lose an acknowledged one: `Committer.verify` tells whether it did.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from fastfold.detection.commit import HostDetection
from fastfold.detection.detecting import BatchMarks
from fastfold.errors import ConfigError, Conflict, Late, ParkError, Unavailable, UnknownForm
from fastfold.group import Group, HostWork
from fastfold.hold import Trace, Tracer, verify
from fastfold.resp import REFUSALS, Node
from fastfold.run import CommitResult, Counters, Counts, Lane, Run, Track
from fastfold.store import Command, Reply, ReplyError
from fastfold.text import escape
from fastfold.topology import Nodes, parse_redirect
from fastfold.transaction import (
    Applied,
    CommitSettings,
    ErrorAnswer,
    LookAgain,
    MergeGroup,
    Recut,
    Transactions,
    Write,
    read_exec,
)
from fastfold.types import BatchId, HostDeltas

__all__ = ["CommitResult", "CommitSettings", "Committer", "Counters", "Counts", "MergeGroup"]

_MULTI: Command = (b"MULTI",)
_EXEC: Command = (b"EXEC",)
_ASKING: Command = (b"ASKING",)
_REDIRECTS = ("ASK", "TRYAGAIN")


class Committer:
    """Applies batches to the states in Redis.

    Parameters
    ----------
    nodes : Nodes
        The servers; owned by this committer from here on.
    merge_group : MergeGroup
    settings : CommitSettings
    counts : Counts or None
        Counted into after each batch: ``conflicts``, ``retries``, ``already_applied``; ``state_limit_hits`` as
        groups are written, and ``hot_hosts`` as they conflict.
    random, clock, sleep : callable
        For tests; `clock` is that of the deadlines.

    Attributes
    ----------
    counters : Counters

    Notes
    -----
    Owned by one thread.
    """

    def __init__(
        self,
        nodes: Nodes,
        merge_group: MergeGroup,
        settings: CommitSettings,
        counts: Counts | None = None,
        *,
        random: Callable[[], float] = _random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.counters = Counters()
        self._nodes = nodes
        self._transactions = Transactions(settings, merge_group)
        self._settings = settings
        self._counts = counts
        self._random = random
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Close all connections; a later commit opens new ones."""
        self._nodes.close()

    @property
    def hold_s(self) -> float:
        """How long a batch is held before it is verified; 0 for not at all."""
        return self._settings.hold_s if self._nodes.is_cluster else self._settings.hold_single_s

    def verify(self, held: Sequence[Sequence[Trace]]) -> list[bool]:
        """For the traces of each batch, whether all of it is known to be there still (`fastfold.hold`)."""
        return verify(self._nodes, held, self._transactions.is_applied)

    def commit(
        self, deltas: Iterable[HostDeltas], batch: BatchId, deadline: float, marks: BatchMarks | None = None
    ) -> CommitResult:
        """Apply the deltas of a batch, each host once, whatever has happened before.

        Parameters
        ----------
        deltas : iterable of HostDeltas
            Each host once.
        batch : BatchId
        deadline : float
            When to give up, on the clock; passed by one network timeout at most.
        marks : BatchMarks, optional
            What rules have found in the batch; it gathers what is raised of it, also when the commit fails in the end.

        Returns
        -------
        CommitResult
            Every host is committed, was so before, or is late.

        Raises
        ------
        Unavailable, Conflict
            The deadline passed, after a fault or after another writer's win.  What was committed stays; a
            second call does the rest.
        CorruptValue, IdentityClash, ParkError
            The first value that is damaged, of another identity or too long; nothing is written for its
            group, and all others are applied.
        UnknownForm
            The same for a value with a dictionary that is not here.
        ConfigError
            Redis refuses us.
        """
        before = replace(self.counters)
        run = Run(batch, deadline, Tracer(batch))
        found = {} if marks is None else {(host.tenant, host.host): host for host in marks.hosts}

        def work(host: HostDeltas) -> HostWork:
            here = found.get((host.tenant, host.host))
            detection = HostDetection(marks, here, batch) if marks is not None and here is not None else None
            return HostWork(host, self._settings.namespace, detection)

        groups = (group for host in deltas for group in work(host).cut())
        try:
            while self._refill(run, groups):
                self._advance(run)
        except BaseException:
            # Watches and replies of unfinished transactions must not meet the next ones.
            self.close()
            raise
        finally:
            met = self.counters.since(before)
            self._tell(met)
        if run.refusal is not None:
            raise run.refusal
        return CommitResult(
            hosts=run.hosts,
            already_applied=met.already_applied,
            late=tuple(run.late),
            conflicts=met.conflicts,
            retries=met.retries,
            processes=met.processes,
            tries=run.tries,
            traces=run.tracer.traces() if self.hold_s else (),
        )

    def _tell(self, met: Counters) -> None:
        if self._counts is not None:
            self._counts.add("conflicts", met.conflicts)
            self._counts.add("retries", met.retries, "commit")
            self._counts.add("already_applied", met.already_applied)

    # The order of work

    def _refill(self, run: Run, groups: Iterator[Group]) -> bool:
        while len(run.pending) < self._settings.pending_groups:
            group = next(groups, None)
            if group is None:
                break
            run.pending.append(group)
        return bool(run.pending)

    def _advance(self, run: Run) -> None:
        """Serve what is ready, all nodes side by side; if nothing is, wait."""
        now = self._clock()
        if now >= run.deadline:
            raise self._too_late(run)
        if self._nodes.stale:
            try:
                self._nodes.refresh()
            except Unavailable as error:
                self._postpone(run, None, error, run.pending)
        if all(group.ready_at > now for group in run.pending):
            wake = min(group.ready_at for group in run.pending)
            self._sleep(max(min(wake, run.deadline) - now, 0.0))
            return
        by_node: dict[Node | None, list[Group]] = {}
        for group in run.pending:
            by_node.setdefault(group.ask or self._nodes.node_of(group.host.slot), []).append(group)
        unserved = by_node.pop(None, [])
        if unserved:
            slot = unserved[0].host.slot
            self._postpone(run, None, Unavailable("Redis Cluster", f"no node serves slot {slot}"), unserved)
        run.pending = unserved
        lanes = [Lane(node, groups) for node, groups in by_node.items() if node is not None]
        lanes = [lane for lane in lanes if self._step(run, lane, self._open)]
        while lanes:
            lanes = [lane for lane in lanes if self._step(run, lane, self._turn)]

    def _step(self, run: Run, lane: Lane, step: Callable[[Run, Lane], bool]) -> bool:
        """Go on with a lane; ``False`` when it has ended, and what is left of it is pending again."""
        try:
            if step(run, lane):
                return True
        except (Unavailable, ErrorAnswer) as fault:
            error = self._explain(lane.node, fault)
            self.counters.reconnects += self._nodes.drop(lane.node)
            self._postpone(run, lane.node, error, lane.left())
        run.pending += lane.left()
        return False

    def _open(self, run: Run, lane: Lane) -> bool:
        now = self._clock()
        ready = [group for group in lane.waiting if group.ready_at <= now]
        for number in range(self._settings.tracks_for(ready)):
            link = self._nodes.link(lane.node, number)
            track = Track(link, run.tracer.on(lane.node, link.generation))
            lane.tracks.append(track)
            # Also while the cluster is to be asked again: what one node has done must not hold up the others.
            link.connection.send(self._begin(run, lane, track, now))
        return True

    def _turn(self, run: Run, lane: Lane) -> bool:
        """Go on with one half of the tracks, then with the other; ``False`` when nothing is under way any more."""
        middle = (len(lane.tracks) + 1) // 2
        is_busy = False
        for half in (lane.tracks[:middle], lane.tracks[middle:]):
            packets = [(track, self._move(run, lane, track)) for track in half]
            for track, packet in packets:
                if packet:
                    track.link.connection.send(packet)
                    is_busy = True
        return is_busy

    def _move(self, run: Run, lane: Lane, track: Track) -> list[Command]:
        """Settle one group and decide the next: the commands that end it, and those that begin the one after it."""
        connection = track.link.connection
        if track.writes:
            self._settle(run, lane, track, connection.read(track.writes))
            track.ending, track.writes = None, 0
            if run.faults:
                run.faults.pop(lane.node, None)
        packet = []
        if track.begun is not None:
            packet = self._end(run, lane, track, track.begun, connection.read(track.reads))
            track.begun, track.writes = None, len(packet)
        now = self._clock()
        if not self._nodes.stale and now < run.deadline:
            packet += self._begin(run, lane, track, now)
        return packet

    @staticmethod
    def _begin(run: Run, lane: Lane, track: Track, now: float) -> list[Command]:
        """The commands of round trip 1 of the next group, if there is one."""
        group = track.begun = lane.take(track, now)
        if group is None:
            return []
        run.tries = max(run.tries, 1 + group.conflicts)
        reads = group.reads()
        if group.ask is not None:
            reads = [part for command in reads for part in (_ASKING, command)]
        track.reads = len(reads)
        return reads

    def _end(self, run: Run, lane: Lane, track: Track, group: Group, replies: list[Reply]) -> list[Command]:
        """The commands of round trip 2 of a group, from the replies to its round trip 1."""
        asked = group.ask is not None
        if asked:
            refused = next((reply for reply in replies[::2] if isinstance(reply, ReplyError)), None)
            if refused is not None:
                raise ErrorAnswer(refused)
            replies = replies[1::2]
        writes = self._decide(run, lane, track, group, replies)
        if not writes:
            return [_MULTI, _EXEC]
        track.ending = group
        return [_ASKING, _MULTI, *writes, _EXEC] if asked else [_MULTI, *writes, _EXEC]

    def _explain(self, node: Node, fault: Unavailable | ErrorAnswer) -> Unavailable:
        if isinstance(fault, Unavailable):
            return fault
        if fault.reply.code in REFUSALS:
            raise ConfigError(f"{node}: {fault.reply.text}") from fault
        if fault.reply.code == "MOVED":
            self.counters.moved += 1
            self._nodes.moved(node, fault.reply)
        return Unavailable(str(node), fault.reply.text)

    def _postpone(self, run: Run, node: Node | None, error: Unavailable, groups: Sequence[Group]) -> None:
        self.counters.retries += 1
        self._nodes.stale = True
        run.last = error
        run.faults[node] = run.faults.get(node, 0) + 1
        ready_at = self._clock() + self._settings.fault_backoff.delay_s(run.faults[node], self._random)
        for group in groups:
            group.ask = None
            group.ready_at = ready_at

    def _redirect(self, run: Run, lane: Lane, group: Group, error: ReplyError) -> None:
        """The slot of a group is moving: nothing is written of it, and the connection is as good as before."""
        self.counters.redirects += 1
        group.redirects += 1
        found = parse_redirect(lane.node, error) if group.ask is None and error.code == "ASK" else None
        group.ask = found[1] if found is not None else None
        run.last = Unavailable(str(lane.node), error.text)
        # Asked at once, and with a pause from the second time on: the two nodes may send us back and forth.
        delay_s = self._settings.fault_backoff.delay_s(group.redirects, self._random) if group.redirects > 1 else 0.0
        group.ready_at = self._clock() + delay_s
        run.pending.append(group)

    def _too_late(self, run: Run) -> Unavailable | Conflict:
        """Why the deadline passed: a fault, or other writers on a hot host, which is no outage."""
        error: Unavailable | Conflict
        if isinstance(run.last, Conflict):
            error = Conflict(f"{run.last} (deadline passed)")
        elif run.last is not None:
            error = Unavailable(run.last.server, f"{run.last.reason} (deadline passed)")
        else:
            host = run.pending[0].host.deltas.host
            return Unavailable("Redis", f"host {host!r} has not had its turn (deadline passed)")
        error.__cause__ = run.last
        return error

    # One transaction

    def _decide(self, run: Run, lane: Lane, track: Track, group: Group, replies: list[Reply]) -> list[Command]:
        """What to write; nothing when the group is done, or postponed, without."""
        host = group.host
        try:
            decision = self._transactions.decide(group, run.batch, replies)
        except ErrorAnswer as answer:
            if answer.reply.code not in _REDIRECTS:
                raise
            self._redirect(run, lane, group, answer.reply)
            return []
        except (ParkError, UnknownForm) as error:
            self.counters.refused += 1
            host.refused = True
            # What comes again goes before what is parked: a parked message is not applied to the other host.
            if run.refusal is None or isinstance(error, UnknownForm):
                run.refusal = error
        else:
            if isinstance(decision, Write):
                group.losses = decision.losses
                return decision.commands
            match decision:
                case LookAgain():
                    lane.waiting.append(group)
                    return []
                case Recut(bits) if bits != host.bits:
                    lane.waiting += host.cut(bits)
                case Late():
                    host.late = decision
                case Applied():
                    track.footprint.found(host.slot, group.entry)
        self._finish(run, group)
        return []

    def _settle(self, run: Run, lane: Lane, track: Track, answer: list[Reply]) -> None:
        """Note what the replies to packet 2 say."""
        group = track.ending
        done = read_exec(answer, lane.node)
        if isinstance(done, ReplyError):
            if group is None or done.code not in _REDIRECTS:
                raise ErrorAnswer(done)
            # Nothing is written, and nothing watched any more.
            self._redirect(run, lane, group, done)
            return
        if group is None:
            return
        if not done:
            self._conflict(run, lane, group)
            return
        self.counters.commits += 1
        self.counters.processes += len(group.keys)
        group.host.written = True
        if group.detection is not None:
            group.detection.acknowledge()
        if group.losses and self._counts is not None:
            for reducer, states in group.losses.items():
                self._counts.add("state_limit_hits", states, reducer)
        track.footprint.wrote(group.host.slot, group.entry)
        self._finish(run, group)

    def _conflict(self, run: Run, lane: Lane, group: Group) -> None:
        """Another writer was quicker: after a while again."""
        self.counters.conflicts += 1
        group.conflicts += 1
        host = group.host.deltas.host
        run.last = Conflict(f"host {host!r}: EXEC answered nil {group.conflicts} times")
        if self._counts is not None:
            self._counts.add("hot_hosts", 1, escape(host))
        group.ready_at = self._clock() + self._settings.conflict_backoff.delay_s(group.conflicts, self._random)
        lane.waiting.append(group)

    def _finish(self, run: Run, group: Group) -> None:
        """A group is done; with the last of its host, see what became of the host."""
        group.done = True
        host = group.host
        host.open -= 1
        if host.open:
            return
        if host.late is not None:
            self.counters.late += 1
            run.late.append(host.late)
        elif host.written:
            run.hosts += 1
        elif not host.refused:
            self.counters.already_applied += 1
