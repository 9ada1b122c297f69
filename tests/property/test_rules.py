"""Whatever stands in a rule file: rules, or errors with a place; never anything else."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfold.errors import RuleError
from fastfold.reference.matching import reference_holds
from fastfold.rules.read import FIELDS, read_rule
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule
from fastfold.rules.values import ValueFault, Wild, check, pattern_condition, pattern_of
from fastfold.rules.yaml import documents

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("aA*?\\[(.$^%-1 \n\x00ſİ", max_size=6),
    st.sampled_from(["process", "host", "5m", "0s", "count", "sequence", "high", "pipe", "image", "a", "all of them"]),
)  # fmt: skip
WORDS = (
    "id", "title", "description", "level", "tags", "references", "type", "within", "scope", "group", "least", "column",
    "unless", "suppress", "steps", "name", "kind", "where", "not", "and", "or", "1 of", "all of", "image", "image|re",
    "remote|cidr", "user|exists", "detail|gt", "file|contains|all", "image|cased", "x",
)  # fmt: skip
SIGMA_WORDS = (
    "title", "id", "name", "level", "tags", "status", "date", "related", "logsource", "category", "product", "service",
    "detection", "condition", "selection", "keywords", "Image|endswith", "CommandLine|contains|all", "Image|re",
    "DestinationIp|cidr", "Image|expand", "correlation", "type", "rules", "group-by", "timespan", "aliases", "generate",
    "gte", "field", "filter", "action",
)  # fmt: skip


def trees(words: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(words), inner, max_size=6),
        max_leaves=20,
    )


BASE: dict[str, Any] = {
    "id": "a",
    "title": "b",
    "level": "low",
    "type": "count",
    "least": 2,
    "within": "1m",
    "scope": "host",
    "steps": [{"name": "s", "kind": "pipe", "where": {"image": "x*", "not": {"user|contains": "a"}}}],
}
SIGMA: dict[str, Any] = {
    "title": "b",
    "name": "a",
    "logsource": {"category": "process_creation"},
    "detection": {"selection": {"Image|endswith": "a"}, "condition": "selection"},
}
CORRELATION: dict[str, Any] = {
    "title": "b",
    "name": "c",
    "correlation": {
        "type": "event_count",
        "rules": ["a"],
        "group-by": ["host"],
        "timespan": "1m",
        "condition": {"gte": 2},
    },
}


def put(tree: Any, path: list[int], value: Any) -> Any:
    """The tree with another value somewhere in it."""
    if not path or not isinstance(tree, (dict, list)) or not tree:
        return value
    if isinstance(tree, list):
        place = path[0] % len(tree)
        return [put(part, path[1:], value) if number == place else part for number, part in enumerate(tree)]
    key = list(tree)[path[0] % len(tree)]
    return {**tree, key: put(tree[key], path[1:], value)}


def yaml_of(*trees_: Any) -> bytes:
    # JSON is YAML, but for the escapes of what stands outside of the first plane.
    return "\n---\n".join(json.dumps(tree, ensure_ascii=True) for tree in trees_).encode()


def outcome(work: Callable[[], Any]) -> Any:
    """What work gives, or the error it raises."""
    try:
        return work()
    except RuleError as error:
        return error


PATHS = st.lists(st.integers(0, 7), max_size=6)


@given(PATHS, trees(WORDS))
def test_a_document_of_ours_is_a_rule_or_an_error_with_a_place(path: list[int], value: Any) -> None:
    for document in documents("r.yml", yaml_of(put(BASE, path, value))):
        rule = outcome(functools.partial(read_rule, "r.yml", document))
        if isinstance(rule, RuleError):
            assert (rule.file, rule.line) == ("r.yml", 1)
            assert rule.reason
        else:
            assert len(rule.version) == 16
            assert rule.steps
            for step in rule.steps:
                assert reference_holds(step.condition, {"kind": "pipe", "image": "x", "user": "b"}) in (True, False)


@given(st.sampled_from([SIGMA, CORRELATION]), PATHS, trees(SIGMA_WORDS))
def test_a_document_of_sigma_is_a_rule_or_an_error_with_a_place(base: Any, path: list[int], value: Any) -> None:
    read_sigma = pytest.importorskip("fastfold.rules.sigma").read_sigma
    changed = put(base, path, value)
    given_ = [
        ("r.yml", document)
        for document in documents("r.yml", yaml_of(SIGMA, changed))
        if isinstance(document.value, dict)
    ]
    for lenient in (False, True):
        found = [one.rule for one in read_sigma(given_, lenient=lenient)]
        assert len(found) == len(given_)
        for rule in found:
            if isinstance(rule, RuleError):
                assert rule.file == "r.yml"
                assert rule.line is not None
                assert "\n" not in str(rule)
            else:
                assert rule is None or isinstance(rule, Rule)


@given(st.binary(max_size=60) | st.text("a:- []{}&*!|>'\"#%@\n", max_size=40).map(str.encode))
def test_any_bytes_are_documents_or_an_error(data: bytes) -> None:
    found = outcome(lambda: list(documents("r.yml", data)))
    if isinstance(found, RuleError):
        assert found.file == "r.yml"
        assert "\n" not in str(found)
    else:
        assert all(document.line >= 1 for document in found)


# Patterns


def glob(pattern: list[str | Wild], text: str) -> bool:
    """Whether a text is what a pattern says, the obvious way."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if first is Wild.ANY:
        return any(glob(rest, text[skipped:]) for skipped in range(len(text) + 1))
    if first is Wild.ONE:
        return bool(text) and glob(rest, text[1:])
    return text.startswith(first) and glob(rest, text[len(first) :])


@given(st.text("ab*?\\.\n", max_size=8), st.text("ab*?\\.\n", max_size=8))
def test_a_pattern_matches_what_it_says(written: str, text: str) -> None:
    pattern = list(pattern_of(written))
    condition = pattern_condition("image", tuple(pattern), cased=True)
    assert reference_holds(condition, {"kind": "pipe", "image": text}) == glob(pattern, text)


@given(st.text("ab*?\\.", max_size=12))
def test_a_text_that_is_escaped_is_itself(text: str) -> None:
    # Before a wildcard all backslashes count double, elsewhere none does.
    escaped = ""
    for number, character in enumerate(text):
        run = text[number:].lstrip("\\")[:1]
        escaped += character * 2 if character == "\\" and run in ("*", "?") and run else character
        if character in "*?":
            escaped = escaped[:-1] + "\\" + character
    assert pattern_of(escaped) == (text,)


@given(st.text("ab(|)*\\[]{1,2}^$.?+", max_size=8))
def test_an_expression_that_passes_can_be_searched_with(regex: str) -> None:
    try:
        check("re", regex)
    except ValueFault:
        return
    rule = {**BASE, "steps": [{"name": "s", "where": {"image|re": regex}}]}
    (document,) = documents("r.yml", yaml_of(rule))
    condition = read_rule("r.yml", document).steps[0].condition
    assert reference_holds(condition, {"kind": "pipe", "image": "ab"}) in (True, False)


def columns(condition: Condition) -> set[str]:
    if isinstance(condition, (AllOf, AnyOf)):
        return set().union(*map(columns, condition.parts))
    if isinstance(condition, Not):
        return columns(condition.part)
    return set() if isinstance(condition, KindIn) else {condition.column}


@given(st.lists(st.sampled_from([field for field in FIELDS if field != "kind"]), min_size=1, unique=True))
def test_every_field_may_be_looked_at(fields: list[str]) -> None:
    rule = {**BASE, "steps": [{"name": "s", "where": {f"{field}|exists": True for field in fields}}]}
    (document,) = documents("r.yml", yaml_of(rule))
    condition = read_rule("r.yml", document).steps[0].condition
    assert columns(condition) == set(fields)
    assert condition == (Exists(fields[0]) if len(fields) == 1 else AllOf(tuple(Exists(field) for field in fields)))
