"""Damaged values and payloads for the decoder, by the million; what they hold is an attacker's to choose.

    python tests/fuzzing.py --executions 10000000 --seed 1      best under sanitizers: make fuzz-values

Seeds are golden values and their payloads.  Each execution damages one and hands it to one of the doors of the
core.  It may be read or be refused by name; anything else ends the run, with the input.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from fastfold._core import Dictionary, Packer, Plan, decode, encode, identity, merge_group
from fastfold.bounds import least_value_bytes
from fastfold.dictionaries import find_dictionaries
from fastfold.errors import CorruptValue, IdentityClash, UnknownForm
from fastfold.schema import FoldDefinition, load_definition
from fastfold.types import Limits
from golden_values.golden_values import DEFINITION, FOLDER, read_golden

__all__ = ["Fuzzer"]

VALUE_BYTES = 1 << 20
_MARK_3 = b"\x80\x80\x00"
_ODD = (b"\x00", b"\x80", b"\xff", b"\x80\x00", b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\x01\x01", b"\x00" * 16)


class Fuzzer:
    """Executes damaged inputs.

    Attributes
    ----------
    outcomes : Counter
        How often each outcome was met: ``read``, or the name of the refusal.
    """

    def __init__(self, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._dice = random.Random(seed)
        definition = load_definition(DEFINITION)
        self._plan = Plan(None, definition, Limits())
        self._narrow_plan = Plan(None, _narrowed(definition), Limits())
        dictionaries = [Dictionary(one.id, one.content, 3) for one in find_dictionaries()]
        self._packer = Packer(dictionaries, 2, 3, VALUE_BYTES)
        plain = Packer([], 0, 1, VALUE_BYTES)
        golden = [one for path in sorted(FOLDER.glob("*.json")) for one in read_golden(path.stem)]
        states = [one.state for one in golden]
        self._payloads = [encode(self._plan, state, version) for version in (1, 2, 3) for state in states]
        self._values = [one.value for one in golden] + plain.pack(self._payloads) + self._packer.pack(self._payloads)
        self._names = list({f"{state.tenant}\0{state.host}\0".encode() for state in states})
        # Behind a checksum that is right, damage goes further: to the parts that are made of the texts.
        self._parts = [payload for payload in self._payloads if payload.startswith(_MARK_3)]
        self._doors: tuple[tuple[Callable[[bytes], object], list[bytes]], ...] = (
            (lambda data: decode(self._plan, data), self._payloads),
            (lambda data: decode(self._plan, data), self._payloads),
            (identity, self._payloads),
            (self._merge, self._payloads),
            (self._merge, self._payloads),
            (self._unpack, self._values),
            (self._unpack_damaged, self._parts),
        )

    def run(self, executions: int) -> None:
        """Execute that many inputs."""
        for _ in range(executions):
            door, seeds = self._dice.choice(self._doors)
            data = self._damage(self._dice.choice(seeds), seeds)
            try:
                door(data)
            except (CorruptValue, IdentityClash, UnknownForm) as error:
                self.outcomes[_name(error)] += 1
            except BaseException:
                print(f"the input was {data.hex()}", file=sys.stderr)
                raise
            else:
                self.outcomes["read"] += 1

    def _merge(self, data: bytes) -> object:
        other = self._dice.choice(self._payloads)
        version = self._dice.choice((1, 2, 3))
        plan = self._dice.choice((self._plan, self._narrow_plan))
        losses: dict[str, int] = {}
        return merge_group(plan, [data, None, other], [data, data, data], version, losses)

    def _unpack(self, data: bytes) -> object:
        (payload,) = self._packer.unpack([data], [b"key"], self._dice.choice((None, *self._names)))
        assert payload is not None
        return decode(self._plan, payload)

    def _unpack_damaged(self, data: bytes) -> object:
        (value,) = self._packer.pack([data])
        name = data[7:].split(b"\0")[:2]
        (payload,) = self._packer.unpack([value], [b"key"], b"\0".join((*name, b"")))
        assert payload == data, "not what was packed"
        return decode(self._plan, payload)

    def _damage(self, seed: bytes, others: list[bytes]) -> bytes:
        dice = self._dice
        data = bytearray(seed)
        for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
            place = dice.randrange(len(data) + 1)
            how = dice.randrange(7)
            if how == 0 and place < len(data):
                data[place] ^= 1 << dice.randrange(8)
            elif how == 1 and place < len(data):
                data[place] = dice.randrange(256)
            elif how == 2:
                data[place:place] = dice.choice(_ODD)
            elif how == 3:
                del data[place : place + dice.randrange(1, 9)]
            elif how == 4:
                data[place:place] = data[place : place + dice.randrange(1, 40)]
            elif how == 5:
                other = dice.choice(others)
                data[place:] = other[dice.randrange(len(other)) :]
            else:
                data[place : place + 1] = dice.choice(_ODD)
        return bytes(data)


def _narrowed(definition: FoldDefinition) -> FoldDefinition:
    """The same with hardly any room for sets: a merge has to drop members."""
    reducers = tuple(
        replace(one, bytes=200, reserve_bytes=40) if one.op == "set" else one for one in definition.reducers
    )
    definition = replace(definition, reducers=reducers)
    return replace(definition, value_bytes=least_value_bytes(definition) + 200)


def _name(error: Exception) -> str:
    if isinstance(error, CorruptValue):
        assert error.reason, "a refusal without a reason"
        return error.reason.partition(" is ")[0].partition(" of ")[0].partition(", which ")[0].rstrip("0123456789 ")
    return type(error).__name__


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fuzzer = Fuzzer(options.seed)
    fuzzer.run(1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    fuzzer.run(options.executions - 1000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{options.executions} executions, seed {options.seed}, {time.monotonic() - start:.0f} s, peak grew {grown} KiB"
    )
    for outcome, count in fuzzer.outcomes.most_common():
        print(f"{count:>10}  {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
