"""A backtest from files to lines, verdicts and an exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from fastfold.alerts.cut import NO_CUT
from fastfold.alerts.native import native
from fastfold.alerts.types import Alert
from fastfold.backtest import Backtest, FileResult
from fastfold.commands.fold import find_files
from fastfold.errors import Reject
from fastfold.exits import Exit
from fastfold.expectations import Expectation, Verdict, judge, junit, load_expectations
from fastfold.rules.ruleset import load_rules
from fastfold.schema import load_definition, load_schema
from fastfold.states import format_time
from fastfold.text import escape, json_line
from fastfold.types import Limits

__all__ = ["run"]

_MILLION = 1_000_000


def run(
    rules: str,
    files: Sequence[str],
    schema_name: str,
    *,
    apart: bool,
    expect: str | None,
    junit_path: str | None,
    as_json: bool,
) -> Exit:
    """Print the alerts of files, then what became of the expectations.

    Parameters
    ----------
    rules : str
        File or folder of rules, or ``starting``.
    files : sequence of str
        Batch files and folders of them.
    schema_name : str
    apart : bool
        Whether each file is a world of its own.
    expect, junit_path : str or None
        File of expectations; file for the report.
    as_json : bool

    Raises
    ------
    RuleSetError, SchemaError, ConfigError
        Rules, schema or expectations do not hold together.
    """
    expectations = load_expectations(expect) if expect is not None else ()
    made = Backtest(load_rules([rules]), load_schema(schema_name), load_definition("process"), Limits(), apart)
    results: list[FileResult] = []
    rejected = 0
    for name in find_files(files):
        try:
            results.append(made.take(Path(name)))
        except (Reject, OSError) as error:
            click.echo(f"fastfold: {escape(str(error))}", err=True)
            rejected += 1
            continue
        for alert in results[-1].alerts:
            click.echo(json_line({"file": name} | native(alert, NO_CUT)) if as_json else _line(name, alert))
    for line in _summary(results):
        click.echo(line, err=True)
    verdicts = judge(expectations, results)
    _tell(verdicts, expectations)
    if junit_path is not None:
        Path(junit_path).write_bytes(junit(verdicts))
    if any(verdict.fault for verdict in verdicts):
        return Exit.UNEXPECTED
    return Exit.REJECTED if rejected else Exit.OK


def _line(name: str, alert: Alert) -> str:
    parts = (f"[{alert.level}]", alert.rule_id, alert.host, alert.image or alert.process, Path(name).name)
    return "  ".join((format_time(alert.times.event_ns)[:23] + "Z", *map(escape, parts)))


def _summary(results: Sequence[FileResult]) -> Iterator[str]:
    records = sum(result.records for result in results)
    alerts = [alert for result in results for alert in result.alerts]
    events, marks = sum(result.events for result in results), sum(result.marks for result in results)
    yield f"{len(results)} files, {records:,} records, {events:,} events, {marks:,} met a step"
    rate = f", {len(alerts) * _MILLION / records:.1f} in a million records" if records else ""
    yield f"{len(alerts)} alerts{rate}"
    for rule, count in sorted(Counter(alert.rule_id for alert in alerts).items()):
        yield f"  {count:6}  {escape(rule)}"


def _tell(verdicts: Sequence[Verdict], expectations: Sequence[Expectation]) -> None:
    for verdict in verdicts:
        if verdict.fault:
            click.echo(f"not as expected: {escape(str(verdict.expectation))} {verdict.fault}", err=True)
    if expectations:
        came_true = sum(not verdict.fault for verdict in verdicts)
        click.echo(f"{came_true} of {len(verdicts)} expectations came true", err=True)
