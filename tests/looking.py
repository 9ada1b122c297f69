"""A Redis with states in it, for the tests of what looks into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner, Result

from fastfold import reference
from fastfold.cli import cli
from fastfold.ledger import HostRecord
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet
from fastfold.store import host_key, process_key
from fastfold.types import BatchId
from fastfold.values import pack_value

__all__ = ["DEFINITION", "START_NS", "Stored", "key_of", "state"]

DEFINITION = load_definition("process")
START_NS = 1_709_539_200_000_000_000


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


@dataclass
class Stored:
    """A Redis with states in it."""

    url: str
    client: Any

    def put(self, *states: State, life_s: int = 600) -> None:
        """Store states."""
        for one in states:
            self.client.set(key_of(one), pack_value(reference.encode(one, DEFINITION)), ex=life_s)

    def put_record(self, tenant: str, host: str, life_s: int = 600) -> bytes:
        """Store a host record of one batch; returns its key."""
        record = HostRecord(tenant, host).with_entry(BatchId(1_709_539_200_123, b"12345678"), 1000)
        key = host_key(tenant, host)
        self.client.set(key, pack_value(record.encode()), ex=life_s)
        return key

    def inspect(self, *args: str) -> Result:
        """Run `fastfold inspect`."""
        return CliRunner().invoke(cli, ["inspect", "--redis-url", self.url, *args])

    def census(self, *args: str) -> Result:
        """Run `fastfold census`."""
        return CliRunner().invoke(cli, ["census", "--redis-url", self.url, *args])
