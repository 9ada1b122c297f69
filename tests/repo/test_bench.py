"""The benchmark itself: contenders agree with each other, and fastfold needs at most a third of the CPU time."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from otrf import real_files
from repo.project import ROOT


def _run(tmp_path: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    if find_spec("orjson") is None:
        pytest.fail("orjson is not installed: make setup")
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--results", str(tmp_path), "--name", "run", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = tmp_path / "run.json"
    return done, json.loads(figures.read_text()) if figures.exists() else {}


def test_all_contenders_and_the_reference_give_the_same_states(tmp_path: Path) -> None:
    names = ("stdlib", "orjson", "msgspec", "fastfold", "reference")
    chosen = [word for name in names for word in ("--contender", name)]
    done, figures = _run(tmp_path, "--generate", "--generated-files", "1", "--shuffled", "--repeat", "1", *chosen)
    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in figures["rows"]] == list(names)
    assert figures["processes"] > 1000


@pytest.mark.real_files
def test_fastfold_needs_at_most_a_third_of_the_cpu_time(tmp_path: Path) -> None:
    # The least of several rounds, in turns: a busy machine slows both down.
    options = ("--contender", "orjson", "--contender", "fastfold", "--repeat", "3", "--strict")
    done, figures = _run(tmp_path, *map(str, real_files()), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert figures["ratio"] <= 1 / 3


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
    done, figures = _run(tmp_path, str(batch), "--contender", "fastfold", "--contender", "orjson")
    assert done.returncode != 0
    assert "orjson and fastfold differ in digest" in done.stderr
    assert figures == {}
