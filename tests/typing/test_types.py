"""The public interface has the types that `public.py` says."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def _mypy(path: Path) -> subprocess.CompletedProcess[str]:
    if find_spec("mypy") is None:
        reason = "mypy is not installed: make setup"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = [sys.executable, "-m", "mypy", "--config-file", str(_ROOT / "pyproject.toml"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, check=False)


def test_public_types_are_as_written() -> None:
    done = _mypy(Path(__file__).with_name("public.py"))
    faults = [line for line in done.stdout.splitlines() if "tests/typing/" in line]
    assert faults == []


def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import fastfold\nstates: int = fastfold.fold(b'')\n")
    done = _mypy(wrong)
    assert done.returncode == 1
    assert "wrong.py:2: error: Incompatible types" in done.stdout
