"""Where the things that Sigma speaks of stand in our events: kinds by category, columns by field.

Only what is the same thing is in the tables.  A field that is not, is refused by name, as is a category.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ADDRESS", "CATEGORIES", "GROUP_HOST", "INITIATED", "PORT", "UNKNOWN_CATEGORIES", "Category"]

ADDRESS = "(address of remote)"
PORT = "(port of remote)"
"""Parts of ``remote``: no columns, but what can be said of them can be said of it."""

INITIATED = "(initiated)"
"""Which side opened a connection: told by the kind."""

GROUP_HOST = frozenset({"Computer", "ComputerName", "Hostname", "HostName", "hostname", "host", "host.name", "host.id"})
"""What ``group-by`` may call the host."""

_ALL = {
    "Image": "image",
    "User": "user",
    "ProcessGuid": "process",
    "ProcessPath": "image",
    **dict.fromkeys(sorted(GROUP_HOST), "host"),
}
_HASHED = {**_ALL, "Hashes": "hash", "Hash": "hash"}
_ACTOR = {
    "SourceImage": "image",
    "TargetImage": "other_image",
    "SourceProcessGuid": "process",
    "SourceProcessGUID": "process",
    "TargetProcessGuid": "target",
    "TargetProcessGUID": "target",
    **dict.fromkeys(sorted(GROUP_HOST), "host"),
}
_FILE = {**_HASHED, "TargetFilename": "file"}
_REGISTRY = {**_ALL, "TargetObject": "registry", "Details": "detail"}


@dataclass(frozen=True, slots=True)
class Category:
    """What a category of log sources is.

    Attributes
    ----------
    kinds : frozenset of str
        Kinds of the events.
    fields : dict of str to str
        Column, ``process``, ``host``, or one of the words above, by the name of the field.
    """

    kinds: frozenset[str]
    fields: dict[str, str] = field(default_factory=dict)


def _category(kinds: str, fields: dict[str, str], **more: str) -> Category:
    return Category(frozenset(kinds.split()), {**fields, **more})


CATEGORIES: dict[str, Category] = {
    "process_creation": _category(
        "process_start",
        _HASHED,
        CommandLine="command_line",
        IntegrityLevel="integrity",
        ParentImage="other_image",
        ParentProcessGuid="parent",
    ),
    "process_termination": _category("process_end", _ALL),
    "network_connection": _category(
        "net_connect net_accept",
        _ALL,
        DestinationIp=ADDRESS,
        DestinationPort=PORT,
        DestinationHostname="domain",
        Initiated=INITIATED,
    ),
    "image_load": _category("module_load", _HASHED, ImageLoaded="module"),
    "file_event": _category("file_write", _FILE),
    "file_access": _category("file_open", _ALL, FileName="file", TargetFilename="file"),
    "file_rename": _category("file_rename", _FILE, SourceFilename="detail"),
    "file_delete": _category("file_delete", _FILE),
    "registry_event": _category("registry_set registry_delete", _REGISTRY),
    "registry_set": _category("registry_set", _REGISTRY),
    "registry_delete": _category("registry_delete", _REGISTRY),
    "dns_query": _category("dns_query", _ALL, QueryName="domain"),
    "create_remote_thread": _category("remote_thread", _ACTOR),
    "process_access": _category("process_access", _ACTOR, GrantedAccess="detail"),
    "pipe_created": _category("pipe", _ALL, PipeName="detail"),
    "ps_script": _category("script_load", _ALL, ScriptBlockText="detail"),
}

UNKNOWN_CATEGORIES: dict[str, str] = {
    "create_stream_hash": "no kind tells streams from files that were written",
    "driver_load": "a driver is loaded by no process",
    "file_change": "changes of file times have no kind of their own",
    "process_tampering": "tampering has no kind of its own",
    "raw_access_thread": "raw reads of disks have no kind of their own",
    "registry_add": "no kind tells keys that were created from values that were set",
    "registry_rename": "no kind tells keys that were renamed from values that were set",
    "wmi_event": "WMI events have no process",
}
"""Why some categories have no kind."""
