"""The ways to do the job that are compared, and the process that runs one of them.

The job: batch files in, the folded state of every process out, for the schema ``sysmon`` and the
fold ``process``.  Every record is parsed whole: a broken one must be found.

Run by ``run.py``, one process each; prints one JSON object, with the reason where a contender cannot
run here::

    python bench/contenders.py NAME LIST [--dump PATH]

LIST is a file with one path a line.  With ``--dump`` the states are written, one JSON object a line.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from native import MissingError

__all__ = ["CONTENDERS", "ONE_THREAD", "Contender", "Outcome", "forget_peak", "memory_bytes", "run_fastfold"]

PIECE_BYTES = 32768
"""Stored bytes that are inflated at a time; 4 to 64 KiB were equally fast on the real files, more was slower."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contender gives back.

    Attributes
    ----------
    records, events : int
    inflated_bytes : int or None
        None where the contender inflates and does not say how much.
    states : callable
        Shows the states as `fold --format jsonl` does, in any order.
    measured : dict
        Times, memory and versions, where another process did the work.
    """

    records: int
    events: int
    inflated_bytes: int | None
    states: Callable[[], Iterator[dict[str, Any]]]
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the job.

    Attributes
    ----------
    title : str
        As it stands in the table.
    modules : tuple of str
        Imported before the clock starts.
    packages : tuple of str
        Whose versions stand in the result.
    run : callable
        Files in, outcome out.
    python : bool
        Whether it is what a user of Python would write with other packages.
    """

    title: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    run: Callable[[list[Path]], Outcome]
    python: bool = True


def _outcome(states: Any, inflated_bytes: int | None) -> Outcome:
    from states_dict import show

    processes = states.by_identity.values()
    return Outcome(states.records, states.events, inflated_bytes, lambda: (show(process) for process in processes))


def run_stdlib(files: list[Path]) -> Outcome:
    """gzip, json and dicts of the standard library."""
    import gzip

    from fold_dicts import fold_lines
    from states_dict import States

    states = States()
    inflated = 0
    for path in files:
        with gzip.open(path) as file:
            fold_lines(file, json.loads, states)
            inflated += file.tell()
    return _outcome(states, inflated)


def _inflated(path: Path) -> Iterator[bytes]:
    """The text of a gzip file in pieces of whole lines, inflated by ISA-L; members may follow each other."""
    from isal import isal_zlib

    inflater = isal_zlib.decompressobj(wbits=31)
    rest = b""
    with path.open("rb") as file:
        while stored := file.read(PIECE_BYTES):
            piece = inflater.decompress(stored)
            while inflater.eof and inflater.unused_data.strip(b"\0"):
                stored = inflater.unused_data
                inflater = isal_zlib.decompressobj(wbits=31)
                piece += inflater.decompress(stored)
            end = piece.rfind(b"\n") + 1
            if end:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
    if not inflater.eof:
        raise EOFError(f"{path}: truncated")
    if rest:
        yield rest


def run_orjson(files: list[Path]) -> Outcome:
    """ISA-L in pieces, orjson, dicts."""
    import orjson

    from fold_dicts import fold_lines
    from states_dict import States

    states = States()
    inflated = 0
    for path in files:
        for text in _inflated(path):
            inflated += len(text)
            fold_lines(text.split(b"\n"), orjson.loads, states)
    return _outcome(states, inflated)


def run_msgspec(files: list[Path]) -> Outcome:
    """ISA-L in pieces, msgspec into structs of the fields needed, dicts."""
    import msgspec

    from fold_structs import Record, fold_records
    from states_dict import States

    decoder = msgspec.json.Decoder(Record)
    states = States()
    inflated = 0
    for path in files:
        for text in _inflated(path):
            inflated += len(text)
            fold_records(decoder.decode_lines(text), states)
    return _outcome(states, inflated)


def run_pysimdjson(files: list[Path]) -> Outcome:
    """ISA-L in pieces, one parser of pysimdjson, which makes Python objects only of what is asked for."""
    import simdjson

    from fold_dicts import fold_lines
    from states_dict import States

    parse = simdjson.Parser().parse
    states = States()
    inflated = 0
    for path in files:
        for text in _inflated(path):
            inflated += len(text)
            fold_lines(text.split(b"\n"), parse, states)
    return _outcome(states, inflated)


def run_polars(files: list[Path]) -> Outcome:
    """The reader of polars, gzip included, and its grouping; the groups go into dicts."""
    from fold_polars import fold_files
    from states_dict import States

    states = States()
    fold_files(files, states)
    return _outcome(states, None)


def run_duckdb(files: list[Path]) -> Outcome:
    """The reader of DuckDB, gzip included, and its grouping; the groups go into dicts."""
    from fold_duckdb import fold_files
    from states_dict import States

    states = States()
    fold_files(files, states)
    return _outcome(states, None)


def run_pyarrow(files: list[Path]) -> Outcome:
    """ISA-L in pieces, pyarrow's reader and its grouping; the groups go into dicts."""
    from fold_arrow import fold_texts
    from states_dict import States

    states = States()
    inflated = 0

    def texts() -> Iterator[bytes]:
        nonlocal inflated
        for path in files:
            for text in _inflated(path):
                inflated += len(text)
                yield text

    fold_texts(texts(), states)
    return _outcome(states, inflated)


def run_cpp(files: list[Path]) -> Outcome:
    """A C++ program of ISA-L, simdjson and flat hash tables, measured by itself."""
    from native import build_whole_job
    from states_dict import read_process, show

    program = build_whole_job()
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        names, dump = Path(made, "files.txt"), Path(made, "states.jsonl")
        names.write_text("".join(f"{path}\n" for path in files))
        done = subprocess.run([program, names, dump], stdout=subprocess.PIPE, check=True)
        lines = dump.read_bytes().splitlines()
    told = json.loads(done.stdout)
    versions = {name: told.pop(name) for name in ("simdjson", "ISA-L")}
    records, events, inflated = (told.pop(name) for name in ("records", "events", "inflated_bytes"))
    states = lambda: (show(read_process(json.loads(line))) for line in lines)  # noqa: E731
    return Outcome(records, events, inflated, states, {**told, "versions": versions})


def run_fastfold(files: list[Path]) -> Outcome:
    """What ``fastfold fold`` does with one process."""
    from fastfold._core import Folder, Plan, decode
    from fastfold.folding import Gatherer
    from fastfold.schema import load_definition, load_schema
    from fastfold.states import to_json
    from fastfold.types import Limits

    definition = load_definition("process")
    limits = Limits()
    plan = Plan(load_schema("sysmon"), definition, limits)
    gatherer = Gatherer(Folder(plan), limits)
    records = events = inflated = 0
    for path in files:
        counts = gatherer.add(path, str(path))
        records += counts.records
        events += counts.events
        inflated += counts.bytes
    gatherer.flush()
    states = gatherer.payloads
    return Outcome(
        records, events, inflated, lambda: (to_json(decode(plan, states[key]), definition) for key in states)
    )


def run_reference(files: list[Path]) -> Outcome:
    """The definition of right; slow, only for checks."""
    from fastfold import reference
    from fastfold.schema import load_definition, load_schema
    from fastfold.states import to_json
    from fastfold.types import Limits

    schema, definition, limits = load_schema("sysmon"), load_definition("process"), Limits()
    events = []
    records = inflated = 0
    for path in files:
        reading = reference.read_lines(
            reference.inflate(path.read_bytes(), limits), schema, limits, definition.columns()
        )
        events += reading.events
        records += reading.counts.records
        inflated += reading.counts.bytes
    states = reference.fold_events(events, definition)
    return Outcome(records, len(events), inflated, lambda: (to_json(s, definition) for s in states.values()))


_FASTFOLD = ("fastfold._core", "fastfold.folding", "fastfold.schema", "fastfold.states")

CONTENDERS: dict[str, Contender] = {
    "stdlib": Contender("gzip + json + dict", ("gzip", "json", "fold_dicts"), (), run_stdlib),
    "orjson": Contender("isal + orjson + dict", ("isal", "orjson", "fold_dicts"), ("isal", "orjson"), run_orjson),
    "msgspec": Contender(
        "isal + msgspec structs + dict", ("isal", "msgspec", "fold_structs"), ("isal", "msgspec"), run_msgspec
    ),
    "pysimdjson": Contender(
        "isal + pysimdjson + dict", ("isal", "simdjson", "fold_dicts"), ("isal", "pysimdjson"), run_pysimdjson
    ),
    "polars": Contender("polars", ("polars", "fold_polars"), ("polars",), run_polars),
    "duckdb": Contender("DuckDB", ("duckdb", "fold_duckdb"), ("duckdb",), run_duckdb),
    "pyarrow": Contender("isal + pyarrow", ("isal", "pyarrow", "fold_arrow"), ("isal", "pyarrow"), run_pyarrow),
    "c++": Contender("C++: ISA-L + simdjson", ("native",), (), run_cpp, python=False),
    "fastfold": Contender("fastfold", _FASTFOLD, ("fastfold", "isal"), run_fastfold, python=False),
    "reference": Contender("fastfold.reference", ("fastfold.reference",), ("fastfold",), run_reference, python=False),
}

ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Environment of every contender; DuckDB and pyarrow are told by their own settings."""


def _canonical(states: Iterator[dict[str, Any]]) -> list[bytes]:
    """One line for each state, the same for equal states."""
    return sorted(json.dumps(state, sort_keys=True).encode() for state in states)


def memory_bytes(field: str) -> int:
    """``VmRSS`` or its peak ``VmHWM``; elsewhere than on Linux the peak for both."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Let the peak begin at what is resident now, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure(contender: Contender, files: list[Path], dump: Path | None) -> dict[str, Any]:
    """Run a contender in this process; the clock starts after its imports."""
    forget_peak()
    before_bytes = memory_bytes("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = contender.run(files)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    peak_bytes = memory_bytes("VmHWM") - before_bytes

    lines = _canonical(outcome.states())
    if dump:
        dump.write_bytes(b"\n".join(lines))
    return {
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "peak_bytes": peak_bytes,
        "records": outcome.records,
        "events": outcome.events,
        "inflated_bytes": outcome.inflated_bytes,
        "processes": len(lines),
        "digest": hashlib.sha256(b"\n".join(lines)).hexdigest(),
        **outcome.measured,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("list", type=Path)
    parser.add_argument("--dump", type=Path)
    arguments = parser.parse_args()
    os.environ.update(ONE_THREAD)
    contender = CONTENDERS[arguments.name]
    files = [Path(line) for line in arguments.list.read_text().splitlines()]
    try:
        for module in contender.modules:
            importlib.import_module(module)
        result = measure(contender, files, arguments.dump)
    except (ImportError, MissingError) as error:
        result = {"not_run": f"{error}"}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
