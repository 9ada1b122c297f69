"""The benchmark itself: contenders agree with each other, and its figures are those of the README."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastfold.generate import Corpus, write
from otrf import real_files
from repo.project import ROOT

BENCH = ROOT / "bench"
PYTHON = ("stdlib", "orjson", "msgspec", "pysimdjson", "polars", "duckdb", "pyarrow", "fastfold", "reference")
SMALL = ("--generate", "--generated-files", "1", "--repeat", "1")


def _run(
    tmp_path: Path, *options: str, modules: Path | None = None
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    command = [sys.executable, str(BENCH / "run.py"), "--results", str(tmp_path), "--name", "run", *options]
    paths = [str(modules), *filter(None, [os.environ.get("PYTHONPATH")])] if modules else []
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    figures = tmp_path / "run.json"
    return done, json.loads(figures.read_text()) if figures.exists() else {}


def _measure(name: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCH / f"{name}.py"), "--results", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads((tmp_path / f"{name.replace('_', '-')}.json").read_text())
    return figures


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A generated file of 50 hosts."""
    corpus = Corpus(files=1, hosts=50, hosts_per_file=50, processes=25, events=8, others=0.2, seed=1)
    return next(path for path, _ in write(corpus, tmp_path / "generated"))


def _chosen(*names: str) -> list[str]:
    return [word for name in names for word in ("--contender", name)]


def test_all_contenders_and_the_reference_give_the_same_states(tmp_path: Path) -> None:
    done, figures = _run(tmp_path, *SMALL, "--shuffled", *_chosen(*PYTHON))
    assert done.returncode == 0, done.stderr
    if figures["not_run"] and not os.environ.get("CI"):
        pytest.skip(f"not installed: {figures['not_run']}")
    assert set(figures["not_run"]) <= ({"pysimdjson"} if sys.version_info >= (3, 14) else set()), "make setup"
    (measured,) = figures["inputs"]
    assert [row["name"] for row in measured["rows"]] == [name for name in PYTHON if name not in figures["not_run"]]
    assert measured["processes"] > 1000
    assert (tmp_path / "run.svg").stat().st_size > 1000
    assert (tmp_path / "run.png").stat().st_size > 1000


def test_the_program_in_cpp_gives_the_same_states(tmp_path: Path) -> None:
    done, figures = _run(tmp_path, *SMALL, *_chosen("fastfold", "c++"))
    assert done.returncode == 0, done.stderr
    if figures["not_run"]:
        pytest.skip(figures["not_run"]["c++"])
    for measured in figures["inputs"]:
        assert [row["name"] for row in measured["rows"]] == ["fastfold", "c++"]


def test_a_contender_that_cannot_run_is_listed_with_the_reason(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "orjson.py").write_text("raise ImportError('no orjson for this machine')\n")
    done, figures = _run(tmp_path, *SMALL, "--as-is", *_chosen("orjson", "fastfold"), modules=modules)
    assert done.returncode == 0, done.stderr
    assert figures["not_run"] == {"orjson": "no orjson for this machine"}
    table = (tmp_path / "run.md").read_text()
    assert "| isal + orjson + dict | not run |" in table
    assert "Not run: isal + orjson + dict: no orjson for this machine" in table


def test_parsing_gives_the_texts_that_simdjson_gives(tmp_path: Path, batch: Path) -> None:
    figures = _measure("parse", tmp_path, str(batch), "--rounds", "1")
    if figures["not_run"]:
        pytest.skip(str(figures["not_run"]))
    assert len(figures["least"]) == 3
    assert figures["sums"]["image"][0] > 1000


def test_scaling_and_memory_are_measured(tmp_path: Path, batch: Path) -> None:
    scaling = _measure("scaling", tmp_path, str(batch), "--rounds", "1")
    assert [len(row["many_s"]) for row in scaling["rows"]] == [1, 1]
    memory = _measure("memory", tmp_path, str(batch))
    assert [row["peak_bytes"] > 0 for row in memory["rows"]] == [True]


def test_rules_are_measured_once_they_are_right(tmp_path: Path, batch: Path) -> None:
    figures = _measure("rules", tmp_path, str(batch), "--rules", "60", "--rounds", "1")
    assert figures["sample"]["events"] > 100
    assert figures["total_s"].keys() == {"none", "events", "first", "kept"}
    search = _measure("rule_search", tmp_path / "search", str(batch), "--rules", "60", "--rounds", "1")
    assert search["pairs"] > 0
    assert len(search["rows"]) + len(search["not_run"]) == 5


@pytest.mark.real_files
def test_fastfold_needs_at_most_a_third_of_the_cpu_time(tmp_path: Path) -> None:
    # The least of several rounds, in turns: a busy machine slows both down.
    options = ("--as-is", *_chosen("orjson", "fastfold"), "--repeat", "3", "--strict")
    done, figures = _run(tmp_path, *map(str, real_files()), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert figures["inputs"][0]["ratio"] <= 1 / 3


def test_a_difference_stops_the_benchmark(tmp_path: Path) -> None:
    # The contenders show a time as if it were in Sysmon's own form; fastfold reads any ISO form.
    record = {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 5,
        "Hostname": "h",
        "ProcessGuid": "{1}",
        "UtcTime": "2026-01-01T00:00:00Z",
    }
    batch = tmp_path / "batch.json.gz"
    batch.write_bytes(gzip.compress(json.dumps(record).encode()))
    done, figures = _run(tmp_path, str(batch), "--as-is", *_chosen("fastfold", "orjson"))
    assert done.returncode != 0
    assert "orjson and fastfold differ in digest" in done.stderr
    assert figures == {}


def test_the_readme_has_the_figures_of_the_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    import readme

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.replace(text, readme.block(readme.RESULTS)) == text, "make bench, or bench/readme.py"


@pytest.mark.servers
def test_all_ways_to_commit_leave_the_same_bytes(tmp_path: Path) -> None:
    small = ["--processes", "64", "--sizes", "1", "16", "--rounds", "1", "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(BENCH / "commit.py"), *small], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "commit.json").read_text())["figures"]
    assert len(figures) == 9
    assert all(by_size["16"]["processes"] == 64 for by_size in figures.values())


@pytest.mark.servers
def test_workers_that_meet_lose_nothing_and_none_is_starved(tmp_path: Path) -> None:
    small = ["--files", "3", "--rounds", "1", "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(BENCH / "contention.py"), *small], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "contention.json").read_text())
    assert sum(one["conflicts"] for one in figures["runs"]["same"]) > 0
    assert sum(one["conflicts"] for one in figures["runs"]["own"]) == 0
    assert 1 < figures["tries"] <= 40
