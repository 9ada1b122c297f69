"""Parse alone: `fastfold.parse` beside simdjson on demand, on inflated files, in one run.

simdjson is a C++ program that reads 14 fields of each record in one pass and unescapes their texts
(`cpp/simdjson_parse.cpp`).  fastfold reads every field that the schema `sysmon` names, checks the
whole grammar, and fills the rows and distinct texts of a `Batch`.  Before the clock starts, the texts
that both read are compared: their number and a checksum, column by column.

    python bench/parse.py [FILE...] [--rounds N]      default: the real files

The process that is measured is this program again: ``--child LIST PASSES``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from inputs import ROOT, generate, list_files, real_folder
from native import MissingError, build_parse
from report import RESULTS, place, sign, write

PASSES = 2
"""Readings of all files in each process; the first also warms memory."""

# Of an event of two processes only one side is compared; remote threads name their ids in other fields than the 14.
_LEFT_OUT = ("child_start", "remote_thread", "injected_by", "accessed_by")
_ONLY_COUNTED = ("channel", "event")

FASTFOLD, REUSED, SIMDJSON = "fastfold.parse", "fastfold, one Parser for all files", "simdjson on demand, 14 fields"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="processes of each, in turns (default 3)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--child", nargs=2, metavar=("LIST", "PASSES"), help=argparse.SUPPRESS)
    parser.add_argument("--sums", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_fastfold(Path(options.child[0]), int(options.child[1]), options.sums)))
        return 0
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        measured = measure(options.files, Path(made), options.rounds)
    text, figures = describe(measured, options.rounds)
    print(text)
    for path in write(options.results, "parse", text, figures):
        print(f"written: {path}", file=sys.stderr)
    return 0


def measure(files: list[Path], made: Path, rounds: int) -> dict[str, Any]:
    """CPU seconds of each way, in turns, after their texts have been compared."""
    names = made / "files.txt"
    names.write_text("".join(f"{path}\n" for path in inflate(files, made)))
    ours = [sys.executable, str(ROOT / "bench" / "parse.py"), "--child", str(names), str(PASSES)]
    seconds: dict[str, list[float]] = {FASTFOLD: [], REUSED: []}
    try:
        theirs = [str(build_parse()), str(names), str(PASSES)]
        seconds[SIMDJSON] = []
    except MissingError as error:
        theirs, reason = [], str(error)
    checked = _run([*ours, "--sums"])
    for _ in range(rounds):
        told = _run(ours)
        for way in (FASTFOLD, REUSED):
            seconds[way] += told[way]
        if theirs:
            other = _run(theirs)
            compare(checked["sums"], other["sums"])
            checked |= {"simdjson": other["simdjson"], "kernel": other["kernel"]}
            seconds[SIMDJSON] += other["cpu_s"]
    return {
        "records": checked["records"],
        "bytes": checked["bytes"],
        "simdjson": checked.get("simdjson"),
        "kernel": checked.get("kernel"),
        "simd": checked["simd"],
        "sums": checked["sums"],
        "seconds": seconds,
        "not_run": {} if theirs else {SIMDJSON: reason},
    }


def inflate(files: list[Path], made: Path) -> list[Path]:
    """The files as plain text."""
    if not files:
        files = [real_folder()] if real_folder().is_dir() else generate(made / "generated", seed=1, files=20)
    plain = []
    for path in list_files(files):
        plain.append(made / path.name.removesuffix(".gz"))
        with gzip.open(path) as stored, plain[-1].open("wb") as file:
            shutil.copyfileobj(stored, file, 1 << 20)
    return plain


def _run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def compare(ours: dict[str, list[int]], theirs: dict[str, list[int]]) -> None:
    """Stop where the texts that were read differ."""
    for column, (count, checksum) in theirs.items():
        expected = ours.get(column, [0, 0])
        if expected[0] != count or (column not in _ONLY_COUNTED and expected[1] != checksum):
            sys.exit(f"the texts of {column} differ: {expected} by fastfold, {[count, checksum]} by simdjson")


def run_fastfold(names: Path, passes: int, sums: bool) -> dict[str, Any]:
    """Parse all files and tell the time, and the checksums where they are asked for."""
    from fastfold import parse
    from fastfold._core import ParsePlan, Parser, simd
    from fastfold.folding import read_file
    from fastfold.schema import load_schema
    from fastfold.types import Limits

    limits = Limits(inflated_bytes=1 << 33, file_bytes=1 << 32)
    schema = load_schema("sysmon")
    texts = [Path(name).read_bytes() for name in names.read_text().splitlines()]
    made = Sums()
    for text in texts if sums else []:
        made.add(parse(text, schema, limits=limits))

    def fresh(text: bytes) -> None:
        parse(text, schema, limits=limits)

    parser = Parser(ParsePlan(schema, limits))

    def reused(text: bytes) -> None:
        parser.begin()
        read_file(parser, text, limits)
        parser.finish()

    seconds: dict[str, list[float]] = {}
    for way, read in ((FASTFOLD, fresh), (REUSED, reused)):
        seconds[way] = []
        for _ in range(passes):
            before = time.process_time()
            for text in texts:
                read(text)
            seconds[way].append(time.process_time() - before)
    return {**seconds, "records": made.records, "bytes": sum(map(len, texts)), "simd": simd(), "sums": made.told()}


class Sums:
    """The number of texts of each column and the sum of their 64-bit FNV-1a, as the C++ program makes them."""

    def __init__(self) -> None:
        self.records = 0
        self._count: Counter[str] = Counter()
        self._sum: Counter[str] = Counter()
        self._known: dict[str, int] = {}

    def told(self) -> dict[str, list[int]]:
        return {column: [self._count[column], self._sum[column] % (1 << 64)] for column in self._count}

    def add(self, batch: Any) -> None:
        """Add the rows of a batch that are of the process that acts: one for each record."""
        import numpy as np

        from fastfold.types import KINDS

        self.records += batch.counts.records
        events = batch.events
        rows = events[~np.isin(events["kind"], [KINDS.index(kind) for kind in _LEFT_OUT])]
        access = rows["kind"] == KINDS.index("process_access")
        for column in _ONLY_COUNTED:
            self._count[column] += len(rows)
        times = np.datetime_as_string(rows["time"], unit="ms").tolist()
        self._add_all("time", [time.replace("T", " ") for time in times])
        self._add_codes("host", rows["host"], [host for _, host in batch.hosts])
        ids = [process for _, _, process in batch.processes]
        self._add_codes("process", rows["process"][~access], ids)
        self._add_codes("source", rows["process"][access], ids)
        strings = [batch.strings[code] for code in range(len(batch.strings))]
        self._add_codes("target", rows["target"][access], strings)
        self._add_codes("image", rows["image"][~access], strings)
        self._add_codes("source_image", rows["image"][access], strings)
        for column in ("user", "command_line", "file", "registry", "module"):
            self._add_codes(column, rows[column], strings)

    def _add_codes(self, column: str, codes: Any, texts: list[Any]) -> None:
        import numpy as np

        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            if texts[code]:
                self._add(column, texts[code], int(count))

    def _add_all(self, column: str, texts: list[str]) -> None:
        for text, count in Counter(texts).items():
            self._add(column, text, count)

    def _add(self, column: str, text: str, count: int) -> None:
        if text not in self._known:
            checksum = 14695981039346656037
            for byte in text.encode():
                checksum = (checksum ^ byte) * 1099511628211 % (1 << 64)
            self._known[text] = checksum
        self._count[column] += count
        self._sum[column] += count * self._known[text]


def describe(measured: dict[str, Any], rounds: int) -> tuple[str, dict[str, Any]]:
    """The table, and the figures behind it."""
    least = {way: min(seconds) for way, seconds in measured["seconds"].items()}
    simdjson = least.get(SIMDJSON)
    lines = ["| way | CPU s | GB/s | M records/s | x simdjson |", "|---|---:|---:|---:|---:|"]
    for way, cpu_s in sorted(least.items(), key=lambda item: -item[1]):
        ratio = "" if simdjson is None else f"{simdjson / cpu_s:.2f}"
        rates = f"{measured['bytes'] / cpu_s / 1e9:.2f} | {measured['records'] / cpu_s / 1e6:.2f}"
        lines.append(f"| {way} | {cpu_s:.3f} | {rates} | {ratio} |")
    lines += [f"| {way} | not run: {reason} | | | |" for way, reason in measured["not_run"].items()]
    others = {"simdjson": f"{measured['simdjson']} ({measured['kernel']})"} if measured["simdjson"] else {}
    figures = {**measured, "least": least, "place": place(["fastfold", "numpy"], others)}
    notes = [
        "simdjson reads 14 fields, in one pass, and does not look at the grammar or the escapes of what it skips. "
        "fastfold reads all fields that the schema sysmon names, checks the whole grammar, and makes rows and distinct "
        f"texts; its scanner is {measured['simd']}. The number and a checksum of the texts of each field were equal "
        "before the clock started.",
        f"Input: {measured['bytes'] / 1e6:.1f} MB of text in memory, {measured['records']} records. CPU seconds of one "
        f"thread, the least of {rounds * PASSES} readings in {rounds} processes that took turns.",
        *sign(figures["place"]),
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in notes), figures


if __name__ == "__main__":
    sys.exit(main())
