"""What the tests of the repository look at: its files, and what its modules import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fastfold"

_TEXTS = {".cfg", ".ini", ".json", ".md", ".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".toml", ".yaml", ".yml", ""}
_MADE = {".git", ".venv", "build", "dist", "__pycache__", "node_modules"}


def modules() -> dict[str, Path]:
    """Python modules of the package by name, those of its packages with a dot."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


def units() -> dict[str, Path]:
    """Units of the core by name."""
    return {path.stem: path for path in sorted((PACKAGE / "core").glob("*.pxi"))}


def texts() -> Iterator[Path]:
    """Every text file of the repository that is not made by a tool."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        made = any(part in _MADE or part.endswith(("_cache", ".egg-info")) for part in parts)
        hidden = parts[0].startswith(".") and parts[0] not in {".ci", ".github"} and len(parts) > 1
        if path.is_file() and path.suffix in _TEXTS and not made and not hidden:
            yield path


def pyproject() -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, and whether it is imported with the module that names it."""

    name: str
    line: int
    at_start: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def own(self) -> str | None:
        """The module of this package, by its own name."""
        return self.name.removeprefix("fastfold.") if self.top == "fastfold" else None


def imports(path: Path) -> list[Import]:
    """All imports of a module, also those inside functions; those for the type checker only are left out."""
    return list(_imports(ast.parse(path.read_text()), at_start=True))


def _imports(node: ast.AST, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_start)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"a relative import at line {child.lineno}"
            assert child.module is not None
            if child.module == "fastfold":
                for alias in child.names:
                    if alias.name != "__version__":
                        yield Import(f"fastfold.{alias.name}", child.lineno, at_start)
            else:
                yield from _from(child.module, child, at_start)
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _imports(child, at_start and not inside)


def _from(module: str, node: ast.ImportFrom, at_start: bool) -> Iterator[Import]:
    """What is imported from a module: that, or modules where it is a package of ours."""
    folder = ROOT / "src" / Path(*module.split("."))
    names = [alias.name for alias in node.names if (folder / f"{alias.name}.py").is_file()]
    if len(names) < len(node.names):
        yield Import(module, node.lineno, at_start)
    for name in names:
        yield Import(f"{module}.{name}", node.lineno, at_start)
