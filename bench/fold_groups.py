"""The fold of groups of events, which polars, DuckDB and pyarrow make in their own engines.

Every event of `EVENTS` is one filter and one grouping over columns: by host, process and all that the
fold looks at, with the number of rows and their smallest and largest time.  All reducers of the fold
give the same for a group as for its rows, so only groups ever reach Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from states_dict import (
    DELETED,
    DOMAINS,
    FILES,
    MODULES,
    REGISTRY,
    REMOTES,
    SOURCES,
    TARGETS,
    States,
    add_member,
)

__all__ = ["EVENTS", "FIELDS", "HEAD", "IN", "OUT", "SYSMON", "TRUE", "Event", "fold_groups"]

SYSMON = "Microsoft-Windows-Sysmon/Operational"
TRUE = ("true", "True", "TRUE")

HEAD = {"Channel": str, "Hostname": str, "EventID": int, "log_name": str, "computer_name": str, "event_id": int}
"""What every record may have at the top."""

FIELDS = (
    "UtcTime",
    "Image",
    "User",
    "ProcessGuid",
    "SourceProcessGUID",
    "TargetProcessGUID",
    "SourceProcessGuid",
    "TargetProcessGuid",
    "ParentProcessGuid",
    "SourceImage",
    "TargetImage",
    "ParentImage",
    "CommandLine",
    "ParentCommandLine",
    "ImageLoaded",
    "TargetFilename",
    "TargetObject",
    "QueryName",
    "EventTypeOrignal",
    "EventType",
    "Initiated",
    "DestinationIp",
    "DestinationPort",
    "SourceIp",
    "SourcePort",
)
"""What is at the top of a flat record, and under `event_data` in the other shape; all as texts."""

OUT = "remote end of a connection that this process began"
IN = "remote end of a connection that this process took"
"""Members that are made of two fields each."""


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event, and the fields it reads; an empty name is no field.

    Attributes
    ----------
    kind : str
    numbers : tuple of int
        Event ids that give it.
    process : str
        Field of the process id.
    where : str
        The rest of the condition.
    """

    kind: str
    numbers: tuple[int, ...]
    process: str = "ProcessGuid"
    image: str = "Image"
    which: int = -1
    member: str = ""
    command_line: str = ""
    parent: str = ""
    where: Literal["", "initiated", "not initiated", "deletes", "not deletes"] = ""


EVENTS = (
    Event("process_start", (1,), command_line="CommandLine", parent="ParentProcessGuid"),
    Event(
        "child_start",
        (1,),
        "ParentProcessGuid",
        "ParentImage",
        TARGETS,
        "ProcessGuid",
        command_line="ParentCommandLine",
    ),
    Event("net_connect", (3,), which=REMOTES, member=OUT, where="initiated"),
    Event("net_accept", (3,), which=REMOTES, member=IN, where="not initiated"),
    Event("process_end", (5,)),
    Event("module_load", (7,), which=MODULES, member="ImageLoaded"),
    Event("remote_thread", (8,), "SourceProcessGuid", which=TARGETS, member="TargetProcessGuid"),
    Event("injected_by", (8,), "TargetProcessGuid", which=SOURCES, member="SourceProcessGuid"),
    Event("process_access", (10,), "SourceProcessGUID", "SourceImage", TARGETS, "TargetProcessGUID"),
    Event("accessed_by", (10,), "TargetProcessGUID", "TargetImage", SOURCES, "SourceProcessGUID"),
    Event("file_write", (11, 15), which=FILES, member="TargetFilename"),
    Event("registry_delete", (12,), which=REGISTRY, member="TargetObject", where="deletes"),
    Event("registry_set", (12,), which=REGISTRY, member="TargetObject", where="not deletes"),
    Event("registry_set", (13, 14), which=REGISTRY, member="TargetObject"),
    Event("pipe", (17, 18)),
    Event("dns_query", (22,), which=DOMAINS, member="QueryName"),
    Event("file_delete", (23, 26), which=DELETED, member="TargetFilename"),
    Event("other", (2, 9, 24, 25, 27, 28, 29)),
)

Group = tuple[Any, ...]
"""Host, process, image, user, member, command line, parent, rows, smallest and largest time."""


def fold_groups(event: Event, groups: Iterable[Group], states: States) -> None:
    """Fold the groups of one kind of event."""
    which = event.which
    ids = which in {TARGETS, SOURCES}
    for host, spelling, image, user, member, command_line, parent, rows, first, last in groups:
        process = states.get(host, spelling)
        if process is None:
            continue
        states.events += rows - 1
        process.add(event.kind, first, image, user)
        process.counts[event.kind] += rows - 1
        if last > process.last:
            process.last = last
        if command_line:
            process.add_command_line(first, command_line)
        if parent:
            process.add_parent(first, states.id(parent))
        if which >= 0:
            add_member(process, which, first, states.id(member) if ids else member)
