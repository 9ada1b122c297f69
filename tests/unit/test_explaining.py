"""Why a rule has raised an alert, or why not: each reason, from batch files by the same path as a worker's."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batches import record
from fastfold.cli import cli
from fastfold.exits import Exit

HEAD = "title: A title\ndescription: For tests.\nlevel: high\n"
RULES = f"""
id: written-then-connected
{HEAD}type: sequence
within: 10m
scope: process
steps:
  - {{name: writes, kind: file_write, where: {{file|endswith: .exe}}}}
  - {{name: connects, kind: net_connect}}
---
id: connected-not-resolved
{HEAD}type: all
within: 1m
scope: process
steps:
  - {{name: connects, kind: net_connect}}
unless: {{name: resolves, kind: dns_query}}
---
id: many-writes
{HEAD}type: count
within: 10m
scope: host
least: 3
steps:
  - {{name: writes, kind: file_write}}
---
id: many-names
{HEAD}type: distinct
within: 10m
scope: process
least: 2
column: file
steps:
  - {{name: writes, kind: file_write}}
---
id: same-program
{HEAD}type: sequence
within: 10m
scope: host
group: [image]
steps:
  - {{name: writes, kind: file_write}}
  - {{name: connects, kind: net_connect}}
---
id: written-without-domain
{HEAD}type: sequence
within: 1m
scope: process
steps:
  - {{name: writes, kind: file_write, where: {{not: {{user: nobody}}, domain|exists: false}}}}
"""
CONNECTED = {"EventID": 3, "DestinationIp": "203.0.113.7", "DestinationPort": "443", "Initiated": "true"}
RESOLVED = {"EventID": 22, "QueryName": "example.net"}


def process(number: int) -> str:
    return f"00000000-0000-0000-0000-{number + 1:012d}"


def at(minute: int, second: int = 0) -> dict[str, str]:
    return {"UtcTime": f"2026-01-01 00:{minute:02d}:{second:02d}.000"}


def written(minute: int, number: int = 1, file: str = r"C:\a.exe", **more: object) -> bytes:
    return record(number, TargetFilename=file, **at(minute), **more)


def connected(minute: int, number: int = 1, **more: object) -> bytes:
    return record(number, **CONNECTED, **at(minute), **more)


class Explained:
    """The answers to questions about some batches."""

    def __init__(self, folder: Path, batches: Sequence[bytes]) -> None:
        self._rules = folder / "rules.yml"
        self._rules.write_text(RULES)
        self._files = folder / "batches"
        self._files.mkdir()
        for number, lines in enumerate(batches):
            (self._files / f"{number}.json.gz").write_bytes(gzip.compress(lines))

    def run(self, *args: str) -> Result:
        places = ["--rules", str(self._rules), "--files", str(self._files)]
        return CliRunner().invoke(cli, ["explain", *args, *places])

    def json(self, rule: str, number: int | None = 1) -> Any:
        result = self.run(rule, "host-a", *([] if number is None else [process(number)]), "--json")
        assert result.exit_code == Exit.OK, result.output
        return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_what_was_raised_names_its_events_its_batch_and_what_was_suppressed(folder: Path) -> None:
    explained = Explained(folder, [written(1), connected(2) + connected(3)])
    told = explained.json("written-then-connected")
    assert told["verdict"] == "raised"
    (group,) = told["groups"]
    writes, connects = group["steps"]
    assert [event["role"] for event in writes["events"]] == ["matched"]
    assert writes["events"][0]["time"] == "2026-01-01T00:01:00.000000000Z"
    assert writes["events"][0]["evidence"]["file"] == r"C:\a.exe"
    assert writes["events"][0]["file"].endswith("0.json.gz")
    assert [event["role"] for event in connects["events"]] == ["matched", "met"]
    (raised,) = group["raised"]
    assert raised["file"].endswith("1.json.gz")
    assert raised["last"] == "2026-01-01T00:02:00.000000000Z"
    assert raised["suppressed"] == 1
    page = explained.run("written-then-connected", "host-a", process(1)).stdout
    assert "verdict  raised once, last for 2026-01-01T00:02:00.000Z" in page
    assert f"raised {raised['alert']} for the event of" in page
    assert "1 more matches in the same stretch of time were suppressed" in page


def test_the_id_of_the_alert_is_that_of_the_backtest(folder: Path) -> None:
    explained = Explained(folder, [written(1) + connected(2)])
    found = CliRunner().invoke(cli, ["backtest", str(folder / "rules.yml"), str(folder / "batches"), "--json"])
    alerts = [json.loads(line) for line in found.stdout.splitlines()]
    (wanted,) = [alert["id"] for alert in alerts if alert["rule"]["id"] == "written-then-connected"]
    assert explained.json("written-then-connected")["groups"][0]["raised"][0]["alert"] == wanted


def test_a_step_that_no_event_met_is_named_with_what_the_process_has_had(folder: Path) -> None:
    explained = Explained(folder, [written(1) + written(2, 2, r"C:\a.txt") + connected(3, 2)])
    told = explained.json("written-then-connected")
    assert told["verdict"] == "step-missing"
    assert told["text"] == "not raised: no event met step 2 of 2 (connects)"
    assert told["groups"][0]["steps"][1]["missing"] == ["the process has had no event of kind net_connect"]
    told = explained.json("written-then-connected", 2)
    assert told["text"] == "not raised: no event met step 1 of 2 (writes)"
    assert told["groups"][0]["steps"][0]["missing"] == [
        "of the events of the process, 1 of kind file_write did not meet it"
    ]


def test_events_too_far_apart_are_told_with_their_distance(folder: Path) -> None:
    told = Explained(folder, [written(1) + written(3) + connected(20) + connected(40)]).json("written-then-connected")
    assert told["verdict"] == "too-far-apart"
    assert told["text"] == "not raised: the closest events lie 17m apart, at most 10m is allowed"
    roles = [[event["role"] for event in step["events"]] for step in told["groups"][0]["steps"]]
    assert roles == [["met", "closest"], ["closest", "met"]]


def test_what_lies_outside_of_the_span_of_an_alert_is_marked(folder: Path) -> None:
    told = Explained(folder, [written(1) + written(30) + connected(31)]).json("written-then-connected")
    assert [event["role"] for event in told["groups"][0]["steps"][0]["events"]] == ["outside", "matched"]


def test_events_in_another_order_are_told(folder: Path) -> None:
    told = Explained(folder, [written(5) + connected(4)]).json("written-then-connected")
    assert told["verdict"] == "out-of-order"


def test_too_few_events_or_values_are_counted(folder: Path) -> None:
    explained = Explained(folder, [written(1) + written(2)])
    assert explained.json("many-writes")["text"] == "not raised: 2 events met the step, 3 are needed"
    assert explained.json("many-names")["text"] == "not raised: file had 1 distinct values, 2 are needed"


def test_unless_that_was_met_and_unless_that_is_not_decided_are_told_apart(folder: Path) -> None:
    both = connected(1) + record(1, **RESOLVED, **at(1, 30)) + connected(10, 2)
    explained = Explained(folder, [both])
    told = explained.json("connected-not-resolved")
    assert (told["verdict"], told["text"]) == (
        "ruled-out",
        "not raised: the events meet the rule, but unless was met at 2026-01-01T00:01:30.000Z",
    )
    assert told["groups"][0]["steps"][-1]["name"] == "unless"
    told = explained.json("connected-not-resolved", 2)
    assert told["verdict"] == "undecided"
    assert "after 2026-01-01T00:11:00.000Z, and the newest is of 2026-01-01T00:10:00.000Z" in told["text"]


def test_a_process_without_events_of_the_rule_is_told_of_the_others(folder: Path) -> None:
    explained = Explained(folder, [written(1) + connected(2) + connected(3, 2, Image=r"C:\other.exe")])
    assert explained.json("same-program", 2)["verdict"] == "step-missing"
    assert explained.json("many-names", 2)["verdict"] == "no-event"
    assert explained.json("connected-not-resolved", 1)["verdict"] == "undecided"


def test_without_a_process_all_groups_of_the_host_are_told_what_was_raised_first(folder: Path) -> None:
    explained = Explained(folder, [written(1) + connected(2) + connected(3, 2, Image=r"C:\other.exe")])
    told = explained.json("same-program", None)
    assert [group["verdict"] for group in told["groups"]] == ["raised", "step-missing"]
    assert told["process"] is None
    page = explained.run("same-program", "host-a").stdout
    assert page.count("  group ") == 2


def test_columns_that_were_empty_are_named(folder: Path) -> None:
    told = Explained(folder, [written(1)]).json("written-without-domain")
    assert told["groups"][0]["steps"][0]["events"][0]["empty"] == ["user", "domain"]
    assert told["never"] == ["step writes: domain of file_write"]


def test_an_unknown_rule_names_near_ones(folder: Path) -> None:
    result = Explained(folder, [written(1)]).run("many-name", "host-a")
    assert result.exit_code == Exit.NOT_FOUND
    assert "no rule has the id many-name; near it are many-names" in result.stderr


@pytest.mark.parametrize("where", [("host-b",), ("host-a", "nobody")])
def test_an_unknown_host_or_process_is_told(folder: Path, where: tuple[str, ...]) -> None:
    result = Explained(folder, [written(1)]).run("many-writes", *where)
    assert result.exit_code == Exit.NOT_FOUND
    assert "nothing is stored for host" in result.stderr


def test_what_an_attacker_chose_is_escaped(folder: Path) -> None:
    explained = Explained(folder, [written(1, file="C:\\\x1b[2J\u202e.exe") + connected(2)])
    page = explained.run("written-then-connected", "host-a", process(1)).stdout
    assert not set(page) & set("\x1b\u202e")
    assert r"\x1b[2J\u202e.exe" in page


def test_a_malformed_file_is_an_error(folder: Path) -> None:
    result = Explained(folder, [b"{"]).run("many-writes", "host-a")
    assert result.exit_code != Exit.OK
    assert "0.json.gz" in str(result.exception) + result.stderr


@pytest.mark.parametrize("command", [["backtest", "starting"], ["explain", "lsass-remote-thread", "h", "--files"]])
def test_files_that_are_not_there_are_wrong_use(folder: Path, command: list[str]) -> None:
    (folder / "empty").mkdir()
    for name, reason in (("none", "does not exist"), ("empty", "no file in this folder")):
        result = CliRunner().invoke(cli, [*command, str(folder / name)])
        assert result.exit_code == Exit.USAGE
        assert reason in result.stderr
