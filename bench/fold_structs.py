"""The fold of records that msgspec decoded into typed structs; fields that are not named are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

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

__all__ = ["Record", "fold_records"]

_SYSMON = "Microsoft-Windows-Sysmon/Operational"
_TRUE = frozenset({"true", "True", "TRUE"})

Port = str | int | None


class Fields(msgspec.Struct, gc=False):
    """The fields of Sysmon that the fold reads."""

    UtcTime: str | None = None
    ProcessGuid: str | None = None
    Image: str | None = None
    User: str | None = None
    SourceProcessGUID: str | None = None
    TargetProcessGUID: str | None = None
    SourceImage: str | None = None
    TargetImage: str | None = None
    TargetObject: str | None = None
    ImageLoaded: str | None = None
    TargetFilename: str | None = None
    EventTypeOrignal: str | None = None
    EventType: str | None = None
    QueryName: str | None = None
    CommandLine: str | None = None
    ParentProcessGuid: str | None = None
    ParentImage: str | None = None
    ParentCommandLine: str | None = None
    Initiated: str | bool | None = None
    DestinationIp: str | None = None
    DestinationPort: Port = None
    SourceIp: str | None = None
    SourcePort: Port = None
    SourceProcessGuid: str | None = None
    TargetProcessGuid: str | None = None


class Record(Fields, gc=False):
    """A record of shape A or B, which has its fields at the top, or C, which has them in `event_data`."""

    Channel: str | None = None
    Hostname: str | None = None
    EventID: int | str | None = None
    log_name: str | None = None
    computer_name: str | None = None
    event_id: int | str | None = None
    event_data: Fields | None = None


Handler = Callable[[States, Fields, str, str], None]


def fold_records(records: Iterable[Record], states: States) -> None:
    """Fold decoded records."""
    handlers = _HANDLERS
    for record in records:
        states.records += 1
        fields: Fields | None = record
        if record.Channel == _SYSMON:
            host, number = record.Hostname, record.EventID
        elif record.log_name == _SYSMON:
            fields, host, number = record.event_data, record.computer_name, record.event_id
        else:
            continue
        handler = handlers.get(number)
        if handler is not None and host and fields is not None:
            time = fields.UtcTime
            if time:
                handler(states, fields, host, time)


def _plain(kind: str) -> Handler:
    def handle(states: States, fields: Fields, host: str, time: str) -> None:
        process = states.get(host, fields.ProcessGuid)
        if process is not None:
            process.add(kind, time, fields.Image, fields.User)

    return handle


def _create(states: States, fields: Fields, host: str, time: str) -> None:
    child = states.get(host, fields.ProcessGuid)
    if child is not None:
        child.add("process_start", time, fields.Image, fields.User)
        child.add_command_line(time, fields.CommandLine)
        child.add_parent(time, states.id(fields.ParentProcessGuid))
    parent = states.get(host, fields.ParentProcessGuid)
    if parent is not None:
        parent.add("child_start", time, fields.ParentImage, fields.User)
        parent.add_command_line(time, fields.ParentCommandLine)
        add_member(parent, TARGETS, time, states.id(fields.ProcessGuid))


def _connect(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.ProcessGuid)
    if process is None:
        return
    if fields.Initiated in _TRUE:
        kind, address, port = "net_connect", fields.DestinationIp, fields.DestinationPort
    else:
        kind, address, port = "net_accept", fields.SourceIp, fields.SourcePort
    process.add(kind, time, fields.Image, fields.User)
    if address and port:
        address = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    add_member(process, REMOTES, time, address)


def _remote_thread(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.SourceProcessGuid)
    if process is not None:
        process.add("remote_thread", time, fields.Image, fields.User)
        add_member(process, TARGETS, time, states.id(fields.TargetProcessGuid))
    process = states.get(host, fields.TargetProcessGuid)
    if process is not None:
        process.add("injected_by", time, fields.Image, fields.User)
        add_member(process, SOURCES, time, states.id(fields.SourceProcessGuid))


def _access(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.SourceProcessGUID)
    if process is not None:
        process.add("process_access", time, fields.SourceImage, fields.User)
        add_member(process, TARGETS, time, states.id(fields.TargetProcessGUID))
    process = states.get(host, fields.TargetProcessGUID)
    if process is not None:
        process.add("accessed_by", time, fields.TargetImage, fields.User)
        add_member(process, SOURCES, time, states.id(fields.SourceProcessGUID))


def _module(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.ProcessGuid)
    if process is not None:
        process.add("module_load", time, fields.Image, fields.User)
        add_member(process, MODULES, time, fields.ImageLoaded)


def _file(kind: str, which: int) -> Handler:
    def handle(states: States, fields: Fields, host: str, time: str) -> None:
        process = states.get(host, fields.ProcessGuid)
        if process is not None:
            process.add(kind, time, fields.Image, fields.User)
            add_member(process, which, time, fields.TargetFilename)

    return handle


def _registry_key(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.ProcessGuid)
    if process is not None:
        change = fields.EventTypeOrignal or fields.EventType or ""
        process.add(
            "registry_delete" if change.startswith("Delete") else "registry_set", time, fields.Image, fields.User
        )
        add_member(process, REGISTRY, time, fields.TargetObject)


def _registry_value(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.ProcessGuid)
    if process is not None:
        process.add("registry_set", time, fields.Image, fields.User)
        add_member(process, REGISTRY, time, fields.TargetObject)


def _query(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.ProcessGuid)
    if process is not None:
        process.add("dns_query", time, fields.Image, fields.User)
        add_member(process, DOMAINS, time, fields.QueryName)


_HANDLERS: dict[int | str | None, Handler] = {
    1: _create,
    3: _connect,
    5: _plain("process_end"),
    7: _module,
    8: _remote_thread,
    10: _access,
    11: _file("file_write", FILES),
    12: _registry_key,
    13: _registry_value,
    14: _registry_value,
    15: _file("file_write", FILES),
    17: _plain("pipe"),
    18: _plain("pipe"),
    22: _query,
    23: _file("file_delete", DELETED),
    26: _file("file_delete", DELETED),
    **dict.fromkeys((2, 9, 24, 25, 27, 28, 29), _plain("other")),
}
