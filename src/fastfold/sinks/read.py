"""``sinks.toml``: where alerts go.  docs/alerts.md is its reference.

::

    [[sink]]
    name = "soc"
    kind = "webhook"
    level = "high"
    url = "https://soc.example/alerts"
    secret_env = "SOC_SECRET"
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from fastfold.alerts.forms import FORMS, LEAST_BYTES
from fastfold.errors import SchemaError
from fastfold.rules.types import LEVELS, Level
from fastfold.sinks.types import (
    KINDS,
    FileFacts,
    Kind,
    QueueFacts,
    Route,
    SinkFacts,
    TopicFacts,
    WebhookFacts,
)
from fastfold.tables import Table, parse_table

__all__ = ["DEFAULT_SINKS", "load_sinks", "read_sinks"]

MESSAGE_BYTES = 256 << 10
"""Most bytes of a message of SQS or SNS, its attributes included."""

ATTRIBUTE_BYTES = 4 << 10
"""Room that is kept for the attributes."""

_MEGABYTE = 1 << 20
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_NAME_LENGTH = 32

DEFAULT_SINKS: tuple[SinkFacts, ...] = (SinkFacts("stdout", "stdout"),)
"""What is taken where no file is given: every alert goes to standard output."""

_COMMON = ("name", "kind", "format", "level", "tags", "tenants", "body_bytes", "queue_alerts", "patience_s")


def load_sinks(path: str) -> tuple[SinkFacts, ...]:
    """The sinks of a file; those of `DEFAULT_SINKS` where the path is empty.

    Raises
    ------
    SchemaError
        If the file cannot be read, or does not hold together; with the line.
    """
    if not path:
        return DEFAULT_SINKS
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SchemaError(path, f"cannot be read: {error.strerror}") from None
    return read_sinks(path, data)


def read_sinks(file: str, data: bytes) -> tuple[SinkFacts, ...]:
    """The sinks that the text of a file says.

    Raises
    ------
    SchemaError
    """
    top = parse_table(file, data)
    top.only("sink")
    sinks: list[SinkFacts] = []
    for part in top.tables("sink"):
        sink = _sink(part)
        if any(sink.name == other.name for other in sinks):
            part.fail(f"name {sink.name!r} is used twice", "name")
        sinks.append(sink)
    if not sinks:
        top.fail("no [[sink]]")
    return tuple(sinks)


def _sink(part: Table) -> SinkFacts:
    kind = cast("Kind", part.choice("kind", KINDS))
    keys, of_kind, most_bytes = _OF_KIND[kind]
    part.only(*_COMMON, *keys)
    name = part.text("name")
    if len(name) > _NAME_LENGTH or not set(name) <= _NAME_CHARACTERS:
        part.fail(f"name {name!r} is not {_NAME_LENGTH} or less of a to z, 0 to 9, - and _", "name")
    return SinkFacts(
        name=name,
        kind=kind,
        form=part.choice("format", tuple(FORMS), "native"),
        route=Route(
            level=cast("Level", part.choice("level", LEVELS, "informational")),
            tags=part.texts("tags", needed="tags" in part.values),
            tenants=part.texts("tenants", needed="tenants" in part.values),
        ),
        of_kind=of_kind(part) if of_kind is not None else None,
        body_bytes=part.integer("body_bytes", LEAST_BYTES, most_bytes, min(MESSAGE_BYTES, most_bytes)),
        queue_alerts=part.integer("queue_alerts", 100, 100_000, 1000),
        patience_s=part.integer("patience_s", 1, 300, 15),
    )


def _file(part: Table) -> FileFacts:
    return FileFacts(path=part.text("path"), sync=part.flag("sync") if "sync" in part.values else True)


def _sqs(part: Table) -> QueueFacts:
    return QueueFacts(_url(part, "url", ("https", "http")), part.text("region", ""), _endpoint(part))


def _sns(part: Table) -> TopicFacts:
    arn = part.text("arn")
    if not arn.startswith("arn:") or arn.count(":") != 5:
        part.fail(f"arn = {arn!r} is not the ARN of a topic", "arn")
    return TopicFacts(arn, part.text("region", ""), _endpoint(part))


def _webhook(part: Table) -> WebhookFacts:
    allow_http = part.flag("allow_http")
    url = _url(part, "url", ("https", "http"))
    parts = urlsplit(url)
    if parts.scheme == "http" and not allow_http:
        part.fail("url is http://, which anybody on the way can read and change: https://, or allow_http = true", "url")
    if parts.username is not None or parts.password is not None:
        # Not repeated: it is a secret.
        part.fail("url holds a user or a password: authorization_env is for these", "url")
    if parts.fragment:
        part.fail("url has a fragment, which is never sent", "url")
    return WebhookFacts(
        url=url,
        secret_env=part.text("secret_env", ""),
        authorization_env=part.text("authorization_env", ""),
        allow_http=allow_http,
        allow_networks=tuple(_network(part, text) for text in part.texts("allow_networks", needed=False)),
        ca_file=part.text("ca_file", ""),
        timeout_s=part.integer("timeout_s", 1, 60, 10),
        rate_per_s=part.integer("rate_per_s", 1, 10_000, 50),
    )


def _network(part: Table, text: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        part.fail(f"allow_networks has {text!r}: {error}", text, "allow_networks")


def _endpoint(part: Table) -> str:
    return _url(part, "endpoint_url", ("https", "http")) if "endpoint_url" in part.values else ""


def _url(part: Table, key: str, schemes: tuple[str, ...]) -> str:
    value = part.text(key)
    try:
        parts = urlsplit(value)
        # Asking for it reads it.
        port = parts.port
    except ValueError:
        part.fail(f"{key} is not a URL", key)
    plain = value.isascii() and value.isprintable() and " " not in value
    if not plain or parts.scheme not in schemes or not parts.hostname or port == 0:
        part.fail(f"{key} is not a URL like {' or '.join(f'{scheme}://...' for scheme in schemes)}", key)
    return value


_OfKind = Callable[[Table], "FileFacts | QueueFacts | TopicFacts | WebhookFacts"]
_OF_KIND: dict[Kind, tuple[tuple[str, ...], _OfKind | None, int]] = {
    "stdout": ((), None, _MEGABYTE),
    "file": (("path", "sync"), _file, 16 * _MEGABYTE),
    "sqs": (("url", "region", "endpoint_url"), _sqs, MESSAGE_BYTES - ATTRIBUTE_BYTES),
    "sns": (("arn", "region", "endpoint_url"), _sns, MESSAGE_BYTES - ATTRIBUTE_BYTES),
    "webhook": (
        (
            "url",
            "secret_env",
            "authorization_env",
            "allow_http",
            "allow_networks",
            "ca_file",
            "timeout_s",
            "rate_per_s",
        ),
        _webhook,
        16 * _MEGABYTE,
    ),
}
"""Keys, what reads them, and the longest body, by kind."""
