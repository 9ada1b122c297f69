"""Bytes of a detection record (`fastfold.detection.record`); `fastfold.store` gives them their outer form.

::

    record   text tenant | text host | u8 layout = 1
             u8 0, or u8 1 and moment               time of the newest event, where known
             varint n | n x text                    all texts of the record, ascending
             varint n | n x 8 bytes                 ids of the batches that brought marks, ascending
             varint n | n x series                  ascending by (rule, step, scope)
             varint n | n x ( 8 bytes rule | moment )                               dropped, ascending
             varint n | n x ( 8 bytes rule | text id, version, title, level )       told, ascending
             varint n | n x raised                  ascending
    series   8 bytes rule | varint step | 8 bytes scope | u8 valued | varint n | n x mark      n at least 1
    mark     moment of the first, then varint nanoseconds since the one before
             8 bytes event | 8 bytes value, where valued | number process | number kind | varint batch
             varint n | n x ( number column | number text )
    raised   varint ms since the batch before | 8 bytes batch | 8 bytes rule | 8 bytes scope
             varint zigzag(stretch) | moment | number process | varint repeats
    moment   varint zigzag(nanoseconds since 1970)
    number   varint: the place of a text in the list of texts

Equal records have equal bytes, and only what `encode_record` writes is read: lists are in order and have each member
once, every text and every batch listed is used, and `valued` is 1 only where some value is not zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from fastfold.detection.mark_types import Mark
from fastfold.detection.record import DetectionRecord, Found, Raised, Series, Told
from fastfold.errors import CorruptValue
from fastfold.ledger import read_text, read_varint
from fastfold.store import encode_varint, prefixed

__all__ = ["decode_record", "encode_record"]

T = TypeVar("T")

_LAYOUT = 1
_DIGEST_BYTES = 8
_NO_VALUE = bytes(_DIGEST_BYTES)
_MOST_STEPS = 1 << 16
_MOST_NS = (1 << 63) - 1


def encode_record(record: DetectionRecord) -> bytes:
    """The payload to store."""
    texts = _Numbers(sorted(set(_texts_of(record))))
    batches = _Numbers(sorted({found.batch for series in record.series.values() for found in series}))
    out = bytearray(prefixed(record.tenant) + prefixed(record.host))
    out.append(_LAYOUT)
    out += b"\0" if record.newest_ns is None else b"\1" + _moment(record.newest_ns)
    out += encode_varint(len(texts)) + b"".join(map(prefixed, texts))
    out += encode_varint(len(batches)) + b"".join(batches)
    out += encode_varint(len(record.series))
    for key in sorted(record.series):
        _encode_series(out, key, record.series[key], texts, batches)
    out += encode_varint(len(record.dropped))
    for rule in sorted(record.dropped):
        out += rule + _moment(record.dropped[rule])
    out += encode_varint(len(record.told))
    for rule in sorted(record.told):
        out += rule + b"".join(texts[text] for text in record.told[rule])
    out += encode_varint(len(record.raised))
    before_ms = 0
    for raised in record.raised:
        out += encode_varint(raised.batch_ms - before_ms) + raised.batch + raised.rule + raised.scope
        out += _zigzag(raised.stretch) + _moment(raised.last_ns) + texts[raised.process] + encode_varint(raised.repeats)
        before_ms = raised.batch_ms
    return bytes(out)


class _Numbers(dict[T, bytes]):
    """Members of a list in its order, each with its place as a varint."""

    def __init__(self, members: list[T]) -> None:
        super().__init__((member, encode_varint(place)) for place, member in enumerate(members))


def _texts_of(record: DetectionRecord) -> Iterator[str]:
    for series in record.series.values():
        for mark, _ in series:
            yield from (mark.process, mark.kind)
            for pair in mark.evidence:
                yield from pair
    for told in record.told.values():
        yield from told
    yield from (raised.process for raised in record.raised)


def _encode_series(
    out: bytearray, key: Series, series: tuple[Found, ...], texts: _Numbers[str], batches: _Numbers[bytes]
) -> None:
    valued = any(found.mark.value != _NO_VALUE for found in series)
    out += key.rule + encode_varint(key.step) + key.scope
    out.append(valued)
    out += encode_varint(len(series))
    before_ns = None
    for mark, batch in series:
        out += _moment(mark.time_ns) if before_ns is None else encode_varint(mark.time_ns - before_ns)
        out += mark.event
        if valued:
            out += mark.value
        out += texts[mark.process] + texts[mark.kind] + batches[batch] + encode_varint(len(mark.evidence))
        for column, text in mark.evidence:
            out += texts[column] + texts[text]
        before_ns = mark.time_ns


def _zigzag(number: int) -> bytes:
    return encode_varint(number << 1 if number >= 0 else (-number << 1) - 1)


_moment = _zigzag


def decode_record(payload: bytes) -> DetectionRecord:
    """The record of a stored payload.

    Raises
    ------
    CorruptValue
        Without a key, which the caller knows.  Only what `encode_record` writes is accepted.
    """
    try:
        return _Decoder(payload).record()
    except IndexError:
        raise CorruptValue("truncated", offset=len(payload)) from None


class _Decoder:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0
        self._texts: list[str] = []
        self._batches: list[bytes] = []
        self._used_texts: set[int] = set()
        self._used_batches: set[int] = set()

    def record(self) -> DetectionRecord:
        tenant, self._at = read_text(self._payload, 0)
        host, self._at = read_text(self._payload, self._at)
        if self._byte() != _LAYOUT:
            raise self._fault("unknown layout", back=1)
        newest_ns = self._moment() if self._flag() else None
        self._texts = self._many(self._text, str)
        self._batches = self._many(self._digest, bytes)
        series = dict(self._many(self._series, lambda one: one[0]))
        dropped = dict(self._many(self._dropped, lambda one: one[0]))
        told = dict(self._many(self._told, lambda one: one[0]))
        raised = self._raised()
        if self._at != len(self._payload):
            raise self._fault("trailing bytes")
        if {one.rule for one in raised} != told.keys():
            raise self._fault("told of other rules than were raised")
        if len(self._used_texts) < len(self._texts) or len(self._used_batches) < len(self._batches):
            raise self._fault("text or batch that is not used")
        return DetectionRecord(tenant, host, newest_ns, series, dropped, raised, told)

    def _fault(self, reason: str, back: int = 0) -> CorruptValue:
        return CorruptValue(reason, offset=self._at - back)

    # Parts

    def _many(self, read: Callable[[], T], order: Callable[[T], object]) -> list[T]:
        found: list[T] = []
        before: object = None
        for _ in range(self._varint()):
            at = self._at
            one = read()
            key = order(one)
            if found and not before < key:  # type: ignore[operator]
                raise CorruptValue("out of order", offset=at)
            found.append(one)
            before = key
        return found

    def _series(self) -> tuple[Series, tuple[Found, ...]]:
        rule, step, scope = self._digest(), self._varint(), self._digest()
        if step >= _MOST_STEPS:
            raise self._fault("step out of range", back=_DIGEST_BYTES)
        valued = self._flag()
        marks: list[Found] = []
        time_ns = 0
        any_value = False
        for place in range(self._varint()):
            at = self._at
            time_ns = self._moment() if not place else time_ns + self._varint()
            event = self._digest()
            if time_ns > _MOST_NS or (marks and (time_ns, event) <= (marks[-1].mark.time_ns, marks[-1].mark.event)):
                raise CorruptValue("mark out of order", offset=at)
            value = self._digest() if valued else _NO_VALUE
            any_value = any_value or value != _NO_VALUE
            process, kind, batch = self._word(), self._word(), self._batch()
            evidence = tuple((self._word(), self._word()) for _ in range(self._varint()))
            marks.append(Found(Mark(rule, step, scope, time_ns, event, value, process, kind, evidence), batch))
        if not marks or any_value != valued:
            raise self._fault("series without marks" if not marks else "values that are not there")
        return Series(rule, step, scope), tuple(marks)

    def _dropped(self) -> tuple[bytes, int]:
        return self._digest(), self._moment()

    def _told(self) -> tuple[bytes, Told]:
        return self._digest(), Told(self._word(), self._word(), self._word(), self._word())

    def _raised(self) -> tuple[Raised, ...]:
        batch_ms = 0

        def one() -> Raised:
            nonlocal batch_ms
            batch_ms += self._varint()
            batch, rule, scope = self._digest(), self._digest(), self._digest()
            stretch, last_ns = self._zigzag(), self._moment()
            return Raised(batch_ms, batch, rule, scope, stretch, last_ns, self._word(), self._varint())

        # Each alert of a batch once.
        return tuple(self._many(one, lambda raised: (raised.batch_ms, raised.batch, raised.key)))

    # Fields

    def _byte(self) -> int:
        byte = self._payload[self._at]
        self._at += 1
        return byte

    def _flag(self) -> bool:
        byte = self._byte()
        if byte > 1:
            raise self._fault("neither 0 nor 1", back=1)
        return bool(byte)

    def _varint(self) -> int:
        number, self._at = read_varint(self._payload, self._at)
        return number

    def _zigzag(self) -> int:
        number = self._varint()
        return -((number + 1) >> 1) if number & 1 else number >> 1

    _moment = _zigzag

    def _digest(self) -> bytes:
        end = self._at + _DIGEST_BYTES
        if end > len(self._payload):
            raise IndexError
        digest = self._payload[self._at : end]
        self._at = end
        return digest

    def _text(self) -> str:
        text, self._at = read_text(self._payload, self._at)
        return text

    def _word(self) -> str:
        return self._texts[self._place(self._texts, self._used_texts)]

    def _batch(self) -> bytes:
        return self._batches[self._place(self._batches, self._used_batches)]

    def _place(self, members: list[T], used: set[int]) -> int:
        place = self._varint()
        if place >= len(members):
            raise self._fault("number of nothing")
        used.add(place)
        return place
