"""`fastfold dlq`: what is parked in the dead-letter queue, and what is to become of it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastfold.commands.help import HelpGroup, Moment, moment
from fastfold.commands.options import setting_options
from fastfold.config import load
from fastfold.exits import Exit
from fastfold.extras import needs
from fastfold.states import format_time
from fastfold.text import escape, json_line

if TYPE_CHECKING:
    from fastfold.dead_letters import Filter, Look, Parked
    from fastfold.sender import Sender

__all__ = ["dlq"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SETTINGS = ("queue_url", "dead_letter_url", "region", "endpoint_url")
_NS_PER_MS = 1_000_000
_REASON_CHARACTERS = 300


@click.group(cls=HelpGroup)
def dlq() -> None:
    r"""Look at what is parked in the dead-letter queue, put it back, or delete it.

    A worker parks a message that it can never apply, with the reason. When the reason is mended (a limit raised, a
    schema corrected, an object put back), requeue it. What a ledger already holds is not applied a second time.

    A queue cannot be read without receiving, so others do not see what is looked at while a command runs; if it is
    killed, they do again after five minutes. Needs sqs:ReceiveMessage, ChangeMessageVisibility and, to take messages
    out, DeleteMessage on the dead-letter queue; sqs:SendMessage on the queue to requeue.

    \b
    Examples:
      fastfold dlq list --error Reject --since 1d
      fastfold dlq list --json | jq -r .file
      fastfold dlq show 5fb7b2a4-7d3c-4c5e-9a3f-0d1e2f3a4b5c
      fastfold dlq requeue --error Missing --yes
      fastfold dlq drop --match 's3://example-batches/test/'
    """


def _filters(command: _Command) -> _Command:
    for option in reversed(
        (
            click.option("--error", default="", metavar="CLASS", help="Only these: Reject, Late, Missing, Redrive ..."),
            click.option(
                "--match", default="", metavar="TEXT", help="Only those with this text in reason, file or body."
            ),
            click.option("--since", metavar="TIME", callback=moment, help="Only those parked at this time or later."),
            click.option("--until", metavar="TIME", callback=moment, help="Only those parked before this time."),
        )
    ):
        command = option(command)
    return command


def _json(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object per message.")(command)


def _limit(default: int) -> Callable[[_Command], _Command]:
    return click.option(
        "--limit", type=click.IntRange(1, 100_000), default=default, show_default=True, help="Most messages."
    )


@dlq.command("list")
@_filters
@_limit(100)
@_json
@setting_options(_SETTINGS)
def list_messages(
    error: str,
    match: str,
    since: Moment | None,
    until: Moment | None,
    limit: int,
    as_json: bool,
    **flags: str | None,
) -> Exit:
    """List messages with their reasons: id, time, class of the error, file."""
    look, _ = _connect(flags)
    errors: Counter[str] = Counter()
    with closing(look):
        for parked in look.find(_wanted((), error, match, since, until), limit):
            errors[parked.error] += 1
            _print(_json_of(parked) if as_json else _lines_of(parked))
        _say_errors(errors)
        if not look.complete:
            _say(f"there may be more; --limit is {limit}")
    return Exit.OK


@dlq.command("show")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_json
@setting_options(_SETTINGS)
def show(ids: tuple[str, ...], as_json: bool, **flags: str | None) -> Exit:
    """Show messages in full: reason, place, all attributes, and the body."""
    look, _ = _connect(flags)
    missing = dict.fromkeys(ids)
    with closing(look):
        for parked in look.find(_wanted(ids, "", "", None, None), len(missing)):
            del missing[parked.id]
            _print(_json_of(parked, whole=True) if as_json else _page_of(parked))
    for name in missing:
        _say(f"no message {name}")
    return Exit.NOT_FOUND if missing else Exit.OK


def _action(verb: str, effect: str) -> Callable[[Callable[..., Any]], Any]:
    """Arguments of the commands that take messages out."""

    def decorate(command: Callable[..., Any]) -> Any:
        for option in (
            setting_options(_SETTINGS),
            _json,
            click.option("--yes", is_flag=True, help="Do not ask."),
            _limit(10_000),
            click.option("--all", "everything", is_flag=True, help=f"All messages are {effect}, up to --limit."),
            _filters,
            click.argument("ids", metavar="[ID]...", nargs=-1),
            dlq.command(verb),
        ):
            command = option(command)
        return command

    return decorate


@_action("requeue", "put back")
def requeue(
    ids: tuple[str, ...],
    error: str,
    match: str,
    since: Moment | None,
    until: Moment | None,
    everything: bool,
    limit: int,
    yes: bool,
    as_json: bool,
    **flags: str | None,
) -> Exit:
    """Put messages back on the queue, by id, by filter or --all.

    A message is deleted here only after the queue has acknowledged it. The reason is taken off; a message that fails
    again gets a new one. Those that came from another queue are left: name that one with --queue-url.
    """
    queue_url = load(flags, os.environ, names=_SETTINGS).queue_url
    wanted = _chosen(ids, error, match, since, until, everything)

    def act(look: Look, sender: Sender, found: Sequence[Parked]) -> Iterator[tuple[Parked, str]]:
        ours = [parked for parked in found if parked.is_from(queue_url)]
        yield from ((parked, "left") for parked in found if parked not in ours)
        yield from look.requeue(ours, sender)

    return _act("requeue", act, wanted, limit, yes, as_json, flags)


@_action("drop", "deleted")
def drop(
    ids: tuple[str, ...],
    error: str,
    match: str,
    since: Moment | None,
    until: Moment | None,
    everything: bool,
    limit: int,
    yes: bool,
    as_json: bool,
    **flags: str | None,
) -> Exit:
    """Delete messages, by id, by filter or --all.

    Their objects stay in S3; `fastfold replay` can still send them.
    """
    wanted = _chosen(ids, error, match, since, until, everything)
    return _act("drop", lambda look, _, found: look.drop(found), wanted, limit, yes, as_json, flags)


_OUTCOMES = {
    "requeued": "put back on the queue",
    "dropped": "deleted",
    "doubled": "put back, but could not be deleted here: they will come twice, harmlessly",
    "refused": "could not be moved, and are still here",
    "left": "came from another queue, and are still here",
}


def _act(
    verb: str,
    act: Callable[[Look, Sender, Sequence[Parked]], Iterator[tuple[Parked, str]]],
    wanted: Filter,
    limit: int,
    yes: bool,
    as_json: bool,
    flags: dict[str, str | None],
) -> Exit:
    """Ask, then act on just what was asked about."""
    if not yes:
        look, _ = _connect(flags)
        with closing(look):
            found = list(look.find(wanted, limit))
        if not found:
            _say("no messages")
            return Exit.NOT_FOUND
        _say_errors(Counter(parked.error for parked in found))
        if not click.confirm(f"{verb} {'these' if len(found) > 1 else 'this'}?", err=True):
            _say("nothing was done")
            return Exit.INTERRUPTED
        # A person may think for longer than a message stays hidden: these are received again, and no others.
        wanted = needs("fastfold.dead_letters").Filter(ids=frozenset(parked.id for parked in found))
    look, sender = _connect(flags)
    counts: Counter[str] = Counter()
    try:
        with closing(look):
            for parked, outcome in act(look, sender, list(look.find(wanted, limit))):
                counts[outcome] += 1
                if as_json:
                    _print([json_line({"id": parked.id, "outcome": outcome, "file": parked.file})])
            if not look.complete:
                _say(f"there may be more; --limit is {limit}")
    finally:
        for outcome, number in counts.items():
            _say(f"{number:,} {_OUTCOMES[outcome]}")
    if not counts:
        _say("no messages")
        return Exit.NOT_FOUND
    return Exit.FAILED if counts["refused"] or counts["doubled"] or counts["left"] else Exit.OK


def _connect(flags: dict[str, str | None]) -> tuple[Look, Sender]:
    found: tuple[Look, Sender] = needs("fastfold.dead_letters").connect_dead_letters(
        load(flags, os.environ, names=_SETTINGS)
    )
    return found


def _chosen(
    ids: Sequence[str], error: str, match: str, since: Moment | None, until: Moment | None, everything: bool
) -> Filter:
    if everything and (ids or error or match or since or until):
        raise click.UsageError("--all goes with no id and no filter")
    if not (everything or ids or error or match or since or until):
        raise click.UsageError("give ids, a filter, or --all")
    return _wanted(ids, error, match, since, until)


def _wanted(ids: Sequence[str], error: str, match: str, since: Moment | None, until: Moment | None) -> Filter:
    now_ms = time.time_ns() // _NS_PER_MS
    found: Filter = needs("fastfold.dead_letters").Filter(
        ids=frozenset(ids) if ids else None,
        error=error,
        match=match,
        since_ms=since and since(now_ms),
        until_ms=until and until(now_ms),
    )
    return found


def _time(parked: Parked) -> str:
    return format_time(parked.sent_ms * _NS_PER_MS)[:19] + "Z"


def _lines_of(parked: Parked) -> Iterator[str]:
    yield f"{parked.id}  {_time(parked)}  {parked.error}  {parked.file}".rstrip()
    reason = parked.reason
    yield "    " + (reason if len(reason) <= _REASON_CHARACTERS else reason[:_REASON_CHARACTERS] + "…")


def _page_of(parked: Parked) -> Iterator[str]:
    yield f"message {parked.id}"
    yield f"  parked    {_time(parked)}, received here {parked.receives} times"
    yield f"  error     {parked.error}"
    yield f"  reason    {parked.reason}"
    if parked.file:
        place = "".join(f", {name.lower()} {parked.text(name)}" for name in ("Line", "Offset") if parked.text(name))
        yield f"  file      {parked.file}{place}"
    source = parked.text("SourceQueue") or parked.moved_from
    if source:
        yield f"  from      {source}"
    for name, value in sorted(parked.outgoing[1].items()):
        yield f"  attribute {name} = {value.get('StringValue', value.get('BinaryValue'))}"
    yield "  body"
    yield from (f"    {line}" for line in parked.body.split("\n"))


def _json_of(parked: Parked, *, whole: bool = False) -> Iterator[str]:
    shown: dict[str, object] = {
        "id": parked.id,
        "parked": _time(parked),
        "error": parked.error,
        "reason": parked.reason,
        "file": parked.file,
    }
    shown |= {name.lower(): int(parked.text(name)) for name in ("Line", "Offset") if parked.text(name).isdecimal()}
    shown |= {"from": parked.text("SourceQueue") or parked.moved_from, "receives": parked.receives}
    if whole:
        others = parked.outgoing[1].items()
        shown["attributes"] = {name: str(value.get("StringValue", value.get("BinaryValue"))) for name, value in others}
        shown["body"] = parked.body
    yield json_line(shown)


def _say_errors(errors: Counter[str]) -> None:
    if not errors:
        _say("no messages")
        return
    kinds = ", ".join(f"{number:,} {error}" for error, number in errors.most_common())
    count = sum(errors.values())
    _say(f"{count:,} {'message' if count == 1 else 'messages'}: {kinds}")


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        # Whoever wrote the message, or named the file, does not get to move the cursor.
        click.echo(escape(line))


def _say(line: str) -> None:
    click.echo(escape(line), err=True)
