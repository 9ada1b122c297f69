"""`fastfold replay`: flags, help, and what is said while it runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from fastfold.commands.help import HelpCommand, moment
from fastfold.commands.options import setting_options
from fastfold.config import SETTINGS, load
from fastfold.exits import Exit
from fastfold.extras import needs
from fastfold.text import escape

__all__ = ["replay"]

_SETTINGS = ("queue_url", "bucket_owner", "region", "endpoint_url", "namespace", "ledger_window_s")
_MS_PER_SECOND = 1000


def _rate(context: click.Context, param: click.Parameter, value: str | None) -> float:
    if value is None:
        return 0.0
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(?:/s)?", value)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{escape(value)!r} is no rate like 50/s, above 0 and below 1,000,000")
    return float(found[1])


def _place(context: click.Context, param: click.Parameter, value: str) -> tuple[str, str]:
    found = re.fullmatch(r"s3://([A-Za-z0-9._-]{3,255})(?:/(.*))?", value, re.DOTALL)
    if found is None:
        raise click.BadParameter(f"{escape(value)!r} is no place like s3://bucket/prefix")
    return found[1], found[2] or ""


def _namespace(context: click.Context, param: click.Parameter, value: str | None) -> str:
    setting = next(setting for setting in SETTINGS if setting.name == "namespace")
    fault = setting.fault(value) if value else None
    if fault or value == "":
        raise click.BadParameter(fault or "the name of a key space is empty")
    return value or ""


@click.command(cls=HelpCommand)
@click.argument("place", metavar="s3://BUCKET/PREFIX", callback=_place)
@click.option("--since", metavar="TIME", callback=moment, help="Only objects written at this time or later.")
@click.option("--until", metavar="TIME", callback=moment, help="Only objects written before this time.")
@click.option(
    "--rate", metavar="N/s", callback=_rate, help="Most messages in a second. Default: as fast as SQS takes them."
)
@click.option("--dry-run", is_flag=True, help="Count and judge, and send nothing.")
@click.option(
    "--into",
    metavar="NAMESPACE",
    callback=_namespace,
    help="Rebuild a key space that is new. Only workers with this --namespace apply what is sent.",
)
@setting_options(_SETTINGS)
def replay(
    place: tuple[str, str],
    since: Any,
    until: Any,
    rate: float,
    dry_run: bool,
    into: str,
    **flags: str | None,
) -> Exit:
    r"""Put notifications for objects that are in S3 on the queue, as if they had just come.

    For states that were lost with their Redis, and for objects whose notification never came. What is applied already
    is left as it is, since the ledger of each host knows it, as far back as --ledger-window-s reaches. Older objects
    are refused, unless --into names a new key space. All versions in the bucket are sent; empty objects, folder
    markers, archived objects and deletions are counted and left out.

    A TIME is 2026-03-04T12:00:00Z, 2026-03-04 (UTC), or 90s, 30m, 6h, 2d ago, by the clock of S3. Needs
    s3:ListBucketVersions on the bucket and sqs:SendMessage on the queue.

    \b
    Examples:
      fastfold replay s3://example-batches/ --since 5h --dry-run
      fastfold replay s3://example-batches/edr/ --since 2h --until 1h --rate 50/s
    \b
    A new key space, with a queue and workers of its own:
      fastfold replay s3://example-batches/ --into ff2: --queue-url REBUILD_URL
      fastfold worker --namespace ff2: --queue-url REBUILD_URL --ledger-window-s 2592000
    """
    settings = load(flags, os.environ, names=_SETTINGS)
    if into == settings.namespace:
        raise click.UsageError(f"--into {escape(into)} is the key space of the live workers (--namespace)")
    module = needs("fastfold.replay")

    def bounds(now_ms: int) -> Any:
        return module.Replay(
            bucket=place[0],
            prefix=place[1],
            since_ms=None if since is None else since(now_ms),
            # What comes from now on has notifications of its own.  S3 tells times in whole seconds.
            until_ms=now_ms + _MS_PER_SECOND if until is None else until(now_ms),
            rate=rate,
            dry_run=dry_run,
            into=into,
        )

    code: Exit = module.run(settings, bounds, _say, _bar)
    return code


def _say(line: str) -> None:
    click.echo(escape(line), err=True)


class _Quiet:
    """No bar: standard error is not a terminal."""

    def step(self, done: int) -> None:
        pass


@contextmanager
def _bar(messages: int) -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield _Quiet()
        return
    from fastfold.commands.progress import SendBar

    with closing(SendBar(messages)) as bar:
        yield bar
