"""The units of states: decode, encode, merge, each over all processes of one generated file."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastfold._core import Folder, Plan, decode, encode, identity, merge, merge_group
from fastfold.folding import fold_file
from fastfold.types import Limits


@pytest.fixture(scope="module")
def plan(schema: Any, definition: Any, limits: Limits) -> Plan:
    return Plan(schema, definition, limits)


@pytest.fixture(scope="module")
def payloads(plan: Plan, stored: bytes, limits: Limits) -> list[bytes]:
    return [payload for host in fold_file(Folder(plan), stored, "generated", limits) for payload in host.payloads]


def test_decode(benchmark: BenchmarkFixture, plan: Plan, payloads: list[bytes]) -> None:
    states = benchmark(lambda: [decode(plan, payload) for payload in payloads])
    assert len(states) == len(payloads)


def test_encode(benchmark: BenchmarkFixture, plan: Plan, payloads: list[bytes]) -> None:
    states = [decode(plan, payload) for payload in payloads]
    assert benchmark(lambda: [encode(plan, state) for state in states]) == payloads


def test_identity(benchmark: BenchmarkFixture, payloads: list[bytes]) -> None:
    assert len(set(benchmark(lambda: [identity(payload) for payload in payloads]))) == len(payloads)


def test_merge(benchmark: BenchmarkFixture, plan: Plan, payloads: list[bytes]) -> None:
    merged = benchmark(lambda: [merge(plan, payload, payload) for payload in payloads])
    assert len(merged) == len(payloads)


def test_merge_of_a_group(benchmark: BenchmarkFixture, plan: Plan, payloads: list[bytes]) -> None:
    currents: list[bytes | None] = list(payloads)
    assert len(benchmark(merge_group, plan, currents, payloads)) == len(payloads)
