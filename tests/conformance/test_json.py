"""What is JSON: the core, the reference and Python agree, but for a table of differences."""

from __future__ import annotations

import json

import pytest

from conformance.cases import ACCEPTED, ACCEPTED_FILES, DIFFERENCES, REFUSED, REFUSED_FILES, Difference
from conformance.places import LIMITS, PLACES, fold, placed
from fastfold.errors import Reject
from fastfold.reference import read_lines
from property.implementations import CORE, IMPLEMENTATIONS, REFERENCE, Implementation
from property.strategies import PROCESS, SYSMON

IN_PLACE = pytest.mark.parametrize("place", PLACES)
ALL = pytest.mark.parametrize("kit", IMPLEMENTATIONS, ids=repr)


def python_accepts(text: bytes) -> bool:
    try:
        json.loads(text.decode())
    except (ValueError, RecursionError):
        return False
    return True


def closes_what_it_did_not_open(text: bytes, place: str) -> bool:
    """Whether a text that is no value makes a sound record of the place it stands in.

    ``1,2`` is no value, but the inside of an array may be ``1,2``.
    """
    return python_accepts(placed(text, place))


def test_there_are_enough_cases() -> None:
    assert len(set(ACCEPTED)) >= 150
    assert len(set(REFUSED)) >= 150
    assert not set(ACCEPTED) & set(REFUSED)


@IN_PLACE
@ALL
def test_texts_that_are_json_are_accepted(kit: Implementation, place: str) -> None:
    refused = [text for text in ACCEPTED if fold(kit, placed(text, place)) is None]
    assert refused == []


@IN_PLACE
@ALL
def test_texts_that_are_no_json_are_refused(kit: Implementation, place: str) -> None:
    texts = [text for text in REFUSED if not closes_what_it_did_not_open(text, place)]
    assert len(texts) > 0.9 * len(REFUSED)
    accepted = [text for text in texts if fold(kit, placed(text, place)) is not None]
    assert accepted == []


@IN_PLACE
def test_core_and_reference_make_the_same_of_every_text(place: str) -> None:
    for text in [*ACCEPTED, *REFUSED, *(difference.text for difference in DIFFERENCES if b"\n" not in difference.text)]:
        data = placed(text, place)
        assert fold(CORE, data) == fold(REFERENCE, data), data
        assert fold(CORE, data + b"\n") == fold(REFERENCE, data + b"\n"), data


def test_python_says_the_same() -> None:
    assert [text for text in ACCEPTED if not python_accepts(text)] == []
    assert [text for text in REFUSED if python_accepts(text)] == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: f"{d.text[:20]!r}")
@ALL
def test_where_python_says_otherwise(kit: Implementation, difference: Difference) -> None:
    assert python_accepts(difference.text) != difference.we_accept
    for place in ("record", "kept", "skipped"):
        assert (fold(kit, placed(difference.text, place)) is not None) == difference.we_accept


@IN_PLACE
@ALL
def test_depth_is_counted_in_the_whole_record(kit: Implementation, place: str) -> None:
    level = {"record": 0, "kept": 1, "skipped": 1, "in an array": 3, "below": 2}[place]
    for depth, accepted in ((64 - level, True), (65 - level, False)):
        for text in (b"[" * depth + b"]" * depth, b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)):
            assert (fold(kit, placed(text, place)) is not None) == accepted


def test_kept_texts_are_what_python_reads() -> None:
    """Where nothing is replaced, and numbers as they are written."""
    for text in ACCEPTED:
        (event,) = read_lines(placed(text, "kept"), SYSMON).events
        value = json.loads(text, parse_int=str, parse_float=str)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, bool):
            value = json.dumps(value)
        kept = event.columns.get("file", "")
        if not isinstance(value, str):
            assert kept == ""
        elif value.isprintable() and value.encode("utf-8", "ignore").decode() == value:
            assert kept == value


@pytest.mark.parametrize(("data", "records"), ACCEPTED_FILES, ids=lambda value: repr(value)[:30])
@ALL
def test_files_that_are_accepted(kit: Implementation, data: bytes, records: int) -> None:
    _, counts = kit.fold(data, SYSMON, PROCESS, LIMITS)
    assert counts.records == records
    assert counts.lines == len(data.removeprefix(b"\xef\xbb\xbf").splitlines())
    assert counts.bytes == len(data)


@pytest.mark.parametrize(("data", "line"), REFUSED_FILES, ids=lambda value: repr(value)[:30])
@ALL
def test_files_that_are_refused(kit: Implementation, data: bytes, line: int) -> None:
    with pytest.raises(Reject) as caught:
        kit.fold(data, SYSMON, PROCESS, LIMITS)
    assert caught.value.line == line
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= len(data)
