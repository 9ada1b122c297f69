"""The instruction sets of the token scanner, for tests that try them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

from fastfold._core import simd, use_simd
from fastfold.errors import ConfigError

SimdName = Literal["avx512", "avx2", "neon", "scalar"]
SIMD: tuple[SimdName, ...] = ("scalar", "avx2", "avx512", "neon")


@contextmanager
def using_simd(name: SimdName) -> Iterator[None]:
    """Scan with one of them; skips the test where this machine has it not."""
    before: SimdName = next(known for known in SIMD if known == simd())
    try:
        use_simd(name)
    except ConfigError:
        pytest.skip(f"this machine has no {name}")
    try:
        yield
    finally:
        use_simd(before)
