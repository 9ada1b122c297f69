"""The README's own format: its files are those of examples/weblog, and its commands print what it shows."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastfold.cli import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("\n## Your own format\n") :].split("\n## ")[1]
EXAMPLE = ROOT / "examples" / "weblog"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_files_shown_are_the_files_of_the_example() -> None:
    assert _blocks("toml") == [(EXAMPLE / name).read_text() for name in ("weblog.toml", "weblog-fold.toml")]
    (record,) = _blocks("json")
    assert record == (EXAMPLE / "monday.ndjson").read_text().splitlines(keepends=True)[0]


def test_the_commands_print_what_is_shown() -> None:
    (block,) = _blocks("console")
    shown = ""
    for line in block.splitlines():
        if line.startswith("$ fastfold "):
            result = CliRunner().invoke(cli, shlex.split(line)[2:])
            assert result.exit_code == 0, result.stderr
            # The line with times and rates differs from run to run, and is left out.
            kept = [part for part in result.stderr.splitlines() if "events/s" not in part]
            shown += f"{line}\n{result.stdout}" + "".join(f"{part}\n" for part in kept)
    assert shown == block


def test_the_session_of_python_prints_what_is_shown() -> None:
    (block,) = _blocks("pycon")
    session = doctest.DocTestParser().get_doctest(block, {}, "README.md", "README.md", 0)
    assert len(session.examples) == 7
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(session, out=report.append)
    assert "".join(report) == ""
