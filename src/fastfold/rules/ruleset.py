"""The rules that are loaded: all of the files named, or none; and the same again when the files change.

PyYAML and google-re2 come with the extra ``rules``, pySigma with the extra ``sigma``: this module is imported only
where rules are, by `options.needs`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import resources
from pathlib import Path

from fastfold.errors import RuleError, RuleSetError
from fastfold.extras import MissingExtraError, needs
from fastfold.rules.read import Outcome, read_rule
from fastfold.rules.types import Rule
from fastfold.rules.yaml import FILE_BYTES, Node, documents

__all__ = ["SHIPPED", "RuleSet", "RuleWatcher", "load_rules", "load_set", "read_files", "rule_files"]

SHIPPED = "starting"
"""The name of the rules that come with the package."""

_ENDINGS = (".yml", ".yaml")
_SIGMA_WORDS = frozenset({"detection", "correlation", "logsource", "filter", "action"})
"""Keys that only a document of Sigma has."""

Paths = Iterable[str | os.PathLike[str]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that were loaded together.

    Attributes
    ----------
    rules : tuple of Rule
        In ascending order of their ids.
    digest : str
        Sixteen hexadecimal digits of BLAKE2b over ids and versions: equal sets find the same.
    """

    rules: tuple[Rule, ...]
    digest: str


def load_rules(paths: Paths, *, lenient: bool = False) -> tuple[Rule, ...]:
    """All rules of files and folders, in ascending order of their ids.

    Parameters
    ----------
    paths : iterable of str or path
        Files, folders (searched for .yml and .yaml, but for hidden ones), or `SHIPPED`.
    lenient : bool
        Whether a field of Sigma that has no column counts as absent, where that can only make a rule match less;
        otherwise such rules are refused.

    Raises
    ------
    RuleSetError
        Any rule is at fault, two have one id, or a file cannot be read; all faults are in it.
    MissingExtraError
        There are Sigma rules, and pySigma is not installed.
    """
    outcomes = list(read_files(rule_files(paths), lenient=lenient))
    errors = tuple(one.rule for one in outcomes if isinstance(one.rule, RuleError))
    if errors:
        raise RuleSetError(errors)
    return tuple(sorted((one.rule for one in outcomes if isinstance(one.rule, Rule)), key=lambda rule: rule.id))


def load_set(paths: Paths, *, lenient: bool = False) -> RuleSet:
    """The same as a `RuleSet`; see `load_rules`."""
    rules = load_rules(paths, lenient=lenient)
    hasher = blake2b(digest_size=8, person=b"fastfold.ruleset")
    for rule in rules:
        hasher.update(f"{rule.id}\n{rule.version}\n".encode())
    return RuleSet(rules, hasher.hexdigest())


def rule_files(paths: Paths) -> list[Path]:
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
    place = Path(str(resources.files("fastfold") / "rules") if path == SHIPPED else path)
    if place.is_dir():
        for file in place.rglob("*"):
            # A mounted ConfigMap keeps a second copy of each file in a hidden folder.
            hidden = any(part.startswith(".") for part in file.relative_to(place).parts)
            if file.suffix in _ENDINGS and not hidden and file.is_file():
                yield file
    elif place.is_file():
        yield place


def read_files(files: Sequence[Path], *, lenient: bool = False) -> Iterator[Outcome]:
    """What each rule of some files is, or what is wrong with it, in order; see `load_rules`."""
    read: list[Outcome | tuple[str, Node]] = [one for file in files for one in _read_file(file)]
    sigma = [one for one in read if not isinstance(one, Outcome)]
    # Imported only where there is need of it: it has an extra of its own.
    answers = iter(needs("fastfold.rules.sigma").read_sigma(sigma, lenient=lenient) if sigma else ())
    ids: dict[str, str] = {}
    for one in read:
        outcome = one if isinstance(one, Outcome) else next(answers)
        rule = outcome.rule
        if isinstance(rule, Rule):
            if rule.id in ids:
                file, _, line = rule.source.rpartition(":")
                outcome = Outcome(RuleError(file, f"the id stands in {ids[rule.id]} already", int(line), rule.id, "id"))
            ids.setdefault(rule.id, rule.source)
        yield outcome


def _read_file(path: Path) -> Iterator[Outcome | tuple[str, Node]]:
    file = str(path)
    try:
        with path.open("rb") as opened:
            data = opened.read(FILE_BYTES + 1)
    except OSError as error:
        yield Outcome(RuleError(file, f"cannot be read: {error.strerror or error}"))
        return
    try:
        for document in documents(file, data):
            if isinstance(document.value, dict) and not _SIGMA_WORDS.isdisjoint(document.value):
                yield file, document
                continue
            try:
                yield Outcome(read_rule(file, document))
            except RuleError as error:
                yield Outcome(error)
    except RuleError as error:
        yield Outcome(error)


class RuleWatcher:
    """Keeps the rules that files hold now.

    A file that is at fault changes nothing: the rules loaded before stay, the fault is logged once and counted, and
    the next change of the files is a new chance.

    Parameters
    ----------
    paths : iterable of str or path
        As for `load_rules`.
    reload_s : float
        Least time between two looks at the files; 0: only when asked for.
    lenient : bool
        As for `load_rules`.
    count : callable, optional
        Called with ``loaded`` or ``refused`` for each load after the first.
    clock : callable, optional
        Seconds, ascending.

    Attributes
    ----------
    rules : RuleSet
        Those in force.

    Raises
    ------
    RuleSetError
        By the constructor: with no rules before, there is nothing to stay with.
    """

    def __init__(
        self,
        paths: Paths,
        reload_s: float = 0.0,
        *,
        lenient: bool = False,
        count: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = tuple(paths)
        self._reload_s = reload_s
        self._lenient = lenient
        self._count = count
        self._clock = clock
        self._asked = threading.Event()
        self._looked_s = clock()
        self._seen = self._look()
        self.rules = load_set(self._paths, lenient=lenient)

    def ask(self) -> None:
        """Load at the next poll, whether a change is seen or not: what SIGHUP does."""
        self._asked.set()

    def poll(self) -> bool:
        """Look at the files if it is time to, and load them if they have changed.

        Returns
        -------
        bool
            Whether `rules` is another set now.
        """
        asked = self._asked.is_set()
        now_s = self._clock()
        if not asked and (self._reload_s <= 0 or now_s - self._looked_s < self._reload_s):
            return False
        self._asked.clear()
        self._looked_s = now_s
        # Looked at before they are read: what changes meanwhile is seen the next time.
        seen = self._look()
        if seen == self._seen and not asked:
            return False
        self._seen = seen
        return self._load()

    def _load(self) -> bool:
        try:
            found = load_set(self._paths, lenient=self._lenient)
        except (RuleSetError, MissingExtraError) as error:
            log.error("changed rules are not loaded, the %d before stay: %s", len(self.rules.rules), error)
            self._told("refused")
            return False
        # Not by the digest: titles and levels are no part of it, but of the alerts.
        before, self.rules = self.rules, found
        log.info("loaded %d rules, version %s", len(found.rules), found.digest)
        self._told("loaded")
        return found != before

    def _told(self, outcome: str) -> None:
        if self._count is not None:
            self._count(outcome)

    def _look(self) -> object:
        """What tells one state of the files from another: names, times, sizes and inodes."""
        try:
            files = rule_files(self._paths)
            stats = [file.stat() for file in files]
        except (OSError, RuleSetError) as error:
            return str(error)
        return [
            (str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev)
            for file, stat in zip(files, stats, strict=True)
        ]
