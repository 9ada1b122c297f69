"""Texts of files, made of seeds: lines that are nearly the same, and damage.

The lines of a text mostly share the shape of one seed and differ in one thing each, because what a
parser expects from the record before is what such lines put to the test.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from functools import lru_cache

from fuzz import pieces
from fuzz.seeds import Seed, seed_of

__all__ = ["Maker"]

_LINES = (1, 1, 1, 2, 2, 2, 3, 3, 4, 6)
_CHANGES = (0, 0, 1, 1, 1, 1, 2, 2, 3)
# Of single bytes, in texts whose structure is sound so far.
_DAMAGED = 0.3
_BOM = 0.04


class Maker:
    """Makes texts of files.

    Parameters
    ----------
    seeds : list of Seed
    keys : list of bytes
        Keys that the schema wants, and some that nearly are.
    """

    def __init__(self, seeds: list[Seed], keys: list[bytes]) -> None:
        self.seeds = seeds
        self.keys = keys

    def text(self, rng: random.Random, seed: Seed | None = None) -> bytes:
        """The text of one file."""
        seed = seed or rng.choice(self.seeds)
        lines = []
        for _ in range(rng.choice(_LINES)):
            line = self.line(seed if rng.random() < 0.9 else rng.choice(self.seeds), rng)
            lines.append(line)
            if rng.random() < 0.1:
                lines.append(line)
        if rng.random() < 0.9:
            text = b"\n".join(lines) + (b"\n" if rng.random() < 0.8 else b"")
        else:
            text = b"".join(line + rng.choice(pieces.ENDINGS) for line in lines)
        if rng.random() < _DAMAGED:
            text = _damage(text, rng)
        if rng.random() < _BOM:
            text = b"\xef\xbb\xbf" + text
        return text

    def line(self, seed: Seed, rng: random.Random) -> bytes:
        """One record of the shape of `seed`, with few changes."""
        tokens = seed.tokens[:]
        for _ in range(rng.choice(_CHANGES)):
            rng.choice(_OPS)(self, tokens, seed, rng)
        return b"".join(tokens)


# --- changes of one record, which leave the places of tokens as they are --------------------------

_Op = Callable[[Maker, list[bytes], Seed, random.Random], None]


def _string(rng: random.Random) -> bytes:
    chance = rng.random()
    if chance < 0.45:
        text = rng.choice(pieces.PLAIN_TEXTS)
    elif chance < 0.8:
        text = rng.choice(pieces.ODD_TEXTS)
    else:
        text = rng.choice(pieces.PLAIN_TEXTS) + rng.choice(pieces.ODD_TEXTS) + rng.choice(pieces.PLAIN_TEXTS)
    return b'"' + text + b'"'


def _scalar(rng: random.Random) -> bytes:
    chance = rng.random()
    if chance < 0.6:
        return _string(rng)
    return rng.choice(pieces.NUMBERS) if chance < 0.85 else rng.choice(pieces.LITERALS)


def _replace_value(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    tokens[rng.choice(seed.scalars)] = _scalar(rng)


def _tweak_value(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    """Another value of nearly the same length: what a comparison with the one before might miss."""
    at = rng.choice(seed.scalars)
    old = tokens[at]
    if old[:1] != b'"':
        tokens[at] = rng.choice(pieces.NUMBERS) if old[:1].isdigit() else b'"' + old + b'"'
        return
    inside = old[1:-1]
    place = rng.randint(0, len(inside))
    chance = rng.random()
    if chance < 0.4:
        new = rng.choice((b"a", b"z", b"0", rb"\n", rb"\u0041", "é".encode(), b"\xff", b" "))
        tokens[at] = b'"' + inside[:place] + new + inside[place + 1 :] + b'"'
    elif chance < 0.7:
        tokens[at] = b'"' + inside[:place] + rng.choice(pieces.ODD_TEXTS) + inside[place:] + b'"'
    else:
        tokens[at] = b'"' + inside[:place] + b'"'


def _swap_case(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    at = rng.choice(seed.scalars)
    tokens[at] = tokens[at].swapcase() if tokens[at][:1] == b'"' and b"\\" not in tokens[at] else tokens[at]


def _wrap_value(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    start, end = rng.choice(seed.members)
    before, behind = rng.choice(pieces.WRAPPERS)
    tokens[start + 2] = before + tokens[start + 2]
    tokens[end - 1] += behind


def _empty_value(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    start, end = rng.choice(seed.members)
    tokens[start + 2 : end] = [rng.choice((b"{}", b"[]", b'""', b"null", b"0"))] + [b""] * (end - start - 3)


def _rename_key(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    at = rng.choice(seed.keys)
    old = tokens[at]
    chance = rng.random()
    if chance < 0.4 and len(old) > 2:
        place = rng.randrange(1, len(old) - 1)
        if old[place : place + 1] != b"\\":
            tokens[at] = old[:place] + rng.choice((b"_", b"X", b"e", b"E")) + old[place + 1 :]
    elif chance < 0.6 and len(old) > 2 and b"\\" not in old and old.isascii():
        place = rng.randrange(1, len(old) - 1)
        tokens[at] = old[:place] + b"\\u%04x" % old[place] + old[place + 1 :]
    elif chance < 0.9:
        tokens[at] = b'"' + rng.choice(maker.keys) + b'"'
    else:
        tokens[at] = _string(rng)


def _copy_key(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    tokens[rng.choice(seed.keys)] = tokens[rng.choice(seed.keys)]


def _add_space(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 5))):
        tokens[rng.randrange(len(tokens))] += rng.choice(pieces.SPACES)


def _space_all(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    """The whole record as another writer would space it."""
    space = rng.choice(pieces.SPACES)
    for at in rng.choice((seed.keys, seed.scalars, range(len(tokens)))):
        tokens[at] += space


def _repeat_member(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    """A key twice, with the same value or another; before or behind the first."""
    start, end = rng.choice(seed.members)
    to = rng.choice(seed.members)[0]
    value = b"".join(tokens[start + 2 : end]) if rng.random() < 0.3 else _scalar(rng)
    tokens[to] = tokens[start] + b":" + value + b"," + tokens[to]


def _add_member(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    key = b'"' + rng.choice(maker.keys) + b'"'
    to = rng.choice(seed.members)[0]
    value = _scalar(rng) if rng.random() < 0.8 else b'{"' + rng.choice(maker.keys) + b'":' + _scalar(rng) + b"}"
    tokens[to] = key + b":" + value + b"," + tokens[to]


def _drop_member(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    start, end = rng.choice(seed.members)
    # Slices: another change may have cut the tokens short.
    if tokens[end : end + 1] == [b","]:
        end += 1
    elif tokens[start - 1 : start] == [b","]:
        start -= 1
    tokens[start:end] = [b""] * (end - start)


def _swap_members(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    (a, a_end), (b, b_end) = sorted((rng.choice(seed.members), rng.choice(seed.members)))
    if a_end > b:
        return
    first, second = b"".join(tokens[a:a_end]), b"".join(tokens[b:b_end])
    tokens[a:a_end] = [second] + [b""] * (a_end - a - 1)
    tokens[b:b_end] = [first] + [b""] * (b_end - b - 1)


def _nest_member(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    start, end = rng.choice(seed.members)
    tokens[start] = b'"' + rng.choice(maker.keys) + b'":{' + tokens[start]
    tokens[end - 1] += b"}"


def _change_embedded(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    """Of JSON inside a string: a change of the record that stands there, or damage of its text."""
    inside = [at for at in seed.scalars if tokens[at][:2] == b'"{']
    if not inside:
        return
    at = rng.choice(inside)
    try:
        text = json.loads(tokens[at]).encode()
    except ValueError:
        return
    inner = _inner_seed(text)
    if inner is not None and inner.members and rng.random() < 0.7:
        text = maker.line(inner, rng)
    if rng.random() < 0.3:
        text = _damage(text, rng)
    tokens[at] = b'"' + _ESCAPED.sub(lambda found: b"\\u%04x" % found[0][0], text) + b'"'


_ESCAPED = re.compile(rb'["\\\0-\x1f]')


@lru_cache(maxsize=10_000)
def _inner_seed(text: bytes) -> Seed | None:
    try:
        return seed_of(text)
    except IndexError:  # its brackets do not pair
        return None


def _break_token(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    tokens[rng.randrange(len(tokens))] = rng.choice(pieces.BRACKETS)


def _truncate(maker: Maker, tokens: list[bytes], seed: Seed, rng: random.Random) -> None:
    at = rng.randrange(len(tokens))
    tokens[at:] = [tokens[at][: rng.randint(0, len(tokens[at]))]] + [b""] * (len(tokens) - at - 1)


# A broken record ends the reading of its file: most changes leave it sound.
_OPS: tuple[_Op, ...] = (
    *[_replace_value] * 8,
    *[_tweak_value] * 8,
    *[_swap_case] * 1,
    *[_wrap_value] * 3,
    *[_empty_value] * 3,
    *[_rename_key] * 6,
    *[_copy_key] * 2,
    *[_add_space] * 4,
    *[_space_all] * 1,
    *[_repeat_member] * 5,
    *[_add_member] * 5,
    *[_drop_member] * 4,
    *[_swap_members] * 3,
    *[_nest_member] * 2,
    *[_change_embedded] * 6,
    *[_break_token] * 1,
    *[_truncate] * 1,
)


# --- damage of bytes ------------------------------------------------------------------------------


def _damage(text: bytes, rng: random.Random) -> bytes:
    data = bytearray(text)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randint(0, len(data))
        chance = rng.random()
        if chance < 0.5:
            data[at:at] = rng.choice(pieces.DAMAGE)
        elif chance < 0.65:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif chance < 0.8:
            del data[at : at + rng.randint(1, 5)]
        elif chance < 0.85:
            del data[at:]
        elif chance < 0.95:
            start = rng.randint(0, len(data))
            data[at:at] = data[start : start + rng.randint(1, 100)]
        elif data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)
