"""Keys, the outer form of values, and the store in memory."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import zstandard

from fastfold.errors import CorruptValue, ParkError
from fastfold.store import (
    Codec,
    Connection,
    MemoryStore,
    ReplyError,
    batch_id,
    encode_varint,
    host_key,
    host_tag,
    key_slot,
    pack_value,
    process_key,
    process_tag,
    unpack_value,
)

KEY = b"ff:{x}y"


# Keys


@pytest.mark.parametrize(
    ("key", "slot"),
    # As CLUSTER KEYSLOT of a real server answers.
    [(b"123456789", 12739), (b"foo", 12182), (b"ff:{bar}x", 5061), (b"{}foo", 9500), (b"{bar", 4015), (b"", 0)],
)
def test_a_slot_is_that_of_redis(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


def test_all_keys_of_a_host_share_the_slot_of_its_tag() -> None:
    key = host_key("acme", "pc-1")
    assert key == b"ff:{" + host_tag("acme", "pc-1") + b"}"
    assert process_key(key, "p") == key + process_tag("p")
    assert len({key_slot(process_key(key, str(index))) for index in range(100)} | {key_slot(key)}) == 1


def test_tags_are_fixed_for_ever() -> None:
    assert host_tag("", "WORKSTATION5.theshire.local") == b"GRJ_dlQU0qU"
    assert process_tag("p") == b"DzXPGVFJtgQ"
    assert batch_id("b", "k", None, "e", 5).id.hex() == "fc007a30e6aba55f"


def test_a_tag_tells_tenant_from_host() -> None:
    assert len({host_tag("a", "bc"), host_tag("ab", "c"), host_tag("", "abc"), host_tag("abc", "")}) == 4


def test_a_name_made_by_an_attacker_cannot_move_the_hash_tag() -> None:
    key = process_key(host_key("}{", "{}"), "}{x}")
    assert key.count(b"{") == key.count(b"}") == 1


def test_the_namespace_stands_first() -> None:
    assert host_key("", "h", b"test:").startswith(b"test:{")


def test_a_batch_is_what_was_read() -> None:
    one = batch_id("b", "k", "v", '"e"', 5)
    assert one == batch_id("b", "k", "v", "e", 5)
    others = [
        ("c", "k", "v", "e"),
        ("b", "l", "v", "e"),
        ("b", "k", "w", "e"),
        ("b", "k", "v", "f"),
        ("bk", "", "v", "e"),
    ]
    assert len({batch_id(*other, 5).id for other in others} | {one.id}) == 6
    assert batch_id("b", "k", None, "e", 5).id == batch_id("b", "k", "", "e", 9).id


def test_a_batch_before_1970_is_refused() -> None:
    with pytest.raises(ValueError, match="before 1970"):
        batch_id("b", "k", None, "e", -1)


@pytest.mark.parametrize(("number", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (2**64 - 1, "ff" * 9 + "01")])
def test_varints(number: int, encoded: str) -> None:
    assert encode_varint(number).hex() == encoded


# Values


@pytest.mark.parametrize("payload", [b"x", b"state " * 1000, bytes(range(256))])
def test_a_value_comes_back(payload: bytes) -> None:
    value = pack_value(payload)
    assert value[:2] == b"\x01\x00"
    assert unpack_value(value, KEY) == payload


def test_several_values_at_once() -> None:
    codec = Codec()
    values: list[bytes | None] = [*codec.pack_all([b"a", b"b"]), None]
    assert codec.unpack_all(values, [b"1", b"2", b"3"]) == [b"a", b"b", None]


def test_equal_payloads_have_equal_values_in_every_thread() -> None:
    values: list[bytes] = []
    threads = [threading.Thread(target=lambda: values.append(pack_value(b"state " * 50))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(values) == {pack_value(b"state " * 50)}


def frame(payload: bytes = b"state " * 100, **form: Any) -> bytes:
    how = {"level": 3, "write_checksum": True, "write_content_size": True, **form}
    return b"\x01\x00" + zstandard.ZstdCompressor(**how).compress(payload)


GOOD = frame()
BAD = {
    "empty": (b"", "value of 0 bytes"),
    "one byte": (b"\x01", "value of 1 bytes"),
    "version": (b"\x02" + GOOD[1:], "unknown format version 2"),
    "dictionary": (b"\x01\x07" + GOOD[2:], "unknown dictionary 7"),
    "not zstd": (b"\x01\x00hello", ""),
    "header alone": (b"\x01\x00", ""),
    "truncated": (GOOD[:-1], ""),
    "trailing": (GOOD + b"x", ""),
    "two frames": (GOOD + GOOD[2:], ""),
    "no checksum": (frame(write_checksum=False), "another form"),
    "no content": (frame(b""), "without content"),
    "no size": (frame(write_content_size=False), "without content size"),
}


@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD)
def test_a_value_that_is_not_ours_is_told_with_its_key(value: bytes, reason: str) -> None:
    with pytest.raises(CorruptValue) as caught:
        unpack_value(value, KEY)
    assert caught.value.key == KEY
    assert reason in caught.value.reason


def test_every_flipped_bit_is_found() -> None:
    value = pack_value(b"the state of a process, " + bytes(range(40)))
    for place in range(len(value) * 8):
        flipped = bytearray(value)
        flipped[place // 8] ^= 1 << place % 8
        # A bit of the frame's header that zstd does not use may be free; the payload never changes.
        try:
            assert unpack_value(bytes(flipped), KEY) == b"the state of a process, " + bytes(range(40))
        except CorruptValue:
            continue


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    codec = Codec(value_bytes=1000)
    with pytest.raises(CorruptValue, match="payload of 1000000 bytes, limit 1000"):
        codec.unpack(frame(bytes(1_000_000)), KEY)


def test_what_could_not_be_read_is_not_written() -> None:
    codec = Codec(value_bytes=10)
    assert codec.unpack(codec.pack(bytes(10)), KEY) == bytes(10)
    with pytest.raises(ParkError, match="11 bytes, limit 10"):
        codec.pack(bytes(11))


# The store in memory


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


def ask(connection: Connection, *commands: tuple[bytes, ...]) -> list[Any]:
    connection.send(commands)
    return connection.read(len(commands))


WATCH, MULTI, EXEC = (b"WATCH", b"k"), (b"MULTI",), (b"EXEC",)
SET = (b"SETEX", b"k", b"60", b"new")


def test_a_transaction_on_an_unchanged_key(store: MemoryStore) -> None:
    one = store.connect()
    assert ask(one, WATCH, (b"GET", b"k")) == [b"OK", None]
    assert ask(one, MULTI, SET, EXEC) == [b"OK", b"QUEUED", [b"OK"]]
    assert store.snapshot() == {b"k": b"new"}


@pytest.mark.parametrize("written", [b"other", b"old"], ids=["another value", "the same value"])
def test_any_write_to_a_watched_key_makes_exec_nil(store: MemoryStore, written: bytes) -> None:
    store.put(b"k", b"old", 60)
    one, two = store.connect(), store.connect()
    ask(one, WATCH)
    ask(two, (b"SETEX", b"k", b"60", written))
    assert ask(one, MULTI, SET, EXEC)[-1] is None
    assert store.snapshot() == {b"k": written}
    assert ask(one, MULTI, SET, EXEC)[-1] == [b"OK"], "EXEC has ended the watch"


def test_an_own_write_between_watch_and_multi_makes_exec_nil(store: MemoryStore) -> None:
    assert ask(store.connect(), WATCH, SET, MULTI, SET, EXEC)[-1] is None


def test_a_watched_key_that_expires_makes_exec_nil(store: MemoryStore, clock: Clock) -> None:
    store.put(b"k", b"old", 5)
    one = store.connect()
    ask(one, WATCH)
    clock.now += 5
    assert ask(one, MULTI, SET, EXEC)[-1] is None


def test_a_watched_key_that_was_absent_and_stays_so_does_not(store: MemoryStore, clock: Clock) -> None:
    store.put(b"k", b"old", 5)
    clock.now += 5
    one = store.connect()
    ask(one, WATCH)
    assert ask(one, MULTI, SET, EXEC)[-1] == [b"OK"]


def test_a_closed_connection_watches_nothing(store: MemoryStore) -> None:
    one = store.connect()
    ask(one, WATCH)
    one.close()
    one.close()
    assert store._watchers == {}


def test_setex_lets_a_key_expire(store: MemoryStore, clock: Clock) -> None:
    one = store.connect()
    ask(one, (b"SETEX", b"k", b"10", b"v"))
    clock.now += 4
    assert store.ttl_s(b"k") == 6
    clock.now += 6
    assert store.ttl_s(b"k") is None
    assert ask(one, (b"GET", b"k")) == [None]


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([(b"DEL", b"k")], "ERR"),
        ([(b"GET",)], "ERR"),
        ([EXEC], "ERR"),
        ([MULTI, MULTI], "ERR"),
        ([MULTI, WATCH], "ERR"),
        ([(b"CLUSTER", b"SLOTS")], "ERR"),
        ([MULTI, (b"DEL", b"k"), SET, EXEC], "EXECABORT"),
    ],
)
def test_wrong_commands_are_answered_as_by_redis(store: MemoryStore, commands: Any, code: str) -> None:
    answer = ask(store.connect(), *commands)[-1]
    assert isinstance(answer, ReplyError)
    assert answer.code == code
    assert store.snapshot() == {}
