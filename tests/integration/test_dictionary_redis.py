"""`fastfold dictionary train` on the states of a real Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from committing import NEVER, a_batch, a_committer, deltas
from fastfold.cli import cli
from fastfold.dictionaries import find_dictionaries
from fastfold.exits import Exit

pytestmark = pytest.mark.servers


def test_a_dictionary_is_trained_on_a_redis_which_is_only_read(redis_server: Any, tmp_path: Path) -> None:
    redis_server.clear()
    committer = a_committer(url=f"{redis_server.url}?cluster=no")
    hosts = [deltas(f"pc-{n}.example.com", [f"{n:08x}-79fb-5f92-7117-{p:012x}" for p in range(20)]) for n in range(30)]
    committer.commit(hosts, a_batch(1), NEVER)
    committer.close()
    with redis_server.client() as client:
        client.set("ff:{damaged-tag}damaged-tag", b"\1\0nothing", ex=600)
        before = {key: client.get(key) for key in client.scan_iter()}
        args = ["dictionary", "train", "--id", "70", "--kib", "4", "--output", str(tmp_path)]
        result = CliRunner().invoke(cli, [*args, "--redis-url", redis_server.url])
        assert result.exit_code == Exit.OK, result.output
        assert {key: client.get(key) for key in client.scan_iter()} == before
    own = find_dictionaries(tmp_path)[-1]
    assert (own.id, own.trained_on) == (70, "states of a Redis")
    assert 300 < own.samples < 600
