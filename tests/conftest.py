"""Real Redis servers for every test that asks for one, and a log as it was before the test."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from fastfold.errors import FastfoldError
from servers import RedisCluster, RedisServer

S = TypeVar("S", RedisServer, RedisCluster)


def _start(start: Callable[[], S]) -> S:
    """A missing server is a skip on a laptop, and a failure where CI is set."""
    try:
        return start()
    except FastfoldError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Redis to test with: {error}")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """What a test runs may take the log of fastfold over, and a later test would find no line of it."""
    logger = logging.getLogger("fastfold")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    server = _start(RedisServer)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _redis_cluster() -> Iterator[RedisCluster]:
    cluster = _start(RedisCluster)
    yield cluster
    cluster.stop()


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> RedisServer:
    """A real redis-server, empty."""
    _redis_server.clear()
    return _redis_server


@pytest.fixture
def redis_cluster(_redis_cluster: RedisCluster) -> RedisCluster:
    """A real Redis Cluster of three masters and three replicas, empty."""
    _redis_cluster.clear()
    return _redis_cluster
