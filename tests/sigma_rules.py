"""Sigma rules in short, and what becomes of them; needs pySigma."""

from __future__ import annotations

import textwrap

from fastfold.errors import RuleError
from fastfold.rules.read import Outcome
from fastfold.rules.sigma import read_sigma
from fastfold.rules.sigma_fields import CATEGORIES
from fastfold.rules.types import AllOf, Condition, KindIn, Rule
from fastfold.rules.yaml import documents

HEAD = """\
title: A rule
id: 6f1b2c3d-0000-4000-8000-000000000001
name: a_rule
status: test
description: What it finds
references: ['https://example.org/1']
author: Somebody
date: 2026-03-04
tags: [attack.execution, attack.t1059.001]
falsepositives: [Administrators]
level: high
"""


def outcomes(text: str, *, lenient: bool = False) -> list[Outcome]:
    given = [("s.yml", document) for document in documents("s.yml", text.encode())]
    return list(read_sigma(given, lenient=lenient))


def rule_of(text: str, *, lenient: bool = False) -> Rule:
    (outcome,) = outcomes(text, lenient=lenient)
    if isinstance(outcome.rule, RuleError):
        raise outcome.rule
    assert isinstance(outcome.rule, Rule)
    return outcome.rule


def detection(text: str, category: str = "process_creation", condition: str = "s") -> str:
    """A rule with these selections."""
    body = textwrap.indent(textwrap.dedent(text).strip(), "  ")
    return (
        f"{HEAD}logsource:\n  category: {category}\n  product: windows\ndetection:\n{body}\n  condition: {condition}\n"
    )


def found(text: str, category: str = "process_creation", condition: str = "s", *, lenient: bool = False) -> Condition:
    """The condition of the one step, without the test of the kind that every rule begins with."""
    whole = rule_of(detection(text, category, condition), lenient=lenient).steps[0].condition
    assert isinstance(whole, AllOf)
    assert whole.parts[0] == KindIn(CATEGORIES[category].kinds)
    return whole.parts[1] if len(whole.parts) == 2 else AllOf(whole.parts[1:])


def refusal(text: str, *, lenient: bool = False) -> RuleError:
    (outcome,) = outcomes(text, lenient=lenient)
    assert isinstance(outcome.rule, RuleError)
    return outcome.rule
