"""Files to deltas: inflate, parse and fold, window by window over one buffer.

This is the pipeline without servers.  Nothing of a file is given out before its last byte has been inflated,
checked, parsed and folded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastfold._core import Batch, Deltas, EventFolder, Folder, Inflater, Plan, Reader, merge_group
from fastfold.errors import Reject
from fastfold.inflate import Inflate, open_inflater
from fastfold.types import FoldCounts, Limits

__all__ = ["Content", "Gatherer", "Identity", "fold_file", "fold_with_events", "in_file", "merge_into", "read_file"]

Identity = tuple[str, str, str]

Content = bytes | memoryview | os.PathLike[str]
"""What is in a batch file, as stored (gzip, zstd or plain NDJSON), or where it is."""

_HELD_BYTES = 16 << 20
_HELD_FILES = 256


def fold_file(folder: Folder, data: Content, name: str, limits: Limits) -> Deltas:
    """Fold one file.

    Parameters
    ----------
    folder : Folder
        Used for one file after the other; owned by the calling thread.
    data : bytes, memoryview or path
        The whole file as stored: gzip, zstd or plain NDJSON.
    name : str
        What to call the file in an error; may be empty.
    limits : Limits

    Returns
    -------
    Deltas

    Raises
    ------
    Reject
        With file, line and byte offset; nothing of the file is given out.
    """
    folder.begin()
    with in_file(name):
        read_file(folder, data, limits)
        return folder.finish()


def fold_with_events(folder: EventFolder, data: Content, name: str, limits: Limits) -> tuple[Deltas, Batch]:
    """Fold one file and keep its events, for rules.

    As `fold_file`; the file is parsed once.  The events take 80 bytes each: a file with many small records needs up to
    twice the memory of its inflated text.

    Returns
    -------
    tuple of (Deltas, Batch)
    """
    folder.begin()
    with in_file(name):
        read_file(folder, data, limits)
        return folder.finish()


@contextmanager
def in_file(name: str) -> Iterator[None]:
    """Say in a reject which file it is, where that is known."""
    try:
        yield
    except Reject as reject:
        raise (reject.at(name) if name else reject) from None


def read_file(reader: Reader, data: Content, limits: Limits) -> None:
    """Parse, and with a folder fold, all of a file but a last line without a line feed; it has begun already.

    Raises
    ------
    Reject
    OSError
        The file cannot be read.
    """
    if isinstance(data, os.PathLike):
        with Path(data).open("rb") as opened:
            _read(reader, open_inflater(opened, limits))
    else:
        _read(reader, open_inflater(data, limits))


def _read(reader: Reader, inflater: Inflate) -> None:
    if isinstance(inflater, Inflater) and (text := inflater.plain()) is not None:
        reader.feed(text)
        return
    while count := inflater.readinto(reader.window()):
        reader.advance(count)


class Gatherer:
    """Folds many files into one set of states.

    Files are folded on top of each other, so that a process costs its encoding once and not once a file.  What
    is held is bounded: now and then it is encoded and merged into the payloads.  A file that is refused leaves
    nothing behind: what it did cannot be taken back, so the files held with it are folded again without it.

    Parameters
    ----------
    folder : Folder
        Owned by the calling thread; the gatherer alone uses it meanwhile.
    limits : Limits

    Attributes
    ----------
    payloads : dict of (str, str, str) to bytes
        By tenant, host and process; complete after `flush`.
    """

    def __init__(self, folder: Folder, limits: Limits) -> None:
        self.payloads: dict[Identity, bytes] = {}
        self._folder = folder
        self._limits = limits
        self._held: list[Content] = []

    def add(self, data: Content, name: str = "") -> FoldCounts:
        """Fold one more file.

        Parameters
        ----------
        data : bytes, memoryview or path
            Must stay as it is until the next `flush`.
        name : str
            What to call the file in an error.

        Raises
        ------
        Reject
            With file, line and byte offset; nothing of the file is gathered.
        OSError
            The file cannot be read.
        """
        try:
            with in_file(name):
                counts = self._fold(data)
        except (Reject, OSError):
            if not self._held:
                raise
            self._fold_held_again()
            with in_file(name):
                counts = self._fold(data)
        self._held.append(data)
        if self._folder.held_bytes > _HELD_BYTES or len(self._held) >= _HELD_FILES:
            self.flush()
        return counts

    def flush(self) -> None:
        """Bring what is held into `payloads`."""
        if self._held:
            for host in self._folder.take():
                names = [(host.tenant, host.host, process) for process in host.processes]
                merge_into(self.payloads, self._folder.plan, names, host.payloads)
            self._held.clear()

    def _fold(self, data: Content) -> FoldCounts:
        if self._held:
            self._folder.go_on()
        else:
            self._folder.begin()
        read_file(self._folder, data, self._limits)
        return self._folder.end()

    def _fold_held_again(self) -> None:
        held, self._held = self._held, []
        for data in held:
            self._fold(data)
            self._held.append(data)
        self.flush()


def merge_into(payloads: dict[Identity, bytes], plan: Plan, names: Sequence[Identity], deltas: Sequence[bytes]) -> None:
    """Merge the payloads of states, by tenant, host and process, into others."""
    both = [number for number, name in enumerate(names) if name in payloads]
    merged = merge_group(plan, [payloads[names[number]] for number in both], [deltas[number] for number in both])
    payloads.update(zip(names, deltas, strict=True))
    payloads.update((names[number], payload) for number, payload in zip(both, merged, strict=True))
