"""Records and files made to be expensive or ambiguous: each costs what a friendly one does, or is refused."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator

import pytest

from conformance.places import fold
from fastfold._core import Folder, Plan, _longest_key_search, _search_steps, _use_secret
from fastfold.errors import Reject
from fastfold.reference import read_lines
from fastfold.schema import list_schemas, load_schema
from fastfold.types import Limits
from property.implementations import CORE, IMPLEMENTATIONS, REFERENCE, Implementation, core_fold, plan_of
from property.strategies import PROCESS, SYSMON

ALL = pytest.mark.parametrize("kit", IMPLEMENTATIONS, ids=repr)
LIMITS = Limits()
HEAD = (
    b'"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":11,"UtcTime":"2020-01-01 00:00:00",'
    b'"Hostname":"h","ProcessGuid":"p"'
)


def record(members: bytes) -> bytes:
    return b"{" + HEAD + b"," + members + b"}\n"


def files_of(kit: Implementation, line: bytes, limits: Limits = LIMITS) -> list[str]:
    """The files that were written, according to the states of a text."""
    payloads, _ = kit.fold(line, SYSMON, PROCESS, limits)
    (payload,) = payloads.values()
    value = kit.decode(payload, PROCESS).values.get("files")
    return [] if value is None else [member.text for member in value.members]  # type: ignore[union-attr]


# --- repeated keys --------------------------------------------------------------------------------

DATA = b'"event_data":{"TargetFilename":"%s"}'
FLAT = b'"TargetFilename":"%s"'
DOTTED = b'"event_data.TargetFilename":"%s"'
REPEATED: dict[str, tuple[bytes, list[str]]] = {
    "at the top": (FLAT % b"a" + b"," + FLAT % b"b", ["b"]),
    "many times": (b",".join(FLAT % b"%d" % n for n in range(1000)), ["999"]),
    "escaped the second time": (FLAT % b"a" + rb',"Target\u0046ilename":"b"', ["b"]),
    "escaped the first time": (rb'"Target\u0046ilename":"a",' + FLAT % b"b", ["b"]),
    "then null": (FLAT % b"a" + b',"TargetFilename":null', []),
    "then empty": (FLAT % b"a" + b',"TargetFilename":""', []),
    "then an object": (FLAT % b"a" + b',"TargetFilename":{"TargetFilename":"b"}', []),
    "then an empty array": (FLAT % b"a" + b',"TargetFilename":[]', []),
    "then an array": (FLAT % b"a" + b',"TargetFilename":["b","c"]', ["b"]),
    "null, then a text": (b'"TargetFilename":null,' + FLAT % b"b", ["b"]),
    "below": (b'"event_data":{' + FLAT % b"a" + b"," + FLAT % b"b" + b"}", ["b"]),
    "the object below": (DATA % b"a" + b"," + DATA % b"b", ["b"]),
    "the object below, then without it": (DATA % b"a" + b',"event_data":{}', []),
    "the object below, then no object": (DATA % b"a" + b',"event_data":1', []),
    "the object below, then an array": (DATA % b"a" + b',"event_data":[{"TargetFilename":"b"}]', []),
    "dotted": (DOTTED % b"a" + b"," + DOTTED % b"b", ["b"]),
    # No repetition: alternatives, in the order of the schema.
    "flat before below": (DATA % b"a" + b"," + FLAT % b"b", ["b"]),
    "flat before dotted": (DOTTED % b"a" + b"," + FLAT % b"b", ["b"]),
    "nested before dotted": (DOTTED % b"a" + b"," + DATA % b"b", ["b"]),
    "nested before dotted, the other way round": (DATA % b"b" + b"," + DOTTED % b"a", ["b"]),
    "nested that is gone leaves the dotted": (DATA % b"a" + b"," + DOTTED % b"b" + b',"event_data":null', ["b"]),
    "another key of the object does not bring it back": (DATA % b"a" + b',"event_data":{"User":"u"}', []),
}


@pytest.mark.parametrize("name", REPEATED)
@ALL
def test_the_last_of_repeated_keys_counts(kit: Implementation, name: str) -> None:
    members, expected = REPEATED[name]
    assert files_of(kit, record(members)) == expected
    # Also when a record of another shape, or of the same, came before it.
    for before in (record(FLAT % b"z"), record(members)):
        _, counts = kit.fold(before + record(members), SYSMON, PROCESS, LIMITS)
        assert counts.events == 2
        assert CORE.fold(before + record(members), SYSMON, PROCESS, LIMITS) == REFERENCE.fold(
            before + record(members), SYSMON, PROCESS, LIMITS
        )


@pytest.mark.parametrize("key", [b"ProcessGuid", b"Hostname", b"EventID", b"UtcTime", b"Channel"])
@ALL
def test_what_decides_a_record_may_be_repeated_too(kit: Implementation, key: bytes) -> None:
    values = {b"ProcessGuid": b'"q"', b"Hostname": b'"i"', b"EventID": b"23", b"UtcTime": b'"2021-01-01 00:00:00"'}
    line = record(FLAT % b"f" + b',"%s":%s' % (key, values.get(key, b'"Security"')))
    (reading,) = read_lines(line, SYSMON).events or [None]
    assert (reading is None) == (key == b"Channel")
    assert kit.fold(line, SYSMON, PROCESS, LIMITS) == REFERENCE.fold(line, SYSMON, PROCESS, LIMITS)
    assert kit.fold(line, SYSMON, PROCESS, LIMITS) != kit.fold(record(FLAT % b"f"), SYSMON, PROCESS, LIMITS)


# --- many keys, deep values -----------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 5_000, 9_999, 10_000])
@ALL
def test_10_000_keys_in_a_record(kit: Implementation, place: int) -> None:
    members = [b'"k%d":%d' % (number, number) for number in range(10_000)]
    members.insert(place, FLAT % b"f")
    assert files_of(kit, record(b",".join(members))) == ["f"]


@ALL
def test_10_000_keys_that_begin_and_end_as_a_wanted_one(kit: Implementation) -> None:
    """Keys are told apart by their ends and length first: these meet a wanted one there."""
    near = [b'"SourcePr%ccessGUID":"x"' % letter for letter in b"abcdefghijklmnpqrstuvwxyz"]
    assert files_of(kit, record(FLAT % b"f" + b"," + b",".join(near * 400))) == ["f"]


# The reference is recursive, as Python's json is.
@pytest.mark.parametrize(
    ("kit", "depth"), [(REFERENCE, 1), (REFERENCE, 64), (CORE, 1), (CORE, 2), (CORE, 64), (CORE, 1024)], ids=repr
)
def test_depth_at_the_limit_and_one_more(kit: Implementation, depth: int) -> None:
    limits = Limits(depth=depth)
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"), (b'{"event_data":', b"}")):
        inner = b"1" if opening != b"[" else b""
        for levels, accepted in ((depth, True), (depth + 1, False)):
            text = opening * levels + inner + closing * levels
            assert (fold(kit, text, limits) is not None) == accepted
            # Brackets side by side, and in strings, are no depth.
            flat = b"[" + b",".join([b"[]"] * levels) + b',"' + b"[" * levels + b'"]'
            assert (fold(kit, flat, limits) is not None) == (depth > 1)


def test_100_000_brackets_cost_no_stack() -> None:
    for text in (b"[" * 100_000, b'[{"":' * 50_000, b"[" * 100_000 + b"]" * 100_000):
        with pytest.raises(Reject, match="nested too deep"):
            core_fold(text, SYSMON, PROCESS, Limits(depth=1024))


@pytest.mark.parametrize("gap", [31, 33, 65, 224, 225, 256, 300, 5_000, 70_000])
@pytest.mark.parametrize("space", [b" ", b"[]"])
def test_a_short_record_after_ones_with_long_gaps_between_values(gap: int, space: bytes) -> None:
    """What is expected of a record is looked for in the next, also where that has ended long before.

    Under AddressSanitizer this also says that nothing is read behind it.
    """
    if space == b" ":
        long = b'{"a":1,' + b" " * gap + b'"b":"c"}\n'
        short = b'{"a":1,"b":"c"}\n'
    else:
        long = b'{"a":1,"%s":[],"b":"c"}\n' % (b"k" * gap)
        short = b'{"a":1,"k":[],"b":"c"}\n'
    for text in (long * 3 + short, short * 3 + long + short, long * 3 + short.rstrip(b"\n"), (long + short) * 3):
        expected = REFERENCE.fold(text, SYSMON, PROCESS, LIMITS)
        for window_bytes in (64, len(text)):
            assert core_fold(text, SYSMON, PROCESS, LIMITS, window_bytes) == expected
        folder = Folder(plan_of(SYSMON, PROCESS))
        folder.begin()
        folder.feed(bytes(bytearray(text)))
        assert folder.finish().counts == expected[1]


# --- long records ---------------------------------------------------------------------------------


@ALL
def test_a_record_at_the_limit_and_one_byte_more(kit: Implementation) -> None:
    line = record(FLAT % b"f" + b',"Message":"%s"')
    for limit in (500, 4096, 1 << 20):
        for more in (0, 1):
            long = line % (b"x" * (limit + more - len(line) + len(b"%s\n")))
            assert len(long) == limit + more + 1
            for end in (b"\n", b""):
                text = long.removesuffix(b"\n") + end
                assert (fold(kit, text, Limits(record_bytes=limit)) is None) == bool(more)


# In a process of its own, whose peak is its own: a record of 100 MB handed over in pieces.
LONG = """
import resource, sys
from fastfold._core import Folder, Plan
from fastfold.errors import Reject
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits

limits = Limits(record_bytes=int(sys.argv[1]))
folder = Folder(Plan(load_schema("sysmon"), load_definition("process"), limits))
head = sys.argv[2].encode()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
handed = 0

def hand_over(data):
    global handed
    at = 0
    while at < len(data):
        room = folder.window()
        count = min(len(room), len(data) - at)
        room[:count] = data[at : at + count]
        folder.advance(count)
        at += count
        handed += count

folder.begin()
try:
    hand_over(head + b',"TargetFilename":"f","Message":"')
    for _ in range(100):
        hand_over(b"x" * 1_000_000)
    hand_over(b'"}\\n')
    processes = len(folder.finish())
    reason = ""
except Reject as reject:
    processes, reason = 0, reject.reason
print(handed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, processes, reason, sep="|")
"""


def long_record(limit: int) -> list[str]:
    command = [sys.executable, "-c", LONG, str(limit), "{" + HEAD.decode()]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("|")


def test_a_record_of_100_mb_is_refused_before_it_is_held() -> None:
    handed, grown_kib, _, reason = long_record(LIMITS.record_bytes)
    assert reason == "record too long"
    assert int(handed) <= 3 * LIMITS.record_bytes
    assert int(grown_kib) < 16 << 10


def test_a_record_of_100_mb_is_read_where_the_limit_is_raised() -> None:
    handed, _, processes, reason = long_record(128 << 20)
    assert (processes, reason) == ("1", "")
    assert int(handed) > 100_000_000


# --- many processes -------------------------------------------------------------------------------

CROWD = """
import resource, sys
from fastfold._core import Folder, Plan
from fastfold.errors import Reject
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits

line = ('{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"UtcTime":"2020-01-01 00:00:00",'
        '"Hostname":"h","ProcessGuid":"%07d"}\\n')
folder = Folder(Plan(load_schema("sysmon"), load_definition("process"), Limits()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder.begin()
try:
    for first in range(0, int(sys.argv[1]), 500):
        data = "".join([line % number for number in range(first, min(first + 500, int(sys.argv[1])))]).encode()
        folder.window()[: len(data)] = data
        folder.advance(len(data))
    while_reading = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    deltas = folder.finish()
    (host,) = deltas
    told = f"{len(host.processes)} {host.processes[0]} {host.processes[-1]} {len(set(map(len, host.payloads)))}"
    print(told, while_reading, host.payloads[7].hex(), sep="|")
except Reject as reject:
    print(reject.reason, reject.limit, reject.line, sep="|")
"""


def crowd(count: int) -> list[str]:
    command = [sys.executable, "-c", CROWD, str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("|")


def test_a_million_processes_in_one_file_and_one_more() -> None:
    told, while_reading_kib, payload = crowd(LIMITS.processes)
    assert told == "1000000 0000000 0999999 1"
    line = (
        b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"UtcTime":"2020-01-01 00:00:00",'
        b'"Hostname":"h","ProcessGuid":"0000007"}\n'
    )
    ((_, expected),) = REFERENCE.fold(line, SYSMON, PROCESS, LIMITS)[0].items()
    assert payload == expected.hex()
    # Some 400 bytes a process, of which most are its accumulator.
    assert int(while_reading_kib) < 1 << 20
    assert crowd(LIMITS.processes + 1) == ["too many processes", str(LIMITS.processes), str(LIMITS.processes + 1)]


def test_the_limit_of_distinct_text_names_itself() -> None:
    lines = b"".join(record(FLAT % (b"%06d" % number * 20)) for number in range(2_000))
    limits = Limits(text_total_bytes=100_000)
    with pytest.raises(Reject, match="too much distinct text") as caught:
        core_fold(lines, SYSMON, PROCESS, limits)
    assert caught.value.limit == 100_000
    # Text that comes again is not distinct.
    core_fold(record(FLAT % b"f" * 1) * 2_000, SYSMON, PROCESS, limits)


# --- keys that collide ----------------------------------------------------------------------------

# A known secret that can be written into a text: where a text begins with its second word, the first
# product of the hash is 0, whatever the next eight bytes are.
SECRET = b"ABCDEFGHabcdefghIJKLMNOPijklmnop"
TEXTS = 4_000


def crowded(texts: list[bytes]) -> dict[str, tuple[int, int]]:
    """The tables after a file with these texts as ids of processes and names of files."""
    folder = Folder(plan_of(SYSMON, PROCESS), 1 << 16)
    folder.begin()
    for text in texts:
        line = record(FLAT % text + b',"ProcessGuid":"%s"' % text)
        folder.window()[: len(line)] = line
        folder.advance(len(line))
    return _search_steps(folder)


@pytest.fixture
def hidden_secret() -> Iterator[None]:
    yield
    _use_secret()


@pytest.mark.usefixtures("hidden_secret")
def test_texts_that_collide_under_a_known_hash_cost_no_more_than_others() -> None:
    colliding = [SECRET[8:16] + b"%08d" % number + b"-" * 16 for number in range(TEXTS)]
    others = [b"%032x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)) for number in range(TEXTS)]
    _use_secret(SECRET)
    known = crowded(colliding)
    friendly = crowded(others)
    for name in ("texts", "raw texts"):
        count, steps = known[name]
        assert count >= TEXTS
        assert steps > TEXTS * TEXTS / 4, "they were built to collide"
        assert steps > 100 * friendly[name][1]
    _use_secret()
    for name, (count, steps) in crowded(colliding).items():
        other_count, other_steps = crowded(others)[name]
        assert count == other_count
        assert steps <= 2 * other_steps
        assert steps <= 4 * count


@pytest.mark.usefixtures("hidden_secret")
def test_the_secret_changes_no_result() -> None:
    lines = b"".join(
        record(FLAT % b"%d" % (number % 50) + b',"Hostname":"h%d"' % (number % 7)) for number in range(300)
    )
    expected = REFERENCE.fold(lines, SYSMON, PROCESS, LIMITS)
    for secret in (bytes(32), b"\xff" * 32, SECRET, None, None):
        _use_secret(secret)
        assert CORE.fold(lines, SYSMON, PROCESS, LIMITS) == expected


@pytest.mark.parametrize("name", list_schemas())
def test_no_key_of_a_record_can_cost_many_steps(name: str) -> None:
    """The tables of wanted keys are a quarter full and never grow: whatever is looked up, a free place is near."""
    plan = Plan(load_schema(name), PROCESS, LIMITS)
    assert 2 <= _longest_key_search(plan) <= 12


# --- wrong in two ways ----------------------------------------------------------------------------


def test_of_two_faulty_lines_the_first_is_told() -> None:
    faults = [b"{", b'"\x01"', b'"\\x"', b"[" * 65 + b"]" * 65, b'{"\xff":1}', b"1 2", b"tru", b'"a', b"01"]
    for (first, second), window_bytes in itertools.product(itertools.permutations(faults, 2), (64, 4096)):
        text = b"[]\n" * 3 + first + b"\n[]\n" + second + b"\n"
        with pytest.raises(Reject) as caught:
            core_fold(text, SYSMON, PROCESS, LIMITS, window_bytes)
        assert caught.value.line == 4
