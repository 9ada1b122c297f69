"""What the README says of settings, exit codes and output is what the program does."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastfold.cli import cli
from fastfold.config import SETTINGS
from fastfold.exits import exit_table

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_every_setting_has_its_row() -> None:
    rows = dict(re.findall(r"^\| `(FASTFOLD_\w+)` \| (.*) \|$", README, re.MULTILINE))
    assert list(rows) == [setting.environment for setting in SETTINGS]
    for setting in SETTINGS:
        default = "needed" if setting.required else "" if setting.default in ("", ()) else str(setting.default)
        assert rows[setting.environment] == f"`{setting.flag}` | {default} | {setting.allowed} | {setting.help}"


def test_every_exit_code_has_its_row() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", README, re.MULTILINE)
    assert [f"{code:>3}  {meaning}" for code, meaning in rows] == exit_table().splitlines()


def test_the_example_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastfold._core", reason="the core is not built")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "90")
    block = re.search(r"```console\n(.*?)```", README, re.DOTALL)
    assert block is not None
    shown = ""
    for line in block[1].splitlines():
        if line.startswith("$ fastfold "):
            result = CliRunner().invoke(cli, shlex.split(line)[2:])
            assert result.exit_code == 0, result.stderr
            # The line with times and rates differs from run to run, and is left out.
            kept = [part for part in result.stderr.splitlines() if "events/s" not in part]
            shown += f"{line}\n{result.stdout}" + "".join(f"{part}\n" for part in kept)
    assert shown.split() == block[1].split()


def test_the_python_example_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generated = re.search(r"^\$ fastfold (generate .*)$", README, re.MULTILINE)
    block = re.search(r"```python\n(>>> .*?)```", README, re.DOTALL)
    assert generated is not None
    assert block is not None
    assert CliRunner().invoke(cli, shlex.split(generated[1])).exit_code == 0
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(block[1], {}, "README", "README.md", 0))
    result = runner.summarize()
    assert (result.attempted > 5, result.failed) == (True, 0)
