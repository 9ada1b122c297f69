"""The pages of the formats say what the schemas do, and that of the rules what their reader does."""

from __future__ import annotations

import re
import sys
import textwrap

import pytest

from fastfold.rules.read import FIELDS, read_rule
from fastfold.rules.ruleset import load_rules
from fastfold.rules.sigma_fields import CATEGORIES, GROUP_HOST
from fastfold.rules.types import Rule
from fastfold.rules.yaml import documents
from fastfold.schema import Schema, Source, list_schemas, load_schema
from fastfold.schema_types import (
    ALTERNATIVES,
    CONDITION_OPS,
    EMBEDDED,
    EVENTS_PER_RECORD,
    ID_FORMS,
    MAPPINGS_PER_WHEN,
    OUTCOMES,
    PATH_KEYS,
    SOURCE_FORMS,
    TIME_FORMS,
)
from fastfold.types import COLUMNS, KINDS, OPS
from repo.project import PACKAGE, ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = ROOT / "docs"
RULES = (DOCS / "rules.md").read_text(encoding="utf-8")
LANGUAGE = (DOCS / "schema-language.md").read_text(encoding="utf-8")
INDEX = (DOCS / "formats" / "README.md").read_text(encoding="utf-8")
IN_SCHEMA = pytest.mark.parametrize("name", list_schemas())


def _page(name: str) -> str:
    return (DOCS / "formats" / f"{name}.md").read_text(encoding="utf-8")


def _quoted(text: str) -> set[str]:
    """What stands between backticks, outside of blocks of code."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def _rows(page: str) -> list[list[str]]:
    """Cells of every row of a table."""
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]


def test_every_schema_has_a_page_and_every_page_a_schema() -> None:
    pages = {path.stem for path in (DOCS / "formats").glob("*.md")} - {"README"}
    assert pages == set(list_schemas())
    assert set(re.findall(r"\((\w+)\.md\)", INDEX)) == pages


@IN_SCHEMA
def test_the_table_of_events_has_the_rows_of_the_schema(name: str) -> None:
    """In order: discriminator values, kind, and the columns that are not as in every event."""
    events = tomllib.loads((PACKAGE / "schemas" / f"{name}.toml").read_text())["event"]
    page = _page(name)
    table = page[page.index("| when | and | kind | process | columns |") :].split("\n\n")[0]
    rows = [re.split(r" *\| *", line.strip("|")) for line in table.splitlines()[2:]]
    found = [
        (re.findall(r"`([^`]+)`", when), kind.strip(" `"), re.findall(r"(?:^|; )`(\w+)`:", columns.strip()))
        for when, _, kind, _, columns, *_ in rows
    ]
    assert found == [(event["when"], event["kind"], list(event.get("columns", {}))) for event in events]


@IN_SCHEMA
def test_every_field_that_is_read_is_named(name: str) -> None:
    schema = load_schema(name)
    assert _paths(schema) - _quoted(_page(name)) == set()


def _paths(schema: Schema) -> set[str]:
    found = {*schema.tenant, *schema.host, *schema.discriminator}
    found |= {path for time in schema.times for path in time.paths}
    found |= {path for condition in schema.require for path in condition.paths}
    for event in schema.events:
        found |= {path for condition in event.where for path in condition.paths}
        sources: list[Source] = [event.process, *event.columns.values()]
        found |= {path for source in sources for path in (*source.paths, *source.tail, *source.parts)}
    return found


@IN_SCHEMA
def test_every_reason_of_a_schema_is_told(name: str) -> None:
    counted = {cell for row in _rows(_page(name)) for cell in _quoted(row[0])}
    assert {condition.reason for condition in load_schema(name).require} <= counted


@IN_SCHEMA
def test_the_index_tells_how_a_format_is_recognised(name: str) -> None:
    rows = {row[0]: row[1] for row in _rows(INDEX[INDEX.index("| schema | fields |") :])}
    lists = tuple(tuple(re.findall(r"`([^`]+)`", part)) for part in rows[name].split("; or "))
    assert lists == load_schema(name).detect


@pytest.mark.parametrize(
    "words",
    [
        TIME_FORMS,
        ID_FORMS,
        SOURCE_FORMS,
        CONDITION_OPS,
        OUTCOMES,
        KINDS,
        COLUMNS,
        tuple(op for op in OPS if op != "marks"),
    ],
)
def test_the_reference_of_the_language_has_every_word(words: tuple[str, ...]) -> None:
    assert set(words) - _quoted(LANGUAGE) == set()


def test_the_reference_of_the_language_tells_the_limits() -> None:
    rows = {row[0]: row[1] for row in _rows(LANGUAGE[LANGUAGE.index("| limit | of a schema |") :]) if len(row) > 1}
    assert rows["keys in a path, with its root"] == str(PATH_KEYS)
    assert rows["alternatives of a field, once expanded"] == str(ALTERNATIVES)
    assert rows["places of embedded JSON"] == str(EMBEDDED)
    assert rows["events for one value of the discriminator"] == str(MAPPINGS_PER_WHEN)
    assert rows["events of one record"] == str(EVENTS_PER_RECORD)


def _examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", LANGUAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(_examples())))
def test_every_example_of_the_language_is_toml(number: int) -> None:
    assert tomllib.loads(_examples()[number])


# Rules


def _rules_of(file: str, text: str) -> list[Rule]:
    return [read_rule(file, document) for document in documents(file, text.encode())]


def test_the_examples_of_rules_are_rules() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", RULES, re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        head = "id: a\ntitle: a\nlevel: low\ntype: count\nleast: 1\nwithin: 0s\nscope: host\nsteps:\n- name: a\n"
        text = head + textwrap.indent(example, "  ") if example.startswith("where:") else example
        (rule,) = _rules_of("rules.md", text)
        assert rule.steps


def test_the_page_of_rules_has_every_field_and_category_as_they_are() -> None:
    rows = {row[0].strip("`"): row for row in _rows(RULES)}
    assert set(FIELDS) <= set(rows)
    for name, category in CATEGORIES.items():
        assert _quoted(rows[name][1]) == category.kinds
        assert _quoted(rows[name][2]) == set(category.fields) - GROUP_HOST, name
    assert _quoted(rows["group-by"][1]) >= GROUP_HOST
    assert "Twenty rules" in RULES
    assert len(load_rules(["starting"])) == 20
