"""What one generated event says: the event data of each Sysmon id, in Sysmon's own order."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from fastfold.generate import words
from fastfold.states import format_time

__all__ = ["MIX", "NULL_GUID", "Dice", "Host", "Process", "Scene", "fields", "pick_kind", "title_of", "utc"]

_T = TypeVar("_T")

NULL_GUID = "{00000000-0000-0000-0000-000000000000}"
_NS_PER_MS = 1_000_000
_STRAY_SHARE = 0.02
"""Share of the ids 3, 7 and 22 whose process is unknown; 0.4 % of all records."""

MIX: dict[int, int] = {
    10: 4800,
    12: 2100,
    7: 1800,
    13: 900,
    3: 140,
    11: 110,
    22: 50,
    18: 40,
    23: 30,
    9: 20,
    17: 6,
    2: 4,
}
"""Event ids a running process gives, per ten thousand; starts (1) and ends (5) come of the process tree."""

_KINDS = tuple(MIX)
_EDGES = tuple(itertools.accumulate(MIX.values()))


class Dice:
    """Chance that falls the same way on every version of Python.

    Of `random.Random` only `random()` is promised to give the same sequence for the same seed in
    all versions, so all else is made of it.
    """

    def __init__(self, *seed: int) -> None:
        mixed = 0
        for part in seed:
            mixed = mixed << 64 | part & 0xFFFF_FFFF_FFFF_FFFF
        self._random = random.Random(mixed).random  # noqa: S311 - test data, not secrets

    def below(self, most: int) -> int:
        """A number from 0 to `most` - 1."""
        return int(self._random() * most)

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of the choices, all alike."""
        return choices[int(self._random() * len(choices))]

    def chance(self, share: float) -> bool:
        """True in `share` of all throws."""
        return self._random() < share

    def digits(self, count: int) -> str:
        """Upper-case hexadecimal digits."""
        words = range((count + 7) // 8)
        return "".join(f"{int(self._random() * (1 << 32)):08X}" for _ in words)[:count]

    def shuffle(self, items: MutableSequence[_T]) -> None:
        """Any order, all alike (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = int(self._random() * (last + 1))
            items[last], items[other] = items[other], items[last]


@dataclass(frozen=True, slots=True)
class Host:
    """A machine: its name, its addresses, and how far its wall clock is from UTC."""

    name: str
    machine: str
    address: str
    user: str
    sid: str
    clock_ms: int


@dataclass(slots=True, eq=False)
class Process:
    """A process of a host; `end_ms` is set in the file in which it ends."""

    guid: str
    pid: int
    image: str
    command_line: str
    user: str
    parent: Process | None
    start_ms: int
    end_ms: int | None = None


class Scene(NamedTuple):
    """Who does something, where and when; `peers` are the processes of the host it may touch."""

    dice: Dice
    host: Host
    process: Process
    peers: Sequence[Process]
    time_ms: int


def pick_kind(dice: Dice) -> int:
    """An event id, as often as `MIX` says."""
    return _KINDS[bisect.bisect_right(_EDGES, dice.below(_EDGES[-1]))]


def utc(time_ms: int) -> str:
    """Time as Sysmon writes it in ``UtcTime``."""
    return format_time(time_ms * _NS_PER_MS)[:23].replace("T", " ")


# The event data of each id, in Sysmon's order, without RuleName and UtcTime, which all have.

_Fields = dict[str, str]
_MICROSOFT = {"Product": "Microsoft® Windows® Operating System", "Company": "Microsoft Corporation"}


def _hashes(dice: Dice) -> str:
    return f"SHA1={dice.digits(40)},MD5={dice.digits(32)},SHA256={dice.digits(64)},IMPHASH={dice.digits(32)}"


def _name(path: str) -> str:
    return path.rpartition("\\")[2]


def _actor(process: Process) -> _Fields:
    return {"ProcessGuid": process.guid, "ProcessId": str(process.pid), "Image": process.image}


def _user(process: Process) -> _Fields:
    return {"User": process.user}


def _file(scene: Scene) -> str:
    dice = scene.dice
    folder = dice.pick(words.FOLDERS).replace("{user}", scene.host.user)
    return f"{folder}\\{dice.digits(dice.between(4, 8))}.{dice.pick(words.SUFFIXES)}"


def _start(scene: Scene) -> _Fields:
    parent = scene.process.parent
    data = _actor(scene.process)
    data |= {
        "FileVersion": "10.0.19041.1 (WinBuild.160101.0800)",
        "Description": _name(scene.process.image),
        **_MICROSOFT,
    }
    data |= {"OriginalFileName": _name(scene.process.image), "CommandLine": scene.process.command_line}
    data |= {"CurrentDirectory": "C:\\Windows\\system32\\", **_user(scene.process)}
    data |= {"LogonGuid": "{" + scene.host.machine + "-0a1b-5f00-e703-000000000000}", "LogonId": "0x3e7"}
    data |= {
        "TerminalSessionId": "1",
        "IntegrityLevel": scene.dice.pick(("Medium", "High", "System")),
        "Hashes": _hashes(scene.dice),
    }
    data["ParentProcessGuid"] = parent.guid if parent else NULL_GUID
    data["ParentProcessId"] = str(parent.pid) if parent else "0"
    data["ParentImage"] = parent.image if parent else "-"
    data["ParentCommandLine"] = parent.command_line if parent else "-"
    data["ParentUser"] = parent.user if parent else "-"
    return data


def _times(scene: Scene) -> _Fields:
    created = {
        "CreationUtcTime": utc(scene.time_ms - scene.dice.below(10**9)),
        "PreviousCreationUtcTime": utc(scene.time_ms),
    }
    return _actor(scene.process) | {"TargetFilename": _file(scene)} | created | _user(scene.process)


def _network(scene: Scene) -> _Fields:
    outbound = scene.dice.chance(0.85)
    outside = f"{scene.dice.pick(words.OUTSIDE)}{scene.dice.between(1, 60)}"
    here, there = (
        (scene.host.address, str(scene.dice.between(49_152, 65_535))),
        (outside, str(scene.dice.pick(words.PORTS))),
    )
    if not outbound:
        here, there = (scene.host.address, there[1]), (outside, here[1])
    (source, source_port), (destination, destination_port) = (here, there) if outbound else (there, here)
    v6 = "true" if ":" in outside else "false"
    return (
        _actor(scene.process)
        | _user(scene.process)
        | {
            "Protocol": "tcp",
            "Initiated": "true" if outbound else "false",
            "SourceIsIpv6": v6,
            "SourceIp": source,
            "SourceHostname": "-",
            "SourcePort": source_port,
            "SourcePortName": "-",
            "DestinationIsIpv6": v6,
            "DestinationIp": destination,
            "DestinationHostname": "-",
            "DestinationPort": destination_port,
            "DestinationPortName": "-",
        }
    )


def _end(scene: Scene) -> _Fields:
    return _actor(scene.process) | _user(scene.process)


def _module(scene: Scene) -> _Fields:
    module = scene.dice.pick(words.MODULES)
    return _actor(scene.process) | {
        "ImageLoaded": f"C:\\Windows\\System32\\{module}",
        "FileVersion": "10.0.19041.546 (WinBuild.160101.0800)",
        "Description": f"{module} library",
        **_MICROSOFT,
        "OriginalFileName": _name(module),
        "Hashes": _hashes(scene.dice),
        "Signed": "true",
        "Signature": "Microsoft Windows",
        "SignatureStatus": "Valid",
        **_user(scene.process),
    }


def _raw_read(scene: Scene) -> _Fields:
    return (
        _actor(scene.process) | {"Device": f"\\Device\\HarddiskVolume{scene.dice.between(1, 4)}"} | _user(scene.process)
    )


def _access(scene: Scene) -> _Fields:
    target = scene.dice.pick(scene.peers)
    frames = [
        f"{scene.dice.pick(words.FRAMES)}+{scene.dice.between(0x1000, 0xFFFFF):x}"
        for _ in range(scene.dice.between(3, 16))
    ]
    return {
        "SourceProcessGUID": scene.process.guid,
        "SourceProcessId": str(scene.process.pid),
        "SourceThreadId": str(scene.dice.between(64, 9999)),
        "SourceImage": scene.process.image,
        "TargetProcessGUID": target.guid,
        "TargetProcessId": str(target.pid),
        "TargetImage": target.image,
        "GrantedAccess": scene.dice.pick(words.ACCESSES),
        "CallTrace": "|".join(frames),
        "SourceUser": scene.process.user,
        "TargetUser": target.user,
    }


def _write(scene: Scene) -> _Fields:
    file = {"TargetFilename": _file(scene), "CreationUtcTime": utc(scene.time_ms - scene.dice.below(10**6))}
    return _actor(scene.process) | file | _user(scene.process)


def _key(scene: Scene) -> str:
    return scene.dice.pick(words.KEYS).replace("{sid}", scene.host.sid)


def _registry_key(scene: Scene) -> _Fields:
    kind = "CreateKey" if scene.dice.chance(0.95) else scene.dice.pick(("DeleteKey", "DeleteValue"))
    return {"EventType": kind} | _actor(scene.process) | {"TargetObject": _key(scene)} | _user(scene.process)


def _registry_value(scene: Scene) -> _Fields:
    value = f"{_key(scene)}\\Value{scene.dice.below(40)}"
    set_to = {"TargetObject": value, "Details": f"DWORD (0x{scene.dice.digits(8).lower()})"}
    return {"EventType": "SetValue"} | _actor(scene.process) | set_to | _user(scene.process)


def _pipe(scene: Scene) -> _Fields:
    actor = {
        "ProcessGuid": scene.process.guid,
        "ProcessId": str(scene.process.pid),
        "PipeName": scene.dice.pick(words.PIPES),
    }
    return {"EventType": "ConnectPipe"} | actor | {"Image": scene.process.image} | _user(scene.process)


def _dns(scene: Scene) -> _Fields:
    domain = (
        f"{scene.dice.pick(words.DOMAIN_WORDS)}{scene.dice.below(50)}.example.{scene.dice.pick(('com', 'net', 'org'))}"
    )
    asked = {"QueryName": domain, "QueryStatus": "0", "QueryResults": f"::ffff:203.0.113.{scene.dice.between(1, 60)};"}
    return (
        {"ProcessGuid": scene.process.guid, "ProcessId": str(scene.process.pid)}
        | asked
        | {"Image": scene.process.image}
        | _user(scene.process)
    )


def _delete(scene: Scene) -> _Fields:
    actor = {
        "ProcessGuid": scene.process.guid,
        "ProcessId": str(scene.process.pid),
        **_user(scene.process),
        "Image": scene.process.image,
    }
    gone = {"TargetFilename": _file(scene), "Hashes": _hashes(scene.dice), "IsExecutable": "false", "Archived": "true"}
    return actor | gone


_EVENTS: dict[int, tuple[str, Callable[[Scene], _Fields]]] = {
    1: ("Process Create", _start),
    2: ("File creation time changed", _times),
    3: ("Network connection detected", _network),
    5: ("Process terminated", _end),
    7: ("Image loaded", _module),
    9: ("RawAccessRead detected", _raw_read),
    10: ("Process accessed", _access),
    11: ("File created", _write),
    12: ("Registry object added or deleted", _registry_key),
    13: ("Registry value set", _registry_value),
    17: ("Pipe Created", _pipe),
    18: ("Pipe Connected", _pipe),
    22: ("Dns query", _dns),
    23: ("File Delete archived", _delete),
}


def fields(scene: Scene, event_id: int) -> dict[str, str]:
    """The event data of one event: `event_id` is a key of `MIX`, 1 or 5."""
    data = {"RuleName": "-"}
    made = _EVENTS[event_id][1](scene)
    if "EventType" in made:
        data["EventType"] = made.pop("EventType")
    data["UtcTime"] = utc(scene.time_ms)
    if event_id in (3, 7, 22) and scene.dice.chance(_STRAY_SHARE):
        made["ProcessGuid"] = NULL_GUID
    return data | made


def title_of(event_id: int) -> str:
    """The first line of the message text of an id."""
    return _EVENTS[event_id][0]
