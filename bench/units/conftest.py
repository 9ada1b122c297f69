"""Inputs of the units: made, seeded, the same on every machine."""

from __future__ import annotations

from typing import Any

import pytest

from fastfold.generate import Corpus, write
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(ratio=1032)


@pytest.fixture(scope="session")
def schema() -> Any:
    return load_schema("sysmon")


@pytest.fixture(scope="session")
def definition() -> Any:
    return load_definition("process")


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A generated gzip file of 50 hosts."""
    corpus = Corpus(files=1, hosts=50, hosts_per_file=50, processes=25, events=8, others=0.2, seed=1)
    (path, _), *_ = write(corpus, tmp_path_factory.mktemp("generated"))
    return path.read_bytes()
