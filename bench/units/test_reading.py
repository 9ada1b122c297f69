"""The units that read: inflate, scan, walk, time, texts, parse, fold.

The core is one pass, so most units are measured by an input that is nearly all theirs.  Each benchmark
says its bytes, so that rates can be compared.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from records import lines, text_of

from fastfold._core import Folder, Inflater, ParsePlan, Parser, Plan
from fastfold.inflate import open_inflater
from fastfold.types import Limits

Dice = random.Random


def _long(dice: Dice, _: int) -> str:
    return "x" * dice.randrange(8000, 16000)


def _escaped(dice: Dice, _: int) -> str:
    return 'C:\\Program "Files"\n' * dice.randrange(200, 400)


def _foreign(dice: Dice, _: int) -> str:
    return "Öffnen und Schließen der Tür " * dice.randrange(100, 200)


def _nested(dice: Dice, _: int) -> list[Any]:
    return [{"a": [1, 2.5, True, None], "b": {"c": ""}} for _ in range(dice.randrange(100, 200))]


def _time(_: Dice, number: int) -> str:
    second, milli = divmod(number, 1000)
    return f"2026-01-02 {second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.{milli:03}"


def _new(dice: Dice, number: int) -> str:
    return f"C:\\Users\\{dice.randrange(1 << 32):08x}\\file-{number}.tmp"


def _known(dice: Dice, _: int) -> str:
    return f"C:\\Users\\file-{dice.randrange(1000)}.tmp"


def _guid(dice: Dice, _: int) -> str:
    return f"{{5a8f94a3-7fd0-65e5-{dice.randrange(1 << 14):04x}-000000000700}}"


INPUTS: dict[str, Callable[[], dict[str, Any]]] = {
    "scan: long strings": lambda: {"Message": _long},
    "scan: escapes": lambda: {"Message": _escaped},
    "scan: UTF-8": lambda: {"Message": _foreign},
    "walk: nested values that are skipped": lambda: {"Extra": _nested},
    "time: another one in each record": lambda: {"UtcTime": _time},
    "texts: known, in no order": lambda: {"TargetFilename": _known},
    "texts: new in each record": lambda: {"TargetFilename": _new},
    "processes: 16,384": lambda: {"ProcessGuid": _guid},
    "nothing changes": dict,
}


def _feed(reader: Any, data: bytes, limits: Limits) -> None:
    inflater = open_inflater(data, limits)
    reader.begin()
    while count := inflater.readinto(reader.window()):
        reader.advance(count)


def _read(reader: Any, data: bytes, limits: Limits) -> Any:
    _feed(reader, data, limits)
    return reader.finish()


def test_inflate(benchmark: BenchmarkFixture, stored: bytes, limits: Limits) -> None:
    window = memoryview(bytearray(256 << 10))

    def inflate() -> int:
        inflater = Inflater(stored, limits)
        made = 0
        while count := inflater.readinto(window):
            made += count
        return made

    benchmark.extra_info["bytes"] = len(gzip.decompress(stored))
    assert benchmark(inflate) == benchmark.extra_info["bytes"]


@pytest.mark.parametrize("name", INPUTS)
def test_parse_of_one_kind(benchmark: BenchmarkFixture, name: str, schema: Any, limits: Limits) -> None:
    text = text_of(lines(**INPUTS[name]()))
    parser = Parser(ParsePlan(schema, limits))
    benchmark.extra_info["bytes"] = len(text)
    batch = benchmark(_read, parser, text, limits)
    assert len(batch) == text.count(b"\n")


@pytest.mark.parametrize("name", ["texts: known, in no order", "processes: 16,384", "nothing changes"])
def test_fold_of_one_kind(benchmark: BenchmarkFixture, name: str, schema: Any, definition: Any, limits: Limits) -> None:
    text = text_of(lines(**INPUTS[name]()))
    folder = Folder(Plan(schema, definition, limits))
    benchmark.extra_info["bytes"] = len(text)
    deltas = benchmark(_read, folder, text, limits)
    assert deltas.counts.events == text.count(b"\n")


def test_parse_of_a_generated_file(benchmark: BenchmarkFixture, stored: bytes, schema: Any, limits: Limits) -> None:
    text = gzip.decompress(stored)
    parser = Parser(ParsePlan(schema, limits))
    benchmark.extra_info["bytes"] = len(text)
    assert len(benchmark(_read, parser, text, limits)) > 1000


def test_fold_of_a_generated_file(
    benchmark: BenchmarkFixture, stored: bytes, schema: Any, definition: Any, limits: Limits
) -> None:
    text = gzip.decompress(stored)
    folder = Folder(Plan(schema, definition, limits))
    benchmark.extra_info["bytes"] = len(text)
    assert benchmark(_read, folder, text, limits).counts.events > 1000


def test_encode_of_all_deltas(
    benchmark: BenchmarkFixture, stored: bytes, schema: Any, definition: Any, limits: Limits
) -> None:
    folder = Folder(Plan(schema, definition, limits))
    # The end of a file is where its deltas are encoded; one reading ends once.
    deltas = benchmark.pedantic(folder.finish, setup=lambda: _feed(folder, stored, limits), rounds=20)
    assert len(list(deltas)) == 50
