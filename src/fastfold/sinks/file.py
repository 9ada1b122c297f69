"""Sinks on this machine: a file that grows by a line for each alert, and standard output.

The workers of a pod write to one file, each through a descriptor of its own.  A batch of lines is written under an
advisory lock of the whole file, so lines never mix::

    lock  ->  is the path still this file?  ->  does it end with a line feed?  ->  write  ->  fsync  ->  unlock

* A path that leads elsewhere by now (rotation by renaming, as logrotate does it) is opened anew, and made if need be.
* A line that a killed worker left unfinished gets a line feed first: it alone cannot be read, none after it.
* What could not be written whole, on a disk that is full, is taken back, and counts as not taken.

Standard output is locked in the same way: the workers of a pod share it, and a pipe takes more than 4 KiB in pieces.
Where it cannot be opened once more (it is a socket, or the system is not Linux) there is no lock.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fastfold.errors import ConfigError, Unavailable
from fastfold.sinks.types import TAKEN, Answer, FileFacts, Parcel

__all__ = ["FileSink", "StdoutSink"]

_BATCH = 100
_MODE = 0o640
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class FileSink:
    """Appends to a file.

    Parameters
    ----------
    facts : FileFacts

    Raises
    ------
    ConfigError
        If the path cannot be opened for writing, or is no file.
    """

    most = _BATCH

    def __init__(self, facts: FileFacts) -> None:
        self._path = facts.path
        self._sync = facts.sync
        try:
            self._file = self._open()
        except Unavailable as error:
            raise ConfigError(str(error)) from None

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        """Write a line for each parcel.

        Raises
        ------
        Unavailable
            If the file cannot be written to; nothing is left of the lines then.
        """
        lines = b"".join(parcel.body + b"\n" for parcel in parcels)
        try:
            with self._locked():
                self._append(lines)
        except OSError as error:
            raise Unavailable(self._path, error.strerror or str(error)) from None
        return [TAKEN] * len(parcels)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the file that the path leads to now."""
        while True:
            file = self._file
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if self._is_current():
                    yield
                    return
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
            self._file = self._open()
            os.close(file)

    def _is_current(self) -> bool:
        ours = os.fstat(self._file)
        try:
            there = Path(self._path).stat()
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _append(self, lines: bytes) -> None:
        size_bytes = os.fstat(self._file).st_size
        if size_bytes and os.pread(self._file, 1, size_bytes - 1) != b"\n":
            lines = b"\n" + lines
        try:
            _write_all(self._file, lines)
            if self._sync:
                os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size_bytes)
            raise

    def _open(self) -> int:
        try:
            file = os.open(self._path, _FLAGS, _MODE)
        except OSError as error:
            raise Unavailable(self._path, error.strerror or str(error)) from None
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise Unavailable(self._path, "is no file")
        if self._sync:
            _sync_folder(self._path)
        return file


class StdoutSink:
    """Writes to standard output.

    Parameters
    ----------
    output : int
        File descriptor.
    """

    most = _BATCH

    def __init__(self, output: int = 1) -> None:
        self._output = output
        self._lock: int | None = None
        with suppress(OSError):
            # Opened, not copied: a lock belongs to an open file, and workers inherit the same one.
            self._lock = os.open(f"/proc/self/fd/{output}", os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        """Write a line for each parcel.

        Raises
        ------
        Unavailable
            If nobody reads.
        """
        try:
            if self._lock is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                for parcel in parcels:
                    _write_all(self._output, parcel.body + b"\n")
            finally:
                if self._lock is not None:
                    fcntl.flock(self._lock, fcntl.LOCK_UN)
        except OSError as error:
            raise Unavailable("standard output", error.strerror or str(error)) from None
        return [TAKEN] * len(parcels)

    def close(self) -> None:
        """Close what is ours; standard output is not."""
        if self._lock is not None:
            os.close(self._lock)


def _sync_folder(path: str) -> None:
    """See that the name of a new file is on the disk too."""
    folder = os.open(Path(path).parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
