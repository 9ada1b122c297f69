"""What other parsers make of the texts on which parsers differ: the table in docs/refusal.md.

``python -m conformance.others``, in tests/, writes it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import orjson
import simdjson

from conformance.places import fold
from conformance.suite import ACCEPT, EITHER, REFUSE
from property.implementations import CORE

__all__ = ["PAGE", "answers", "page_with_table"]

PAGE = Path(__file__).parents[2] / "docs" / "refusal.md"
_BEGIN, _END = "<!-- table: tests/conformance/others.py -->", "<!-- end of table -->"

OTHERS: dict[str, Callable[[bytes], object]] = {
    "json": json.loads,
    "orjson": orjson.loads,
    "msgspec": msgspec.json.decode,
    "pysimdjson": simdjson.loads,
}

# Besides the suite: what batch files bring.
MORE: dict[str, bytes] = {
    "a number of 64 bits": b"[18446744073709551615]",
    "a number of 65 bits": b"[18446744073709551616]",
    "a number of 5,000 digits": b"[" + b"9" * 5000 + b"]",
    "64 arrays": b"[" * 64 + b"]" * 64,
    "65 arrays": b"[" * 65 + b"]" * 65,
    "a key twice": b'{"a":1,"a":2}',
    "an escaped NUL": rb'["\u0000"]',
    "invalid UTF-8 in a key": b'{"\xff":1}',
    "a carriage return at the end": b"[1]\r",
    "a byte order mark twice": b"\xef\xbb\xbf\xef\xbb\xbf[]",
    "a no-break space at the end": b"[]\xc2\xa0",
}


def answers(text: bytes) -> tuple[str, ...]:
    """What fastfold and each of the others say of a text, in the order of the table."""
    ours = "accepts" if fold(CORE, text) is not None else "refuses"
    return ours, *(_answer(loads, text) for loads in OTHERS.values())


def _answer(loads: Callable[[bytes], object], text: bytes) -> str:
    try:
        value = loads(text)
    except (ValueError, RuntimeError):
        return "refuses"
    if value in ([float("inf")], [float("-inf")]):
        return "accepts, infinite"
    whole = re.fullmatch(rb"\[-?\d+\]", text)
    return "loses digits" if whole and isinstance(value, list) and isinstance(value[0], float) else "accepts"


def _table() -> str:
    rows = [("case", "fastfold", *OTHERS), ("---",) * (2 + len(OTHERS))]
    for name, text in {**ACCEPT, **REFUSE, **EITHER, **MORE}.items():
        said = answers(text)
        if len(set(said)) > 1 or name in EITHER:
            rows.append((f"`{name}`" if name not in MORE else name, *said))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page_with_table() -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text().partition(f"{_BEGIN}\n")
    _, _, behind = rest.partition(_END)
    return f"{before}{_BEGIN}\n{_table()}{_END}{behind}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table())
