"""`fastfold schema` and `fastfold definition`: look at what ships, check what one wrote.

Both groups have the same verbs: ``list`` what comes with the package, ``show`` the TOML text of one,
to be copied and changed, ``check`` a file and say what was read of it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fastfold.bounds import pool_bytes
from fastfold.commands.help import HelpGroup
from fastfold.exits import Exit
from fastfold.schema import (
    Condition,
    EventMapping,
    FoldDefinition,
    Reducer,
    Schema,
    Source,
    list_definitions,
    list_schemas,
    load_definition,
    load_schema,
    read_text,
)
from fastfold.text import escape, json_line

__all__ = ["definition", "schema"]

_CELL_COLUMNS = 44
"""Longest cell of a table, but the last one of a line."""


@dataclass(frozen=True, slots=True)
class _What:
    """One of the two things that are TOML files.

    Attributes
    ----------
    noun : str
        As `fastfold.schema.read_text` calls it.
    """

    noun: str
    names: Callable[[], Sequence[str]]
    load: Callable[[str | Path], Any]
    describe: Callable[[Any], Iterator[str]]


def _group(name: str, what: _What, help_text: str) -> click.Group:
    group = HelpGroup(name, help=help_text)

    @group.command("list", help=f"List every {what.noun} that comes with the package.")
    def list_all() -> Exit:
        loaded = [what.load(found) for found in what.names()]
        _print(_table((one.name, f"version {one.version}", one.description) for one in loaded))
        return Exit.OK

    @group.command(
        "show", help=f"Print the TOML text of a {what.noun}, by its name in the package or from a file, as it is."
    )
    @click.argument("name")
    @click.option("--json", "as_json", is_flag=True, help="What is read of it, as one JSON object, instead.")
    def show(name: str, as_json: bool) -> Exit:
        if as_json:
            _print([json_line(dataclasses.asdict(what.load(name)))])
        else:
            # Not escaped, so that it can be copied: it is to be read by fastfold again.
            sys.stdout.buffer.write(read_text(name, what.noun)[1])
            sys.stdout.buffer.flush()
        return Exit.OK

    @group.command(
        "check",
        help=f"Check a TOML file of a {what.noun}, and print what is read of it. "
        f"A fault is told with its line, and the exit code is {Exit.SETUP.value}.",
    )
    @click.argument("file", type=click.Path(path_type=Path))
    def check(file: Path) -> Exit:
        _print(what.describe(what.load(file)))
        return Exit.OK

    return group


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Cells side by side; only the last of a row may be of any length."""
    shown = [(*(escape(cell, _CELL_COLUMNS) for cell in row[:-1]), escape(row[-1])) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)] if shown else []
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


# What is read


def _describe_schema(read: Schema) -> Iterator[str]:
    yield f"{escape(read.name)}, version {read.version}: {escape(read.description)}".removesuffix(": ")
    yield from _indented(_table(_facts(read)))
    yield "events, as kind, discriminator, conditions, process, columns:"
    yield from _indented(_table(_event(event) for event in read.events))


def _facts(read: Schema) -> Iterator[tuple[str, str]]:
    if read.roots != ("",):
        yield "roots", ", ".join(root or "the record itself" for root in read.roots)
    if read.embedded:
        yield "JSON in strings", _texts(read.embedded)
    if read.tenant:
        yield "tenant", _texts(read.tenant)
    yield "host", _texts(read.host)
    yield "discriminator", _texts(read.discriminator)
    for time in read.times:
        yield "time", f"{_texts(time.paths)} as {time.form}"
    for condition in read.require:
        yield "require", f"{_condition(condition)}, else counted {condition.reason}"
    unknown = f"; unknown: {_texts(read.unknown_ids)}" if read.unknown_ids else ""
    yield "process ids", read.id_form + unknown
    for paths in read.detect:
        yield "detected by", _texts(paths)
    yield "columns filled", ", ".join(sorted(read.columns())) or "none"


def _event(event: EventMapping) -> tuple[str, ...]:
    count = len(event.where)
    where = f"{count} condition{'s' if count > 1 else ''}" if count else ""
    return event.kind, _texts(event.when), where, _source(event.process), _texts(event.columns)


def _source(source: Source) -> str:
    parts = ":".join(source.parts)
    return ", ".join([*source.paths, parts] if parts else source.paths)


def _condition(condition: Condition) -> str:
    negated = "not " if condition.negate else ""
    return f"{_texts(condition.paths)} {negated}{condition.op} {_texts(condition.values)}"


def _describe_definition(read: FoldDefinition) -> Iterator[str]:
    yield f"{escape(read.name)}, version {read.version}: {escape(read.description)}".removesuffix(": ")
    yield from _indented(_table([("columns read", ", ".join(sorted(read.columns())) or "none")]))
    yield "reducers, as tag, name, op, column, limits, kinds:"
    yield from _indented(
        _table(
            (str(one.tag), one.name, one.op, one.column or "", _limits(one), _texts(one.kinds) or "all kinds")
            for one in read.reducers
        )
    )
    shared = max(pool_bytes(read), 0)
    yield f"a value takes at most {read.value_bytes:,} bytes; beyond their reserves, all sets share {shared:,} of them"


def _limits(reducer: Reducer) -> str:
    members = [f"{reducer.limit:,} members"] if reducer.limit else []
    size = [f"{reducer.text_bytes:,} bytes"] if reducer.text_bytes else []
    full = [f"{reducer.bytes:,} in all", f"{reducer.reserve_bytes:,} sure"] if reducer.bytes else []
    return ", ".join(members + size + full)


def _texts(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


schema = _group(
    "schema",
    _What("schema", list_schemas, load_schema, _describe_schema),
    r"""Look at record schemas: what the records of a format are, and what events they give.

    \b
    Examples:
      fastfold schema list
      fastfold schema show sysmon > mine.toml
      fastfold schema check mine.toml
      fastfold fold --schema ./mine.toml log.json
    """,
)

definition = _group(
    "definition",
    _What("fold definition", list_definitions, load_definition, _describe_definition),
    r"""Look at fold definitions: what a state is made of.

    \b
    Examples:
      fastfold definition show process > mine-fold.toml
      fastfold definition check mine-fold.toml
      fastfold fold --schema ./mine.toml --fold ./mine-fold.toml log.json
    """,
)
