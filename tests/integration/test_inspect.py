"""`fastfold inspect` on a real Redis and on a real cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fastfold import reference
from fastfold.cli import cli
from fastfold.config import Settings
from fastfold.exits import Exit
from fastfold.keyspace import Keyspace
from fastfold.ledger import HostRecord
from fastfold.states import to_json
from fastfold.store import host_key, key_slot, process_key
from fastfold.values import pack_value
from looking import DEFINITION, OWN_ID, Stored, key_of, own_dictionary, state
from proxy import CUT, PASS, Command, Proxy
from servers import RedisServer

pytestmark = pytest.mark.servers


def test_a_process_is_found_and_shown_in_full(stored: Stored) -> None:
    stored.put(state("h1", "aa-1", more=True), state("h1", "aa-2"))
    result = stored.inspect("h1", "aa-1")
    assert result.exit_code == Exit.OK
    lines = result.stdout.splitlines()
    assert lines[0] == "C:\\Temp\\a.exe"
    assert "  first         2024-03-04 08:00:00.000 UTC" in lines
    assert "  last          2024-03-04 08:01:30.000 UTC  (90.000 s later, its end was not seen)" in lines
    assert "  counts        3: process_start 1, file_write 2" in lines
    assert "  files (the earliest 2, more were seen and dropped)" in lines
    assert "    2024-03-04 08:00:00.000  C:\\one.txt" in lines
    assert "    2024-03-04 08:00:00.000000005  C:\\two.txt (cut)" in lines
    # As Sysmon writes the id.
    assert stored.inspect("h1", "{AA-1}").stdout == result.stdout


def test_json_is_the_object_of_fold(stored: Stored) -> None:
    one = state("h1", "p1", tenant="acme", image="Zoë\x1b[2J")
    stored.put(one)
    result = stored.inspect("h1", "p1", "--tenant", "acme", "--json")
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout) == to_json(one, DEFINITION)


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
    key = stored.put_record("", "h1")
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


def test_a_form_that_is_not_known_is_told_and_the_rest_is_shown(stored: Stored, tmp_path: Path) -> None:
    codec = own_dictionary(tmp_path)
    stored.put(state("h1", "good", parent="other"))
    stored.put(state("h1", "other", image="C:\\Temp\\other.exe"), codec=codec)
    stored.client.set(process_key(host_key("", "h1"), "newer"), b"\x07\x00value", ex=600)
    put_it = f"put {OWN_ID}.ffdict into the folder that dictionary_folder names"
    for args in (["--scan"], ["--host", "h1"], ["--host", "h1", "--tree"]):
        result = stored.inspect(*args, "--json")
        assert result.exit_code == Exit.CORRUPT
        assert "good" in [json.loads(line)["process"] for line in result.stdout.splitlines()]
        assert f"unknown dictionary {OWN_ID} under key" in result.stderr
        assert put_it in result.stderr
        assert "format version 7, which is not known here under key" in result.stderr
    page = stored.inspect("h1", "good")
    assert page.exit_code == Exit.OK
    assert "  parent        other" in page.stdout.splitlines()
    assert put_it in page.stderr
    raw = stored.inspect("h1", "other", "--raw")
    assert raw.exit_code == Exit.CORRUPT
    assert raw.stdout.splitlines()[4].split() == ["1", "1", "dictionary", str(OWN_ID)]
    assert put_it in raw.stderr
    assert stored.inspect("h1", "other").exit_code == Exit.CORRUPT
    folder = ["--dictionary-folder", str(tmp_path)]
    assert stored.inspect("h1", "other", *folder).stdout.startswith("C:\\Temp\\other.exe")
    assert "  parent        other  C:\\Temp\\other.exe" in stored.inspect("h1", "good", *folder).stdout.splitlines()
    assert stored.inspect("h1", "other", "--raw", *folder).exit_code == Exit.OK
    # With another folder, that one is named.
    (tmp_path / "empty").mkdir()
    result = stored.inspect("h1", "other", "--dictionary-folder", str(tmp_path / "empty"))
    assert f"put {OWN_ID}.ffdict into {tmp_path / 'empty'}" in result.stderr


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


def test_a_tenant_is_given_either_way(stored: Stored) -> None:
    stored.put(state("h1", "p1"), state("h1", "p1", tenant="acme", image="C:\\acme.exe"), state("a/b", "p2"))
    plain = stored.inspect("h1", "p1").stdout
    assert plain.startswith("C:\\Temp\\a.exe")
    assert "tenant" not in plain
    theirs = stored.inspect("acme/h1", "p1")
    assert "  tenant        acme" in theirs.stdout.splitlines()
    assert stored.inspect("h1", "p1", "--tenant", "acme").stdout == theirs.stdout
    # A host whose own name has a slash is still found.
    assert stored.inspect("a/b", "p2").exit_code == Exit.OK
    assert stored.inspect("--tenant", "a", "b", "p2").exit_code == Exit.NOT_FOUND
    found = stored.inspect("--scan", "--tenant", "acme", "--json").stdout.splitlines()
    assert [json.loads(line)["tenant"] for line in found] == ["acme"]
    assert "written TENANT/HOST" in stored.inspect("h2", "p1").stderr


def test_all_processes_of_a_host(stored: Stored) -> None:
    mine = [state("h1", f"p{number}", tenant="acme") for number in range(40)]
    stored.put(*mine, state("h1", "other"), state("h2", "p1", tenant="acme"))
    stored.put_record("acme", "h1")
    result = stored.inspect("--host", "acme/h1")
    assert result.exit_code == Exit.OK
    lines = result.stdout.splitlines()
    assert lines[0] == "acme/h1: 40 processes"
    assert sum("  p7  a.exe  " in line for line in lines) == 1
    assert len(lines) == 43
    objects = [json.loads(line) for line in stored.inspect("--host", "acme/h1", "--json").stdout.splitlines()]
    assert objects == sorted((to_json(one, DEFINITION) for one in mine), key=lambda shown: str(shown["process"]))
    limited = stored.inspect("--host", "h1", "--tenant", "acme", "--limit", "3", "--match", "P1")
    assert len(limited.stdout.splitlines()) == 6
    assert "there are 8 more; --limit is 3" in limited.stderr
    assert stored.inspect("--host", "h3").exit_code == Exit.NOT_FOUND


def test_the_programs_of_other_processes_are_named(stored: Stored) -> None:
    stored.put(state("h1", "p1", parent="p0"), state("h1", "p0", image="C:\\boss.exe"))
    assert "  parent        p0  C:\\boss.exe" in stored.inspect("h1", "p1").stdout.splitlines()
    # A value that cannot be read leaves the page as it is, and is named.
    stored.client.set(key_of(state("h1", "p0")), b"\x01\x00junk")
    result = stored.inspect("h1", "p1")
    assert result.exit_code == Exit.OK
    assert "  parent        p0" in result.stdout.splitlines()
    assert "corrupt value" in result.stderr


def test_the_tree_of_a_host_and_of_a_process(stored: Stored) -> None:
    stored.put(
        state("h1", "root", image="C:\\root.exe"),
        state("h1", "child", parent="root", image="C:\\child.exe"),
        state("h1", "orphan", parent="gone"),
        state("h1", "loop-a", parent="loop-b"),
        state("h1", "loop-b", parent="loop-a"),
        state("h2", "elsewhere"),
    )
    lines = stored.inspect("--host", "h1", "--tree").stdout.splitlines()
    assert lines[0] == "h1: 5 processes"
    shown = [line.partition("  2024")[0] for line in lines[2:]]
    assert shown == [
        "gone  (not stored)",
        "└─ a.exe  orphan",
        "root.exe  root",
        "└─ child.exe  child",
        "a.exe  loop-a",
        "└─ a.exe  loop-b",
    ]
    objects = [json.loads(line) for line in stored.inspect("--host", "h1", "--tree", "--json").stdout.splitlines()]
    assert [(one["process"], one["depth"]) for one in objects][:2] == [("gone", 0), ("orphan", 1)]
    assert [one["process"] for one in objects if one.get("cycle")] == ["loop-a"]
    part = stored.inspect("h1", "{CHILD}", "--tree").stdout.splitlines()
    assert [line.partition("  2024")[0] for line in part[2:]] == ["root.exe  root", "└─ child.exe  child"]
    assert stored.inspect("h1", "nobody", "--tree").exit_code == Exit.NOT_FOUND


def test_raw_shows_the_layout_and_what_is_wrong_with_it(stored: Stored) -> None:
    one = state("h1", "p1")
    stored.put(one)
    payload = reference.encode(one, DEFINITION)
    raw = json.loads(stored.inspect("h1", "p1", "--raw", "--json").stdout)
    assert raw["key"] == key_of(one).decode()
    assert sum(field["size"] for field in raw["value"]) == raw["size"] == stored.client.strlen(key_of(one))
    assert sum(field["size"] for field in raw["payload"]) == len(payload)
    lines = stored.inspect("h1", "p1", "--raw").stdout.splitlines()
    assert lines[0] == f"key {raw['key']}, {raw['size']} bytes"
    assert len(lines) == len(raw["value"]) + len(raw["payload"]) + 5
    stored.client.set(key_of(one), pack_value(payload[:-3]))
    cut = stored.inspect("h1", "p1", "--raw")
    assert cut.exit_code == Exit.CORRUPT
    assert "at offset" in cut.stderr
    assert cut.stdout.splitlines()[7:20] == lines[7:20]
    record = stored.put_record("", "h1").decode()
    assert "batch id" in stored.inspect("--key", record, "--raw").stdout


def test_the_difference_of_two_processes_and_of_two_keys(stored: Stored) -> None:
    one, other = state("h1", "p1"), state("h1", "p2", writes=7, more=True)
    stored.put(one, other)
    result = stored.inspect("h1", "p1", "p2", "--diff")
    assert result.exit_code == Exit.OK
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "- process p1",
        "+ process p2",
        "- counts file_write 2",
        "+ counts file_write 7",
        "+ files overflow more were seen and dropped",
    ]
    keys = [part for each in (one, other) for part in ("--key", key_of(each).decode())]
    assert stored.inspect(*keys, "--diff").stdout == result.stdout
    shown = json.loads(stored.inspect(*keys, "--diff", "--json").stdout)["changes"]
    assert shown[1] == {"name": "counts file_write", "before": "2", "after": "7"}
    assert stored.inspect("h1", "p1", "p1", "--diff").stdout == "no difference\n"


def while_it_sleeps(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Carry out one step in each pause of the program, instead of waiting; after the last comes Ctrl-C."""
    waiting = list(steps)

    def sleep(seconds: float) -> None:
        assert seconds == 7.0
        if not waiting:
            raise KeyboardInterrupt
        waiting.pop(0)()

    monkeypatch.setattr("fastfold.inspect.time.sleep", sleep)


def test_the_difference_to_a_moment_later(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.put(state("h1", "p1"))
    while_it_sleeps(monkeypatch, lambda: stored.put(state("h1", "p1", writes=9)))
    result = stored.inspect("h1", "p1", "--diff", "--every", "7")
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["2", "9"]
    while_it_sleeps(monkeypatch, lambda: stored.client.delete(key_of(state("h1", "p1"))))
    assert stored.inspect("h1", "p1", "--diff", "--every", "7").exit_code == Exit.NOT_FOUND


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_shows_each_change_as_it_comes(stored: Stored, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    one = state("h1", "p1")
    while_it_sleeps(
        monkeypatch,
        lambda: stored.put(one),
        lambda: None,
        lambda: stored.put(state("h1", "p1", writes=9)),
        lambda: stored.client.delete(key_of(one)),
        lambda: stored.put(state("h1", "p1", writes=11)),
    )
    result = stored.inspect("h1", "p1", "--watch", "--every", "7", *(["--json"] if as_json else []))
    assert result.exit_code == Exit.INTERRUPTED
    said = [line.partition(": ")[2] for line in result.stderr.splitlines() if line]
    assert said == ["nothing is stored there yet; waiting", "the state has expired; waiting", "interrupted"]
    lines = result.stdout.splitlines()
    if as_json:
        assert [json.loads(line)["counts"]["file_write"] for line in lines] == [2, 9, 11]
        return
    assert [line for line in lines if line.startswith(("+", "-"))] == [
        "- counts file_write       2",
        "+ counts file_write       9",
    ]
    assert [line for line in lines if "counts  " in line and line.startswith(" ")] == [
        "  counts        3: process_start 1, file_write 2",
        "  counts        12: process_start 1, file_write 11",
    ]


def test_watching_ends_by_itself(stored: Stored) -> None:
    stored.put(state("h1", "p1"))
    assert stored.inspect("h1", "p1", "--watch", "--every", "0.05", "--for", "0.1").exit_code == Exit.OK
    assert stored.inspect("h1", "p2", "--watch", "--every", "0.05", "--for", "0.1").exit_code == Exit.NOT_FOUND


def test_watching_outlives_an_outage(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def cut_the_second_look(command: Command) -> str:
        asked.append(command[0].decode())
        return CUT if asked.count("GET") == 2 else PASS

    with closing(Proxy(redis_server.port, cut_the_second_look)) as proxy, redis_server.client() as client:
        stored = Stored(proxy.url, client)
        stored.put(state("h1", "p1"))
        while_it_sleeps(monkeypatch, lambda: None, lambda: stored.put(state("h1", "p1", writes=9)))
        result = stored.inspect("h1", "p1", "--watch", "--every", "7")
    assert result.exit_code == Exit.INTERRUPTED
    assert "+ counts file_write       9" in result.stdout.splitlines()
    assert "closed by the server" in result.stderr
    assert asked == ["GET", "GET", "GET"]


def test_a_server_that_is_not_there_is_one_line() -> None:
    result = CliRunner().invoke(cli, ["inspect", "--redis-url", "redis://:s3cret@127.0.0.1:1", "--scan"])
    assert result.exit_code == Exit.REDIS
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.stderr


# Slots that move


def test_a_key_is_found_while_its_slot_moves_and_after(redis_cluster: Any) -> None:
    """By ASK, by MOVED, and by nobody's word but the nodes'."""
    one = state("h1", "p1")
    key = process_key(host_key("", "h1"), "p1")
    slot = key_slot(key)
    with contextlib.ExitStack() as stack:
        nodes = {port: stack.enter_context(redis_cluster.node(port)) for port in redis_cluster.ports}
        ids = {port: node.execute_command("CLUSTER", "MYID") for port, node in nodes.items()}
        spans = nodes[redis_cluster.ports[0]].execute_command("CLUSTER", "SLOTS")
        masters = [owner[1] for _, _, owner, *_ in spans]
        source = next(owner[1] for first, last, owner, *_ in spans if first <= slot <= last)
        target = next(port for port in masters if port != source)
        nodes[source].set(key, pack_value(reference.encode(one, DEFINITION)), ex=600)
        keys = stack.enter_context(contextlib.closing(Keyspace(Settings(redis_url=redis_cluster.url))))
        value = keys.get(key)
        assert value is not None

        def give(slot_to: int) -> None:
            for port in (slot_to, *masters):
                nodes[port].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[slot_to])

        def move(slot_from: int, slot_to: int) -> None:
            nodes[slot_to].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[slot_from])
            nodes[slot_from].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[slot_to])
            nodes[slot_from].execute_command("MIGRATE", "127.0.0.1", slot_to, key, 0, 5000)

        try:
            move(source, target)
            assert keys.get(key) == value
            give(target)
            assert keys.get(key) == value
            assert (
                CliRunner().invoke(cli, ["inspect", "--redis-url", redis_cluster.url, "h1", "p1"]).exit_code == Exit.OK
            )
        finally:
            if nodes[target].execute_command("CLUSTER", "COUNTKEYSINSLOT", slot):
                move(target, source)
            give(source)
        assert keys.get(key) == value
