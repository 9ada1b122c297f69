"""The C++ programs of the benchmark: where their libraries are on this machine, and how they are built.

Nothing of simdjson or ISA-L is part of this project.  simdjson is taken, newest first, from the folder
that `SIMDJSON` names, from the source of the package fastsimdjson, which holds it and which pip fetches
into build/, or from the installed package pysimdjson.  ISA-L is the system's libisal-dev.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

from inputs import ROOT

__all__ = ["MissingError", "build_parse", "build_whole_job"]

SOURCES = ROOT / "bench" / "cpp"
BUILT = ROOT / "build" / "bench"

_PACKAGE = "fastsimdjson==0.8.0"
# One kernel, chosen by the compiler: what simdjson asks of a program that runs where it was built.
_FLAGS = ["-O3", "-march=native", "-std=c++17", "-DNDEBUG", "-DSIMDJSON_THREADS_ENABLED=0"]


class MissingError(Exception):
    """Something that a C++ program needs is not on this machine; the text says what."""


def build_parse() -> Path:
    """The program that parses with simdjson.

    Raises
    ------
    MissingError
    """
    return _link("simdjson_parse", ["simdjson_parse.cpp", "sysmon.hpp"], [])


def build_whole_job() -> Path:
    """The program that does the whole job with ISA-L and simdjson.

    Raises
    ------
    MissingError
    """
    check = "#include <isa-l.h>\nint main() { inflate_state s; isal_inflate_init(&s); }\n"
    probe = subprocess.run(
        [_compiler(), "-x", "c++", "-", "-lisal", "-o", os.devnull],
        input=check,
        text=True,
        capture_output=True,
        check=False,
    )
    if probe.returncode != 0:
        raise MissingError("ISA-L is not there (apt-get install libisal-dev)")
    return _link("whole_job", ["whole_job.cpp", "fold.hpp", "sysmon.hpp"], ["-lisal"])


def _compiler() -> str:
    name = os.environ.get("CXX", "c++")
    if shutil.which(name) is None:
        raise MissingError(f"no C++ compiler: {name}")
    return name


def _link(name: str, sources: list[str], libraries: list[str]) -> Path:
    """Compile one program, once for each state of its sources and of the compiler."""
    folder = _simdjson()
    compiler = _compiler()
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.blake2b(f"{compiler} {said} {_FLAGS} {version(folder)}".encode(), digest_size=8)
    library = BUILT / f"simdjson-{digest.hexdigest()}.o"
    for source in sources:
        digest.update((SOURCES / source).read_bytes())
    program = BUILT / f"{name}-{digest.hexdigest()}"
    BUILT.mkdir(parents=True, exist_ok=True)
    if not library.exists():
        _run([compiler, *_FLAGS, "-c", str(folder / "simdjson.cpp")], library)
    if not program.exists():
        _run([compiler, *_FLAGS, f"-I{folder}", str(SOURCES / sources[0]), str(library), *libraries], program)
    return program


def _run(command: list[str], made: Path) -> None:
    unfinished = made.with_suffix(f".{os.getpid()}")
    done = subprocess.run([*command, "-o", str(unfinished)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingError(f"does not compile: {' '.join(command)}\n{done.stderr[-2000:]}")
    unfinished.rename(made)


def version(folder: Path) -> str:
    """The version of the simdjson in a folder."""
    with (folder / "simdjson.h").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if found := re.match(r'#define SIMDJSON_VERSION "([\d.]+)"', line):
                return found[1]
    raise MissingError(f"{folder}/simdjson.h tells no version")


def _simdjson() -> Path:
    """A folder with simdjson.h and simdjson.cpp."""
    named = os.environ.get("SIMDJSON")
    folders = [Path(named)] if named else [BUILT / "simdjson"]
    if not named:
        if not _holds(folders[0]):
            _fetch(folders[0])
        spec = find_spec("simdjson")
        folders += [Path(place) for place in (spec and spec.submodule_search_locations) or []]
    for folder in folders:
        if _holds(folder):
            return folder
    raise MissingError(f"no simdjson.h and simdjson.cpp in {', '.join(map(str, folders))} (SIMDJSON names a folder)")


def _holds(folder: Path) -> bool:
    return (folder / "simdjson.h").exists() and (folder / "simdjson.cpp").exists()


def _fetch(folder: Path) -> None:
    """The two files out of the package's source; nothing where there is no network."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "download", *options, _PACKAGE], capture_output=True, check=False)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as members:
            for member in members:
                name = Path(member.name).name
                if name in {"simdjson.h", "simdjson.cpp"} and (file := members.extractfile(member)) is not None:
                    (folder / name).write_bytes(file.read())
        archive.unlink()
