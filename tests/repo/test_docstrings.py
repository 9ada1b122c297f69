"""Public functions say what they give and what they raise, and examples in docstrings are true."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator

import pytest

from repo.project import PACKAGE, modules

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public functions and classes, and the public methods of public classes."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)) and not member.name.startswith("_"):
                        yield f"{node.name}.{member.name}", member


def _raised(function: Function) -> set[str]:
    """Names of the exceptions that a function itself raises by name."""
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            names.add(node.exc.func.id)
    # What a private function makes is of a class that is named in the docstring, or should be.
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(modules().keys() - {"__main__"}))
def test_what_is_public_has_a_docstring(name: str) -> None:
    tree = ast.parse(modules()[name].read_text())
    assert ast.get_docstring(tree), f"{name}.py does not say what it is"
    bare = []
    for full, node in _public(tree):
        trivial = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _is_override(full, node, tree)
        if not ast.get_docstring(node) and not trivial:
            bare.append(full)
    assert bare == []


def _is_override(full: str, node: Function, tree: ast.Module) -> bool:
    """Whether a method is one of a base class, which documents it, or a property of a few words."""
    if "." not in full:
        return False
    owner = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == full.partition(".")[0])
    return bool(owner.bases) or len(node.body) == 1


@pytest.mark.parametrize("name", sorted(modules()))
def test_what_is_raised_is_told(name: str) -> None:
    tree = ast.parse(modules()[name].read_text())
    faults = []
    for full, node in _public(tree):
        if isinstance(node, ast.ClassDef) or full == "main":
            continue
        text = ast.get_docstring(node) or ""
        for exception in _raised(node) - {"AssertionError"}:
            if not re.search(rf"\b{exception}\b|; see `", text):
                faults.append(f"{full} raises {exception}")
    assert faults == []


@pytest.mark.parametrize("name", [name for name, path in modules().items() if ">>>" in path.read_text()])
def test_examples_are_true(name: str) -> None:
    module = importlib.import_module("fastfold" if name == "__init__" else f"fastfold.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_doors_of_the_core_have_docstrings() -> None:
    from fastfold import _core

    stub = ast.parse((PACKAGE / "_core.pyi").read_text())
    # Attributes that are fields of a C struct have no room for one; the class speaks of them.
    doors = [full for full, node in _public(stub) if not node.decorator_list or isinstance(node, ast.ClassDef)]
    assert [full for full in doors if not _doc(_core, full)] == []


def _doc(owner: object, full: str) -> str | None:
    for part in full.split("."):
        owner = getattr(owner, part)
    return owner.__doc__
