"""The commands that look into Redis and change nothing: `inspect`, `explain` and `census`."""

from __future__ import annotations

import os
import sys

import click

from fastfold.commands.help import HelpCommand
from fastfold.commands.options import REDIS_SETTINGS, files_named, setting_options
from fastfold.config import load
from fastfold.exits import Exit
from fastfold.extras import needs

__all__ = ["census", "explain", "inspect"]

_FOLD = click.option(
    "--fold", "definition", default="process", show_default=True, help="Fold definition: a name, or a TOML file."
)
_PACE = click.option(
    "--keys-per-s",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="N",
    help="Look at no more keys a second, where many are looked at; 0: as fast as Redis answers.",
)


@click.command(cls=HelpCommand)
@click.argument("host", required=False)
@click.argument("processes", nargs=-1, metavar="[PROCESS]")
@click.option("--host", "all_of", metavar="HOST", help="All processes of a host, in a table.")
@click.option("--tenant", default="", help="Tenant of the host, where the format has one; or write TENANT/HOST.")
@click.option("--key", "keys", multiple=True, help="Read a key of Redis as it is, a state or a host record.")
@click.option("--scan", is_flag=True, help="Read states in the order in which Redis gives them.")
@click.option(
    "--match", default="", metavar="TEXT", help="With --scan or --host: only states that hold this text, in any case."
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), help="With --scan (100 if not given) or --host: most states shown."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per state, as fold --format jsonl gives it.")
@click.option("--raw", is_flag=True, help="The stored value field by field, with offsets and sizes.")
@click.option("--diff", is_flag=True, help="What differs: two processes, two keys, or one after --every seconds.")
@click.option("--watch", is_flag=True, help="Show a process, then each change of it, until Ctrl-C.")
@click.option("--tree", is_flag=True, help="The process tree of --host, or the part of it around HOST PROCESS.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.05, 3600.0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch and --diff: time between two looks.",
)
@click.option(
    "--for", "for_s", type=click.FloatRange(min=0.0), metavar="SECONDS", help="With --watch: end after so long."
)
@_PACE
@_FOLD
@setting_options(REDIS_SETTINGS)
def inspect(
    host: str | None,
    processes: tuple[str, ...],
    all_of: str | None,
    tenant: str,
    keys: tuple[str, ...],
    scan: bool,
    match: str,
    limit: int | None,
    as_json: bool,
    raw: bool,
    diff: bool,
    watch: bool,
    tree: bool,
    every_s: float,
    for_s: float | None,
    keys_per_s: float,
    definition: str,
    **flags: str | None,
) -> Exit:
    r"""Show what a process did, from the states in Redis. Only reads.

    Control, bidirectional and invisible characters in names are shown as \x1b or \u202e: names are chosen by whoever
    started the process.

    \b
    Examples:
      fastfold inspect WORKSTATION5 39e4a257-79fb-5f92-7117-000000000700
      fastfold inspect --host acme/WORKSTATION5 --tree
      fastfold inspect --scan --match bitsadmin --limit 5
      fastfold inspect --scan --json | jq .image
      fastfold inspect --key 'ff:{0CRlfZLjX7Y}' --raw
      fastfold inspect WORKSTATION5 39e4a257-79fb-5f92-7117-000000000700 --watch
    """
    views = [name for name, chosen in (("raw", raw), ("diff", diff), ("watch", watch), ("tree", tree)) if chosen]
    _check_query(host, processes, all_of, keys, scan)
    _check_view(views, len(processes) + len(keys), scan, bool(all_of), match, for_s)
    settings = load(flags, os.environ, groups=("redis",))
    module = needs("fastfold.inspect")
    query = module.Query(
        tenant=tenant,
        host=host or all_of or "",
        processes=processes,
        keys=keys,
        scan=scan,
        match=match,
        limit=limit,
        view=views[0] if views else "page",
        every_s=every_s,
        for_s=for_s,
        keys_per_s=keys_per_s,
    )
    code: Exit = module.run(settings, query, definition, as_json=as_json, output=sys.stdout.buffer)
    return code


def _check_query(
    host: str | None, processes: tuple[str, ...], all_of: str | None, keys: tuple[str, ...], scan: bool
) -> None:
    if sum([host is not None, all_of is not None, bool(keys), scan]) != 1:
        raise click.UsageError("give HOST and PROCESS, or --host, or --key, or --scan")
    if host is not None and not processes:
        raise click.UsageError("HOST needs a PROCESS; --host HOST shows all its processes")


def _check_view(views: list[str], named: int, scan: bool, whole_host: bool, match: str, for_s: float | None) -> None:
    view = views[0] if views else "page"
    if len(views) > 1:
        raise click.UsageError(f"one of --{' and --'.join(views)} at a time")
    if match and (not (scan or whole_host) or view == "tree"):
        raise click.UsageError("--match goes with --scan or --host")
    if for_s is not None and view != "watch":
        raise click.UsageError("--for goes with --watch")
    if view == "tree" and (scan or (not whole_host and named != 1)):
        raise click.UsageError("--tree goes with --host, or with HOST and one PROCESS")
    if view in ("raw", "diff", "watch") and not named:
        raise click.UsageError(f"--{view} goes with HOST and PROCESS, or with --key")
    if named > 2 or (named == 2 and view != "diff"):
        raise click.UsageError("two processes or keys go with --diff, and no more than two")


@click.command(cls=HelpCommand)
@click.argument("rule", metavar="RULE")
@click.argument("host", metavar="HOST")
@click.argument("process", required=False, metavar="[PROCESS]")
@click.option("--tenant", default="", help="Tenant of the host, where the format has one; or write TENANT/HOST.")
@click.option(
    "--files",
    multiple=True,
    metavar="PATH",
    type=click.Path(exists=True),
    help="Look into batch files or folders instead; repeatable.",
)
@click.option("--schema", default="sysmon", show_default=True, help="Schema of the events: a name, or a TOML file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_FOLD
@setting_options((*REDIS_SETTINGS, "rules", "rules_fields"))
def explain(
    rule: str,
    host: str,
    process: str | None,
    tenant: str,
    files: tuple[str, ...],
    schema: str,
    as_json: bool,
    definition: str,
    **flags: str | None,
) -> Exit:
    r"""Explain why a rule has raised an alert of a process or a host, or why not. Only reads.

    RULE is the id of a rule, of those of --rules, or else of those that ship. Shown is which events met each step, what
    is missing, what lies outside of the span, which fields were empty, what a limit has dropped, and what was raised,
    when and by which batch. Without PROCESS all that the rule has seen on the host. Needs the extra rules.

    \b
    Examples:
      fastfold explain lsass-read-then-dump WORKSTATION5 39e4a257-79fb-5f92-7117-000000000700
      fastfold explain service-dropped-then-started acme/WORKSTATION5 --json | jq -r .verdict
      fastfold explain my-rule WORKSTATION5 --rules my-rules/ --files batches/
    """
    # Files need no server.
    settings = load(flags, os.environ, groups=("rules",) if files else ("redis", "rules"))
    module = needs("fastfold.commands.explain")
    question = module.Question(
        rule=rule, tenant=tenant, host=host, process=process, files=files, schema=schema, definition=definition
    )
    with files_named():
        code: Exit = module.run(settings, question, as_json=as_json, output=sys.stdout.buffer)
    return code


@click.command(cls=HelpCommand)
@click.option("--exact", is_flag=True, help="Look at every key, however many there are.")
@click.option(
    "--sample",
    type=click.IntRange(100, 100_000_000),
    default=20_000,
    show_default=True,
    help="Keys to look at; with no more keys than this the census is exact anyway.",
)
@click.option(
    "--states",
    type=click.IntRange(1, 10_000_000),
    default=2000,
    show_default=True,
    help="States on which the cost of reducers and limits is measured.",
)
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="Hosts and processes to name.")
@click.option("--seed", type=click.IntRange(0), help="Choose the same states for the reducers each time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--plot", metavar="FILE", help="Also draw it, to a .png or .svg file (needs the extra plot).")
@_PACE
@_FOLD
@setting_options((*REDIS_SETTINGS, "state_ttl_s", "ledger_window_s"))
def census(as_json: bool, plot: str | None, definition: str, **flags: object) -> Exit:
    r"""Show what the memory of Redis is spent on: by tenant, host, age, reducer, format. Only reads.

    Bytes are those of MEMORY USAGE, key and overhead included. The time since the last write is what is missing of
    --state-ttl-s, so that must be what the workers have. What a reducer costs is measured: some states are written
    without it, and compressed, as today's worker would.

    \b
    Examples:
      fastfold census
      fastfold census --sample 100000 --keys-per-s 5000
      fastfold census --exact --json | jq '.reducers[] | {name, share}'
      fastfold census --plot census.svg
    """
    if plot is not None and not plot.lower().endswith((".png", ".svg")):
        raise click.UsageError("--plot writes a .png or .svg file")
    wishes = {name: flags.pop(name) for name in ("exact", "sample", "states", "top", "keys_per_s", "seed")}
    settings = load(flags, os.environ, groups=("redis",))
    module = needs("fastfold.commands.census")
    if plot is not None:
        # A missing extra is told before the work, not after it.
        needs("fastfold.census.plot")
    wish = module.Wish(**wishes)
    code: Exit = module.run(settings, wish, definition, as_json=as_json, plot=plot, output=sys.stdout.buffer)
    return code
