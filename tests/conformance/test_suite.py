"""The public JSON Parsing Test Suite: every case as a record, and as a value in a kept and in a skipped field."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from conformance.others import PAGE, page_with_table
from conformance.places import LIMITS, PLACES, fold, placed
from conformance.suite import ACCEPT, EITHER, REFUSE
from fastfold._core import ParsePlan, Parser
from fastfold.errors import Reject
from fastfold.reference import read_lines
from fastfold.types import Limits
from property.implementations import CORE, IMPLEMENTATIONS, REFERENCE, Implementation, core_fold
from property.strategies import PROCESS, SYSMON

IN_PLACE = pytest.mark.parametrize("place", PLACES)
AS_VALUE = pytest.mark.parametrize("place", [place for place in PLACES if place != "record"])
ALL = pytest.mark.parametrize("kit", IMPLEMENTATIONS, ids=repr)

# A record is one line: a line feed between tokens ends it, so that what stands before is no whole value.
CUT_BY_LINE_FEED = {"y_array_with_1_and_newline", "y_object_with_newlines"}
# No value at all; in a batch file that is no record, and nothing is wrong with it.
NOTHING = {"n_single_space", "n_structure_no_data", "n_structure_UTF8_BOM_no_data"}

_NUMBER = "numbers are texts as they are written, of any size"
_ESCAPE = "a lone surrogate escape in a value is odd text: U+FFFD"
_BYTES = "invalid UTF-8 in a value is odd text: U+FFFD"
_UTF16 = "only UTF-8 is read"
DECISIONS: dict[str, tuple[bool, str]] = {
    **{name: (True, _NUMBER) for name in EITHER if name.startswith("i_number_")},
    "i_object_key_lone_2nd_surrogate": (True, "a key that no schema wants, of sound bytes"),
    "i_string_1st_surrogate_but_2nd_missing": (True, _ESCAPE),
    "i_string_1st_valid_surrogate_2nd_invalid": (True, _ESCAPE),
    "i_string_UTF-16LE_with_BOM": (False, _UTF16),
    "i_string_UTF-8_invalid_sequence": (True, _BYTES),
    "i_string_UTF8_surrogate_U+D800": (True, _BYTES),
    "i_string_incomplete_surrogate_and_escape_valid": (True, _ESCAPE),
    "i_string_incomplete_surrogate_pair": (True, _ESCAPE),
    "i_string_incomplete_surrogates_escape_valid": (True, _ESCAPE),
    "i_string_invalid_lonely_surrogate": (True, _ESCAPE),
    "i_string_invalid_surrogate": (True, _ESCAPE),
    "i_string_invalid_utf-8": (True, _BYTES),
    "i_string_inverted_surrogates_U+1D11E": (True, _ESCAPE),
    "i_string_iso_latin_1": (True, _BYTES),
    "i_string_lone_second_surrogate": (True, _ESCAPE),
    "i_string_lone_utf8_continuation_byte": (True, _BYTES),
    "i_string_not_in_unicode_range": (True, _BYTES),
    "i_string_overlong_sequence_2_bytes": (True, _BYTES),
    "i_string_overlong_sequence_6_bytes": (True, _BYTES),
    "i_string_overlong_sequence_6_bytes_null": (True, _BYTES),
    "i_string_truncated-utf-8": (True, _BYTES),
    "i_string_utf16BE_no_BOM": (False, _UTF16),
    "i_string_utf16LE_no_BOM": (False, _UTF16),
    "i_structure_500_nested_arrays": (False, "nesting is limited, to 64 by default"),
    "i_structure_UTF-8_BOM_empty_object": (True, "a byte order mark at the start of a file is skipped"),
}


def answer(call: Callable[[], object]) -> object:
    """What a call gives, or the line at which it refuses."""
    try:
        return call()
    except Reject as reject:
        return reject.line


def as_value(text: bytes) -> bytes:
    """A case as it can stand within a line: the line feed that ends some files is none of the value's."""
    return text.removesuffix(b"\n")


def test_the_suite_is_whole() -> None:
    assert (len(ACCEPT), len(REFUSE), len(EITHER)) == (95, 188, 35)
    assert all(name.startswith("y_") for name in ACCEPT)
    assert all(name.startswith("n_") for name in REFUSE)
    assert DECISIONS.keys() == EITHER.keys()


@ALL
def test_cases_to_accept_are_accepted_as_records(kit: Implementation) -> None:
    refused = {name for name, text in ACCEPT.items() if fold(kit, text) is None}
    assert refused == CUT_BY_LINE_FEED


@AS_VALUE
@ALL
def test_cases_to_accept_are_accepted_as_values(kit: Implementation, place: str) -> None:
    refused = {name for name, text in ACCEPT.items() if fold(kit, placed(as_value(text), place)) is None}
    assert refused == CUT_BY_LINE_FEED


@IN_PLACE
@ALL
def test_what_a_line_feed_cuts_is_accepted_with_other_white_space(kit: Implementation, place: str) -> None:
    for name in CUT_BY_LINE_FEED:
        for space in (b" ", b"\t", b"\r"):
            assert fold(kit, placed(ACCEPT[name].replace(b"\n", space), place)) is not None


@ALL
def test_cases_to_refuse_are_refused_as_records(kit: Implementation) -> None:
    accepted = {name for name, text in REFUSE.items() if fold(kit, text) is not None}
    assert accepted == NOTHING
    for name in NOTHING:
        _, counts = kit.fold(REFUSE[name], SYSMON, PROCESS, LIMITS)
        assert counts.records == 0


@AS_VALUE
@ALL
def test_cases_to_refuse_are_refused_as_values(kit: Implementation, place: str) -> None:
    accepted = {name for name, text in REFUSE.items() if fold(kit, placed(as_value(text), place)) is not None}
    assert accepted == set()


@ALL
def test_every_line_of_a_case_that_is_cut_is_looked_at(kit: Implementation) -> None:
    """Of a case with line feeds the first line that is no value is the one that is named."""
    lines = {"n_array_newlines_unclosed": 1, "n_array_unclosed_with_new_lines": 1, "n_string_unescaped_newline": 1}
    assert {name for name, text in REFUSE.items() if b"\n" in as_value(text)} == lines.keys()
    for name, line in lines.items():
        with pytest.raises(Reject) as caught:
            kit.fold(b"[]\n" + REFUSE[name], SYSMON, PROCESS, LIMITS)
        assert caught.value.line == line + 1


@ALL
def test_deep_cases_are_refused_by_depth_and_by_grammar(kit: Implementation) -> None:
    """100,000 brackets never get as far as their missing ends; 60 do."""
    for name, unit in (("n_structure_100000_opening_arrays", b"["), ("n_structure_open_array_object", b'[{"":')):
        assert as_value(REFUSE[name]).replace(unit, b"") == b""
        with pytest.raises(Reject, match="nested too deep") as caught:
            kit.fold(REFUSE[name], SYSMON, PROCESS, LIMITS)
        assert caught.value.limit == LIMITS.depth
        with pytest.raises(Reject, match="not JSON"):
            kit.fold(unit * 30, SYSMON, PROCESS, LIMITS)


@pytest.mark.parametrize("name", EITHER)
@ALL
def test_what_may_be_either_is_as_it_was_decided(kit: Implementation, name: str) -> None:
    accepted, _reason = DECISIONS[name]
    assert (fold(kit, EITHER[name]) is not None) == accepted
    within = accepted and "BOM" not in name
    for place in ("kept", "skipped", "below"):
        assert (fold(kit, placed(EITHER[name], place)) is not None) == within


@ALL
def test_500_arrays_are_accepted_where_the_limit_is_raised(kit: Implementation) -> None:
    text = EITHER["i_structure_500_nested_arrays"]
    assert fold(kit, text, Limits(depth=500)) is not None
    assert fold(kit, text, Limits(depth=499)) is None


@IN_PLACE
@pytest.mark.parametrize("window_bytes", [64, 100, 4096])
def test_core_and_reference_make_the_same_of_every_case(place: str, window_bytes: int) -> None:
    for name, text in {**ACCEPT, **REFUSE, **EITHER}.items():
        data = b"[]\n" + placed(text, place)
        found = answer(partial(core_fold, data, SYSMON, PROCESS, LIMITS, window_bytes))
        assert found == answer(partial(REFERENCE.fold, data, SYSMON, PROCESS, LIMITS)), name


# --- identifiers ----------------------------------------------------------------------------------

NUMBERS = [
    str(number)
    for bits in (53, 63, 64, 65, 128)
    for number in (2**bits - 1, 2**bits, 2**bits + 1, -(2**bits), -(2**bits) - 1)
] + ["9" * 400, "123456789" * 100, "1" + "0" * 1000 + "1", "0.1000000000000000000000000000001", "1E400"]


@pytest.mark.parametrize("quoted", [True, False])
def test_identifiers_and_columns_never_lose_a_digit(quoted: bool) -> None:
    for number in NUMBERS:
        value = f'"{number}"' if quoted else number
        line = (
            '{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":11,"UtcTime":"2020-01-01 00:00:00",'
            f'"Hostname":{value},"ProcessGuid":{value},"TargetFilename":{value}}}'
        ).encode()
        parser = Parser(ParsePlan(SYSMON, LIMITS))
        parser.begin()
        parser.window()[: len(line)] = line
        parser.advance(len(line))
        batch = parser.finish()
        (reading,) = read_lines(line, SYSMON).events
        given = number.lower()  # the guid form of the schema's ids
        assert (reading.host, reading.process, reading.columns["file"]) == (number, given, number)
        assert list(batch.processes) == [("", number, given)]
        assert batch.strings[int(batch.events["file"][0])] == number


def test_identifiers_that_one_double_would_merge_stay_apart() -> None:
    near = [2**64 + step for step in range(50)]
    assert len({float(number) for number in near}) == 1
    line = (
        '{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"UtcTime":"2020-01-01 00:00:00",'
        '"Hostname":"h","ProcessGuid":{}}}\n'
    )
    payloads, _ = CORE.fold("".join(map(line.format, near)).encode(), SYSMON, PROCESS, LIMITS)
    assert {process for _, _, process in payloads} == set(map(str, near))


# --- the table ------------------------------------------------------------------------------------


def test_the_table_of_other_parsers_is_what_they_do() -> None:
    page = PAGE.read_text()
    assert page_with_table() == page, "run: cd tests && python -m conformance.others"
    for _accepted, reason in DECISIONS.values():
        assert reason in page
