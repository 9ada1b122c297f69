"""The S3/SQS/SNS server and the real files, for all integration tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from aws import CREDENTIALS, MotoServer, Site, make_site
from looking import Restricted, Stored
from otrf import Identity, real_files, reference_payloads

_names = itertools.count()


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """One server for all tests; each makes a bucket and queues of its own."""
    server = MotoServer(tmp_path_factory.mktemp("moto") / "log")
    yield server
    server.stop()


@pytest.fixture
def make_aws_site(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Site]:
    """Makes a bucket, a topic, a queue and a dead-letter queue with names of their own."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)

    def make(*, raw: bool = False, notify: bool = True) -> Site:
        return make_site(moto_server, f"{os.getpid()}-{next(_names)}", raw=raw, notify=notify)

    return make


@pytest.fixture(scope="session")
def otrf_files() -> list[Path]:
    """The real files."""
    return real_files()


@pytest.fixture(scope="session")
def otrf_payloads(otrf_files: list[Path], request: pytest.FixtureRequest) -> dict[Identity, bytes]:
    """The state of every process of the real files, by the reference."""
    assert request.config.cache is not None
    return reference_payloads(otrf_files, request.config.cache.mkdir("fastfold"))


@pytest.fixture(params=["single", "cluster"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    """An empty Redis, a single one and a cluster, with what looks into it."""
    if request.param == "single":
        url = request.getfixturevalue("redis_server").url
        client: Any = redis.Redis.from_url(url)
    else:
        url = request.getfixturevalue("redis_cluster").url
        client = RedisCluster.from_url(url)
    yield Stored(url, client)
    if isinstance(client, RedisCluster):
        # Its close leaves the connections to the nodes to the garbage collector, which warns.
        client.disconnect_connection_pools()
    client.close()


@pytest.fixture
def restricted(stored: Stored) -> Iterator[Restricted]:
    with closing(Restricted(stored)) as restricted:
        yield restricted
