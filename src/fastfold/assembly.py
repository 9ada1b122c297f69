"""Puts the parts of a worker together, from the settings."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial

from fastfold.alert import Publisher
from fastfold.canary import Canary, CanaryThread
from fastfold.config import Settings
from fastfold.fetch import connect_fetcher
from fastfold.keeper import Keeper
from fastfold.metrics import Meter
from fastfold.notification import parse_body
from fastfold.pipeline import Commit, Fold, Pipeline
from fastfold.sinks.opening import open_outlets
from fastfold.sinks.read import load_sinks
from fastfold.source import connect_queue
from fastfold.topology import Nodes, redis_connector
from fastfold.worker import Worker

__all__ = ["assemble", "check_servers", "make_publisher"]


def check_servers(settings: Settings) -> None:
    """See that Redis and SQS answer, before any worker is started.

    Raises
    ------
    Unavailable
        If one does not answer.
    ConfigError
        If one refuses us, or a setting of theirs is wrong.
    """
    address, connector = redis_connector(settings)
    nodes = Nodes(address, connector, random.random)
    try:
        nodes.refresh()
        node = nodes.node_of(0)
        if node is not None:
            nodes.connection(node)
    finally:
        nodes.close()
    connect_queue(settings)


def assemble(
    settings: Settings,
    meter: Meter,
    fold: Callable[[], Fold],
    commit: Callable[[], Commit],
    publisher: Publisher | None = None,
    reload: Callable[[], None] | None = None,
) -> Worker:
    """A worker around a way to fold and a way to commit.

    Parameters
    ----------
    settings : Settings
    meter : Meter
    fold, commit : callable
        Make what one slot uses: neither is shared by threads.
    publisher : Publisher, optional
        Of the whole worker; it starts and ends with it.
    reload : callable, optional
        Has the rules loaded again: what SIGHUP does.
    """
    queue = connect_queue(settings)
    keeper = Keeper(queue, meter)
    fetcher = connect_fetcher(settings, meter)
    read = partial(
        parse_body,
        buckets=settings.buckets,
        most_records=settings.limit_message_records,
        namespace=settings.namespace,
    )

    def pipeline() -> Pipeline:
        return Pipeline(
            queue=queue,
            keeper=keeper,
            read=read,
            fetch=fetcher,
            fold=fold(),
            commit=commit(),
            meter=meter,
            file_deadline_s=settings.file_deadline_s,
            publish=None if publisher is None else publisher.publish,
            park=settings.poison == "park",
        )

    return Worker(
        queue,
        keeper,
        pipeline,
        settings.file_slots,
        meter,
        held_messages=settings.held_messages,
        canary=_canary(settings, meter),
        publisher=publisher,
        reload=reload,
    )


def make_publisher(settings: Settings, meter: Meter) -> Publisher:
    """What publishes the alerts of a worker process, for all of its slots.

    Raises
    ------
    ConfigError
        If a sink cannot be opened.
    SchemaError
        If the file of the sinks does not hold together.
    """
    return Publisher(open_outlets(load_sinks(settings.sinks), settings, meter), meter)


def _canary(settings: Settings, meter: Meter) -> CanaryThread | None:
    if not settings.canary_s:
        return None
    address, connector = redis_connector(settings)
    name = f"{os.getpid()}-{os.urandom(6).hex()}"
    nodes = Nodes(address, connector, random.random, refresh_s=settings.topology_refresh_s)
    return CanaryThread(Canary(nodes, settings.namespace.encode(), name, meter), settings.canary_s)
