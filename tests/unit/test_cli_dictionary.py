"""`fastfold dictionary`: training on files, and the list."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fastfold.cli import cli
from fastfold.dictionaries import find_dictionaries
from fastfold.exits import Exit
from fastfold.generate import Corpus, write


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    list(write(Corpus(files=2, hosts=20, processes=15, events=6, seed=9), folder))
    return folder


def test_a_dictionary_is_trained_on_files_and_judged_on_other_hosts(batches: Path, tmp_path: Path) -> None:
    args = ["dictionary", "train", "--id", "64", "--kib", "16", "--output", str(tmp_path), str(batches)]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == Exit.OK, result.output
    *_, own = find_dictionaries(tmp_path)
    assert (own.id, len(own.content) <= 16 << 10) == (64, True)
    assert own.digest in result.output
    assert "states of hosts that it has not seen:" in result.output
    sizes = [float(line.split(" bytes")[0].split()[-1]) for line in result.output.splitlines()[2:]]
    assert sizes[2] < sizes[0]

    again = CliRunner().invoke(cli, args)
    assert again.exit_code != Exit.OK
    assert "a dictionary never changes" in again.output

    listed = CliRunner().invoke(cli, ["dictionary", "list", "--folder", str(tmp_path)])
    assert [line.split()[0] for line in listed.output.splitlines()] == ["id", "1", "2", "64"]


@pytest.mark.parametrize("number", ["0", "1", "63", "256"])
def test_ids_of_fastfold_itself_are_not_for_others(number: str, batches: Path) -> None:
    result = CliRunner().invoke(cli, ["dictionary", "train", "--id", number, str(batches)])
    assert result.exit_code != Exit.OK
    assert "64<=x<=255" in result.output


def test_a_damaged_dictionary_is_named(tmp_path: Path) -> None:
    (tmp_path / "64.ffdict").write_bytes(b"{}\nnothing")
    result = CliRunner().invoke(cli, ["dictionary", "list", "--folder", str(tmp_path)])
    assert result.exit_code != Exit.OK
    assert "64.ffdict: not a dictionary of fastfold" in str(result.exception) + result.output
