"""The files that the contenders get: real ones, the same with their lines mixed across hosts, or generated ones."""

from __future__ import annotations

import gzip
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

__all__ = ["ROOT", "generate", "list_files", "real_folder", "shuffle", "warm"]

ROOT = Path(__file__).resolve().parent.parent

_SUFFIX = ".json.gz"
_FILE_BYTES = 32 << 20
"""Text of one mixed file."""


def real_folder() -> Path:
    """The folder of the OTRF files; `FASTFOLD_OTRF` overrides."""
    return Path(os.environ.get("FASTFOLD_OTRF") or ROOT.parent / "shared" / "data" / "otrf")


def list_files(names: Sequence[Path]) -> list[Path]:
    """Files as named, and those of folders in order of their names.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    files: list[Path] = []
    for name in names:
        if name.is_dir():
            files += sorted(path for path in name.iterdir() if path.name.endswith(_SUFFIX))
        elif name.exists():
            files.append(name)
    if not files:
        raise FileNotFoundError(f"no batch files in {', '.join(map(str, names))}")
    return files


def generate(folder: Path, seed: int, files: int) -> list[Path]:
    """Seeded files of 200 hosts, as `fastfold generate` makes them, with some records of other channels."""
    from fastfold.generate import Corpus, write

    corpus = Corpus(files=files, hosts=200, hosts_per_file=50, processes=25, events=8, others=0.2, seed=seed)
    return [path for path, _ in write(corpus, folder)]


def shuffle(files: Sequence[Path], folder: Path, seed: int) -> list[Path]:
    """The same lines in new files, in an order in which every other one was as likely.

    A feed of many hosts is like this: neighbours are of different hosts, so gzip finds less to repeat.
    Lines are dealt into lots first, and each lot is mixed by itself: no more than one is in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(seed)
    count = sum(_inflated_bytes(path) for path in files) // _FILE_BYTES + 1
    lots = [folder / f"lot-{number:04d}" for number in range(count)]
    with ExitStack() as stack:
        opened = [stack.enter_context(lot.open("wb")) for lot in lots]
        for path in files:
            for line in _lines(path):
                dice.choice(opened).write(line)
    made = []
    for number, lot in enumerate(lots):
        lines = lot.read_bytes().splitlines(keepends=True)
        lot.unlink()
        dice.shuffle(lines)
        if lines:
            made.append(folder / f"shuffled-{number:04d}{_SUFFIX}")
            made[-1].write_bytes(_pack(lines))
    return made


def _pack(lines: Sequence[bytes]) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return b"".join([*map(packer.compress, lines), packer.flush()])


def _inflated_bytes(path: Path) -> int:
    """What the end of a gzip file says of its size."""
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        for line in file:
            yield line if line.endswith(b"\n") else line + b"\n"


def warm(files: Sequence[Path]) -> int:
    """Read all files once, so that no contender pays for the disk; their bytes as stored."""
    return sum(len(path.read_bytes()) for path in files)
