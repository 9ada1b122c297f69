"""What the values of states consist of, part by part."""

from __future__ import annotations

from collections import Counter

from fastfold.raw.layout import payload_fields
from fastfold.values import Codec, ValueForm
from state_source import Fleet

__all__ = ["value_parts"]

_OUTER_BYTES = 5  # version and dictionary in one, and the checksum; sizes are added


def value_parts(fleet: Fleet, form: ValueForm) -> dict[str, float]:
    """Mean bytes of a value by part; the last is what no dictionary knows of one's own id, times and ids."""
    codec = Codec(form)
    bits: Counter[str] = Counter()
    values = 0
    for payload in fleet.payloads.values():
        values += len(codec.pack(payload))
        numbers = 0
        for field in payload_fields(3, payload, fleet.definition):
            if field.bits:
                bits[_part(field.name)] += field.bits
                numbers += field.bits
        size = numbers // 8
        texts = int.from_bytes(payload[3:7], "little")
        bits["outer form: version, dictionary, sizes, checksum"] += 8 * (
            _OUTER_BYTES + _varint_bytes(texts) + _varint_bytes(size)
        )
    count = len(fleet.payloads)
    parts = {name: total / 8 / count for name, total in bits.items()}
    return {"texts, compressed": values / count - sum(parts.values()), **parts}


def _part(name: str) -> str:
    if name in ("unit", "base", "process"):
        return "the process's own id and its first time"
    if name.endswith(" text"):
        return "ids of others and addresses"
    if name.endswith(" time") or name in ("first", "last"):
        return "other times"
    return "filling of the last byte" if name == "end of bits" else "counts"


def _varint_bytes(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)
