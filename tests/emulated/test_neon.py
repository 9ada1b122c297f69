"""The NEON scanner, on an emulated processor where this one has none: equal to the scalar one."""

from __future__ import annotations

import gzip
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from fastfold.generate import Corpus, write
from repo.project import PACKAGE
from sysmon import FEW

ON_ARM = platform.machine() in ("aarch64", "arm64")
COMPILER = "cc" if ON_ARM else "aarch64-linux-gnu-gcc"
NEEDED = [COMPILER] if ON_ARM else [COMPILER, "qemu-aarch64"]
MISSING = [name for name in NEEDED if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def compile_with(core: Path, made: Path) -> list[str]:
    """The comparison, compiled with the headers of a folder; how to run it."""
    source = Path(__file__).with_name("scan_neon.c")
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", f"-I{core.parent}"]
    subprocess.run([COMPILER, *flags, str(source), "-o", str(made)], check=True)
    return [str(made)] if ON_ARM else ["qemu-aarch64", str(made)]


def compare(program: list[str], text: Path, texts: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*program, str(text), "11", str(texts)], stdout=subprocess.PIPE, text=True, check=False)


def test_neon_finds_what_the_scalar_scanner_finds(tmp_path: Path) -> None:
    ((generated, _),) = write(Corpus(files=1, hosts=2, processes=20, seed=7), tmp_path)
    text = tmp_path / "text.json"
    text.write_bytes(gzip.decompress(generated.read_bytes()) + FEW)
    done = compare(compile_with(PACKAGE / "core", tmp_path / "compare"), text, 20_000)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("20000 texts and a file of ")
    assert done.stdout.endswith("no difference\n")


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    """The same comparison with a scanner to which a slash escapes."""
    core = tmp_path / "core"
    shutil.copytree(PACKAGE / "core", core)
    neon = core / "scan_neon.h"
    broken = neon.read_text().replace(r"ff_equal_neon(bytes, '\\')", "ff_equal_neon(bytes, '/')")
    assert broken != neon.read_text()
    neon.write_text(broken)
    text = tmp_path / "text.json"
    text.write_bytes(FEW)
    done = compare(compile_with(core, tmp_path / "compare"), text, 10)
    assert done.returncode == 1
    assert done.stdout.startswith("difference: ")
