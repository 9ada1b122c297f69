"""One process that does the same thing again and again, and says how much memory that cost.

Run by `test_leak.py` in a fresh interpreter::

    python soak.py JOB FOLDER ROUNDS

The first rounds fill caches and free lists and do not count.  Prints the growth in bytes.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pyarrow

from fastfold._core import (
    EventFolder,
    EventPlan,
    Folder,
    ParsePlan,
    Parser,
    Plan,
    decode,
    encode,
    identity,
    merge,
    merge_group,
    name_host,
    state_keys,
)
from fastfold.api import States, fold, parse
from fastfold.detection.matching import Matcher
from fastfold.errors import CorruptValue, Reject
from fastfold.folding import fold_file, fold_with_events
from fastfold.inflate import open_inflater
from fastfold.rules.types import AnyOf, Rule, Step, Test
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits
from fastfold.values import Codec, ValueForm

WARM_ROUNDS = 20

schema, definition, limits = load_schema("sysmon"), load_definition("process"), Limits()


def folds(files: list[bytes]) -> Callable[[], None]:
    """One folder for all rounds, as a worker has it."""
    folder = Folder(Plan(schema, definition, limits))

    def once() -> None:
        for data in files:
            deltas = fold_file(folder, data, "file", limits)
            assert sum(len(host.payloads) for host in deltas) == len(deltas)

    return once


def plans(files: list[bytes]) -> Callable[[], None]:
    """A plan and a folder of its own for every file."""

    def once() -> None:
        for data in files:
            assert len(fold(data)) > 0

    return once


def parses(files: list[bytes]) -> Callable[[], None]:
    """Batches that outlive the next one, as numpy arrays and as strings."""
    plan = ParsePlan(schema, limits)

    def once() -> None:
        parser = Parser(plan)
        for data in files:
            inflater = open_inflater(data, limits)
            parser.begin()
            while count := inflater.readinto(parser.window()):
                parser.advance(count)
            batch = parser.finish()
            assert int(numpy.count_nonzero(batch.events["image"])) > 0
            assert batch.strings[1]

    return once


def matches(files: list[bytes]) -> Callable[[], None]:
    """Files folded with their events, and matched: by one matcher for all rounds, and by one of each round's own."""
    folder = EventFolder(EventPlan(schema, definition, limits))
    condition = AnyOf(
        (Test("image", "endswith", ".EXE"), Test("remote", "re", "4{2}"), Test("domain", "contains", "é"))
    )
    rules = [Rule("id", "0" * 16, "", "", "low", (), (), "count", (Step("one", condition),), 0, "process")]
    kept = Matcher(rules, marks_per_step=1)

    def once() -> None:
        for data in files:
            deltas, batch = fold_with_events(folder, data, "file", limits)
            assert len(deltas) > 0
            assert kept.match(batch) == Matcher(rules, marks_per_step=1).match(batch)

    return once


def payloads(files: list[bytes]) -> Callable[[], None]:
    """Merge, decode and encode, right and wrong ones."""
    plan = Plan(None, definition, limits)
    held = list(fold(files[0]).payloads.values())

    def once() -> None:
        for payload in held:
            assert encode(plan, decode(plan, merge(plan, payload, payload))) != b""
            for wrong in (payload[:-1], payload + b"\0", b""):
                try:
                    decode(plan, wrong)
                except CorruptValue:
                    continue
                raise AssertionError("a damaged payload was accepted")
        merge_group(plan, [None, *held[1:]], held)

    return once


def values(files: list[bytes]) -> Callable[[], None]:
    """Values written and read, by packers of each round's own, large ones and damaged ones among them."""
    payloads = list(fold(files[0]).payloads.values())
    large = b"a host record" * 200_000
    kept = Codec()

    def once() -> None:
        for codec in (kept, Codec(), Codec(ValueForm.load(0)), Codec(ValueForm.load(2, 3))):
            packed = codec.pack_all([*payloads, large])
            assert codec.unpack(packed[-1]) == large
            for host, payload, value in zip(map(identity, payloads), payloads, packed, strict=False):
                assert codec.unpack(value, None, host[:2]) == payload
            try:
                codec.unpack(packed[0][:-1], b"key", ("", "host"))
            except CorruptValue:
                continue
            raise AssertionError("a damaged value was accepted")
        assert len(state_keys(name_host("", "host", b"ff:")[1], ["process"] * 1000)) == 1000

    return once


def rejects(files: list[bytes]) -> Callable[[], None]:
    """Files that are refused at every stage, after much of them was folded."""
    folder = Folder(Plan(schema, definition, limits))
    small = Folder(Plan(schema, definition, Limits(processes=3)))
    data = files[0]
    middle = bytearray(data)
    middle[len(data) // 2] ^= 0xFF
    text = bytearray()
    inflater = open_inflater(data, limits)
    room = bytearray(1 << 20)
    while count := inflater.readinto(room):
        text += room[:count]
    broken = [
        data[:-1],
        data + b"junk",
        bytes(middle),
        bytes(text[:-5]),
        bytes(text) + b"{]",
        bytes(text) + b'{"a":"\x01"}',
    ]

    def refuse(used: Folder, wrong: bytes) -> None:
        try:
            fold_file(used, wrong, "file", limits)
        except Reject:
            return
        raise AssertionError("a broken file was accepted")

    def once() -> None:
        for wrong in broken:
            refuse(folder, wrong)
        refuse(small, data)

    return once


def tables(files: list[bytes]) -> Callable[[], None]:
    """Batches and states as Arrow tables: read, left unread, and broken."""
    batch, states = parse(files[0]), fold(files[0])
    payload = next(iter(states.payloads.values()))
    broken = States(definition, {("", "a", "1"): payload, ("", "b", "2"): payload[:-1]}, states.counts)

    def once() -> None:
        assert pyarrow.table(batch)["image"].null_count < len(batch)
        assert len(pyarrow.table(states)) == len(states)
        left = [batch.__arrow_c_stream__(), *batch.__arrow_c_array__(), states.__arrow_c_stream__()]
        assert len(left) == 4
        assert batch.strings[batch.events["image"]].size == len(batch)
        try:
            pyarrow.table(broken)
        except OSError:
            return
        raise AssertionError("a broken state was accepted")

    return once


JOBS = {
    "folds": folds,
    "plans": plans,
    "parses": parses,
    "matches": matches,
    "payloads": payloads,
    "rejects": rejects,
    "values": values,
    "tables": tables,
}


def resident_bytes() -> int:
    """Memory of this process, with nothing in it that can be collected."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    job, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    once = JOBS[job]([path.read_bytes() for path in sorted(folder.iterdir())])
    for _ in range(WARM_ROUNDS):
        once()
    before = resident_bytes()
    for _ in range(rounds):
        once()
    print(resident_bytes() - before)


if __name__ == "__main__":
    main()
