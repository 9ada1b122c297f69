"""The real files through windows of every size: what fits into one must not matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastfold._core import Folder, Plan, merge
from fastfold.inflate import open_inflater
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits
from otrf import Identity

pytestmark = [pytest.mark.real_files, pytest.mark.timeout(240)]

LIMITS = Limits()


@pytest.mark.parametrize("window_bytes", [4 << 10, 64 << 10, 1 << 20, 4 << 20])
def test_states_do_not_depend_on_the_window(
    window_bytes: int, otrf_files: list[Path], otrf_payloads: dict[Identity, bytes]
) -> None:
    plan = Plan(load_schema("sysmon"), load_definition("process"), LIMITS)
    folder = Folder(plan, window_bytes)
    states: dict[Identity, bytes] = {}
    for path in otrf_files:
        inflater = open_inflater(path.read_bytes(), LIMITS)
        folder.begin()
        while count := inflater.readinto(folder.window()):
            folder.advance(count)
        for host in folder.finish():
            for process, payload in zip(host.processes, host.payloads, strict=True):
                identity = (host.tenant, host.host, process)
                states[identity] = merge(plan, states[identity], payload) if identity in states else payload
    assert states == otrf_payloads
