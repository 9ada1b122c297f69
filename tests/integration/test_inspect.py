"""`fastfold inspect` on a real Redis and on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from redis.cluster import RedisCluster

from fastfold import reference
from fastfold.cli import cli
from fastfold.exits import Exit
from fastfold.ledger import HostRecord
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet, to_json
from fastfold.store import host_key, process_key
from fastfold.types import BatchId
from fastfold.values import pack_value

pytestmark = pytest.mark.servers

DEFINITION = load_definition("process")
START_NS = 1_709_539_200_000_000_000
NASTY = "a\x1b[2J\x9b\u202e\u2028\r\nb"


def state(host: str, process: str, *, image: str = "C:\\Temp\\a.exe", tenant: str = "", more: bool = False) -> State:
    files = TextSet(more, (Text(START_NS, "C:\\one.txt"), Text(START_NS + 5, "C:\\two.txt", True)))
    values: dict[str, Any] = {
        "first": START_NS,
        "last": START_NS + 90_000_000_000,
        "counts": {"process_start": 1, "file_write": 2},
        "image": Text(START_NS, image),
        "command_line": Text(START_NS, f'"{image}" /x'),
        "files": files,
    }
    return State(tenant, host, process, values)


@dataclass
class Stored:
    """A Redis with states in it."""

    url: str
    client: Any

    def put(self, *states: State) -> None:
        for one in states:
            key = process_key(host_key(one.tenant, one.host), one.process)
            self.client.set(key, pack_value(reference.encode(one, DEFINITION)), ex=600)

    def inspect(self, *args: str) -> Result:
        return CliRunner().invoke(cli, ["inspect", "--redis-url", self.url, *args])


@pytest.fixture(params=["single", "cluster"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    if request.param == "single":
        url = request.getfixturevalue("redis_server").url
        client: Any = redis.Redis.from_url(url)
        servers = [client]
    else:
        url = request.getfixturevalue("redis_cluster").url
        client = RedisCluster.from_url(url)
        servers = [client.get_redis_connection(node) for node in client.get_primaries()]
    for server in servers:
        server.flushall()
    yield Stored(url, client)
    client.close()


def test_a_process_is_found_and_shown_in_full(stored: Stored) -> None:
    stored.put(state("h1", "aa-1", more=True), state("h1", "aa-2"))
    result = stored.inspect("h1", "aa-1")
    assert result.exit_code == Exit.OK
    lines = result.stdout.splitlines()
    assert lines[0] == "C:\\Temp\\a.exe"
    assert "  first         2024-03-04 08:00:00.000 UTC" in lines
    assert "  last          2024-03-04 08:01:30.000 UTC  (90.000 s later)" in lines
    assert "  counts        3: process_start 1, file_write 2" in lines
    assert "  files (the earliest 2, more were seen and dropped)" in lines
    assert "    2024-03-04 08:00:00.000  C:\\one.txt" in lines
    assert "    2024-03-04 08:00:00.000000005  C:\\two.txt (cut)" in lines
    # As Sysmon writes the id.
    assert stored.inspect("h1", "{AA-1}").stdout == result.stdout


def test_json_is_the_object_of_fold(stored: Stored) -> None:
    one = state("h1", "p1", tenant="acme", image=NASTY)
    stored.put(one)
    result = stored.inspect("h1", "p1", "--tenant", "acme", "--json")
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout) == to_json(one, DEFINITION)


def test_control_characters_never_reach_the_terminal(stored: Stored) -> None:
    stored.put(state(NASTY, NASTY, image=NASTY))
    for form in ([], ["--json"]):
        for result in (stored.inspect(NASTY, NASTY, *form), stored.inspect("--scan", *form)):
            assert result.exit_code == Exit.OK
            assert not set(result.stdout) & set("\x1b\x9b\u202e\u2028\r")


def test_scan_finds_every_state_and_no_host_record(stored: Stored) -> None:
    wanted = {(f"host-{number}", f"process-{number % 7}") for number in range(60)}
    stored.put(*(state(host, process) for host, process in wanted))
    for host, _ in wanted:
        stored.client.set(host_key("", host), pack_value(HostRecord("", host).encode()))
    stored.client.set("unrelated", "x")
    result = stored.inspect("--scan", "--json")
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(one["host"], one["process"]) for one in shown} == wanted
    assert len(shown) == len(wanted)


def test_scan_matches_and_stops_at_its_limit(stored: Stored) -> None:
    stored.put(
        *(state("h", f"p{number}", image="C:\\Tools\\Needle.exe" if number < 3 else "x") for number in range(20))
    )
    found = stored.inspect("--scan", "--json", "--match", "nEEDLE")
    assert {json.loads(line)["process"] for line in found.stdout.splitlines()} == {"p0", "p1", "p2"}
    limited = stored.inspect("--scan", "--json", "--limit", "4")
    assert len(limited.stdout.splitlines()) == 4
    assert "there are more; --limit is 4" in limited.stderr
    assert stored.inspect("--scan", "--match", "no such text").exit_code == Exit.NOT_FOUND


def test_a_key_shows_a_state_or_a_host_record(stored: Stored) -> None:
    stored.put(state("h1", "p1"))
    key = host_key("", "h1")
    record = HostRecord("", "h1").with_entry(BatchId(1_709_539_200_123, b"12345678"), 1000)
    stored.client.set(key, pack_value(record.encode()))
    assert stored.inspect("--key", process_key(key, "p1").decode()).stdout == stored.inspect("h1", "p1").stdout
    assert json.loads(stored.inspect("--json", "--key", key.decode()).stdout) == {
        "host": "h1",
        "ledger": [{"time": "2024-03-04T08:00:00.123Z", "batch": "3132333435363738", "bits": 0, "chunk": 0}],
    }
    assert "1 batches applied" in stored.inspect("--key", key.decode()).stdout


def test_nothing_there_is_said_with_its_own_code(stored: Stored) -> None:
    for args in (["h1", "p1"], ["--key", "ff:{x}y"], ["--scan"]):
        result = stored.inspect(*args)
        assert result.exit_code == Exit.NOT_FOUND
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("value", [b"", b"\x01\x00broken", b"\x07\x00", pack_value(b"\x01")], ids=repr)
def test_a_damaged_value_is_named_by_its_key(stored: Stored, value: bytes) -> None:
    stored.put(state("h1", "good"))
    key = process_key(host_key("", "h1"), "bad")
    stored.client.set(key, value)
    result = stored.inspect("h1", "bad")
    assert result.exit_code == Exit.CORRUPT
    assert key.decode() in result.stderr
    scanned = stored.inspect("--scan", "--json")
    assert scanned.exit_code == Exit.CORRUPT
    assert key.decode() in scanned.stderr
    assert json.loads(scanned.stdout)["process"] == "good"


def test_another_process_under_the_key_is_refused(stored: Stored) -> None:
    other = pack_value(reference.encode(state("h1", "other"), DEFINITION))
    stored.client.set(process_key(host_key("", "h1"), "p1"), other)
    result = stored.inspect("h1", "p1")
    assert result.exit_code == Exit.CORRUPT
    assert "another process" in result.stderr
    assert result.stdout == ""


def test_a_key_of_another_type_is_no_crash(stored: Stored) -> None:
    stored.client.rpush(process_key(host_key("", "h1"), "list"), "x")
    result = stored.inspect("h1", "list")
    assert result.exit_code == Exit.CORRUPT
    assert "not a string" in result.stderr


def test_a_server_that_is_not_there_is_one_line() -> None:
    result = CliRunner().invoke(cli, ["inspect", "--redis-url", "redis://:s3cret@127.0.0.1:1", "--scan"])
    assert result.exit_code == Exit.REDIS
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.stderr
