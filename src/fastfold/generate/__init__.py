"""Seeded, realistic batch files: what `fastfold generate`, the demo and the benchmarks run on.

A corpus is a fleet of hosts seen through a sequence of files, each one window of time.  Each host
keeps a process tree: in every window some processes end, are gone in the next, and others start in
their place.  Kinds come as often as in real collections (`generate_records.MIX`), process ids hold
their start time as Sysmon's do, and some records arrive after younger ones.

The same `Corpus` gives the same lines on every machine and version of Python.  The compressed
bytes are the same wherever zlib is the same.

One file is in memory at a time, and of it only times and numbers, never its text.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastfold.generate import words
from fastfold.generate.records import Dice, Host, Process, Scene, fields, pick_kind
from fastfold.generate.shapes import SHAPES, Event, render, render_other

__all__ = ["Batch", "Corpus", "batches", "compress", "write"]

_START_MS = 1_709_539_200_000
"""Start of the first window: 2024-03-04 08:00 UTC."""

_GZIP_WBITS = 31
_LATE_SHARE = 0.1
_VERY_LATE_SHARE = 0.01
"""Of the late records, those held back by more than a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What to generate.

    Attributes
    ----------
    files : int
        Batch files, each one window of time.
    hosts : int
        Hosts of the fleet.
    hosts_per_file : int
        Hosts in one file, taken in turn; 0 puts all hosts into every file.
    processes : int
        Processes of a host in one file.
    events : int
        Sysmon records of one process in one file.
    record_bytes : int
        Length of a record, reached by its message text; 0 leaves records as they come.
    turnover : float
        Share of the processes that end in a window.
    others : float
        Records of other channels for each Sysmon record.
    shape : str
        One of `generate_shapes.SHAPES`.
    shuffled : bool
        Whether the lines of a file lie in any order over its hosts, instead of host by host.
    window_s : int
        Length of a window, seconds.
    seed : int
    """

    files: int = 20
    hosts: int = 8
    hosts_per_file: int = 0
    processes: int = 25
    events: int = 8
    record_bytes: int = 0
    turnover: float = 0.1
    others: float = 0.0
    shape: str = "B"
    shuffled: bool = False
    window_s: int = 60
    seed: int = 1

    def __post_init__(self) -> None:
        counts = {"files": self.files, "hosts": self.hosts, "processes": self.processes, "events": self.events}
        for name, count in (*counts.items(), ("window_s", self.window_s)):
            if count < 1:
                raise ValueError(f"{name} is {count}, at least 1 is needed")
        if not 0 <= self.hosts_per_file <= self.hosts:
            raise ValueError(f"hosts_per_file is {self.hosts_per_file}, 0 to {self.hosts} is possible")
        if self.shape not in SHAPES:
            raise ValueError(f"shape is {self.shape!r}, one of {', '.join(SHAPES)} is possible")
        if not (0 <= self.turnover <= 1 and 0 <= self.others <= 10 and self.record_bytes >= 0):
            raise ValueError("turnover is 0 to 1, others 0 to 10, record_bytes 0 or more")


@dataclass(frozen=True, slots=True)
class Batch:
    """One file: its name, how many records it has, and its lines, made as they are asked for."""

    name: str
    records: int
    lines: Callable[[], Iterator[bytes]]


def batches(corpus: Corpus) -> Iterator[Batch]:
    """The files of a corpus, in order of time."""
    fleet = [_Machine(corpus, number) for number in range(corpus.hosts)]
    per_file = corpus.hosts_per_file or corpus.hosts
    window_ms = corpus.window_s * 1000
    for index in range(corpus.files):
        start_ms = _START_MS + index * window_ms
        plan: list[_Arrival] = []
        for offset in range(per_file):
            machine = fleet[(index * per_file + offset) % corpus.hosts]
            machine.step(start_ms, window_ms)
            plan += machine.arrivals(start_ms, window_ms)
        if corpus.shuffled:
            Dice(corpus.seed, index, 1).shuffle(plan)
        yield Batch(f"batch-{index:06d}.json.gz", len(plan), _Lines(corpus, index, plan))


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A record to be: when it arrives, what it tells, of whom.  `event_id` 0 is another channel's."""

    arrival_ms: int
    time_ms: int
    event_id: int
    number: int
    host: Host
    process: Process
    peers: list[Process]


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of one batch; each call gives them anew, the same."""

    corpus: Corpus
    index: int
    plan: list[_Arrival]

    def __call__(self) -> Iterator[bytes]:
        dice = Dice(self.corpus.seed, self.index, 2)
        shape, record_bytes = self.corpus.shape, self.corpus.record_bytes
        for record in self.plan:
            if not record.event_id:
                yield render_other(dice, record.host, record.time_ms)
                continue
            scene = Scene(dice, record.host, record.process, record.peers, record.time_ms)
            data = fields(scene, record.event_id)
            yield render(shape, Event(record.event_id, data, record.host, record.number, record.time_ms), record_bytes)


class _Machine:
    """A host with its process tree."""

    def __init__(self, corpus: Corpus, number: int) -> None:
        self._corpus = corpus
        self._dice = dice = Dice(corpus.seed, number, 0)
        self._boot_ms = _START_MS - dice.between(3_600_000, 400_000_000)
        self._started = 0
        self._records = 0
        person = dice.pick(words.PEOPLE)
        self.host = Host(
            name=f"{dice.pick(words.SITES)}-{dice.pick(words.ROLES)}-{number:05d}.corp.example",
            machine=dice.digits(8).lower(),
            address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            user=person,
            sid="S-1-5-21-" + "-".join(str(dice.between(10**8, 4 * 10**9)) for _ in range(3)) + f"-{1000 + number}",
            clock_ms=dice.pick((0, 0, -14_400_000, -25_200_000, 3_600_000)),
        )
        self._user = f"CORP\\{person}"
        # The processes of Windows itself never end; a small host keeps at least half for the others.
        self._core = min(len(words.CORE), corpus.processes // 2)
        self.processes: list[Process] = []
        for index in range(corpus.processes):
            self.processes.append(self._new(index, self._boot_ms + index * 1000))

    def _new(self, index: int, start_ms: int) -> Process:
        dice, number = self._dice, self._started
        self._started += 1
        seconds = start_ms // 1000
        # Groups 3 and 2 of a Sysmon id are the start time in seconds.
        start = f"{seconds & 0xFFFF:04x}-{seconds >> 16 & 0xFFFF:04x}"
        guid = f"{{{self.host.machine}-{start}-{number & 0xFFFF:04x}-{number >> 16:08x}0700}}"
        if index < self._core:
            name = words.CORE[index]
            image = name if name == "System" else f"C:\\Windows\\System32\\{name}"
            parent = self.processes[0] if self.processes else None
            return Process(guid, 4 + 4 * number, image, image, "NT AUTHORITY\\SYSTEM", parent, start_ms)
        image, line = dice.pick(words.PROGRAMS)
        command_line = line.replace("{image}", image).replace("{n}", str(dice.below(1000)))
        user = self._user if dice.chance(0.6) else "NT AUTHORITY\\SYSTEM"
        alive = [process for process in self.processes if process.end_ms is None]
        return Process(guid, 4 + 4 * number, image, command_line, user, dice.pick(alive) if alive else None, start_ms)

    def step(self, start_ms: int, window_ms: int) -> None:
        """Replace the processes that ended in the window before, and choose those that end in this one."""
        dice = self._dice
        for index, process in enumerate(self.processes):
            if process.end_ms is not None:
                self.processes[index] = self._new(index, start_ms + dice.below(window_ms // 2))
        for process in self.processes[self._core :]:
            if dice.chance(self._corpus.turnover):
                process.end_ms = dice.between(
                    max(start_ms, process.start_ms) + window_ms // 4, start_ms + window_ms - 1
                )

    def arrivals(self, start_ms: int, window_ms: int) -> list[_Arrival]:
        """The records of this host in the window, in the order in which they arrive."""
        dice, peers = self._dice, list(self.processes)
        records: list[_Arrival] = []
        for process in self.processes:
            started = process.start_ms >= start_ms
            first_ms = max(start_ms, process.start_ms)
            last_ms = start_ms + window_ms - 1 if process.end_ms is None else process.end_ms
            whole_life = [(first_ms, 1)] if started else []
            if process.end_ms is not None:
                whole_life.append((last_ms, 5))
            told = whole_life[: self._corpus.events]
            told += [(dice.between(first_ms, last_ms), pick_kind(dice)) for _ in range(self._corpus.events - len(told))]
            for time_ms, event_id in told:
                self._records += 1
                arrival_ms = time_ms + self._delay_ms()
                records.append(_Arrival(arrival_ms, time_ms, event_id, self._records, self.host, process, peers))
            others = self._corpus.events * self._corpus.others
            for _ in range(int(others) + dice.chance(others % 1)):
                time_ms = dice.between(first_ms, last_ms)
                records.append(_Arrival(time_ms, time_ms, 0, 0, self.host, process, peers))
        records.sort(key=lambda record: record.arrival_ms)
        return records

    def _delay_ms(self) -> int:
        dice = self._dice
        if not dice.chance(_LATE_SHARE):
            return 0
        return dice.between(60_000, 120_000) if dice.chance(_VERY_LATE_SHARE) else dice.between(10, 2_000)


def compress(lines: Iterator[bytes], level: int = 6) -> Iterator[bytes]:
    """Pieces of a gzip file of these lines, each ended by a line feed; the header holds no time."""
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WBITS)
    for line in lines:
        if piece := packer.compress(line + b"\n"):
            yield piece
    yield packer.flush()


def write(corpus: Corpus, folder: str | os.PathLike[str], level: int = 6) -> Iterator[tuple[Path, Batch]]:
    """Write a corpus into a folder, which is made if it is not there; gives each file once it is complete."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for batch in batches(corpus):
        path = target / batch.name
        with path.open("wb") as file:
            file.writelines(compress(batch.lines(), level))
        yield path, batch
