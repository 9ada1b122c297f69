"""What a sink is, what it is given, and what is said of it in ``sinks.toml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, NamedTuple, Protocol

from fastfold.alerts.types import Alert
from fastfold.rules.types import LEVELS, Level

__all__ = [
    "KINDS",
    "TAKEN",
    "Answer",
    "FileFacts",
    "Kind",
    "Parcel",
    "QueueFacts",
    "Route",
    "Sink",
    "SinkFacts",
    "TopicFacts",
    "WebhookFacts",
]

Kind = Literal["stdout", "file", "sns", "sqs", "webhook"]
KINDS: tuple[Kind, ...] = ("stdout", "file", "sns", "sqs", "webhook")

_ANY = "*"


@dataclass(frozen=True, slots=True)
class Parcel:
    """An alert as one sink is given it.

    Attributes
    ----------
    id, rule, level, tenant, host, title : str
        Of the alert, as they are.
    body : bytes
        One line of JSON without its line feed.
    """

    id: str
    rule: str
    level: str
    tenant: str
    host: str
    title: str
    body: bytes


class Answer(NamedTuple):
    """What a sink says of one parcel.

    ``taken``: it is the sink's now.  ``refused``: this one is not taken, others may be.  ``later``: the sink takes
    none now, and is to be left alone for `after_s`, where it has said so.
    """

    kind: Literal["taken", "refused", "later"]
    reason: str = ""
    after_s: float = 0.0


TAKEN = Answer("taken")


class Sink(Protocol):
    """Takes parcels; used by one thread."""

    most: int
    """Most parcels of one call."""

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        """Send parcels, once each; an answer for each, in order.

        Raises
        ------
        RetryError, StopError
            As good as ``later`` for all.
        """

    def close(self) -> None:
        """Close what it has open."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts a sink is for: those that pass all three.

    Attributes
    ----------
    level : Level
        The least.
    tags : tuple of str
        One of these must be among the tags of the rule; a star at the end stands for any ending.  Empty: any.
    tenants : tuple of str
        Empty: any.  The tenant of a format without tenants is the empty text.
    """

    level: Level = "informational"
    tags: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()

    def takes(self, alert: Alert) -> bool:
        """Whether an alert goes this way."""
        if LEVELS.index(alert.level) < LEVELS.index(self.level):
            return False
        if self.tenants and alert.tenant not in self.tenants:
            return False
        return not self.tags or any(_matches(wanted, tag) for wanted in self.tags for tag in alert.tags)


def _matches(wanted: str, tag: str) -> bool:
    wanted, tag = wanted.lower(), tag.lower()
    return tag.startswith(wanted[:-1]) if wanted.endswith(_ANY) else tag == wanted


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Of a sink ``file``: its path, and whether each batch is on the disk before it counts as taken."""

    path: str
    sync: bool = True


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """Of a sink ``sqs``."""

    url: str
    region: str = ""
    endpoint_url: str = ""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """Of a sink ``sns``."""

    arn: str
    region: str = ""
    endpoint_url: str = ""


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """Of a sink ``webhook``.

    Attributes
    ----------
    url : str
    secret_env, authorization_env : str
        Names in the environment: of the key of the signature, and of the value of the header Authorization.
    allow_http : bool
        Whether the URL may be ``http://``, in clear text.
    allow_networks : tuple of networks
        Addresses that may be connected to although they are not public.
    ca_file : str
        PEM file of the authorities trusted; empty: those of the system.
    timeout_s : int
        Longest time for one request, from the name to the end of the answer.
    rate_per_s : int
        Most requests in a second.
    """

    url: str
    secret_env: str = ""
    authorization_env: str = ""
    allow_http: bool = False
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    ca_file: str = ""
    timeout_s: int = 10
    rate_per_s: int = 50


@dataclass(frozen=True, slots=True)
class SinkFacts:
    """One sink of ``sinks.toml``.

    Attributes
    ----------
    name : str
        Unique; the label of its metrics.
    kind : Kind
    form : str
        ``native``, ``ocsf`` or ``ecs``.
    route : Route
    of_kind : FileFacts, QueueFacts, TopicFacts, WebhookFacts or None
    body_bytes : int
        Longest body; the evidence of a longer one is cut.
    queue_alerts : int
        Most alerts that wait for it in one worker process.
    patience_s : int
        How long it may take nothing before what waits for it is given back.
    """

    name: str
    kind: Kind
    form: str = "native"
    route: Route = field(default_factory=Route)
    of_kind: FileFacts | QueueFacts | TopicFacts | WebhookFacts | None = None
    body_bytes: int = 256 << 10
    queue_alerts: int = 1000
    patience_s: int = 15
