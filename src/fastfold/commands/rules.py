"""`fastfold rules`: look at the rules that ship, check what one wrote or downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import click

from fastfold.commands.help import HelpGroup
from fastfold.errors import RuleError
from fastfold.exits import Exit
from fastfold.extras import needs
from fastfold.rules.types import Rule
from fastfold.rules.words import condition_text, span_text, unknown_rule
from fastfold.schema import load_schema
from fastfold.text import escape, json_line

__all__ = ["rules"]

_SHIPPED = "starting"


@click.group(cls=HelpGroup)
def rules() -> None:
    r"""Look at detection rules: rules of our own language and Sigma rules, in YAML files.

    Needs the extra rules; Sigma rules need the extra sigma. The name starting stands for the rules that ship.

    \b
    Examples:
      fastfold rules list
      fastfold rules show lsass-remote-thread
      fastfold rules check my-rules/ --schema sysmon
      fastfold rules check sigma/rules --fields absent --json | jq -r 'select(.refused) | .refused'
    """


def _ruleset() -> ModuleType:
    return needs("fastfold.rules.ruleset")


_fields = click.option(
    "--fields",
    type=click.Choice(["refuse", "absent"]),
    default="refuse",
    show_default=True,
    help="A Sigma rule that looks at a field without a column is refused, or the field counts as absent from every"
    " event, where that can only make the rule match less.",
)


@rules.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--schema", "schema_name", help="Tell what events of this schema never have: a name, or a TOML file.")
@_fields
@click.option("--json", "as_json", is_flag=True, help="One JSON object a rule, instead of lines for people.")
def check(paths: tuple[str, ...], schema_name: str | None, fields: str, as_json: bool) -> Exit:
    r"""Check rule files and folders of them: which rules are accepted, which are refused, and why.

    With --schema also what a rule looks at and events of that format never have. The exit code is 3 when any rule is
    refused; a worker would load none of them then.
    """
    module = _ruleset()
    schema = load_schema(schema_name) if schema_name is not None else None
    never = needs("fastfold.rules.fields").unpopulated
    accepted = refused = silent = 0
    for outcome in module.read_files(module.rule_files(paths), lenient=fields == "absent"):
        rule = outcome.rule
        if isinstance(rule, RuleError):
            refused += 1
            _show_refused(rule, as_json)
        elif rule is None:
            silent += 1
        else:
            accepted += 1
            _show_accepted(rule, outcome.absent, never(rule, schema) if schema is not None else [], as_json)
    for_correlations = f", {silent} of correlations alone" if silent else ""
    click.echo(f"{accepted} accepted, {refused} refused{for_correlations}", err=as_json)
    return Exit.SETUP if refused else Exit.OK


def _show_refused(error: RuleError, as_json: bool) -> None:
    if as_json:
        place = {"file": error.file, "line": error.line, "id": error.rule or None, "field": error.field or None}
        click.echo(json_line({"refused": error.reason, **place}))
    else:
        click.echo(f"refused   {escape(str(error))}")


def _show_accepted(rule: Rule, absent: tuple[str, ...], never: list[str], as_json: bool) -> None:
    if as_json:
        given = {"accepted": rule.id, "version": rule.version, "title": rule.title, "source": rule.source}
        click.echo(json_line({**given, "absent": absent, "never": never}))
        return
    click.echo(f"accepted  {escape(rule.id)}: {escape(rule.title)}")
    for field in absent:
        click.echo(f"          has no column, and counts as absent: {escape(field)}")
    for what in never:
        click.echo(f"          never there: {escape(what)}")


@rules.command("list")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_fields
def list_all(paths: tuple[str, ...], fields: str) -> Exit:
    """List rules: those of files and folders, or without any those that ship."""
    loaded = _ruleset().load_rules(paths or [_SHIPPED], lenient=fields == "absent")
    rows = [(rule.id, rule.level, rule.type, rule.scope, ", ".join(rule.tags), rule.title) for rule in loaded]
    shown = [tuple(escape(cell) for cell in row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)] if shown else []
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return Exit.OK


@rules.command("show")
@click.argument("rule_id", metavar="ID")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_fields
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead.")
def show(rule_id: str, paths: tuple[str, ...], fields: str, as_json: bool) -> Exit:
    """Show what is read of one rule, by its id, of files and folders, or of those that ship."""
    loaded = _ruleset().load_rules(paths or [_SHIPPED], lenient=fields == "absent")
    for rule in loaded:
        if rule.id == rule_id:
            for line in [json_line(_as_json(rule))] if as_json else _describe(rule):
                click.echo(line)
            return Exit.OK
    click.echo(f"fastfold: {escape(unknown_rule(rule_id, loaded))}", err=True)
    return Exit.NOT_FOUND


def _as_json(rule: Rule) -> dict[str, Any]:
    shown = dataclasses.asdict(dataclasses.replace(rule, steps=(), unless=None))
    shown["steps"] = [{"name": step.name, "condition": condition_text(step.condition)} for step in rule.steps]
    shown["unless"] = condition_text(rule.unless.condition) if rule.unless is not None else None
    return shown


def _describe(rule: Rule) -> Iterator[str]:
    yield f"{escape(rule.id)}, version {rule.version}: {escape(rule.title)}"
    facts = {
        "level": rule.level,
        "tags": ", ".join(rule.tags),
        "type": rule.type,
        "within": span_text(rule.within_ns),
        "scope": rule.scope,
        "group": ", ".join(rule.group),
        "least": str(rule.least) if rule.type in ("count", "distinct") else "",
        "column": rule.column,
        "suppress": span_text(rule.suppress_ns) if rule.suppress_ns else "",
        "source": rule.source,
    }
    for key, value in facts.items():
        if value:
            yield f"  {key.ljust(8)}  {escape(value)}"
    if rule.description:
        yield f"  {escape(' '.join(rule.description.split()))}"
    for number, step in enumerate(rule.steps, 1):
        yield f"  step {number}, {escape(step.name)}: {escape(condition_text(step.condition))}"
    if rule.unless is not None:
        yield f"  unless {escape(condition_text(rule.unless.condition))}"
