"""`fastfold backtest`: what rules find in batch files, without servers."""

from __future__ import annotations

import click

from fastfold.commands.help import HelpCommand
from fastfold.commands.options import files_named
from fastfold.exits import Exit
from fastfold.extras import needs

__all__ = ["backtest"]


@click.command(cls=HelpCommand)
@click.argument("rules", metavar="RULES")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True))
@click.option("--schema", "schema_name", default="sysmon", show_default=True, help="Schema: a name, or a TOML file.")
@click.option("--apart", is_flag=True, help="Each file is a world of its own; else all are batches of one fleet.")
@click.option("--expect", metavar="FILE", help="TOML file of what should be found; see docs/rules.md.")
@click.option("--junit", "junit_path", metavar="FILE", help="With --expect: write the verdicts as JUnit XML.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each alert, in the native form.")
def backtest(
    rules: str,
    files: tuple[str, ...],
    schema_name: str,
    apart: bool,
    expect: str | None,
    junit_path: str | None,
    as_json: bool,
) -> Exit:
    r"""Look for rules in batch files, as workers would, without servers.

    RULES is a file or folder of rules, or starting: those that ship. FILE is a batch file or a folder of them. Needs
    the extra rules; Sigma rules need the extra sigma.

    \b
    Examples:
      fastfold backtest starting batches/
      fastfold backtest my-rules/ batches/ --json | jq .rule.id
      fastfold backtest my-rules/ batches/ --apart --expect expected.toml --junit report.xml
    """
    if junit_path is not None and expect is None:
        raise click.UsageError("--junit goes with --expect")
    module = needs("fastfold.commands.backtest_run")
    with files_named():
        code: Exit = module.run(
            rules, files, schema_name, apart=apart, expect=expect, junit_path=junit_path, as_json=as_json
        )
    return code
