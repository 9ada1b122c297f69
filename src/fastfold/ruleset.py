"""The rules that are loaded: all of the files named, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import resources
from pathlib import Path

from fastfold.errors import RuleError, RuleSetError
from fastfold.rule_read import read_rule
from fastfold.rule_types import Rule
from fastfold.rule_yaml import FILE_BYTES, documents

__all__ = ["SHIPPED", "RuleSet", "load_rules", "load_set", "read_files", "rule_files"]

SHIPPED = "starting"
"""The name of the rules that come with the package."""

_ENDINGS = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that were loaded together.

    Attributes
    ----------
    rules : tuple of Rule
        In ascending order of their ids.
    digest : str
        Sixteen hexadecimal digits of BLAKE2b over ids and versions.
    """

    rules: tuple[Rule, ...]
    digest: str


def load_rules(paths: Iterable[str | os.PathLike[str]]) -> tuple[Rule, ...]:
    """All rules of files and folders.

    Parameters
    ----------
    paths : iterable of str or path
        Files, folders (searched for .yml and .yaml), or `SHIPPED`.

    Raises
    ------
    RuleSetError
        Any rule is at fault, two have one id, or a file cannot be read; all faults are in it.
    """
    found = list(read_files(rule_files(paths)))
    errors = tuple(one for one in found if isinstance(one, RuleError))
    if errors:
        raise RuleSetError(errors)
    return tuple(sorted((one for one in found if isinstance(one, Rule)), key=lambda rule: rule.id))


def load_set(paths: Iterable[str | os.PathLike[str]]) -> RuleSet:
    """The same as a `RuleSet`; see `load_rules`."""
    rules = load_rules(paths)
    hasher = blake2b(digest_size=8, person=b"fastfold.ruleset")
    for rule in rules:
        hasher.update(f"{rule.id}\n{rule.version}\n".encode())
    return RuleSet(rules, hasher.hexdigest())


def rule_files(paths: Iterable[str | os.PathLike[str]]) -> list[Path | str]:
    """The files that paths stand for, in order, each once.

    Raises
    ------
    RuleSetError
        A path is not there, or a folder has no rule files.
    """
    found: dict[str, Path] = {}
    errors: list[RuleError] = []
    for path in paths:
        files = sorted(_files(path))
        if not files:
            there = Path(path).exists()
            errors.append(RuleError(os.fspath(path), "has no files *.yml or *.yaml" if there else "is not there"))
        found.update((os.fspath(file), file) for file in files)
    if errors:
        raise RuleSetError(tuple(errors))
    return list(found.values())


def _files(path: str | os.PathLike[str]) -> Iterator[Path]:
    if path == SHIPPED:
        path = str(resources.files("fastfold") / "rules")
    place = Path(path)
    if place.is_dir():
        yield from (file for file in place.rglob("*") if file.suffix in _ENDINGS and file.is_file())
    elif place.is_file():
        yield place


def read_files(files: Sequence[Path | str]) -> Iterator[Rule | RuleError]:
    """What each rule of some files is, or what is wrong with it."""
    ids: dict[str, str] = {}
    for file in files:
        for one in _read_file(Path(file)):
            if isinstance(one, Rule):
                if one.id in ids:
                    source, _, line = one.source.rpartition(":")
                    yield RuleError(source, f"the id stands in {ids[one.id]} already", int(line), one.id, "id")
                    continue
                ids[one.id] = one.source
            yield one


def _read_file(path: Path) -> Iterator[Rule | RuleError]:
    file = str(path)
    try:
        with path.open("rb") as opened:
            data = opened.read(FILE_BYTES + 1)
    except OSError as error:
        yield RuleError(file, f"cannot be read: {error.strerror or error}")
        return
    try:
        for document in documents(file, data):
            try:
                yield read_rule(file, document)
            except RuleError as error:
                yield error
    except RuleError as error:
        yield error
