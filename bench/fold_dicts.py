"""The fold of records that a JSON parser made into dicts, or into what reads like dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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

__all__ = ["fold_lines"]

_SYSMON = "Microsoft-Windows-Sysmon/Operational"
_TRUE = frozenset({"true", "True", "TRUE"})

Fields = dict[str, Any]
Handler = Callable[[States, Fields, str, str], None]


def fold_lines(lines: Iterable[bytes], loads: Callable[[bytes], Any], states: States) -> None:
    """Fold NDJSON lines; a line that is not JSON raises what `loads` raises."""
    handlers = _HANDLERS
    record: Any
    fields: Any
    for line in lines:
        if not line or line.isspace():
            continue
        states.records += 1
        # pysimdjson parses into the memory of the record before, once nobody holds it.
        record = fields = None
        record = loads(line)
        if record.get("Channel") == _SYSMON:
            fields, host, number = record, record.get("Hostname"), record.get("EventID")
        elif record.get("log_name") == _SYSMON:
            fields, host, number = record["event_data"], record.get("computer_name"), record.get("event_id")
        else:
            continue
        handler = handlers.get(number)
        if handler is not None and host:
            time = fields.get("UtcTime")
            if time:
                handler(states, fields, host, time)


def _plain(kind: str, which: int | None = None, column: str = "") -> Handler:
    """Events of ``ProcessGuid`` with at most one column that goes into a set."""

    def handle(states: States, fields: Fields, host: str, time: str) -> None:
        process = states.get(host, fields.get("ProcessGuid"))
        if process is not None:
            process.add(kind, time, fields.get("Image"), fields.get("User"))
            if which is not None:
                add_member(process, which, time, fields.get(column))

    return handle


def _create(states: States, fields: Fields, host: str, time: str) -> None:
    guid, parent_guid = fields.get("ProcessGuid"), fields.get("ParentProcessGuid")
    child = states.get(host, guid)
    if child is not None:
        child.add("process_start", time, fields.get("Image"), fields.get("User"))
        child.add_command_line(time, fields.get("CommandLine"))
        child.add_parent(time, states.id(parent_guid))
    parent = states.get(host, parent_guid)
    if parent is not None:
        parent.add("child_start", time, fields.get("ParentImage"), fields.get("User"))
        parent.add_command_line(time, fields.get("ParentCommandLine"))
        add_member(parent, TARGETS, time, states.id(guid))


def _connect(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.get("ProcessGuid"))
    if process is None:
        return
    if fields.get("Initiated") in _TRUE:
        kind, address, port = "net_connect", fields.get("DestinationIp"), fields.get("DestinationPort")
    else:
        kind, address, port = "net_accept", fields.get("SourceIp"), fields.get("SourcePort")
    process.add(kind, time, fields.get("Image"), fields.get("User"))
    if address and port:
        address = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    add_member(process, REMOTES, time, address)


def _remote_thread(states: States, fields: Fields, host: str, time: str) -> None:
    _both(
        states,
        host,
        time,
        (fields.get("SourceProcessGuid"), "remote_thread", fields.get("Image")),
        (fields.get("TargetProcessGuid"), "injected_by", fields.get("Image")),
        fields.get("User"),
    )


def _access(states: States, fields: Fields, host: str, time: str) -> None:
    _both(
        states,
        host,
        time,
        (fields.get("SourceProcessGUID"), "process_access", fields.get("SourceImage")),
        (fields.get("TargetProcessGUID"), "accessed_by", fields.get("TargetImage")),
        fields.get("User"),
    )


Side = tuple[str | None, str, str | None]


def _both(states: States, host: str, time: str, source: Side, target: Side, user: str | None) -> None:
    """An event of two processes, each the other's target."""
    process = states.get(host, source[0])
    if process is not None:
        process.add(source[1], time, source[2], user)
        add_member(process, TARGETS, time, states.id(target[0]))
    process = states.get(host, target[0])
    if process is not None:
        process.add(target[1], time, target[2], user)
        add_member(process, SOURCES, time, states.id(source[0]))


def _registry_key(states: States, fields: Fields, host: str, time: str) -> None:
    process = states.get(host, fields.get("ProcessGuid"))
    if process is not None:
        change = fields.get("EventTypeOrignal") or fields.get("EventType") or ""
        kind = "registry_delete" if change.startswith("Delete") else "registry_set"
        process.add(kind, time, fields.get("Image"), fields.get("User"))
        add_member(process, REGISTRY, time, fields.get("TargetObject"))


_HANDLERS: dict[int, Handler] = {
    1: _create,
    3: _connect,
    5: _plain("process_end"),
    7: _plain("module_load", MODULES, "ImageLoaded"),
    8: _remote_thread,
    10: _access,
    11: _plain("file_write", FILES, "TargetFilename"),
    12: _registry_key,
    13: _plain("registry_set", REGISTRY, "TargetObject"),
    14: _plain("registry_set", REGISTRY, "TargetObject"),
    15: _plain("file_write", FILES, "TargetFilename"),
    17: _plain("pipe"),
    18: _plain("pipe"),
    22: _plain("dns_query", DOMAINS, "QueryName"),
    23: _plain("file_delete", DELETED, "TargetFilename"),
    26: _plain("file_delete", DELETED, "TargetFilename"),
    **dict.fromkeys((2, 9, 24, 25, 27, 28, 29), _plain("other")),
}
