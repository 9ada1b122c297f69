"""A Redis with states in it, for the tests of what looks into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from fastfold import reference
from fastfold.cli import cli
from fastfold.dictionaries import DEFAULT_ID, StoredDictionary, find_dictionaries
from fastfold.ledger import HostRecord
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet
from fastfold.store import host_key, process_key
from fastfold.types import BatchId
from fastfold.values import Codec, ValueForm, pack_value

__all__ = [
    "DEFINITION",
    "OWN_ID",
    "RIGHTS",
    "START_NS",
    "Restricted",
    "Stored",
    "key_of",
    "own_dictionary",
    "servers_of",
    "state",
]

DEFINITION = load_definition("process")
START_NS = 1_709_539_200_000_000_000
OWN_ID = 77
RIGHTS = ("on", ">s3cret", "~ff:*", "-@all", "+get", "+scan", "+cluster|slots")
"""Of a user who looks."""


def state(
    host: str,
    process: str,
    *,
    image: str = "C:\\Temp\\a.exe",
    tenant: str = "",
    parent: str = "",
    more: bool = False,
    writes: int = 2,
) -> State:
    """A process that wrote two files."""
    files = TextSet(more, (Text(START_NS, "C:\\one.txt"), Text(START_NS + 5, "C:\\two.txt", True)))
    values: dict[str, Any] = {
        "first": START_NS,
        "last": START_NS + 90_000_000_000,
        "counts": {"process_start": 1, "file_write": writes},
        "image": Text(START_NS, image),
        "command_line": Text(START_NS, f'"{image}" /x'),
    }
    if parent:
        values["parent"] = Text(START_NS, parent)
    return State(tenant, host, process, values | {"files": files})


def key_of(one: State) -> bytes:
    """Where a state lies."""
    return process_key(host_key(one.tenant, one.host), one.process)


def own_dictionary(folder: Path) -> Codec:
    """Put a dictionary of one's own into a folder; returns what writes with it."""
    (content,) = (one.content for one in find_dictionaries() if one.id == DEFAULT_ID)
    (folder / f"{OWN_ID}.ffdict").write_bytes(StoredDictionary(OWN_ID, "tests", 1, content).dump())
    return Codec(ValueForm.load(OWN_ID, folder=str(folder)))


@dataclass
class Stored:
    """A Redis with states in it."""

    url: str
    client: Any

    def put(self, *states: State, life_s: int = 600, codec: Codec | None = None, version: int = 3) -> None:
        """Store states, and records of their hosts where there are none."""
        pack = pack_value if codec is None else codec.pack
        for one in states:
            self.client.set(key_of(one), pack(reference.encode(one, DEFINITION, version)), ex=life_s)
            record = HostRecord(one.tenant, one.host)
            self.client.set(host_key(one.tenant, one.host), pack_value(record.encode()), ex=life_s, nx=True)

    def put_record(self, tenant: str, host: str, life_s: int = 600) -> bytes:
        """Store a host record of one batch; returns its key."""
        record = HostRecord(tenant, host).with_entry(BatchId(1_709_539_200_123, b"12345678"), 1000)
        key = host_key(tenant, host)
        self.client.set(key, pack_value(record.encode()), ex=life_s)
        return key

    def inspect(self, *args: str) -> Result:
        """Run `fastfold inspect`."""
        return self._run("inspect", *args)

    def explain(self, *args: str) -> Result:
        """Run `fastfold explain`."""
        return self._run("explain", *args)

    def census(self, *args: str) -> Result:
        """Run `fastfold census`."""
        return self._run("census", *args)

    def _run(self, command: str, *args: str) -> Result:
        # Tables are as wide as COLUMNS says, which pytest-xdist sets.
        return CliRunner().invoke(cli, [command, "--redis-url", self.url, *args], env={"COLUMNS": None})


def servers_of(stored: Stored) -> list[Any]:
    nodes = getattr(stored.client, "get_primaries", None)
    return [stored.client] if nodes is None else [stored.client.get_redis_connection(node) for node in nodes()]


class Restricted:
    """Runs the commands as a user with few rights."""

    def __init__(self, stored: Stored) -> None:
        self._servers = servers_of(stored)
        self._stored = stored

    def may(self, *rights: str) -> Stored:
        for server in self._servers:
            server.execute_command("ACL", "SETUSER", "reader", "reset", *rights)
        return Stored(self._stored.url.replace("://", "://reader:s3cret@"), self._stored.client)

    def close(self) -> None:
        for server in self._servers:
            server.execute_command("ACL", "DELUSER", "reader")
