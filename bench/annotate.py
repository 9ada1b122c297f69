"""Fail when a line of a nogil function of the core touches the interpreter.

Cython's own annotation gives each source line a score by the calls into Python's C API that it made
of it.  Here every line of every function declared ``nogil`` must have score 0.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/fastfold")
BUILT = Path("build/annotate")

_LINE = re.compile(r'class="cython line score-(\d+)"[^>]*>[^<]*<span class="">0*(\d+)</span>')
_DEF = re.compile(r"\s*(cdef|cpdef)\b[^=]*\(")


def main() -> int:
    os.chdir(ROOT)
    cythonize(
        [Extension("fastfold._core", [str(PACKAGE / "_core.pyx")])],
        annotate=True,
        force=True,
        quiet=True,
        build_dir=str(BUILT),
        include_path=[str(PACKAGE)],
    )
    checked = touched = 0
    for unit in [PACKAGE / "_core.pyx", *sorted(PACKAGE.glob("core/*.pxi"))]:
        scores = read_scores(unit)
        lines = unit.read_text().splitlines()
        for number in nogil_lines(lines):
            checked += 1
            if scores.get(number, 0) > 0:
                touched += 1
                print(f"{unit}:{number}: touches the interpreter: {lines[number - 1].strip()}")
    print(f"{checked} lines of nogil functions, {touched} touch the interpreter")
    if checked == 0:
        print("no nogil function was found: the check itself is broken")
    return 1 if touched or checked == 0 else 0


def read_scores(unit: Path) -> dict[int, int]:
    """Scores of the lines of a unit, from the page that Cython wrote for it."""
    pages = list(BUILT.rglob(f"{unit.stem}.html"))
    if len(pages) != 1:
        raise SystemExit(f"{len(pages)} annotated pages for {unit.name}, 1 was expected")
    scores = {int(number): int(score) for score, number in _LINE.findall(pages[0].read_text())}
    if len(scores) != len(unit.read_text().splitlines()):
        raise SystemExit(f"{pages[0]} does not read as expected: another version of Cython?")
    return scores


def nogil_lines(lines: list[str]) -> Iterator[int]:
    """Numbers of the lines inside functions declared nogil, signatures included."""
    index = 0
    while index < len(lines):
        if not _DEF.match(lines[index]):
            index += 1
            continue
        indent = _indent(lines[index])
        end = _end_of_signature(lines, index)
        body_end = end
        while body_end < len(lines) and (not lines[body_end].strip() or _indent(lines[body_end]) > indent):
            body_end += 1
        signature = " ".join(line.partition("#")[0].strip() for line in lines[index:end])
        if re.search(r"\bnogil\s*:$", signature.strip()):
            yield from range(index + 1, body_end + 1)
            index = body_end
        else:
            index = end


def _end_of_signature(lines: list[str], start: int) -> int:
    """Index behind the line that closes a signature's brackets."""
    depth = 0
    for index in range(start, len(lines)):
        code = lines[index].partition("#")[0]
        depth += code.count("(") - code.count(")")
        if depth <= 0:
            return index + 1
    return len(lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


if __name__ == "__main__":
    sys.exit(main())
