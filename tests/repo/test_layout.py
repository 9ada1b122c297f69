"""Where things stand, how long they are, and that limits and versions are told once."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest

import fastfold
from fastfold.config import GROUPS, SETTINGS, load, value_of
from fastfold.types import Limits
from repo.project import PACKAGE, ROOT, modules, pyproject, texts, units

LINES = 450
# Longer for a reason.
LONGER: dict[str, int] = {}


@pytest.mark.parametrize(
    "path",
    [
        "pyproject.toml",
        "setup.py",
        "Makefile",
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        ".ci/run",
        "src/fastfold/_core.pxd",
        "src/fastfold/_core.pyi",
        "src/fastfold/_core.pyx",
        "src/fastfold/folds/process.toml",
        "src/fastfold/py.typed",
        "src/fastfold/schemas/sysmon.toml",
    ],
)
def test_the_project_has(path: str) -> None:
    assert (ROOT / path).is_file()


def test_only_the_spine_is_a_pyx() -> None:
    assert [path.name for path in PACKAGE.rglob("*.pyx")] == ["_core.pyx"]


def test_nothing_can_be_taken_for_the_extension() -> None:
    # A folder of that name would be imported as a namespace package when nothing is built.
    assert not (PACKAGE / "_core").exists()
    assert not (PACKAGE / "_core.py").exists()


def test_folders_of_data_are_no_packages() -> None:
    assert [
        path for folder in ("core", "dictionaries", "folds", "schemas") for path in (PACKAGE / folder).glob("*.py")
    ] == []


def test_units_and_modules_can_be_read_in_one_go() -> None:
    paths = [
        *modules().values(),
        *units().values(),
        *PACKAGE.glob("core/*.h"),
        *PACKAGE.rglob("*.pxd"),
        PACKAGE / "_core.pyx",
    ]
    lengths = {path.name: len(path.read_text().splitlines()) for path in paths}
    assert {name: lines for name, lines in lengths.items() if lines > LONGER.get(name, LINES)} == {}


def test_the_exceptions_of_length_are_still_needed() -> None:
    for name in LONGER:
        assert len((PACKAGE / name).read_text().splitlines()) > LINES


def test_every_folder_of_tests_has_tests() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    for name in ("unit", "property", "conformance", "fuzz", "integration", "leak", "typing", "repo"):
        assert any(ROOT / "tests" / name in (folder, *folder.parents) for folder in folders), f"tests/{name} is empty"


@pytest.mark.parametrize("limit", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_is_a_setting(limit: str) -> None:
    setting = next(setting for setting in SETTINGS if setting.name == f"limit_{limit}")
    assert setting.group in GROUPS
    assert setting.least is not None
    other = int(setting.least)
    settings = load({}, {setting.environment: str(other)}, groups=("limits",))
    assert getattr(settings.limits, limit) == value_of(settings, setting) == other
    assert getattr(load({setting.name: other}, {}, groups=("limits",)).limits, limit) == other


def test_every_limit_is_looked_at() -> None:
    code = "".join(path.read_text() for path in [*units().values(), *PACKAGE.glob("*.p*")] if path.name != "types.py")
    for field in dataclasses.fields(Limits):
        assert re.search(rf"\blimits\.{field.name}\b", code), f"nothing asks for limits.{field.name}"


def test_the_version_is_told_once() -> None:
    assert pyproject()["project"]["dynamic"] == ["version"]
    assert pyproject()["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "fastfold.__version__"}
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\S+)", changes, re.MULTILINE)
    assert newest is not None
    assert newest[1] == fastfold.__version__
    shown = subprocess.run([sys.executable, "-m", "fastfold", "--version"], capture_output=True, text=True, check=True)
    assert fastfold.__version__ in shown.stdout


def test_the_data_of_the_package_is_installed_with_it() -> None:
    listed = pyproject()["tool"]["setuptools"]["package-data"]["fastfold"]
    data = {path.relative_to(PACKAGE).as_posix() for pattern in listed for path in PACKAGE.glob(pattern)}
    kinds = {".toml", ".pyi", ".typed", ".ffdict", ".yml"}
    found = {p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*") if p.suffix in kinds or p.name == "py.typed"}
    assert data == found


def test_texts_end_with_one_line_feed_and_have_no_tabs_or_trailing_spaces() -> None:
    faults = []
    for path in texts():
        text = path.read_text()
        if text and not text.endswith("\n"):
            faults.append(f"{path.relative_to(ROOT)}: no line feed at the end")
        if path.suffix in {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".toml"} and re.search(
            r"[ \t]$|\t", text, re.MULTILINE
        ):
            faults.append(f"{path.relative_to(ROOT)}: a tab, or spaces at the end of a line")
    assert faults == []
