"""The state of a process in plain Python: what the contenders fold into, and how it is shown.

Times stay the texts of the records: Sysmon writes all of them in one form of fixed width, so they
compare as texts, and only those that are shown are ever converted.  Sets keep every distinct value
with its smallest time; limits and cuts are applied once, at the end, which gives the same.
"""

from __future__ import annotations

from typing import Any

from states_bounds import SET_LIMIT, Member, bound_sets

__all__ = ["SETS", "Process", "States", "add_member", "read_process", "show"]

SETS = ("files", "deleted", "remotes", "domains", "registry", "modules", "targets", "sources")
FILES, DELETED, REMOTES, DOMAINS, REGISTRY, MODULES, TARGETS, SOURCES = range(8)

TEXT_BYTES = {"image": 512, "command_line": 2048, "user": 256, "parent": 128}
MEMBER_BYTES = (512, 512, 64, 256, 512, 512, 128, 128)
NULL_GUID = "00000000-0000-0000-0000-000000000000"
_NEVER = "~"  # greater than any time


class Process:
    """What is known of a process."""

    __slots__ = (
        "command_line",
        "command_line_at",
        "counts",
        "first",
        "host",
        "image",
        "image_at",
        "last",
        "parent",
        "parent_at",
        "process",
        "sets",
        "user",
        "user_at",
    )

    def __init__(self, host: str, process: str) -> None:
        self.host = host
        self.process = process
        self.counts: dict[str, int] = {}
        self.first = _NEVER
        self.last = ""
        self.image_at = self.command_line_at = self.user_at = self.parent_at = _NEVER
        self.image = self.command_line = self.user = self.parent = ""
        self.sets: list[dict[str, str] | None] = [None] * 8

    def add(self, kind: str, time: str, image: str | None, user: str | None) -> None:
        """One event, with the columns that every kind has."""
        counts = self.counts
        counts[kind] = counts.get(kind, 0) + 1
        if time < self.first:
            self.first = time
        if time > self.last:
            self.last = time
        if image and time <= self.image_at and (time < self.image_at or image < self.image):
            self.image_at = time
            self.image = image
        if user and time <= self.user_at and (time < self.user_at or user < self.user):
            self.user_at = time
            self.user = user

    def add_command_line(self, time: str, text: str | None) -> None:
        if text and time <= self.command_line_at and (time < self.command_line_at or text < self.command_line):
            self.command_line_at = time
            self.command_line = text

    def add_parent(self, time: str, text: str | None) -> None:
        if text and time <= self.parent_at and (time < self.parent_at or text < self.parent):
            self.parent_at = time
            self.parent = text


def add_member(process: Process, which: int, time: str, text: str | None) -> None:
    """One value of a set."""
    if not text:
        return
    members = process.sets[which]
    if members is None:
        process.sets[which] = {text: time}
    else:
        seen = members.get(text)
        if seen is None or time < seen:
            members[text] = time


def read_process(told: dict[str, Any]) -> Process:
    """A process as the C++ program tells it, its sets with all their members."""
    process = Process(told["host"], told["process"])
    process.counts, process.first, process.last = told["counts"], told["first"], told["last"]
    process.image, process.command_line = told["image"], told["command_line"]
    process.user, process.parent = told["user"], told["parent"]
    for which, members in enumerate(told["sets"]):
        for time, text in members:
            add_member(process, which, time, text)
    return process


class States:
    """Processes by identity.  Spellings are looked up as the records have them, and normalised once."""

    def __init__(self) -> None:
        self.by_identity: dict[tuple[str, str], Process] = {}
        self._by_spelling: dict[tuple[str, str], Process | None] = {}
        self._ids: dict[str, str | None] = {}
        self.records = 0
        self.events = 0

    def id(self, spelling: str | None) -> str | None:
        """A process id as it is compared and kept; ``None`` when it means none."""
        if not spelling:
            return None
        try:
            return self._ids[spelling]
        except KeyError:
            text = spelling[1:-1] if spelling[0] == "{" and spelling[-1] == "}" else spelling
            text = text.lower()
            known = self._ids[spelling] = text if text and text != NULL_GUID else None
            return known

    def get(self, host: str, spelling: str | None) -> Process | None:
        """The process of an event; ``None`` when the id means none."""
        if not spelling:
            return None
        key = host, spelling
        try:
            process = self._by_spelling[key]
        except KeyError:
            process = self._enter(host, spelling)
        if process is not None:
            self.events += 1
        return process

    def _enter(self, host: str, spelling: str) -> Process | None:
        process_id = self.id(spelling)
        process = None
        if process_id is not None:
            process = self.by_identity.get((host, process_id))
            if process is None:
                process = self.by_identity[host, process_id] = Process(host, process_id)
        self._by_spelling[host, spelling] = process
        return process


def show(process: Process) -> dict[str, Any]:
    """The object that ``fastfold fold --format jsonl`` prints for this process."""
    shown: dict[str, Any] = {"host": process.host, "process": process.process}
    shown["first"] = _show_time(process.first)
    shown["last"] = _show_time(process.last)
    shown["counts"] = process.counts
    more: list[str] = []
    cut: set[str] = set()
    for name in ("image", "command_line", "user", "parent"):
        if text := getattr(process, name):
            shown[name], was_cut = _cut(text, TEXT_BYTES[name])
            if was_cut:
                cut.add(name)
    sets = [_order(members or {}, most) for members, most in zip(process.sets, MEMBER_BYTES, strict=True)]
    kept, full = bound_sets([ordered[:SET_LIMIT] for ordered in sets], len((process.host + process.process).encode()))
    for which, name in enumerate(SETS):
        if not kept[which]:
            continue
        if len(sets[which]) > SET_LIMIT or full[which]:
            more.append(name)
        shown[name] = [[_show_time(time), text] for time, (text, _) in kept[which]]
        if any(was_cut for _, (_, was_cut) in kept[which]):
            cut.add(name)
    if more:
        shown["more"] = sorted(more)
    if cut:
        shown["cut"] = sorted(cut)
    return shown


def _order(members: dict[str, str], most: int) -> list[Member]:
    """The members of a set with their smallest times, by time, then text."""
    earliest: dict[tuple[str, bool], str] = {}
    for text, time in members.items():
        key = _cut(text, most)
        earliest[key] = min(time, earliest.get(key, time))
    return sorted((time, key) for key, time in earliest.items())


def _show_time(text: str) -> str:
    date, _, clock = text.partition(" ")
    clock, _, fraction = clock.partition(".")
    return f"{date}T{clock}.{fraction:0<9}Z"


def _cut(text: str, limit: int) -> tuple[str, bool]:
    if len(text) * 4 <= limit:
        return text, False
    data = text.encode()
    return (text, False) if len(data) <= limit else (data[:limit].decode("utf-8", "ignore"), True)
