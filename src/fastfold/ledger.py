"""The host record: which batches a host's states already hold.  And the chunk rule that cuts a host.

An entry says "this chunk of this batch is applied".  It is written in the same EXEC as the states,
so that a batch is applied to them once whatever happens: a second delivery, a lost reply and two
workers on one file all find the entry.  Entries go by batch time only, when they are older than
the newest less the window; never by arrival and never by the wall clock, so that the record's
bytes do not depend on the order in which batches came.  A batch that old is *late*: its entry may
be gone already, so nobody can tell whether it was applied, and it is refused.

Payload of the record (`fastfold.store` gives it its outer form)::

    varint n, tenant | varint n, host | varint count
    count x ( varint time in ms, the first whole, then the difference | 8 bytes batch id
              | u8 chunk bits | varint chunk index )          ordered by (time, id, bits, index)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from fastfold.errors import CorruptValue
from fastfold.store import encode_varint, process_digest
from fastfold.types import BatchId

__all__ = ["CHUNK_PROCESSES", "Chunk", "HostRecord", "LedgerEntry", "cut_chunks", "read_text", "read_varint"]

CHUNK_PROCESSES = 256
"""Most processes in one transaction: an EXEC blocks the server.  Part of the format: never change."""

_TAG_BITS = 64
_ID_BYTES = 8


class LedgerEntry(NamedTuple):
    """One applied chunk of one batch; entries sort in the order of the record."""

    time_ms: int
    id: bytes
    bits: int
    chunk_index: int


@dataclass(frozen=True, slots=True)
class HostRecord:
    """The ledger of a host.

    Attributes
    ----------
    tenant, host : str
        The identity.
    entries : tuple of LedgerEntry
        In ascending order.
    """

    tenant: str
    host: str
    entries: tuple[LedgerEntry, ...] = field(default=())

    def behind_ms(self, batch: BatchId) -> int:
        """How far a batch lies behind the newest entry; negative for one that is newer."""
        return self.entries[-1].time_ms - batch.time_ms if self.entries else 0

    def bits_of(self, batch: BatchId) -> int | None:
        """The chunk bits this batch was begun with, or ``None`` if no chunk of it is applied."""
        # By the id alone: an object copied onto itself has a new time, and was applied all the same.
        return next((entry.bits for entry in self.entries if entry.id == batch.id), None)

    def has(self, batch: BatchId, bits: int = 0, chunk_index: int = 0) -> bool:
        """Whether this chunk of the batch is applied."""
        wanted = (batch.id, bits, chunk_index)
        return any(entry[1:] == wanted for entry in self.entries)

    def with_entry(self, batch: BatchId, window_ms: int, bits: int = 0, chunk_index: int = 0) -> HostRecord:
        """The record with one more entry, and without those that it makes too old.

        Parameters
        ----------
        batch : BatchId
        window_ms : int
            Entries older than the newest less this are left out.
        bits, chunk_index : int
            The chunk.
        """
        entry = LedgerEntry(batch.time_ms, batch.id, bits, chunk_index)
        place = bisect_left(self.entries, entry)
        entries = (*self.entries[:place], entry, *self.entries[place:])
        oldest = LedgerEntry(entries[-1].time_ms - window_ms, b"", 0, 0)
        return replace(self, entries=entries[bisect_left(entries, oldest) :])

    def encode(self) -> bytes:
        """The payload to store."""
        encoded = bytearray()
        for text in (self.tenant, self.host):
            identity = text.encode()
            encoded += encode_varint(len(identity)) + identity
        encoded += encode_varint(len(self.entries))
        before_ms = 0
        for time_ms, batch, bits, chunk_index in self.entries:
            step_ms = time_ms - before_ms
            while step_ms > 0x7F:
                encoded.append(step_ms & 0x7F | 0x80)
                step_ms >>= 7
            encoded.append(step_ms)
            encoded += batch
            encoded.append(bits)
            encoded += encode_varint(chunk_index) if chunk_index else b"\0"
            before_ms = time_ms
        return bytes(encoded)

    @classmethod
    def decode(cls, payload: bytes) -> HostRecord:
        """The record of a stored payload.

        Raises
        ------
        CorruptValue
            Without a key, which the caller knows.  Only what `encode` writes is accepted.
        """
        try:
            return cls._decode(payload)
        except IndexError:
            raise CorruptValue("truncated", offset=len(payload)) from None

    @classmethod
    def _decode(cls, payload: bytes) -> HostRecord:
        # Read by every commit, some hundred entries long: bytes are taken in place, without a reader.
        tenant, at = read_text(payload, 0)
        host, at = read_text(payload, at)
        count, at = read_varint(payload, at)
        entries: list[LedgerEntry] = []
        time_ms = 0
        before: LedgerEntry | None = None
        for _ in range(count):
            step_ms, at = read_varint(payload, at)
            end = at + _ID_BYTES
            bits = payload[end]
            chunk_index = payload[end + 1]
            if chunk_index < 0x80:
                next_at = end + 2
            else:
                chunk_index, next_at = read_varint(payload, end + 1)
            time_ms += step_ms
            entry = LedgerEntry(time_ms, payload[at:end], bits, chunk_index)
            if bits > _TAG_BITS or chunk_index >> bits:
                raise CorruptValue("chunk out of range", offset=end)
            if before is not None and entry <= before:
                raise CorruptValue("ledger out of order", offset=at)
            entries.append(entry)
            before = entry
            at = next_at
        if at != len(payload):
            raise CorruptValue("trailing bytes", offset=at)
        return cls(tenant, host, tuple(entries))


def read_varint(payload: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends.

    Raises
    ------
    IndexError
        The payload ends before.
    CorruptValue
        It is longer than 64 bits, or not in its shortest form.
    """
    number = shift = 0
    while True:
        byte = payload[at]
        at += 1
        if byte < 0x80:
            break
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise CorruptValue("varint longer than 64 bits", offset=at)
    number |= byte << shift
    if number >> 64 or (shift and not byte):
        raise CorruptValue("varint not in its shortest form", offset=at)
    return number, at


def read_text(payload: bytes, at: int) -> tuple[str, int]:
    """A text behind its length, and where it ends.

    Raises
    ------
    IndexError, CorruptValue
        The payload ends before, or it is not UTF-8.
    """
    length, at = read_varint(payload, at)
    end = at + length
    if end > len(payload):
        raise CorruptValue("truncated", offset=at)
    try:
        return payload[at:end].decode(), end
    except UnicodeDecodeError as error:
        raise CorruptValue("text is not UTF-8", offset=at) from error


class Chunk(NamedTuple):
    """Processes of a host that are committed in one transaction.

    Attributes
    ----------
    bits : int
        How many top bits of the process digest tell the chunks of this batch apart.
    chunk_index : int
        Those bits, as a number.
    members : list of int
        Places in the host's list of processes, ascending.
    """

    bits: int
    chunk_index: int
    members: list[int]


def cut_chunks(processes: Sequence[str], bits: int | None = None) -> list[Chunk]:
    """Cut the processes of a host into transactions.

    Parameters
    ----------
    processes : sequence of str
        Distinct process ids.
    bits : int or None
        Bits that the ledger already holds for this batch; ``None`` for the fewest that bring no
        chunk above `CHUNK_PROCESSES`.

    Returns
    -------
    list of Chunk
        By index; empty ones are left out.
    """
    count = len(processes)
    if bits is None and count <= CHUNK_PROCESSES:
        bits = 0
    if bits == 0:
        return [Chunk(0, 0, list(range(count)))]
    digests = [int.from_bytes(process_digest(process), "big") for process in processes]
    if bits is None:
        # In sorted order, two digests a full chunk apart must differ within the bits looked at.
        ranked = sorted(digests)
        bits = min(
            _TAG_BITS,
            max(
                _TAG_BITS + 1 - (low ^ high).bit_length()
                for low, high in zip(ranked, ranked[CHUNK_PROCESSES:], strict=False)
            ),
        )
    members: dict[int, list[int]] = {}
    for place, digest in enumerate(digests):
        members.setdefault(digest >> (_TAG_BITS - bits), []).append(place)
    return [Chunk(bits, index, members[index]) for index in sorted(members)]
