"""Several threads in the core at once: right results, and no thread waits for another.

How much faster two threads are is measured by ``bench/threads.py``; nothing here looks at a clock.
"""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy
import pyarrow
import pytest

import fastfold
from fastfold._core import Folder, Inflater, ParsePlan, Parser, Plan, merge_group
from fastfold.generate import Corpus, write
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits
from sysmon import FEW, line

TRIES = 400
PLAN = Plan(load_schema("sysmon"), load_definition("process"), Limits())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("batches")
    return [path.read_bytes() for path, _ in write(Corpus(files=6, hosts=6, processes=12, events=8), folder)]


def test_files_parsed_at_once_give_what_each_gives_alone(files: list[bytes]) -> None:
    alone = [fastfold.parse(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for batch, expected in zip(pool.map(fastfold.parse, files * 8), alone * 8, strict=True):
            assert numpy.array_equal(batch.events, expected.events)
            assert batch.strings.text == expected.strings.text
            assert batch.processes == expected.processes


def test_files_folded_at_once_give_what_each_gives_alone(files: list[bytes]) -> None:
    alone = [fastfold.fold(data).payloads for data in files]
    with ThreadPoolExecutor(4) as pool:
        assert [states.payloads for states in pool.map(fastfold.fold, files * 8)] == alone * 8
        tables = list(pool.map(pyarrow.table, pool.map(fastfold.fold, files * 4)))
    assert [len(table) for table in tables] == [len(payloads) for payloads in alone * 4]


# One thread goes through a door of the core with work for some milliseconds, and stays in it; the other goes in
# and out with little.  Threads do not take the GIL from each other here: they have it until they give it up.


@pytest.fixture
def patient() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def much() -> bytes:
    return b"".join(line(11, f"{number}", TargetFilename=f"C:\\{number}" * 8) for number in range(30_000))


def inflate(much: bytes) -> Iterator[Callable[[], object]]:
    packed, room = gzip.compress(much, 1), bytearray(len(much))
    while True:
        yield partial(Inflater(packed, Limits()).readinto, room)


def advance(much: bytes) -> Iterator[Callable[[], object]]:
    parser = Parser(ParsePlan(load_schema("sysmon"), Limits()), len(much))
    while True:
        parser.begin()
        parser.window()[: len(much)] = much
        yield lambda: parser.advance(len(much))


def finish(much: bytes) -> Iterator[Callable[[], object]]:
    # The record in the window is parsed at the end, and it is a long one.
    parser = Parser(ParsePlan(load_schema("sysmon"), Limits(record_bytes=1 << 23)), 1 << 23)
    long = line(11, TargetFilename="x" * (1 << 22))[:-1]
    while True:
        parser.begin()
        parser.window()[: len(long)] = long
        parser.advance(len(long))
        yield parser.finish


def merge(much: bytes) -> Iterator[Callable[[], object]]:
    payloads = list(fastfold.fold(much).payloads.values())
    while True:
        yield lambda: merge_group(PLAN, payloads, payloads)


@pytest.mark.parametrize("door", [inflate, advance, finish, merge])
@pytest.mark.usefixtures("patient")
def test_another_thread_goes_in_and_out_meanwhile(
    door: Callable[[bytes], Iterator[Callable[[], object]]], much: bytes
) -> None:
    passed, ended = count(), threading.Event()

    def go_in_and_out() -> None:
        folder = Folder(PLAN)
        while not ended.is_set():
            folder.begin()
            folder.window()[: len(FEW)] = FEW
            folder.advance(len(FEW))
            assert len(folder.finish()) == 2
            next(passed)

    other = threading.Thread(target=go_in_and_out)
    work = door(much)
    next(work)
    other.start()
    try:
        seen = False
        for _ in range(TRIES):
            stay = next(work)
            before = next(passed)
            stay()
            seen = next(passed) > before + 1
            if seen:
                break
    finally:
        ended.set()
        other.join()
    assert seen, f"nobody else was in the core during {TRIES} calls"
