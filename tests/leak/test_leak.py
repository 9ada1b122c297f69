"""Memory does not grow with what was done: fresh interpreters, a byte budget, error paths too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastfold.generate import Corpus, write

ROUNDS = 200
# What allocators may keep between rounds.  Losing one block of 8 KiB in each round is found, and so is
# losing one small object for each of the 200 processes of a file.
BUDGET_BYTES = 1 << 20

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("batches")
    assert len(list(write(Corpus(files=1, hosts=8, processes=25, events=8, others=0.2), made))) == 1
    return made


@pytest.mark.parametrize("job", ["folds", "plans", "parses", "matches", "payloads", "rejects", "tables", "values"])
def test_memory_stays(job: str, folder: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), job, str(folder), str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < BUDGET_BYTES
