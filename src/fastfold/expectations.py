"""Which alerts a backtest is expected to give, and whether it did.

::

    [[expect]]
    file = "empire_mimikatz_*.json.gz"      # a name, or a pattern of one
    rule = "lsass-read-then-dump"
    absent = true                           # it must not be found; left out: it must
    host = "WORKSTATION5"                   # left out: any
    process = "39e4a257-..."                # left out: any
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from xml.etree import ElementTree

from fastfold.alerts.types import Alert
from fastfold.backtest import FileResult
from fastfold.errors import SchemaError
from fastfold.tables import parse_table
from fastfold.text import escape

__all__ = ["Expectation", "Verdict", "judge", "junit", "load_expectations"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """That a rule is found in a file, or that it is not.

    Attributes
    ----------
    rule : str
    file : str
        Name of the file without its folder, or a pattern.
    host, process : str
        Empty for any.
    found : bool
    """

    rule: str
    file: str
    host: str = ""
    process: str = ""
    found: bool = True

    def is_for(self, alert: Alert) -> bool:
        """Whether an alert is the one that is meant."""
        return alert.rule_id == self.rule and self.host in ("", alert.host) and self.process in ("", alert.process)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.host, self.process) if part)
        return f"{self.rule} in {self.file}" + (f" on {where}" if where else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an expectation in one file; `fault` is empty where it came true."""

    expectation: Expectation
    file: str
    fault: str


def load_expectations(path: str) -> tuple[Expectation, ...]:
    """The expectations of a file.

    Raises
    ------
    SchemaError
        If it cannot be read or does not hold together; with the line.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SchemaError(path, f"cannot be read: {error.strerror}") from None
    top = parse_table(path, data)
    top.only("expect")
    found = []
    for one in top.tables("expect"):
        one.only("rule", "file", "host", "process", "absent")
        found.append(
            Expectation(
                rule=one.text("rule"),
                file=one.text("file"),
                host=one.text("host", ""),
                process=one.text("process", ""),
                found=not one.flag("absent"),
            )
        )
    return tuple(found)


def judge(expectations: Iterable[Expectation], results: Sequence[FileResult]) -> list[Verdict]:
    """Hold what was found against what was expected, in the order of the expectations."""
    verdicts = []
    for one in expectations:
        meant = [result for result in results if fnmatchcase(PurePath(result.file).name, one.file)]
        if not meant:
            verdicts.append(Verdict(one, one.file, "there is no such file"))
        for result in meant:
            is_found = any(one.is_for(alert) for alert in result.alerts)
            fault = "" if is_found == one.found else "was not found" if one.found else "was found"
            verdicts.append(Verdict(one, result.file, fault))
    return verdicts


def junit(verdicts: Sequence[Verdict]) -> bytes:
    """The verdicts as JUnit XML: a test case for each."""
    failures = sum(bool(verdict.fault) for verdict in verdicts)
    suite = ElementTree.Element(
        "testsuite", name="fastfold backtest", tests=str(len(verdicts)), failures=str(failures), errors="0"
    )
    for verdict in verdicts:
        # Names of files and hosts may hold what XML cannot.
        case = ElementTree.SubElement(
            suite, "testcase", classname=escape(PurePath(verdict.file).name), name=escape(str(verdict.expectation))
        )
        if verdict.fault:
            ElementTree.SubElement(case, "failure", message=verdict.fault)
    tree = ElementTree.Element("testsuites")
    tree.append(suite)
    text: bytes = ElementTree.tostring(tree, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
