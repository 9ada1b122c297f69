"""What is mutated: real records made short, generated ones, and records built from a schema."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

from fastfold.generate import Corpus, batches
from fastfold.schema import Condition, EventMapping, Schema, Source
from fastfold.schema_types import LAST
from fuzz.formats import SCHEMAS

__all__ = ["Seed", "collect_seeds", "seed_of", "wanted_keys"]

_ROOT = Path(__file__).parents[2]
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+|\s+')
# Enough for every kind of a schema; more would only be read.
_REAL_FILES = 24
_REAL_LINES = 400
_LONGEST = 1200
# Reading a record slowly is most of what an execution costs: most seeds are made shorter.
_SHORT = 450
_LONG_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Seed:
    """A sound record, taken apart.

    Attributes
    ----------
    tokens : list of bytes
        Strings, bare values and signs, in order.
    keys, scalars : list of int
        Which tokens are keys, and values that are no array and no object.
    members : list of (int, int)
        Of every object: from its key to behind its value.
    """

    tokens: list[bytes]
    keys: list[int]
    scalars: list[int]
    members: list[tuple[int, int]]


def seed_of(record: bytes) -> Seed:
    """Take a record apart that is an object."""
    tokens = [token for token in _TOKEN.findall(record) if token.strip()]
    keys = [at for at, token in enumerate(tokens[:-1]) if token[:1] == b'"' and tokens[at + 1] == b":"]
    known = set(keys)
    scalars = [at for at, token in enumerate(tokens) if token not in (b"{", b"}", b"[", b"]", b":", b",")]
    members = [(at, _value_end(tokens, at + 2)) for at in keys]
    return Seed(tokens, keys, [at for at in scalars if at not in known], members)


def _value_end(tokens: list[bytes], at: int) -> int:
    depth = 0
    while True:
        depth += (tokens[at] in (b"{", b"[")) - (tokens[at] in (b"}", b"]"))
        at += 1
        if depth == 0:
            return at


def collect_seeds(name: str) -> list[Seed]:
    """Seeds for a schema, the same on every machine with the same files."""
    rng = random.Random(name)
    schema = SCHEMAS[name]
    records = [
        _build(schema, mapping, rng) for mapping in schema.events for _ in range(6 if len(schema.events) > 6 else 30)
    ]
    if name == "sysmon":
        kept = set(wanted_keys(name))
        longer = [line for shape in "ABC" for line in _generated(shape)] + _real(rng)
        records += [line if rng.random() < _LONG_SHARE else _shorten(line, kept, rng) for line in longer]
    return [seed_of(record) for record in records]


def wanted_keys(name: str) -> list[bytes]:
    """The keys that a schema wants, nested and dotted."""
    schema = SCHEMAS[name]
    paths = {*schema.tenant, *schema.host, *schema.discriminator}
    for time in schema.times:
        paths.update(time.paths)
    for condition in schema.require:
        paths.update(condition.paths)
    for event in schema.events:
        for condition in event.where:
            paths.update(condition.paths)
        for source in (event.process, *event.columns.values()):
            paths.update(source.paths, source.tail, source.parts)
    keys = {key for path in sorted(paths) for sequence in schema.expand((path,)) for key in sequence}
    return [key.removesuffix(LAST).encode() for key in sorted(keys)]


# --- generated and real ---------------------------------------------------------------------------


def _generated(shape: str) -> list[bytes]:
    (batch,) = batches(Corpus(files=1, hosts=2, processes=3, events=8, others=0.1, shape=shape))
    return list(batch.lines())


def _real(rng: random.Random) -> list[bytes]:
    """Records of the real files, with most of their long texts cut; none where the files are not."""
    folder = Path(os.environ.get("FASTFOLD_OTRF") or _ROOT.parent / "shared" / "data" / "otrf")
    files = sorted(folder.glob("*.json.gz"))
    records = []
    for path in rng.sample(files, min(_REAL_FILES, len(files))):
        with gzip.open(path) as stream:
            lines = stream.read(3 << 20).split(b"\n")[:-1]
        sysmon = [line for line in lines if b"Sysmon/Operational" in line]
        records += rng.sample(sysmon, min(_REAL_LINES // _REAL_FILES, len(sysmon)))
        records += rng.sample(lines, min(1, len(lines)))
    cut = [re.sub(rb'("(?:M|m)essage"\s*:\s*")((?:[^"\\]|\\.){60})(?:[^"\\]|\\.)*"', rb'\1\2"', r) for r in records]
    return [record for record in cut if len(record) <= _LONGEST]


def _shorten(record: bytes, kept: set[bytes], rng: random.Random) -> bytes:
    """A record without some of its members that are not kept."""
    seed = seed_of(record)
    tokens = seed.tokens[:]
    size = sum(map(len, tokens))
    for start, end in rng.sample(seed.members, len(seed.members)):
        if size <= _SHORT or tokens[start][1:-1] in kept or tokens[start] == b"":
            continue
        # With the comma behind it; the last of an object stays.
        if tokens[end] == b",":
            size -= sum(map(len, tokens[start : end + 1]))
            tokens[start : end + 1] = [b""] * (end + 1 - start)
    return b"".join(tokens)


# --- built ----------------------------------------------------------------------------------------

_GUIDS = ["{AB000000-0000-0000-0000-000000000001}", "{ab000000-0000-0000-0000-000000000002}"]
_TIMES = {
    "iso": ["2020-01-01 00:00:00", "2020-01-01T00:00:00.123Z", "2021-12-31 23:59:59.999999999 +0000 UTC"],
    "epoch_s": ["1600000000", "1600000000.5"],
    "epoch_ms": ["1600000000123"],
    "epoch_us": ["1600000000123456"],
    "epoch_ns": ["1600000000123456789"],
    "filetime": ["132223104000000000"],
    "epoch_s_or_filetime": ["1600000000.5", "132223104000000000", "72057594037927936", "72057594037927937"],
    "audit": [*["1600000000.123:456"] * 6, "1600000000:1", "1600000000.123"],
}
_TEXTS = ["a", "b", "c:\\x.exe", "/usr/bin/y", "10.0.0.1", "443", "é", "true", "abcdefghijklmnopqrst"]
_FORMS = {"endpoint": ["10.0.0.1", "::1", "443"], "registry": ["HKLM\\a", "b"], "id": _GUIDS}


def _build(schema: Schema, mapping: EventMapping, rng: random.Random) -> bytes:
    """A record for which `mapping` holds, most of the time."""
    record: dict[str, object] = {}

    def put(paths: tuple[str, ...], text: object) -> None:
        if paths:
            _put(record, rng.choice(schema.expand(paths)), text)

    def satisfy(condition: Condition) -> None:
        if not condition.negate:
            text = rng.choice(condition.values)
            put(condition.paths, f"A | {text}" if condition.op == "has" and rng.random() < 0.5 else text)

    put(schema.tenant, rng.choice(_TEXTS))
    for condition in (*schema.require, *mapping.where):
        satisfy(condition)
    put(schema.host, rng.choice(["h", "i"]))
    put(schema.discriminator, _value(rng.choice(mapping.when).replace("*", rng.choice(("", "x"))), rng))
    for time in rng.sample(schema.times, rng.randint(1, len(schema.times))):
        put(time.paths, _value(rng.choice(_TIMES[time.form]), rng))
    for part in (mapping.process.paths, *((part,) for part in mapping.process.parts)):
        put(part, _value(rng.choice(_GUIDS), rng))
    for source in mapping.columns.values():
        for paths in (source.paths, source.tail, *((part,) for part in source.parts)):
            if rng.random() < 0.7:
                put(paths, _column(source, rng))
    if rng.random() < 0.5:
        record["unwanted"] = rng.choice(["x" * 70, [1, [2, {"a": None}]], {"a": {"b": []}}, -1.5e300, True])
    for key in schema.embedded:
        if key in record and rng.random() < 0.7:
            record[key] = _dump(record[key])
    items = list(record.items())
    rng.shuffle(items)
    return _dump(dict(items)).encode()


def _put(record: dict[str, object], keys: tuple[str, ...], value: object) -> None:
    """Set a value below `keys`, unless something else stands in the way."""
    key, *below = keys
    name = key.removesuffix(LAST)
    if not below:
        record.setdefault(name, value)
        return
    inner = record.setdefault(name, [{"a": 1}, {}] if key.endswith(LAST) else {})
    if isinstance(inner, list):
        inner = inner[-1]
    if isinstance(inner, dict):
        _put(inner, tuple(below), value)


def _column(source: Source, rng: random.Random) -> object:
    if source.absent and rng.random() < 0.2:
        return rng.choice(source.absent)
    if source.form == "words" and rng.random() < 0.7:
        return rng.choice([["a"], ["a", "b c"], ["a", 1, None, True, "", {"x": 1}, ["y"], "é"], ["", "b"], [[], "a"]])
    return _value(rng.choice(_FORMS.get(source.form, _TEXTS)), rng)


def _value(text: str, rng: random.Random) -> object:
    """A text as text, as number, or in an array."""
    chance = rng.random()
    if text.isdigit() and chance < 0.5:
        return int(text)
    return [text] if chance > 0.95 else text


def _dump(value: object) -> str:
    """JSON with or without spaces, and with characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
