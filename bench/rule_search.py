"""Ways to find the plain texts of many rules in the distinct texts of files: what the core does, and libraries.

    python bench/rule_search.py [FILE...] [--rules N] [--seed N] [--rounds N]      default: the real files

All find the same pairs of text and pattern, compared before the clock starts.  Texts beyond ASCII are left out: what
case is there differs between the libraries.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from inputs import generate, list_files, real_folder
from report import RESULTS, place, sign, write
from rule_maker import RuleMaker

OPERATORS = ("contains", "startswith", "endswith", "equals")
Pattern = tuple[str, str]
Pairs = set[tuple[int, int]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rules", type=int, default=1000, metavar="N", help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="that the rules are made from (default 1)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each, in turns (default 5)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        real = options.files or ([real_folder()] if real_folder().is_dir() else [])
        files = list_files(real) if real else generate(Path(made), seed=1, files=20)
        texts = [texts_of(path.read_bytes()) for path in files]
    patterns = patterns_of(RuleMaker(options.seed).rules(options.rules))
    figures = measure(patterns, texts, options.rounds)
    text = describe(figures, options.rounds)
    print(text)
    for path in write(options.results, "rule-search", text, figures):
        print(f"written: {path}", file=sys.stderr)
    return 0


def texts_of(data: bytes) -> list[str]:
    """The distinct texts of a file."""
    import fastfold

    return [text for text in fastfold.parse(data, "sysmon").strings if text and text.isascii()]


def patterns_of(rules: Sequence[Any]) -> list[Pattern]:
    """Operator and text, in lower case, each once."""
    from fastfold.rules.types import AllOf, AnyOf, Not, Test

    found: dict[Pattern, None] = {}
    waiting = [step.condition for rule in rules for step in rule.steps]
    while waiting:
        condition = waiting.pop(0)
        if isinstance(condition, Test) and condition.operator in OPERATORS:
            found[condition.operator, condition.value.lower()] = None
        elif isinstance(condition, AllOf | AnyOf):
            waiting += condition.parts
        elif isinstance(condition, Not):
            waiting.append(condition.part)
    return list(found)


class Core:
    """What `fastfold.detection.matching` calls."""

    title = "core (Aho-Corasick)"

    def __init__(self, patterns: list[Pattern]) -> None:
        from fastfold._core import Conditions, Matching
        from fastfold.rules.comparisons import caseless_points

        made = [(OPERATORS.index(operator), text.encode(), b"", False) for operator, text in patterns]
        self._matching = Matching(Conditions(made, [[] for _ in made], [], [], [], caseless_points()))

    def prepare(self, texts: list[str]) -> Any:
        import numpy

        from fastfold._core import Texts

        return Texts("".join(texts).encode(), numpy.cumsum([0, 0, *map(len, texts)], dtype="<u4"))

    def search(self, prepared: Any) -> Any:
        return self._matching.search(prepared)

    def pairs(self, _: Any) -> Pairs:
        from fastfold._core import _patterns_found

        return {((pair >> 32) - 1, pair & 0xFFFFFFFF) for pair in _patterns_found(self._matching)}


class HyperscanEach:
    """One call for each text; anchors are those of the expressions."""

    title = "hyperscan, a text at a time"

    def __init__(self, patterns: list[Pattern]) -> None:
        import hyperscan

        ends = {"contains": ("", ""), "startswith": ("^", ""), "endswith": ("", r"\z"), "equals": ("^", r"\z")}
        expressions = [ends[operator][0] + quoted(text) + ends[operator][1] for operator, text in patterns]
        flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
        self._database = hyperscan.Database()
        self._database.compile([text.encode() for text in expressions], flags=[flags] * len(expressions))

    def prepare(self, texts: list[str]) -> list[bytes]:
        return [text.encode() for text in texts]

    def search(self, prepared: list[bytes]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        scan = self._database.scan

        def note(pattern: int, _start: int, _end: int, _flags: int, number: int) -> None:
            found.append((number, pattern))

        for number, text in enumerate(prepared):
            scan(text, match_event_handler=note, context=number)
        return found

    def pairs(self, found: list[tuple[int, int]]) -> Pairs:
        return set(found)


class HyperscanAll:
    """One call for all texts of a file, with a NUL around each, which is also the anchor."""

    title = "hyperscan, all texts of a file at once"

    def __init__(self, patterns: list[Pattern]) -> None:
        import hyperscan

        self._database = hyperscan.Database()
        expressions = [quoted(anchored(pattern)).replace("\0", r"\x00") for pattern in patterns]
        flags = [hyperscan.HS_FLAG_CASELESS] * len(expressions)
        self._database.compile([text.encode() for text in expressions], flags=flags)
        self._lengths = [len(anchored(pattern)) for pattern in patterns]

    def prepare(self, texts: list[str]) -> tuple[bytes, list[int]]:
        return joined(texts)

    def search(self, prepared: tuple[bytes, list[int]]) -> list[tuple[int, int]]:
        text, starts = prepared
        found: list[tuple[int, int]] = []

        def note(pattern: int, _start: int, end: int, _flags: int, _: object) -> None:
            found.append((pattern, end))

        self._database.scan(text, match_event_handler=note)
        return [(bisect_right(starts, end - self._lengths[pattern]) - 1, pattern) for pattern, end in found]

    def pairs(self, found: list[tuple[int, int]]) -> Pairs:
        return set(found)


class Ahocorasick:
    """One call for all texts of a file, in lower case, with a NUL around each."""

    title = "pyahocorasick"

    def __init__(self, patterns: list[Pattern]) -> None:
        import ahocorasick

        self._automaton = ahocorasick.Automaton()
        for number, pattern in enumerate(patterns):
            self._automaton.add_word(anchored(pattern), (number, len(anchored(pattern))))
        self._automaton.make_automaton()

    def prepare(self, texts: list[str]) -> tuple[str, list[int]]:
        text, starts = joined(texts)
        return text.decode(), starts

    def search(self, prepared: tuple[str, list[int]]) -> list[tuple[int, int]]:
        text, starts = prepared
        found = self._automaton.iter(text.lower())
        return [(bisect_right(starts, end + 1 - length) - 1, pattern) for end, (pattern, length) in found]

    def pairs(self, found: list[tuple[int, int]]) -> Pairs:
        return set(found)


class Re2Set:
    """One call for each text."""

    title = "google-re2 Set"

    def __init__(self, patterns: list[Pattern]) -> None:
        import re2

        options = re2.Options()
        # With less it gives up, and says that nothing was found.
        options.max_mem = 2 << 30
        options.case_sensitive = False
        ends = {"contains": ("", ""), "startswith": (r"\A", ""), "endswith": ("", r"\z"), "equals": (r"\A", r"\z")}
        self._set = re2.Set.SearchSet(options)
        for operator, text in patterns:
            self._set.Add(ends[operator][0] + quoted(text) + ends[operator][1])
        self._set.Compile()

    def prepare(self, texts: list[str]) -> list[bytes]:
        return [text.encode() for text in texts]

    def search(self, prepared: list[bytes]) -> list[Any]:
        match = self._set.Match
        return [match(text) for text in prepared]

    def pairs(self, found: list[Any]) -> Pairs:
        return {(number, pattern) for number, of_text in enumerate(found) for pattern in of_text or ()}


WAYS = (Core, HyperscanEach, HyperscanAll, Ahocorasick, Re2Set)


def quoted(text: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$/#-])", r"\\\1", text)


def anchored(pattern: Pattern) -> str:
    operator, text = pattern
    return {"contains": text, "startswith": f"\0{text}", "endswith": f"{text}\0", "equals": f"\0{text}\0"}[operator]


def joined(texts: list[str]) -> tuple[bytes, list[int]]:
    """All texts with a NUL around each, and where the NUL before each is."""
    starts = [0, *accumulate(len(text) + 1 for text in texts)]
    return "\0".join(["", *texts, ""]).encode(), starts[: len(texts)]


def measure(patterns: list[Pattern], texts: list[list[str]], rounds: int) -> dict[str, Any]:
    """CPU seconds of each way over all files, the least of all rounds; and to compile."""
    rows: list[dict[str, Any]] = []
    prepared: list[tuple[Any, list[Any]]] = []
    expected: list[Pairs] = []
    not_run: dict[str, str] = {}
    for way in WAYS:
        began = time.process_time()
        try:
            made = way(patterns)
        except ImportError as error:
            not_run[way.title] = str(error)
            continue
        compiled = time.process_time() - began
        inputs = [made.prepare(of_file) for of_file in texts]
        found = [made.pairs(made.search(given)) for given in inputs]
        expected = expected or found
        if found != expected:
            raise SystemExit(f"{way.title} and {WAYS[0].title} find different texts: nothing was measured")
        rows.append({"title": way.title, "compile_s": compiled, "search_s": float("inf")})
        prepared.append((made, inputs))
    for _ in range(rounds):
        for row, (made, inputs) in zip(rows, prepared, strict=True):
            began = time.process_time()
            for given in inputs:
                made.search(given)
            row["search_s"] = min(row["search_s"], time.process_time() - began)
    return {
        "rows": rows,
        "not_run": not_run,
        "patterns": len(patterns),
        "texts": sum(map(len, texts)),
        "text_bytes": sum(len(text) for of_file in texts for text in of_file),
        "pairs": sum(map(len, expected)),
        "files": len(texts),
    }


def describe(figures: dict[str, Any], rounds: int) -> str:
    lines = ["| way | compile, s | search, CPU s | ns per byte |", "|---|---:|---:|---:|"]
    for row in figures["rows"]:
        each = row["search_s"] / figures["text_bytes"] * 1e9
        lines.append(f"| {row['title']} | {row['compile_s']:.3f} | {row['search_s']:.4f} | {each:.1f} |")
    figures["place"] = place(["fastfold", "google-re2", "hyperscan", "pyahocorasick"])
    notes = [
        *(f"Not run: {title}: {reason}" for title, reason in figures["not_run"].items()),
        f"{figures['patterns']:,} plain texts of rules, without regard to case, in {figures['texts']:,} distinct texts "
        f"of {figures['files']} files, {figures['text_bytes'] / 1e6:.1f} MB. All ways found the same "
        f"{figures['pairs']:,} pairs of text and pattern, compared before the clock started. Texts are put into the "
        f"form that each way wants before, too. The least of {rounds} rounds in turns.",
        *sign(figures["place"]),
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in notes)


if __name__ == "__main__":
    sys.exit(main())
