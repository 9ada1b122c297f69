"""`fastfold fold --format parquet`: what other programs read of it, and what it says where it cannot be."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow
import pytest
from pyarrow import parquet

import fastfold
from arrow import rows, state_rows
from fastfold import States
from fastfold.exits import Exit
from fastfold.parquet import write
from fastfold.types import FoldCounts
from sysmon import FEW, line


def run(*args: str, program: str = "from fastfold.cli import main; main()", **more: object) -> tuple[int, bytes, str]:
    command = [sys.executable, "-c", f"import sys; sys.argv[0] = 'fastfold'; {program}", "fold", *args]
    given = {"stdout": subprocess.PIPE, **more}
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, check=False, **given)  # type: ignore[call-overload]
    return done.returncode, done.stdout, done.stderr.decode()


def test_the_file_holds_the_states(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(FEW)
    (tmp_path / "b.json").write_bytes(line(5, "3"))
    code, made, said = run("--format", "parquet", str(tmp_path))
    assert (code, said.splitlines()[0]) == (Exit.OK, "2 files, 5 records, 5 events, 3 processes")
    expected = fastfold.fold(tmp_path.iterdir())
    table = parquet.read_table(pyarrow.BufferReader(made))
    assert table.schema.equals(pyarrow.schema(expected))
    assert rows(table) == state_rows(expected)
    (tmp_path / "states.parquet").write_bytes(made)
    query = f"select process, counts.process_end from '{tmp_path}/states.parquet' order by all"
    assert duckdb.sql(query).fetchall() == [("1", 0), ("2", 1), ("3", 1)]


def test_nothing_is_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"")
    _, made, _ = run("--format", "parquet", str(tmp_path))
    table = parquet.read_table(pyarrow.BufferReader(made))
    assert len(table) == 0
    assert table.schema.equals(pyarrow.schema(fastfold.fold(b"")))


def test_a_rejected_file_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(FEW)
    (tmp_path / "b.json").write_bytes(line(5, "3") + b"{]")
    code, made, said = run("--format", "parquet", str(tmp_path))
    assert code == Exit.REJECTED
    assert "b.json" in said
    assert rows(parquet.read_table(pyarrow.BufferReader(made))) == state_rows(fastfold.fold(FEW))


def test_many_states_are_several_row_groups() -> None:
    ((_, payload),) = fastfold.fold(line(5)).payloads.items()
    count = (1 << 16) + 1
    states = States(fastfold.fold(b"").definition, {("", "a", f"{n}"): payload for n in range(count)}, FoldCounts())
    output = io.BytesIO()
    write(states, output)
    shown = parquet.read_metadata(pyarrow.BufferReader(output.getvalue()))
    assert [shown.row_group(number).num_rows for number in range(shown.num_row_groups)] == [1 << 16, 1]


def test_without_pyarrow_it_says_what_to_install_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{]")
    hidden = "sys.modules['pyarrow'] = None; from fastfold.cli import main; main()"
    code, made, said = run("--format", "parquet", str(tmp_path), program=hidden)
    assert (code, made) == (Exit.SETUP, b"")
    assert said == "fastfold: this needs the package pyarrow: pip install 'fastfold[parquet]'\n"
    assert run("--format", "jsonl", str(tmp_path), program=hidden)[0] == Exit.REJECTED


def test_it_is_not_sent_to_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(FEW)
    ours, theirs = pty.openpty()
    try:
        code, _, said = run("--format", "parquet", str(tmp_path), stdout=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert code == Exit.USAGE
    assert "not for a terminal" in said


@pytest.mark.parametrize("kept", [4, 100_000])
def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path, kept: int) -> None:
    lines = (line(1, f"{number}", CommandLine=os.urandom(400).hex()) for number in range(4000))
    (tmp_path / "a.json").write_bytes(b"".join(lines))
    command = f'"{sys.executable}" -m fastfold fold --format parquet "{tmp_path}" | head -c {kept}'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60, check=False)
    assert (done.returncode, len(done.stdout)) == (0, kept)
    assert done.stderr.startswith(b"1 files, 4,000 records")
    assert len(done.stderr.splitlines()) == 2
