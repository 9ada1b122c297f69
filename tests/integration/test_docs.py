"""What docs/inspect.md shows is what is printed, and the rights it names are enough."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import fastfold
from fastfold.cli import cli
from fastfold.exits import Exit
from fastfold.store import host_key, process_key
from fastfold.values import pack_value
from looking import Stored
from servers import RedisServer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
EXAMPLES = re.findall(r"```console\n\$ fastfold (.*)\n([\s\S]*?)```", DOCUMENT)

pytestmark = pytest.mark.servers


@pytest.fixture
def filled(redis_server: RedisServer, otrf_files: list[Path]) -> RedisServer:
    """The states of the file that the document speaks of."""
    (path,) = (path for path in otrf_files if path.name.startswith("cmd_bitsadmin_download_psh_script"))
    with redis_server.client() as client:
        for (tenant, host, process), payload in fastfold.fold(path.read_bytes()).payloads.items():
            client.set(process_key(host_key(tenant, host), process), pack_value(payload), ex=600)
    return redis_server


@pytest.mark.real_files
def test_every_example_prints_what_it_shows(filled: RedisServer) -> None:
    assert len(EXAMPLES) >= 5
    for command, shown in EXAMPLES:
        name, *args = shlex.split(command)
        result = CliRunner().invoke(cli, [name, "--redis-url", filled.url, *args])
        assert result.exit_code == Exit.OK, result.stderr
        assert result.stdout == shown


def test_the_rights_that_it_names_are_enough(stored: Stored) -> None:
    (line,) = re.findall(r"^ACL SETUSER reader on >PASSWORD (.*)$", DOCUMENT, re.MULTILINE)
    nodes = getattr(stored.client, "get_primaries", None)
    servers = [stored.client] if nodes is None else [stored.client.get_redis_connection(node) for node in nodes()]
    stored.put_record("", "h")
    for server in servers:
        server.execute_command("ACL", "SETUSER", "reader", "on", ">PASSWORD", *line.split())
    try:
        reader = Stored(stored.url.replace("://", "://reader:PASSWORD@"), None)
        assert reader.inspect("--host", "h").exit_code == Exit.NOT_FOUND
        assert reader.census("--json").exit_code == Exit.OK
    finally:
        for server in servers:
            server.execute_command("ACL", "DELUSER", "reader")
