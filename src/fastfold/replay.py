"""`fastfold replay`: notifications for objects that are there, as if they had just come.

S3 is the log, Redis a cache of its fold: what a lost shard held is had again by reading the batches again.  The
ledger makes that harmless, as far back as it reaches.  Beyond its window nobody can tell whether a batch was
applied, so a worker would park it as late; such a replay is refused here, before anything is sent::

        older than the window              within the window          until
    ----------------------------|----------------------------------|--------> time of the objects
       refused, or --into a            the ledger knows each
       key space that is new

A key space of its own (``--into NAMESPACE``) has no ledger yet, so everything may be read into it, by workers whose
ledger window spans all of it.  Each message then names the namespace, and a worker of another refuses it.

The bucket is listed twice, once to count and once to send: the memory needed does not grow with it.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus

from fastfold.clients import make_client
from fastfold.config import Settings
from fastfold.errors import StopError, Unavailable
from fastfold.exits import Exit
from fastfold.listing import Listed, Lister, connect_lister
from fastfold.notification import NAMESPACE_MEMBER
from fastfold.sender import BATCH_MESSAGES, Sender
from fastfold.states import format_time

__all__ = ["Census", "OutsideWindow", "Replay", "replay", "run", "survey", "write_body"]

EVENT_NAME = "ObjectCreated:Replay"
"""What the notifications of a replay are called: they are not of S3's own making, and say so."""

_REPLY_TIMEOUT_S = 10.0
_NS_PER_MS = 1_000_000
_MARGIN_MS = 5 * 60 * 1000
"""What is named as within the window is still within it a few minutes later."""

_HOUR_S = 3600
_MS_PER_SECOND = 1000


class OutsideWindow(StopError):
    """Objects that the ledger may have forgotten.

    Attributes
    ----------
    outside, count : int
        How many of how many.
    oldest_ms, newest_ms : int
        Times of the oldest and the newest of those outside.
    """

    def __init__(self, census: Census, window_s: int, now_ms: int) -> None:
        first = _shown(now_ms - window_s * _MS_PER_SECOND + _MARGIN_MS)
        super().__init__(
            f"refused: {census.outside:,} of {census.count:,} objects are older than the window of the ledger"
            f" ({window_s:,} s): oldest {_shown(census.oldest_ms)}, newest of them {_shown(census.newest_outside_ms)}\n"
            "  workers would park them as late; rebuild all in a key space that is new with --into NAMESPACE"
            + (
                f",\n  or take only those within the window with --since {first}"
                if census.outside < census.count
                else ""
            )
        )
        self.outside = census.outside
        self.count = census.count
        self.oldest_ms = census.oldest_ms
        self.newest_ms = census.newest_outside_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What to replay.

    Attributes
    ----------
    bucket, prefix : str
    since_ms, until_ms : int or None
        Bounds of LastModified, the first included; ``None`` for none.
    rate : float
        Most messages in a second; 0 for as fast as it goes.
    dry_run : bool
        Whether to count only.
    into : str
        Namespace of a key space to rebuild; empty for that of the live workers.
    """

    bucket: str
    prefix: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    rate: float = 0.0
    dry_run: bool = False
    into: str = ""

    @property
    def name(self) -> str:
        """What is replayed, as it is shown."""
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(slots=True)
class Census:
    """What a listing held between the bounds of a replay.

    Attributes
    ----------
    count, size_bytes : int
        Batches, and their bytes as stored.
    oldest_ms, newest_ms : int
        Times of the oldest and the newest batch.
    outside, newest_outside_ms : int
        Batches older than the window of the ledger, and the time of the newest of them.
    skipped : Counter
        What is no batch, by reason.
    """

    count: int = 0
    size_bytes: int = 0
    oldest_ms: int = 0
    newest_ms: int = 0
    outside: int = 0
    newest_outside_ms: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, found: Listed, window_start_ms: int) -> None:
        """Count a version."""
        if found.skipped:
            self.skipped[found.skipped] += 1
            return
        self.oldest_ms = min(self.oldest_ms, found.time_ms) if self.count else found.time_ms
        self.newest_ms = max(self.newest_ms, found.time_ms)
        self.count += 1
        self.size_bytes += found.size_bytes
        if found.time_ms < window_start_ms:
            self.outside += 1
            self.newest_outside_ms = max(self.newest_outside_ms, found.time_ms)


class _Progress(Protocol):
    def step(self, done: int) -> None: ...


Say = Callable[[str], object]
"""Tells a person a line."""


def _shown(time_ms: int) -> str:
    """A time as it is printed, and read by ``--since``."""
    return format_time(time_ms * _NS_PER_MS)[:19] + "Z"


def write_body(bucket: str, found: Listed, into: str = "") -> str:
    """The notification of one object.

    Parameters
    ----------
    bucket : str
    found : Listed
    into : str
        Namespace for which alone it is; empty for any.
    """
    # As S3 writes keys: form-encoded.
    about: dict[str, object] = {"key": quote_plus(found.key), "size": found.size_bytes, "eTag": found.etag}
    if found.version_id:
        about["versionId"] = found.version_id
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": EVENT_NAME,
        "eventTime": format_time(found.time_ms * _NS_PER_MS)[:23] + "Z",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": about},
    }
    body: dict[str, object] = {"Records": [record]}
    if into:
        body[NAMESPACE_MEMBER] = into
    return json.dumps(body, separators=(",", ":"))


def survey(lister: Lister, job: Replay, window_start_ms: int) -> Census:
    """Count what a replay would send.

    Raises
    ------
    Unavailable, ConfigError
        As `Lister.versions`; see `fastfold.listing`.
    """
    census = Census()
    for found in _within(lister, job):
        census.add(found, window_start_ms)
    return census


def replay(
    lister: Lister,
    sender: Sender,
    job: Replay,
    progress: _Progress,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Send a notification for every batch.

    Parameters
    ----------
    lister : Lister
    sender : Sender
        Counts what is sent.
    job : Replay
    progress : object
        Told of every message taken.
    clock, sleep : callable
        Seconds.

    Raises
    ------
    Unavailable, ConfigError
        S3 or SQS does not answer; what was sent stays sent, and may be sent again.
    """
    batch: list[tuple[str, dict[str, object]]] = []
    # Below ten a second a full batch would come in bursts.
    most = max(1, min(BATCH_MESSAGES, math.floor(job.rate) or 1)) if job.rate else BATCH_MESSAGES
    due = clock()
    for body in _bodies(lister, job):
        batch.append((body, {}))
        if len(batch) < most:
            continue
        due = _pace(due, len(batch), job.rate, clock, sleep)
        _send(sender, batch, progress)
        batch = []
    if batch:
        _pace(due, len(batch), job.rate, clock, sleep)
        _send(sender, batch, progress)


def _send(sender: Sender, batch: list[tuple[str, dict[str, object]]], progress: _Progress) -> None:
    refused = sender.send(batch)
    if refused:
        # Our own bodies are short and plain: if one is refused, so will be the others.
        raise Unavailable("SQS", f"{len(refused)} messages refused")
    progress.step(sender.sent)


def _pace(due: float, count: int, rate: float, clock: Callable[[], float], sleep: Callable[[float], object]) -> float:
    """Wait until a batch is due; when the next one will be."""
    if not rate:
        return due
    now = clock()
    if due > now:
        sleep(due - now)
    # A pause is not made up for: the rate is there to spare the workers.
    return max(due, now) + count / rate


def _bodies(lister: Lister, job: Replay) -> Iterator[str]:
    for found in _within(lister, job):
        if not found.skipped:
            yield write_body(job.bucket, found, job.into)


def _within(lister: Lister, job: Replay) -> Iterator[Listed]:
    since_ms = job.since_ms if job.since_ms is not None else 0
    until_ms = job.until_ms if job.until_ms is not None else math.inf
    return (found for found in lister.versions(job.prefix) if since_ms <= found.time_ms < until_ms)


def run(
    settings: Settings,
    bounds: Callable[[int], Replay],
    say: Say,
    bar: Callable[[int], AbstractContextManager[_Progress]],
) -> Exit:
    """Count, judge and send.

    Parameters
    ----------
    settings : Settings
    bounds : callable
        Makes the replay of the time it is now, by the clock of S3 in milliseconds.
    say : callable
        Tells a person a line.
    bar : callable
        Makes a progress bar of the number of messages.

    Returns
    -------
    Exit
        `Exit.NOT_FOUND` if there was nothing to replay.

    Raises
    ------
    OutsideWindow
        If the ledger may have forgotten some of it, and no new key space is named.
    Unavailable, ConfigError
        If S3 or SQS does not answer, or a setting is wrong.
    """
    draft = bounds(0)
    lister = connect_lister(settings, draft.bucket)
    now_ms = lister.now_ms(draft.prefix)
    job = bounds(now_ms)
    census = survey(lister, job, now_ms - settings.ledger_window_s * _MS_PER_SECOND)
    for line in _describe(job, census):
        say(line)
    if not census.count:
        return Exit.NOT_FOUND
    if census.outside and not job.into:
        raise OutsideWindow(census, settings.ledger_window_s, now_ms)
    if job.into:
        # Whatever comes last, nothing of what came before may be too old for it.
        span_s = _span_s(census, now_ms)
        say(f"workers of namespace {job.into} need --ledger-window-s {span_s} or more until all is applied")
    if job.dry_run:
        say("nothing was sent")
        return Exit.OK
    client = make_client(settings, "sqs", reply_timeout_s=_REPLY_TIMEOUT_S, connections=1)
    sender = Sender(client, settings.queue_url)
    start = time.monotonic()
    try:
        with bar(census.count) as progress:
            replay(lister, sender, job, progress)
    finally:
        say(f"{sender.sent:,} messages sent to {settings.queue_url} in {time.monotonic() - start:.1f} s")
    return Exit.OK


def _span_s(census: Census, now_ms: int) -> int:
    """In whole hours, with an hour or more for the replay itself."""
    return (math.ceil((now_ms - census.oldest_ms) / _MS_PER_SECOND / _HOUR_S) + 1) * _HOUR_S


def _describe(job: Replay, census: Census) -> Iterator[str]:
    if census.count:
        yield (
            f"{job.name}: {census.count:,} objects, {census.size_bytes / 1e6:,.1f} MB,"
            f" {_shown(census.oldest_ms)} to {_shown(census.newest_ms)}"
        )
    else:
        yield f"{job.name}: no objects"
    if census.skipped:
        yield "skipped: " + ", ".join(f"{number:,} {reason}" for reason, number in census.skipped.most_common())
