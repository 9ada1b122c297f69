"""`fastfold fold` of the real files gives what the reference gives, however it is run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fastfold import reference
from fastfold.exits import Exit
from fastfold.schema import load_definition, load_schema
from fastfold.states import State, to_json
from fastfold.types import Limits

pytestmark = pytest.mark.real_files

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    folder = Path(os.environ.get("FASTFOLD_OTRF") or _ROOT.parent / "shared" / "data" / "otrf")
    found = sorted(folder.glob("*.json.gz"))
    if not found:
        reason = f"no real files in {folder}; FASTFOLD_OTRF names their folder"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def expected(files: list[Path]) -> str:
    """The lines that the reference gives for all files, by host, then process."""
    schema, definition, limits = load_schema("sysmon"), load_definition("process"), Limits()
    merged: dict[tuple[str, str, str], State] = {}
    for file in files:
        for identity, state in reference.fold(file.read_bytes(), schema, definition, limits).items():
            before = merged.get(identity)
            merged[identity] = state if before is None else reference.merge_states(before, state, definition)
    shown = [to_json(merged[identity], definition) for identity in sorted(merged)]
    return "".join(json.dumps(state) + "\n" for state in shown)


def fold(*args: str) -> list[object]:
    command = [sys.executable, "-m", "fastfold", "fold", "--format", "jsonl", *args]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == Exit.OK, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("processes", [1, 2])
def test_the_folder_gives_what_the_reference_gives(files: list[Path], expected: str, processes: int) -> None:
    shown = fold("--processes", str(processes), str(files[0].parent))
    assert len(shown) > 3000
    assert shown == [json.loads(line) for line in expected.splitlines()]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_files_does_not_matter(files: list[Path], expected: str, seed: int) -> None:
    shuffled = [str(file) for file in files]
    random.Random(seed).shuffle(shuffled)
    shown = fold("--processes", str(seed), *shuffled)
    assert shown == [json.loads(line) for line in expected.splitlines()], f"seed {seed}"
