"""Golden values: states beside the bytes that a past version of fastfold stored for them.

Each file of ``tests/golden_values`` was written once, by the code of its time; none is written again::

    python tests/golden_values/golden_values.py NAME DICTIONARY     writes NAME.json beside it
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfold.api import decode, encode, fold
from fastfold.generate import Corpus, batches
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet, Value
from fastfold.values import Codec, ValueForm, unpack_value

__all__ = ["DEFINITION", "FOLDER", "Golden", "read_golden"]

FOLDER = Path(__file__).parent
DEFINITION = FOLDER / "process-1.toml"
"""The fold definition that the first values were made with."""


@dataclass(frozen=True)
class Golden:
    """A state, and the value that was stored for it."""

    state: State
    value: bytes

    @property
    def payload(self) -> bytes:
        """The payload of the value."""
        return unpack_value(self.value, None, (self.state.tenant, self.state.host))


def read_golden(name: str) -> list[Golden]:
    """The values of one file."""
    entries = json.loads((FOLDER / f"{name}.json").read_text())
    return [Golden(_state_of(entry["state"]), bytes.fromhex(entry["value"])) for entry in entries]


def _shown(value: Value) -> Any:
    if isinstance(value, TextSet):
        return {"more": value.more, "members": [list(member) for member in value.members]}
    if isinstance(value, Text):
        return list(value)
    return value


def _value_of(shown: Any) -> Value:
    if isinstance(shown, list):
        return Text(*shown)
    if isinstance(shown, dict) and "members" in shown:
        return TextSet(shown["more"], tuple(Text(*member) for member in shown["members"]))
    value: Value = shown
    return value


def _state_of(shown: dict[str, Any]) -> State:
    values = {name: _value_of(value) for name, value in shown["values"].items()}
    return State(shown["tenant"], shown["host"], shown["process"], values)


def _odd_states() -> Iterator[State]:
    second = 1_000_000_000
    guid = "39e4a257-79fb-5f92-7117-000000000700"
    yield State("", "h", "p", {"counts": {"other": 1}})
    yield State(
        "tenant", "h\u00e9", "", {"first": 1 - (1 << 63), "last": (1 << 63) - 1, "counts": {"pipe": (1 << 64) - 1}}
    )
    yield State("", "h", guid, {"first": 0, "parent": Text(0, guid), "targets": TextSet(True, (Text(1, guid),))})
    for unit in (1, 1_000, 1_000_000, second):
        times = [1_600_000_000 * second + n * unit for n in (0, 1, 1, 300, 70_000)]
        texts = ("C:\\a", "C:\\a\\b", "C:\\a\\c", "D:\\", "\U00010000\ufffd")
        members = tuple(Text(time, text, text == "D:\\") for time, text in zip(times, texts, strict=True))
        remotes = tuple(Text(times[0], text) for text in ("10.0.0.1:443", "10.0.0.2:80", "[fe80::1]:445"))
        yield State(
            "t",
            "pc-1.example.com",
            guid,
            {
                "first": times[0],
                "last": times[-1],
                "image": Text(times[0], "C:\\Windows\\System32\\cmd.exe"),
                "command_line": Text(times[1], "cmd /c " + "x" * 300, True),
                "files": TextSet(False, members),
                "remotes": TextSet(True, remotes),
                "sources": TextSet(False, (Text(times[3], guid), Text(times[3], "not a guid"))),
            },
        )


def _states() -> Iterator[State]:
    yield from _odd_states()
    corpus = Corpus(files=1, hosts=2, processes=6, events=40, seed=5)
    for batch in batches(corpus):
        yield from fold(b"".join(line + b"\n" for line in batch.lines()), "sysmon", DEFINITION)


def write(path: Path, dictionary: int) -> None:
    """Write the file; what it holds has been read back."""
    definition = load_definition(DEFINITION)
    codec = Codec(ValueForm.load(dictionary))
    entries = []
    for state in _states():
        payload = encode(state, definition)
        assert decode(payload, definition) == state
        values = {name: _shown(value) for name, value in state.values.items()}
        shown = {"tenant": state.tenant, "host": state.host, "process": state.process, "values": values}
        entries.append({"state": shown, "value": codec.pack(payload).hex()})
    with path.open("x") as file:
        file.write("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")


if __name__ == "__main__":
    write(FOLDER / f"{sys.argv[1]}.json", int(sys.argv[2]))
