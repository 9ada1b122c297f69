"""`fastfold schema` and `fastfold definition`, and folding with files of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastfold.cli import cli
from fastfold.exits import Exit
from fastfold.schema import list_definitions, list_schemas, load_definition, load_schema, read_text

# Web access logs by session: no security, no vendor.
WEB = """\
name = "web"
version = 1
description = "Access logs, by session"

[record]
host = ["site"]
discriminator = ["method"]
time = { paths = ["at"], form = "epoch_ms" }

[id]
form = "text"
unknown = ["-"]

[[event]]
when = ["*"]
kind = "other"
process = ["session"]
where = [{ paths = ["status"], starts = ["2", "3"] }]
[event.columns]
detail = { paths = ["path"] }
user = { paths = ["login"], absent = ["-"] }
"""

WEB_FOLD = """\
name = "visits"
version = 1

[[reducer]]
tag = 1
name = "first"
op = "min"
column = "time"

[[reducer]]
tag = 2
name = "pages"
op = "set"
column = "detail"
limit = 2

[[reducer]]
tag = 3
name = "login"
op = "last"
column = "user"
"""

HITS = [
    {"site": "a", "method": "GET", "at": 1000, "session": "s1", "status": 200, "path": "/", "login": "-"},
    {"site": "a", "method": "POST", "at": 2000, "session": "s1", "status": 302, "path": "/in", "login": "kim"},
    {"site": "a", "method": "GET", "at": 3000, "session": "s1", "status": 404, "path": "/nothing", "login": "kim"},
    {"site": "a", "method": "GET", "at": 4000, "session": "s1", "status": 200, "path": "/home", "login": "-"},
    {"site": "a", "method": "GET", "at": 5000, "session": "-", "status": 200, "path": "/robots.txt"},
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "web.toml").write_text(WEB)
    (tmp_path / "visits.toml").write_text(WEB_FOLD)
    (tmp_path / "hits.json").write_text("".join(json.dumps(hit) + "\n" for hit in HITS))
    return tmp_path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.mark.parametrize(("group", "names"), [("schema", list_schemas()), ("definition", list_definitions())])
def test_list_names_every_one_of_the_package(group: str, names: tuple[str, ...]) -> None:
    result = invoke(group, "list")
    assert result.exit_code == Exit.OK
    assert tuple(line.split()[0] for line in result.stdout.splitlines()) == names
    assert all(f"version {load_schema(name).version} " in result.stdout for name in names if group == "schema")


@pytest.mark.parametrize(
    ("group", "noun", "name"),
    [("schema", "schema", name) for name in list_schemas()]
    + [("definition", "fold definition", name) for name in list_definitions()],
)
def test_show_gives_a_text_that_check_and_load_take(group: str, noun: str, name: str, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "fastfold", group, "show", name], capture_output=True, timeout=60, check=True
    ).stdout
    assert shown == read_text(name, noun)[1]
    copy = tmp_path / "mine"
    copy.write_bytes(shown)
    load = load_schema if group == "schema" else load_definition
    assert load(copy) == load(name)
    result = invoke(group, "check", copy)
    assert result.exit_code == Exit.OK
    assert result.stdout.startswith(f"{name}, version ")


def test_show_gives_the_meaning_as_json(own: Path) -> None:
    read = json.loads(invoke("schema", "show", own / "web.toml", "--json").stdout)
    assert read["times"] == [{"paths": ["at"], "form": "epoch_ms"}]
    assert read["events"][0]["columns"]["user"] == {
        "paths": ["login"], "form": "text", "tail": [], "parts": [], "absent": ["-"],
    }  # fmt: skip
    read = json.loads(invoke("definition", "show", "process", "--json").stdout)
    assert [reducer["tag"] for reducer in read["reducers"]] == [one.tag for one in load_definition("process").reducers]


def test_check_says_what_is_read_of_a_schema(own: Path) -> None:
    assert invoke("schema", "check", own / "web.toml").stdout.splitlines() == [
        "web, version 1: Access logs, by session",
        "  host            site",
        "  discriminator   method",
        "  time            at as epoch_ms",
        "  process ids     text; unknown: -",
        "  columns filled  detail, user",
        "events, as kind, discriminator, conditions, process, columns:",
        "  other  *  1 condition  session  user, detail",
    ]


def test_check_says_what_is_read_of_a_definition(own: Path) -> None:
    assert invoke("definition", "check", own / "visits.toml").stdout.splitlines() == [
        "visits, version 1",
        "  columns read  detail, user",
        "reducers, as tag, name, op, column, limits, kinds:",
        "  1  first  min   time                                                all kinds",
        "  2  pages  set   detail  2 members, 512 bytes, 192 in all, 128 sure  all kinds",
        "  3  login  last  user    1,024 bytes                                 all kinds",
        "a value takes at most 16,384 bytes; beyond their reserves, all sets share 14,651 of them",
    ]


def test_check_shows_every_word_of_the_language(own: Path) -> None:
    top = 'roots = ["", "x"]\nembedded = ["x"]\ndetect = [["site", "x.y"]]\n'
    quiet = '{ paths = ["q"], has = ["A", "B"], negate = true, reason = "quiet" }'
    text = WEB.replace("version = 1\n", f"version = 1\n{top}")
    text = text.replace('host = ["site"]\n', f'host = ["site"]\ntenant = ["org"]\nrequire = [{quiet}]\n')
    text = text.replace('process = ["session"]', 'process = { paths = ["session"], parts = ["ip", "port"] }')
    (own / "web.toml").write_text(text)
    shown = invoke("schema", "check", own / "web.toml").stdout
    for part in (
        "roots            the record itself, x",
        "JSON in strings  x",
        "tenant           org",
        "require          q not has A, B, else counted quiet",
        "detected by      site, x.y",
        "session, ip:port",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("group", "file", "old", "new", "told"),
    [
        ("schema", "web.toml", '"epoch_ms"', '"epoch"', r"web.toml:8: [record] time: form = 'epoch'; allowed: iso"),
        ("schema", "web.toml", 'host = ["site"]\n', "", r"web.toml:5: [record]: host is missing"),
        ("schema", "web.toml", "[id]", "[id", "web.toml:10: not TOML"),
        ("definition", "visits.toml", '"set"', '"sets"', "visits.toml:13: [[reducer]] 2: op = 'sets'; allowed: count"),
        ("definition", "visits.toml", "tag = 3", "tag = 2", "[[reducer]] 3: tag 2 is used twice"),
    ],
)
def test_a_fault_is_told_with_its_line_and_exit_code(
    group: str, file: str, old: str, new: str, told: str, own: Path
) -> None:
    path = own / file
    path.write_text(path.read_text().replace(old, new, 1))
    for args in (["check", str(path)], ["show", str(path), "--json"]):
        result = invoke(group, *args)
        assert result.exit_code == Exit.SETUP
        assert result.stdout == ""
        assert result.stderr.startswith(f"fastfold: {path.parent}/")
        assert told in result.stderr


def test_names_that_are_not_there_are_told() -> None:
    result = invoke("schema", "show", "sysmom")
    assert result.exit_code == Exit.SETUP
    assert "no such schema; there are: carbonblack, " in result.stderr
    result = invoke("definition", "check", "absent.toml")
    assert result.exit_code == Exit.SETUP
    assert "absent.toml: cannot be read: No such file" in result.stderr


def test_nothing_in_a_file_reaches_the_terminal(own: Path) -> None:
    text = WEB.replace('"Access logs, by session"', '"a\\u001b[2J"').replace('"session"', '"s\\u202e"')
    (own / "web.toml").write_text(text)
    for args in (["check", str(own / "web.toml")], ["show", str(own / "web.toml"), "--json"]):
        result = invoke("schema", *args)
        assert result.exit_code == Exit.OK
        assert not set(result.stdout) & set("\x1b\u202e")


def test_the_help_keeps_the_lines_of_its_examples() -> None:
    for args, line in [
        (["schema"], "  fastfold schema show sysmon > mine.toml"),
        (["definition"], "  fastfold definition check mine-fold.toml"),
        (["fold"], "  fastfold fold --schema auto --format jsonl batches/"),
        ([], "  fastfold fold /tmp/batches"),
    ]:
        shown = invoke(*args, "--help").stdout
        assert f"\n  {line}\n" in shown
        assert "\\b" not in shown


# --- folding, with the core ----------------------------------------------------------------------


def test_a_schema_and_a_definition_of_ones_own_fold(own: Path) -> None:
    pytest.importorskip("fastfold._core", reason="the core is not built")
    result = invoke(
        "fold", "--schema", own / "web.toml", "--fold", own / "visits.toml", "--format", "jsonl", own / "hits.json"
    )
    assert result.exit_code == Exit.OK
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "host": "a",
            "process": "s1",
            "first": "1970-01-01T00:00:01.000000000Z",
            "pages": [["1970-01-01T00:00:01.000000000Z", "/"], ["1970-01-01T00:00:02.000000000Z", "/in"]],
            "login": "kim",
            "more": ["pages"],
        }
    ]
    assert "2 records of no process: kind 1, process 1" in result.stderr


@pytest.mark.parametrize(("flag", "file"), [("--schema", "web.toml"), ("--fold", "visits.toml")])
def test_a_fault_in_ones_own_file_stops_a_fold(flag: str, file: str, own: Path) -> None:
    pytest.importorskip("fastfold._core", reason="the core is not built")
    (own / file).write_text("name = 5\n")
    result = invoke("fold", flag, own / file, own / "hits.json")
    assert result.exit_code == Exit.SETUP
    assert f"fastfold: {own / file}: the file: " in result.stderr


SYSMON = {
    "EventID": 5,
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "Hostname": "h1",
    "ProcessGuid": "{A}",
    "UtcTime": "2024-03-04 08:00:00.001",
}
FALCON = {
    "event_simpleName": "EndOfProcess",
    "cid": "c",
    "aid": "h2",
    "TargetProcessId": "9007199254740993",
    "ContextTimeStamp": "1700000000.123",
}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_every_file_is_read_as_what_it_is(processes: str, tmp_path: Path) -> None:
    pytest.importorskip("fastfold._core", reason="the core is not built")
    files: dict[str, list[object]] = {
        "a.json": [SYSMON],
        "b.json": [FALCON],
        "c.json": [{"what": 1}],
        "d.json": [SYSMON, FALCON],
        "e.json": [SYSMON, SYSMON],
    }
    for name, records in files.items():
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    result = invoke("fold", "--schema", "auto", "--processes", processes, "--format", "jsonl", tmp_path)
    assert result.exit_code == Exit.REJECTED
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "host": "h1",
            "process": "a",
            "first": "2024-03-04T08:00:00.001000000Z",
            "last": "2024-03-04T08:00:00.001000000Z",
            "counts": {"process_end": 3},
        },
        {
            "tenant": "c",
            "host": "h2",
            "process": "9007199254740993",
            "first": "2023-11-14T22:13:20.123000000Z",
            "last": "2023-11-14T22:13:20.123000000Z",
            "counts": {"process_end": 1},
        },
    ]
    assert result.stderr.splitlines()[:5] == [
        f"{tmp_path}/a.json: read as sysmon",
        f"{tmp_path}/b.json: read as crowdstrike",
        f"{tmp_path}/c.json: none of the first 1 records is of a known format; known are {', '.join(list_schemas())}",
        f"{tmp_path}/d.json: records of two formats: sysmon first at line 1, crowdstrike first at line 2",
        f"{tmp_path}/e.json: read as sysmon",
    ]
    assert "5 files (2 rejected), 4 records" in result.stderr


def test_standard_input_is_recognised() -> None:
    pytest.importorskip("fastfold._core", reason="the core is not built")
    result = CliRunner().invoke(
        cli, ["fold", "--schema", "auto", "--format", "jsonl", "-"], input=json.dumps(FALCON).encode()
    )
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["process"] == "9007199254740993"
    assert result.stderr.splitlines()[0] == "standard input: read as crowdstrike"


def test_the_library_recognises_too(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("fastfold._core", reason="the core is not built")
    import fastfold

    data = json.dumps(FALCON).encode()
    assert fastfold.detect_schema(data) == "crowdstrike"
    with caplog.at_level("INFO", "fastfold"):
        states = fastfold.fold(data, schema="auto")
    assert states["c", "h2", "9007199254740993"].values["counts"] == {"process_end": 1}
    assert [record.getMessage() for record in caplog.records] == ["recognised the format crowdstrike"]
    assert fastfold.parse(data, "auto").processes == [("c", "h2", "9007199254740993")]
