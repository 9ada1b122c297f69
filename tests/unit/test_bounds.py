"""How large a value may become, and who is told when a bound is reached."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from committing import DEFINITION, NEVER, PLAN, Counts, a_batch, a_committer, memory_connect
from fastfold._core import decode, encode, merge_group
from fastfold.bounds import check_value_bytes, full_bytes, least_value_bytes, most_value_bytes, pool_bytes
from fastfold.errors import ConfigError, SchemaError
from fastfold.reference import TIME_MAX, TIME_MIN, Event, fold_events
from fastfold.schema import FoldDefinition, list_definitions, load_definition
from fastfold.states import State, Text, TextSet
from fastfold.store import MemoryStore
from fastfold.types import KINDS, VALUE_LIMIT_BYTES, HostDeltas, Limits
from fastfold.values import Codec, ValueForm

DICE = random.Random(7)
# All characters of one byte but NUL: no text of UTF-8 holds more in its bytes.
PLENTY = [chr(number) for number in range(1, 128)]
COLUMNS = ("image", "command_line", "user", "parent", "file", "remote", "domain", "registry", "module", "target")


def noise(length: int) -> str:
    return "".join(DICE.choices(PLENTY, k=length))


def worst_state(definition: FoldDefinition, lengths: tuple[int, ...], identity_bytes: int) -> State:
    """Of a process that writes all it can, everywhere, at times that lie far apart."""
    identity = tuple(noise(identity_bytes) for _ in range(3))
    events = [
        Event(
            DICE.randrange(TIME_MIN, TIME_MAX),
            *identity,
            kind,
            1,
            {one: noise(DICE.choice(lengths)) for one in COLUMNS},
        )
        for _ in range(12)
        for kind in KINDS
    ]
    (state,) = fold_events(events, definition).values()
    return state


@pytest.mark.parametrize("dictionary", [0, 2])
@pytest.mark.parametrize("lengths", [(5000,), (1,), (300, 20, 3), (116, 117, 600)])
def test_whatever_a_process_does_its_value_stays_under_the_limit(lengths: tuple[int, ...], dictionary: int) -> None:
    state = worst_state(DEFINITION, lengths, Limits().identity_bytes)
    codec = Codec(ValueForm.load(dictionary))
    payload = encode(PLAN, state)
    value = codec.pack(payload)
    assert len(value) <= VALUE_LIMIT_BYTES
    # Merging with others like it does not help.
    for seed in range(3):
        other = worst_state(DEFINITION, lengths, 1)
        other = State(state.tenant, state.host, state.process, other.values)
        (payload,) = merge_group(PLAN, [payload], [encode(PLAN, other)])
        assert len(codec.pack(payload)) <= VALUE_LIMIT_BYTES, seed
    if lengths == (5000,):
        # The bound is no larger than it has to be: noise comes near to it, with the name that older versions store.
        assert len(value) + len((state.tenant + state.host).encode()) > 0.75 * VALUE_LIMIT_BYTES


@pytest.mark.parametrize("name", list_definitions())
def test_what_ships_keeps_to_the_default_limit(name: str) -> None:
    definition = load_definition(name)
    assert pool_bytes(definition) >= 3 * Limits().identity_bytes
    assert most_value_bytes(definition, Limits().identity_bytes) == definition.value_bytes == VALUE_LIMIT_BYTES
    check_value_bytes(definition, Limits())


def test_longer_identities_are_refused_once_they_could_pass_the_limit() -> None:
    most = pool_bytes(DEFINITION) // 3
    check_value_bytes(DEFINITION, Limits(identity_bytes=most))
    told = rf"'process' could give values of {most_value_bytes(DEFINITION, most + 1)} bytes, allowed are 16384: "
    with pytest.raises(ConfigError, match=told):
        check_value_bytes(DEFINITION, Limits(identity_bytes=most + 1))
    with pytest.raises(ConfigError, match="values of 20000 bytes, allowed are 16384"):
        check_value_bytes(replace(DEFINITION, value_bytes=20_000), Limits())


def test_a_definition_that_cannot_keep_to_its_limit_is_refused_with_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    head = 'name = "mine"\nversion = 1\nvalue_bytes = 2000\n\n[[reducer]]\ntag = 1\nname = "line"\nop = "first"\n'
    path.write_text(head + 'column = "command_line"\ntext_bytes = 1900\n')
    definition = load_definition(path)
    assert least_value_bytes(definition) <= 2000
    path.write_text(head + 'column = "command_line"\ntext_bytes = 2000\n')
    least = least_value_bytes(definition) + 100
    with pytest.raises(
        SchemaError, match=f"mine.toml:3: .*may take {least} bytes .*, but value_bytes = 2000: lower text"
    ):
        load_definition(path)


def test_a_set_gives_way_once_what_all_share_is_used_up() -> None:
    image, module = "C:\\" + "x" * 497, "m" * 488
    files = [Event(n, "", "h", "p", "file_write", 1, {"file": f"{image}{n:02}"}) for n in range(60)]
    modules = [Event(100 + n, "", "h", "p", "module_load", 1, {"module": f"{module}{n:02}"}) for n in range(20)]
    state = fold_events(files + modules, DEFINITION)["", "h", "p"]
    assert set(state.more) == {"files", "modules"}
    by_name = {one.name: one for one in DEFINITION.reducers}
    # The first that passes its bytes is kept, and the set is counted as if it had been of the greatest length.
    assert len(state.values["files"].members) == by_name["files"].bytes // 514 + 1  # type: ignore[union-attr]
    left = pool_bytes(DEFINITION) - 2 - (full_bytes(by_name["files"]) - by_name["files"].reserve_bytes)
    most = (left + by_name["modules"].reserve_bytes) // 502 + 1
    assert len(state.values["modules"].members) == most  # type: ignore[union-attr]


# --- who is told ---------------------------------------------------------------------------------


class ByReducer(Counts):
    """Counts losses by the reducer."""

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        if name == "state_limit_hits":
            self.seen[label] += int(amount)


def delta(start: int, count: int, *, cut: bool = False) -> bytes:
    files = tuple(Text(n, f"f{n:03}") for n in range(start, start + count))
    values = {
        "first": 1,
        "last": 1,
        "counts": {"other": 1},
        "image": Text(1, "x", cut),
        "files": TextSet(False, files),
    }
    return encode(PLAN, State("", "a", "p", values))


def test_losses_are_counted_once_by_reducer_when_they_are_written() -> None:
    counts = ByReducer()
    committer = a_committer(memory_connect(MemoryStore(time.monotonic)), counts=counts)
    steps = [
        (delta(0, 40), {}),
        # The cut image comes behind the whole one of the same time, and is not the first.
        (delta(40, 24, cut=True), {}),
        (delta(60, 20), {"files": 1}),
        (delta(70, 20), {}),
    ]
    seen: dict[str, int] = {}
    for number, (payload, more) in enumerate(steps):
        committer.commit([HostDeltas("", "a", ["p"], [payload])], a_batch(number), NEVER)
        seen |= more
        assert dict(counts.seen) == seen, number
    # A batch that comes again changes nothing, and a new process counts for itself.
    committer.commit([HostDeltas("", "a", ["p"], [steps[2][0]])], a_batch(2), NEVER)
    assert dict(counts.seen) == seen
    whole = decode(PLAN, delta(0, 64, cut=True))
    files = whole.values["files"]
    assert isinstance(files, TextSet)
    lost = State("", "a", "q", {**whole.values, "files": files._replace(more=True)})
    committer.commit([HostDeltas("", "a", ["q"], [encode(PLAN, lost)])], a_batch(9), NEVER)
    assert dict(counts.seen) == {"files": 2, "image": 1}
