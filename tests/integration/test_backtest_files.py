"""What the rules that ship find in the real files: docs/detection-results.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastfold.backtest import Backtest
from fastfold.expectations import judge, load_expectations
from fastfold.rules.ruleset import load_rules
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits

EXPECTED = Path(__file__).parents[1] / "expectations" / "otrf.toml"


@pytest.mark.real_files
def test_the_rules_that_ship_find_and_miss_what_is_written_down(otrf_files: list[Path]) -> None:
    made = Backtest(load_rules(["starting"]), load_schema("sysmon"), load_definition("process"), Limits(), apart=True)
    verdicts = judge(load_expectations(str(EXPECTED)), [made.take(path) for path in otrf_files])
    assert len({verdict.file for verdict in verdicts}) >= 25
    assert [str(verdict.expectation) for verdict in verdicts if verdict.fault] == []
