"""S3 that does not give what it was asked for, and files that are broken."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import s3
from chaos.tally import Tally
from chaos.world import Field, Inject, World, told
from fleet import BUCKET

__all__ = ["be_absent", "be_busy", "be_slow", "cut_bodies", "miss", "poison", "replace"]

GOOD_ONES = 3
"""Files that nothing is wrong with, for each at fault."""


def _with(*faults: s3.Fault) -> Inject:
    def inject(world: World, tally: Tally, times: int) -> Iterator[Field]:
        field = world.field()
        bad = field.pieces(times)
        for key in bad:
            field.cloud.objects[BUCKET, key].faults += faults
        field.deliver(GOOD_ONES * times)
        for key in bad:
            field.tell(key)
        yield field
        tally.faults += sum(not field.cloud.objects[BUCKET, key].faults for key in bad)

    return inject


be_busy = _with(s3.Fault.BUSY, s3.Fault.BUSY)
be_slow = _with(s3.Fault.SLOW)
cut_bodies = _with(s3.Fault.CUT, s3.Fault.CUT)
be_absent = _with(s3.Fault.ABSENT)


def miss(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """An object is told of that is not there."""
    field = world.field()
    for number in range(times):
        key = f"missing-{len(field.files)}-{number}"
        field.poison[key] = "Missing"
        field.tell(key)
        field.deliver(GOOD_ONES)
        tally.faults += 1
    yield field


def replace(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """An object is replaced after it was told of and before it is fetched: the new one counts, once."""
    field = world.field()
    for _ in range(times):
        (key,) = field.pieces(1)
        kept = field.cloud.objects[BUCKET, key].etag
        # The older one was there first.  Of it there is only what was told.
        replaced = s3.Object(gzip.compress(b"gone", mtime=0), 0.0).etag
        for etag in (replaced, kept, replaced):
            field.queue.put(told(key, etags=(etag,)))
        field.tell(key)
        tally.faults += 1
    field.deliver(GOOD_ONES * times)
    yield field


def _break(text: bytes, how: int) -> bytes:
    """A file of which all but the end is sound."""
    whole = gzip.compress(text, 1, mtime=0)
    if how == 0:
        return whole[:-1]
    if how == 1:
        return whole[:-8] + (zlib.crc32(text) ^ 1).to_bytes(4, "little") + whole[-4:]
    if how == 2:
        return gzip.compress(text + b'{"EventID": 1', 1, mtime=0)
    return whole + b"more"


BREAKS = 4


def poison(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """One broken file among so many."""
    field = world.field()
    for how in range(BREAKS):
        (text,) = world.pieces.take(1)
        (key,) = field.put(_break(text, how))
        field.poison[key] = "Reject"
        keys = field.pieces(times // BREAKS)
        keys.insert(world.choice.randrange(len(keys)), key)
        for one in keys:
            field.tell(one)
        tally.faults += 1
    yield field
