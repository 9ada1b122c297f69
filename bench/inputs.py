"""The files that the contenders get: real ones, the same with their lines mixed across hosts, or generated ones."""

from __future__ import annotations

import gzip
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["ROOT", "generate", "list_files", "real_folder", "shuffle", "warm"]

ROOT = Path(__file__).resolve().parent.parent

_SUFFIX = ".json.gz"
_WAYS = 32
"""Files that are mixed at a time: far more hosts than any one of them has."""
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
    """The same lines in new files, each line drawn from one of many files at random.

    Lines of one file stay in order, as collectors deliver them; neighbours are of different hosts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for text in _mixed(files, random.Random(seed)):
        made.append(folder / f"shuffled-{len(made):04d}.json.gz")
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        with made[-1].open("wb") as file:
            for line in text:
                file.write(packer.compress(line))
            file.write(packer.flush())
    return made


def _mixed(files: Sequence[Path], dice: random.Random) -> Iterator[list[bytes]]:
    """Lines in lots of about `_FILE_BYTES`."""
    waiting = list(files)
    dice.shuffle(waiting)
    readers: list[Iterator[bytes]] = []
    lot: list[bytes] = []
    size = 0
    while waiting or readers:
        while waiting and len(readers) < _WAYS:
            readers.append(_lines(waiting.pop()))
        which = dice.randrange(len(readers))
        line = next(readers[which], None)
        if line is None:
            readers[which] = readers[-1]
            readers.pop()
            continue
        lot.append(line)
        size += len(line)
        if size >= _FILE_BYTES:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        for line in file:
            yield line if line.endswith(b"\n") else line + b"\n"


def warm(files: Sequence[Path]) -> int:
    """Read all files once, so that no contender pays for the disk; their bytes as stored."""
    return sum(len(path.read_bytes()) for path in files)
