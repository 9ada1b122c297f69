"""The outer form of values, in all versions, and the dictionaries that they are written with."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fastfold._core import Dictionary, Packer
from fastfold.dictionaries import StoredDictionary, find_dictionaries, train
from fastfold.dictionary_tables import join_tables
from fastfold.errors import ConfigError, CorruptValue, ParkError, UnknownForm
from fastfold.values import Codec, ValueForm, form_of, pack_value, unpack_value

KEY = b"ff:{x}y"
MARK = b"\x80\x00"
MARK_3 = b"\x80\x80\x00"
HOST = ("tenant", "pc-1")
LENGTHS = [1, 255, 256, 257, 4096, 65791, 65792, 131071, 131072, 131073, 400_000]


def samples(word: str, count: int = 400) -> list[bytes]:
    """Payloads that have much in common."""
    return [f"{word} {n % 7} C:\\Windows\\System32\\{n * n % 101}.dll {n}".encode() * 3 for n in range(count)]


def third(texts: bytes, numbers: bytes = b"\1\2\3") -> bytes:
    """A payload of version 3 of a host."""
    return MARK_3 + len(texts).to_bytes(4, "little") + b"tenant\0pc-1\0" + texts + numbers


def marked(mark: bytes, content: bytes) -> bytes:
    """A payload of the version of a mark."""
    return third(content) if mark == MARK_3 else mark + content


@pytest.fixture(scope="module")
def own() -> StoredDictionary:
    """A dictionary of one's own."""
    return train(samples("own"), 70, "a test", 4096)


@pytest.fixture(scope="module")
def folder(own: StoredDictionary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds it."""
    path = tmp_path_factory.mktemp("dictionaries")
    (path / "70.ffdict").write_bytes(own.dump())
    (path / "README.txt").write_text("other files do not matter")
    return path


VERSION_OF = {b"": 1, MARK: 2, MARK_3: 3}
EACH_MARK = pytest.mark.parametrize("mark", list(VERSION_OF), ids=["version 1", "version 2", "version 3"])


# Values


@pytest.mark.parametrize("dictionary", [0, 1, 2])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("make", [lambda n: b"state of a process " * (n // 19 + 1), lambda n: b"a" * n, os.urandom])
@EACH_MARK
def test_a_value_comes_back(mark: bytes, make: Any, length: int, dictionary: int) -> None:
    codec = Codec(ValueForm.load(dictionary))
    payload = marked(mark, make(length)[:length])
    value = codec.pack(payload)
    assert form_of(value) == ((VERSION_OF[mark], dictionary) if mark else (1, 0))
    assert codec.unpack(value, KEY, HOST) == payload
    assert len(value) <= len(payload) + 32


def test_version_1_is_what_zstd_alone_can_read() -> None:
    value = pack_value(b"host record")
    assert zstandard.decompress(value[2:]) == b"host record"


def test_version_2_is_a_zstd_frame_without_what_is_known(own: StoredDictionary) -> None:
    codec = Codec(ValueForm((Dictionary(70, own.content, 5),), 70))
    content = samples("own")[3]
    value = codec.pack(MARK + content)
    size, how, body = value[2] >> 2 | value[3] << 5, value[2] & 3, value[4:]
    assert value[:2] == b"\2\x46"
    assert (size, how) == (len(content), 0)
    block = (1 | 2 << 1 | len(body) - 4 << 3).to_bytes(3, "little")
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x24, size]) + block + body
    expand = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(own.content)).decompress
    assert expand(frame) == content


def checksum_of(*parts: bytes) -> int:
    """Of a value of version 3, slowly: 64 x 64 -> 128 bit products, folded."""

    def mix(a: int, b: int) -> int:
        return a * b & (1 << 64) - 1 ^ a * b >> 64

    state = 0xA0761D6478BD642F
    for part in parts:
        words = [part[at : at + 8] for at in range(0, len(part) - len(part) % 8, 8)]
        for word in (*words, part[len(part) - len(part) % 8 :]):
            state = mix(state ^ int.from_bytes(word, "little"), 0x9E3779B97F4A7C15)
        state = mix(state ^ len(part), 0xD6E8FEB86659FD93)
    return (state ^ state >> 32) & 0xFFFFFFFF


@pytest.mark.parametrize("number", [0, 3, 70, 200])
def test_version_3_is_a_zstd_block_behind_the_numbers(own: StoredDictionary, number: int) -> None:
    codec = Codec(ValueForm((Dictionary(number or 70, own.content, 5),), number) if number != 3 else ValueForm.load(2))
    texts, numbers = samples("own")[3], bytes(range(200))
    value = codec.pack(third(texts, numbers))
    assert value[0] == {0: 32, 3: 34}.get(number, number)
    assert value[1:4] == bytes([len(texts)]) + b"\xc8\1"
    assert int.from_bytes(value[4:8], "little") == checksum_of(b"tenant\0pc-1\0", texts, numbers)
    assert value[8:208] == numbers
    body = value[208:]
    block = (1 | 2 << 1 | len(body) << 3).to_bytes(3, "little")
    content = {0: b"", 3: find_dictionaries()[1].content}.get(number, own.content)
    known = {"dict_data": zstandard.ZstdCompressionDict(content)} if content else {}
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x20, len(texts)]) + block + body
    assert zstandard.ZstdDecompressor(**known).decompress(frame) == texts


def test_a_value_is_read_under_the_name_of_its_host_alone() -> None:
    value = pack_value(third(b"texts", b"numbers"))
    assert b"pc-1" not in value
    for host in (("tenant", "pc-2"), ("", "tenant\0pc-1"), ("tenantpc-1", "")):
        with pytest.raises(CorruptValue, match="damaged, or of another host under key"):
            unpack_value(value, KEY, host)
    with pytest.raises(CorruptValue, match="a state whose host is not known under key"):
        unpack_value(value, KEY)


def test_ids_without_a_form_are_not_written_with(own: StoredDictionary) -> None:
    with pytest.raises(ValueError, match="dictionary 40 cannot be written with"):
        Packer([Dictionary(40, own.content, 3)], 40, 3, 1000)
    with pytest.raises(ConfigError, match="1 to 31 or 64 to 255"):
        StoredDictionary.parse(own.dump().replace(b'"id": 70', b'"id": 40'), "40.ffdict")


def test_tables_of_a_dictionary_are_found() -> None:
    for one in find_dictionaries():
        assert join_tables(one.content, one.content, len(one.content)) == one.content
        assert join_tables(one.content, one.content, 50_000)[-40_000:] == one.content[-40_000:]
        assert len(join_tables(one.content, one.content, 50_000)) == 50_000


def test_several_values_at_once() -> None:
    codec = Codec()
    payloads: list[bytes] = [b"a", MARK + b"b", MARK + b"c" * 1000]
    values: list[bytes | None] = [*codec.pack_all(payloads), None]
    assert codec.unpack_all(values, [b"1", b"2", b"3", b"4"]) == [*payloads, None]
    assert codec.pack_all([]) == codec.unpack_all([]) == []


def test_the_fault_of_one_of_several_is_told_with_its_key() -> None:
    codec = Codec()
    values: list[bytes | None] = [codec.pack(b"a"), None, b"\2\0rubbish"]
    with pytest.raises(CorruptValue) as caught:
        codec.unpack_all(values, [b"1", b"2", b"3"])
    assert caught.value.key == b"3"


def test_equal_payloads_have_equal_values_in_every_thread() -> None:
    values: list[bytes] = []
    payload = MARK + b"state " * 50
    threads = [threading.Thread(target=lambda: values.append(pack_value(payload))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(values) == {pack_value(payload)}


@pytest.mark.parametrize("dictionary", [0, 1, 2])
@EACH_MARK
def test_a_value_is_the_same_whatever_was_packed_before(mark: bytes, dictionary: int) -> None:
    """Texts above 16 KiB are compressed in another way, with the same tables."""
    paths = [b"C:\\Windows\\System32\\%d.dll " % (number * number) for number in range(1000)]
    payloads = [marked(mark, b"".join(paths[:count])) for count in (3, 1000, 30, 500, 800, 1)]
    alone = [Codec(ValueForm.load(dictionary)).pack(payload) for payload in payloads]
    codec = Codec(ValueForm.load(dictionary))
    assert codec.pack_all(payloads) == alone
    assert codec.pack_all(payloads[::-1]) == alone[::-1]
    assert [codec.pack(payload) for payload in payloads] == alone
    assert codec.unpack_all(list(alone), None, HOST) == payloads


def test_one_dictionary_serves_many_threads(own: StoredDictionary) -> None:
    form = ValueForm((Dictionary(70, own.content, 5),), 70)
    payloads = [third(payload) for payload in samples("own")]
    wanted = Codec(form).pack_all(payloads)
    found: list[list[bytes]] = []

    def pack() -> None:
        codec = Codec(form)
        found.extend(codec.pack_all(payloads) for _ in range(20))

    threads = [threading.Thread(target=pack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(values == wanted for values in found)


def frame(payload: bytes = b"state " * 100, **form: Any) -> bytes:
    how = {"level": 3, "write_checksum": True, "write_content_size": True, **form}
    return b"\x01\x00" + zstandard.ZstdCompressor(**how).compress(payload)


GOOD = frame()
SECOND = pack_value(MARK + b"state " * 100)
THIRD = pack_value(third(b"state " * 30))
BAD = {
    "empty": (b"", "value of 0 bytes"),
    "one byte": (b"\x01", "value of 1 bytes"),
    "not zstd": (b"\x01\x00hello", ""),
    "header alone": (b"\x01\x00", ""),
    "truncated": (GOOD[:-1], ""),
    "trailing": (GOOD + b"x", ""),
    "two frames": (GOOD + GOOD[2:], ""),
    "no checksum": (frame(write_checksum=False), "another form"),
    "no content": (frame(b""), "without content"),
    "no size": (frame(write_content_size=False), "without content size"),
    "2: header alone": (b"\x02\x00", "not a value"),
    "2: another way": (b"\x02\x00\x07abcdefgh", "not a value"),
    "2: a longer varint": (b"\x02\x00\x81\x00abcdefgh", "not a value"),
    "2: no body": (b"\x02\x00\x04", "damaged"),
    "2: no checksum": (b"\x02\x00\x05abc", "damaged"),
    "2: no content": (b"\x02\x00\x00abcdefgh", "without content"),
    "2: truncated": (SECOND[:-1], "damaged"),
    "2: trailing": (SECOND + b"x", "damaged"),
    "2: a block too long": (b"\x02\x00\x04" + bytes(200_000), "damaged"),
    "2: another size": (SECOND[:2] + bytes([SECOND[2] + 4]) + SECOND[3:], "damaged"),
    "2: a frame of another size": (b"\x02\x00\x06" + GOOD[2:], "damaged"),
    "3: header alone": (b"\x20\x05", "not a value"),
    "3: a longer varint": (b"\x20\x81\x00\x00abcdefgh", "not a value"),
    "3: no checksum": (b"\x20\x05\x00abc", "not a value"),
    "3: fewer numbers": (b"\x20\x05\x09abcdabcd", "not a value"),
    "3: no content": (b"\x20\x00\x00\x00abcdefgh", "without content"),
    "3: no body": (b"\x20\x05\x00abcd", "damaged"),
    "3: a longer body": (b"\x20\x05\x00abcdabcdef", "damaged"),
    "3: truncated": (THIRD[:-1], "damaged"),
    "3: trailing": (THIRD + b"x", "damaged"),
    "3: another size": (THIRD[:1] + bytes([THIRD[1] + 1]) + THIRD[2:], "damaged"),
    "3: no frame": (b"\x20\x00\x05\x00abcdabcdefgh", "another form"),
    "3: a frame with checksum": (b"\x20\x00\xd8\x04\x00abcd" + GOOD[2:], "another form"),
    "3: a frame of another size": (b"\x20\x00\x05\x00abcd" + frame(write_checksum=False)[2:], "another form"),
    "3: a frame and more": (b"\x20\x00\xd8\x04\x00abcd" + frame(write_checksum=False)[2:] + b"x", "another form"),
    "3: another checksum": (b"\x20\x00\xd8\x04\x00abcd" + frame(write_checksum=False)[2:], "wrong checksum"),
}


@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD)
def test_a_value_that_is_not_ours_is_told_with_its_key(value: bytes, reason: str) -> None:
    with pytest.raises(CorruptValue) as caught:
        unpack_value(value, KEY, HOST)
    assert caught.value.key == KEY
    assert reason in caught.value.reason


@EACH_MARK
@pytest.mark.parametrize("dictionary", [0, 1, 2])
def test_every_flipped_bit_is_found(mark: bytes, dictionary: int) -> None:
    codec = Codec(ValueForm.load(dictionary))
    payload = marked(mark, b"the state of a process, C:\\Windows\\System32\\cmd.exe " + bytes(range(40)))
    value = codec.pack(payload)
    for place in range(len(value) * 8):
        flipped = bytearray(value)
        flipped[place // 8] ^= 1 << place % 8
        # A bit of the frame's header that zstd does not use may be free; the payload never changes.
        try:
            assert codec.unpack(bytes(flipped), KEY, HOST) == payload
        except (CorruptValue, UnknownForm):
            continue


@EACH_MARK
def test_a_bomb_is_refused_before_it_is_inflated(mark: bytes) -> None:
    value = Codec(ValueForm.load(0)).pack(marked(mark, bytes(1_000_000)))
    size = 1_000_003 if mark == MARK_3 else 1_000_000
    with pytest.raises(CorruptValue, match=f"payload of {size} bytes, limit 1000"):
        Codec(ValueForm((), 0, value_bytes=1000)).unpack(value, KEY, HOST)


def test_what_could_not_be_read_is_not_written() -> None:
    codec = Codec(ValueForm((), 0, value_bytes=10))
    for payload in (bytes(10), MARK + bytes(8)):
        assert codec.unpack(codec.pack(payload), KEY) == payload
    with pytest.raises(ParkError, match="11 bytes, limit 10"):
        codec.pack(bytes(11))


# Dictionaries


def test_a_dictionary_makes_values_smaller_and_they_are_read_by_all_that_have_it(
    own: StoredDictionary, folder: Path
) -> None:
    writer, reader = Codec(ValueForm.load(70, folder=str(folder))), Codec(ValueForm.load(2, folder=str(folder)))
    payload = third(samples("own")[50])
    assert len(writer.pack(payload)) < len(Codec(ValueForm.load(0)).pack(payload)) * 0.6
    assert reader.unpack(writer.pack(payload), KEY, HOST) == payload
    # Values written with several dictionaries come in one reply.
    values: list[bytes | None] = [reader.pack(payload), writer.pack(payload), Codec(ValueForm.load(0)).pack(payload)]
    assert reader.unpack_all(values, None, HOST) == [payload] * 3


def test_an_unknown_dictionary_is_named_with_the_place_to_put_it(folder: Path, tmp_path: Path) -> None:
    value = Codec(ValueForm.load(70, folder=str(folder))).pack(MARK + b"state")
    with pytest.raises(UnknownForm, match=r"unknown dictionary 70 .*: put 70\.ffdict into the folder that") as caught:
        unpack_value(value, KEY)
    assert caught.value.key == KEY
    with pytest.raises(UnknownForm, match=f"put 70.ffdict into {tmp_path}"):
        Codec(ValueForm.load(1, folder=str(tmp_path))).unpack(value, KEY)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.key) == (str(caught.value), KEY)


@pytest.mark.parametrize("value", [b"\3\0abcdefgh", b"\0\0abcdefgh", b"\x1f\xffabcdefgh"])
def test_an_unknown_version_is_named(value: bytes) -> None:
    told = f"corrupt value: format version {value[0]}, which is not known here under key b'{KEY.decode()}'"
    with pytest.raises(CorruptValue, match=re.escape(told)):
        unpack_value(value, KEY)


def test_version_1_has_no_dictionary() -> None:
    with pytest.raises(CorruptValue, match="under key"):
        unpack_value(b"\1\7" + GOOD[2:], KEY)


def test_bytes_that_are_not_ours_are_not_taken_for_a_dictionary_to_come() -> None:
    for value in (
        b"\2\xf0",
        b"\2\xf0\xff\xff\xff\xff\xff\xff\xff",
        b"\2\x63\0",
        b"\2\x46" + b"\xff\xff\xff\x7f" + b"x" * 60,
    ):
        with pytest.raises(CorruptValue, match="under key"):
            unpack_value(value, KEY)


def test_another_dictionary_of_the_same_id_is_found_by_the_checksum(own: StoredDictionary) -> None:
    other = train(samples("other"), 70, "a test", 4096)
    writer, reader = (Codec(ValueForm((Dictionary(70, one.content, 5),), 70)) for one in (own, other))
    for payload in samples("own")[:50]:
        with pytest.raises(CorruptValue, match="damaged zstd data"):
            reader.unpack(writer.pack(MARK + payload), KEY)


def test_two_dictionaries_of_one_id_are_refused(folder: Path, own: StoredDictionary) -> None:
    other = train(samples("other"), 70, "a test", 4096)
    (folder / "other.ffdict").write_bytes(other.dump())
    try:
        with pytest.raises(ConfigError, match=f"dictionary 70 is another one already, digest {own.digest}"):
            find_dictionaries(folder)
    finally:
        (folder / "other.ffdict").unlink()


def test_the_same_dictionary_twice_is_one(folder: Path, own: StoredDictionary) -> None:
    (folder / "copy.ffdict").write_bytes(own.dump())
    try:
        assert [one.id for one in find_dictionaries(folder)].count(70) == 1
    finally:
        (folder / "copy.ffdict").unlink()


def test_training_again_gives_the_same_dictionary(own: StoredDictionary) -> None:
    assert train(samples("own"), 70, "a test", 4096) == own
    assert StoredDictionary.parse(own.dump(), "x") == own


def test_too_few_states_are_refused() -> None:
    with pytest.raises(ConfigError, match="99 states are too few"):
        train(samples("x", 99), 70, "a test")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"", "not a dictionary"),
        (lambda data: b"[]\n", "not a dictionary"),
        (lambda data: data[:-1], "damaged"),
        (lambda data: data.replace(b'"id": 70', b'"id": 0'), "1 to 31"),
        (lambda data: data.replace(b"dictionary 1", b"dictionary 2"), "another form"),
    ],
)
def test_a_damaged_dictionary_is_refused(own: StoredDictionary, change: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"70.ffdict: .*{reason}"):
        StoredDictionary.parse(change(own.dump()), "70.ffdict")


def test_a_dictionary_to_write_with_must_be_there() -> None:
    with pytest.raises(ConfigError, match="dictionary 70 is not there to write with; there are: 1, 2, and 0 for none"):
        ValueForm.load(70)
    with pytest.raises(ConfigError, match="nowhere: cannot be read"):
        ValueForm.load(1, folder="nowhere")


def test_wrong_parts_of_a_packer_are_refused(own: StoredDictionary) -> None:
    with pytest.raises(ValueError, match="no dictionary of zstd"):
        Dictionary(1, b"raw text", 3)
    with pytest.raises(ValueError, match="damaged dictionary"):
        Dictionary(1, own.content[:40], 3)
    with pytest.raises(ValueError, match="id 0 of a dictionary"):
        Dictionary(0, own.content, 3)
    with pytest.raises(ValueError, match="level 20"):
        Packer([], 0, 20, 1000)
    with pytest.raises(ValueError, match="dictionary 9 is not among"):
        Packer([], 9, 3, 1000)


def test_the_dictionaries_that_ship_are_those_they_have_always_been() -> None:
    shipped = find_dictionaries()
    assert {one.trained_on for one in shipped} == {"files of fastfold generate"}
    assert [(one.id, one.digest) for one in shipped] == [(1, "2b3ca892e9ce0632"), (2, "f98b167d3da4c7d6")]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("sys.modules['zstd'] = None", "the package zstd is not installed: pip install zstd"),
        ("sys.path.insert(0, sys.argv[1])", "this build of the zstd package does not export zstd's functions"),
    ],
    ids=["missing", "another"],
)
def test_a_zstd_that_cannot_be_used_is_named(tmp_path: Path, before: str, told: str) -> None:
    (tmp_path / "zstd.py").write_text("version = 1\n")
    code = f"import sys\n{before}\nimport fastfold._core"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: fastfold: {told}")


def test_zstd_is_not_imported() -> None:
    # It does not say that it does without the GIL, so its import would turn the GIL on.
    code = "import sys, fastfold._core\nprint('zstd' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
