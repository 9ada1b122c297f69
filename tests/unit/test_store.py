"""Keys, and the store in memory."""

from __future__ import annotations

from typing import Any

import pytest

from fastfold.store import (
    Connection,
    MemoryStore,
    ReplyError,
    batch_id,
    encode_varint,
    host_key,
    host_tag,
    key_slot,
    process_key,
    process_tag,
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
