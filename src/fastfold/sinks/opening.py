"""Makes the sinks that ``sinks.toml`` names; to be called after a process has started."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fastfold.clients import make_client
from fastfold.config import Settings
from fastfold.errors import ConfigError
from fastfold.metrics import Meter
from fastfold.sinks.aws import QueueSink, TopicSink
from fastfold.sinks.file import FileSink, StdoutSink
from fastfold.sinks.lane import Lane, Outlet
from fastfold.sinks.types import FileFacts, QueueFacts, Sink, SinkFacts, TopicFacts, WebhookFacts
from fastfold.sinks.webhook import WebhookSink

__all__ = ["open_outlets"]

_REPLY_TIMEOUT_S = 5.0


def open_outlets(
    sinks: Sequence[SinkFacts], settings: Settings, meter: Meter, environ: Mapping[str, str] = os.environ
) -> list[Outlet]:
    """Open each sink; nothing is sent yet.

    Parameters
    ----------
    sinks : sequence of SinkFacts
    settings : Settings
        Region and endpoint of AWS, where a sink has none of its own.
    meter : Meter
    environ : mapping
        Where secrets are.

    Raises
    ------
    ConfigError
        If a file cannot be opened, or a secret is missing.
    """
    outlets = []
    for facts in sinks:
        try:
            sink = _open(facts, settings, environ)
        except ConfigError as error:
            raise ConfigError(f"sink {facts.name}: {error}") from None
        lane = Lane(facts.name, sink, meter, queue_alerts=facts.queue_alerts, patience_s=facts.patience_s)
        outlets.append(Outlet(facts, lane))
    return outlets


def _open(facts: SinkFacts, settings: Settings, environ: Mapping[str, str]) -> Sink:
    match facts.of_kind:
        case FileFacts() as file:
            return FileSink(file)
        case QueueFacts() as queue:
            client = make_client(_of(queue, settings), "sqs", reply_timeout_s=_REPLY_TIMEOUT_S, connections=1)
            return QueueSink(client, queue.url)
        case TopicFacts() as topic:
            client = make_client(_of(topic, settings), "sns", reply_timeout_s=_REPLY_TIMEOUT_S, connections=1)
            return TopicSink(client, topic.arn)
        case WebhookFacts() as webhook:
            return _webhook(webhook, environ)
        case None:
            return StdoutSink()


def _webhook(facts: WebhookFacts, environ: Mapping[str, str]) -> WebhookSink:
    secret = _secret(facts.secret_env, environ)
    authorization = _secret(facts.authorization_env, environ)
    if not (authorization.isascii() and authorization.isprintable()):
        raise ConfigError(f"the environment's {facts.authorization_env} holds what a header may not")
    try:
        return WebhookSink(facts, secret.encode(), authorization)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{facts.ca_file}: {error}") from None


def _secret(name: str, environ: Mapping[str, str]) -> str:
    """What the environment holds under a name; empty without one."""
    if not name:
        return ""
    value = environ.get(name, "")
    if not value:
        raise ConfigError(f"the environment has no {name}")
    return value


def _of(facts: QueueFacts | TopicFacts, settings: Settings) -> Settings:
    region = facts.region or (facts.arn.split(":")[3] if isinstance(facts, TopicFacts) else "")
    return replace(
        settings,
        region=region or settings.region,
        endpoint_url=facts.endpoint_url or settings.endpoint_url,
    )
