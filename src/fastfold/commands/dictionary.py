"""`fastfold dictionary`: train a zstd dictionary on one's own states, and list those that are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import click

from fastfold.commands.help import HelpCommand, HelpGroup
from fastfold.config import Settings, load
from fastfold.dictionaries import (
    DICTIONARY_BYTES,
    OWN_IDS,
    StoredDictionary,
    compressed_part,
    find_dictionaries,
    train,
)
from fastfold.exits import Exit
from fastfold.extras import needs
from fastfold.text import escape

__all__ = ["dictionary"]

Identity = tuple[str, str, str]

_JUDGED_SHARE = 5
"""One host in five is kept out of the training, to judge the dictionary on."""


@click.group(cls=HelpGroup)
def dictionary() -> None:
    """Dictionaries that make states in Redis smaller.

    A dictionary is rolled out without downtime: train it; put its file into the folder that FASTFOLD_DICTIONARY_FOLDER
    names, of every worker and of everybody who inspects; restart them; then set FASTFOLD_DICTIONARY to its id, for the
    workers. States written before stay readable, and become smaller when they are written again.
    """


@dictionary.command("list", cls=HelpCommand)
@click.option("--folder", default="", envvar="FASTFOLD_DICTIONARY_FOLDER", help="Folder of dictionaries of one's own.")
def list_all(folder: str) -> Exit:
    """List the dictionaries that come with fastfold, and those of a folder."""
    click.echo(f"{'id':>3}  {'digest':<16}  {'bytes':>7}  {'states':>7}  trained on")
    for one in find_dictionaries(folder):
        line = f"{one.id:>3}  {one.digest}  {len(one.content):>7,}  {one.samples:>7,}  {escape(one.trained_on)}"
        click.echo(line)
    return Exit.OK


@dictionary.command("train", cls=HelpCommand)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(exists=True))
@click.option(
    "--id",
    "number",
    type=click.IntRange(OWN_IDS[0], OWN_IDS[-1]),
    required=True,
    help=f"Its id, {OWN_IDS[0]} to {OWN_IDS[-1]}; never use one again for another dictionary.",
)
@click.option(
    "--output",
    default=".",
    show_default=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder to write ID.ffdict into.",
)
@click.option("--schema", default="sysmon", show_default=True, help="With FILE: a schema's name, or a TOML file.")
@click.option("--fold", "definition", default="process", show_default=True, help="A fold definition's name, or a file.")
@click.option(
    "--states", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, help="Most states to train on."
)
@click.option(
    "--kib",
    type=click.IntRange(4, 1024),
    default=DICTIONARY_BYTES >> 10,
    show_default=True,
    help="Most KiB of the dictionary.",
)
@click.option("--redis-url", help="Without FILE: the Redis to read states from. [FASTFOLD_REDIS_URL]")
@click.option("--namespace", help="Prefix of its keys. Default: ff:. [FASTFOLD_NAMESPACE]")
def train_one(
    files: tuple[str, ...],
    number: int,
    output: str,
    schema: str,
    definition: str,
    states: int,
    kib: int,
    redis_url: str | None,
    namespace: str | None,
) -> Exit:
    r"""Train a dictionary on the states of batch files, or on those in Redis.

    One host in five is kept out of the training, and says how much smaller the dictionary makes the states of hosts
    that it has never seen. Redis is only read, in small steps.

    \b
    Examples:
      fastfold dictionary train --id 64 batches/
      fastfold dictionary train --id 65 --redis-url redis://HOST --output /etc/fastfold/dictionaries
    """
    path = Path(output, f"{number}.ffdict")
    if path.exists():
        raise click.UsageError(f"{escape(str(path))} is there already, and a dictionary never changes")
    if files:
        payloads, source = _of_files(files, schema, definition), f"{len(files)} files or folders"
    else:
        settings = load({"redis_url": redis_url, "namespace": namespace}, os.environ, groups=("redis",))
        payloads, source = _of_redis(settings, definition, states), "states of a Redis"
    trained, judged = _part(payloads, states)
    made = train(trained, number, source, kib << 10)
    path.write_bytes(made.dump())
    click.echo(f"{escape(str(path))}: {len(made.content):,} bytes, of {made.samples:,} states, digest {made.digest}")
    for line in _judge(made, judged):
        click.echo(line)
    return Exit.OK


def _of_files(files: Iterable[str], schema: str, definition: str) -> Iterator[tuple[Identity, bytes]]:
    """The states of files, each as it is once all are folded."""
    from fastfold._core import Folder, Plan, merge_group
    from fastfold.commands.fold import find_files
    from fastfold.folding import fold_file
    from fastfold.schema import load_definition, load_schema
    from fastfold.types import Limits

    limits = Limits()
    plan = Plan(load_schema(schema), load_definition(definition), limits)
    folder = Folder(plan)
    found: dict[Identity, bytes] = {}
    for name in find_files(files):
        for host in fold_file(folder, Path(name).read_bytes(), name, limits):
            names = [(host.tenant, host.host, process) for process in host.processes]
            merged = merge_group(plan, [found.get(one) for one in names], host.payloads)
            found.update(zip(names, merged, strict=True))
    yield from found.items()


def _of_redis(settings: Settings, definition: str, most: int) -> Iterator[tuple[Identity, bytes]]:
    """States of a Redis, in the present version whatever they are stored in."""
    needs("fastfold.keyspace")
    from fastfold.decoding import Decoder
    from fastfold.keyspace import Keyspace, Pace
    from fastfold.lookup import Lookup
    from fastfold.scan_progress import open_progress
    from fastfold.schema import load_definition
    from fastfold.values import ValueForm

    form = ValueForm.load(folder=settings.dictionary_folder)
    with closing(open_progress()) as progress, closing(Keyspace(settings, Pace(0.0), progress.step)) as keyspace:
        decoder = Decoder(load_definition(definition), settings.limits, form, keyspace.get_many)
        progress.begin("scanning", None)
        states = Lookup(keyspace, decoder, settings.namespace.encode(), progress).read()
        for state in islice((one for one in states if one is not None), most):
            yield (state.tenant, state.host, state.process), decoder.encode(state)


def _part(payloads: Iterable[tuple[Identity, bytes]], most: int) -> tuple[list[bytes], list[bytes]]:
    """What is compressed of states to train on, and those of the hosts that are kept out of it."""
    trained: list[tuple[bytes, bytes]] = []
    judged: list[bytes] = []
    for (tenant, host, process), payload in payloads:
        digest = blake2b(f"{tenant}\0{host}".encode(), digest_size=8).digest()
        if digest[0] % _JUDGED_SHARE == 0:
            judged.append(payload)
        else:
            # By a hash, so that the most that are taken are of all hosts.
            rank = blake2b(f"{tenant}\0{host}\0{process}".encode(), digest_size=8).digest()
            trained.append((rank, compressed_part(payload)))
    trained.sort()
    return [payload for _, payload in trained[:most]], judged


@dataclass(frozen=True, slots=True)
class _Size:
    """What some states take in one form."""

    title: str
    value_bytes: int


def _judge(made: StoredDictionary, judged: list[bytes]) -> Iterator[str]:
    """How much smaller it makes states of hosts that it has not seen, beside the others."""
    from fastfold._core import Dictionary
    from fastfold.values import ZSTD_LEVEL, Codec, ValueForm

    if not judged:
        yield "there were too few hosts to keep some out, so it is not known how good it is for others"
        return
    forms = {"no dictionary": ValueForm.load(0), "the default dictionary": ValueForm.load()}
    forms["this dictionary"] = ValueForm((Dictionary(made.id, made.content, ZSTD_LEVEL),), made.id)
    sizes = [_Size(title, sum(map(len, Codec(form).pack_all(judged)))) for title, form in forms.items()]
    yield f"values of {len(judged):,} states of hosts that it has not seen:"
    for one in sizes:
        share = 1 - one.value_bytes / sizes[0].value_bytes
        yield f"  {one.title:<22} {one.value_bytes / len(judged):7.1f} bytes  {share:6.1%} smaller"
