"""`fastfold fold` of the real files gives what the reference gives, however it is run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fastfold import reference
from fastfold.exits import Exit
from fastfold.schema import load_definition
from fastfold.states import to_json
from otrf import Identity

pytestmark = pytest.mark.real_files


@pytest.fixture(scope="module")
def expected(otrf_payloads: dict[Identity, bytes]) -> list[object]:
    """The objects that the reference gives for all files, by host, then process."""
    definition = load_definition("process")
    states = [reference.decode(otrf_payloads[identity], definition) for identity in sorted(otrf_payloads)]
    return [json.loads(json.dumps(to_json(state, definition))) for state in states]


def fold(*args: str) -> list[object]:
    command = [sys.executable, "-m", "fastfold", "fold", "--format", "jsonl", *args]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == Exit.OK, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("processes", [1, 2])
def test_the_folder_gives_what_the_reference_gives(
    otrf_files: list[Path], expected: list[object], processes: int
) -> None:
    shown = fold("--processes", str(processes), str(otrf_files[0].parent))
    assert len(shown) > 3000
    assert shown == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_files_does_not_matter(otrf_files: list[Path], expected: list[object], seed: int) -> None:
    shuffled = [str(file) for file in otrf_files]
    random.Random(seed).shuffle(shuffled)
    shown = fold("--processes", str(seed), *shuffled)
    assert shown == expected, f"seed {seed}"
