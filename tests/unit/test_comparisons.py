"""What texts, numbers and addresses are to rules."""

from __future__ import annotations

import doctest
import ipaddress
import sys

import numpy
import pytest
import re2

import fastfold.rules.required_text
from fastfold.rules.comparisons import address_of, caseless, caseless_points, number_of
from fastfold.rules.required_text import required_text


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("POWERSHELL.EXE", "powershell.exe"),
        ("STRAẞE", "straße"),
        ("ΣΑΣ", "σας"),
        ("\u212aelvin", "kelvin"),
        ("\u017fc.exe", "sc.exe"),
        ("Ǆ", "ǆ"),
        ("ǅ", "ǆ"),
        ("\u1f88", "\u1f80"),
        ("\u13a0", "\uab70"),
        ("\U00010400", "\U00010428"),
        ("\u023a", "\u2c65"),
    ],
)
def test_texts_that_differ_in_case_only_have_one_caseless_form(text: str, other: str) -> None:
    assert caseless(text) == caseless(other)
    assert len(caseless(text)) == len(text)


@pytest.mark.parametrize(("text", "other"), [("ß", "ss"), ("İ", "i"), ("ı", "i"), ("é", "e"), ("ﬁ", "fi"), ("I", "ı")])
def test_others_do_not(text: str, other: str) -> None:
    assert caseless(text) != caseless(other)


def test_nothing_has_case_beyond_the_table() -> None:
    for point in range(len(caseless_points()), sys.maxunicode + 1):
        character = chr(point)
        assert character.lower() == character.casefold() == character


def test_a_caseless_text_stays_as_it_is() -> None:
    points = caseless_points()
    assert numpy.array_equal(points[points], points)


def test_case_is_what_re2_takes_it_for() -> None:
    # RE2 and Python know Unicode of different years; what both know has been there for long.
    for point in range(0x80, 0x1E00):
        character = chr(point)
        folded = chr(int(caseless_points()[point]))
        if folded != character and character.isalpha():
            assert re2.fullmatch(f"(?i){folded}", character), hex(point)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("-1.5", -1.5), ("+.5", 0.5), ("1e3", 1000), ("007", 7), ("1.", 1)],
)
def test_numbers(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_0", "0x10", "inf", "nan", "1e999", "١", "1\n", "--1", "."])
def test_texts_that_are_no_numbers(text: str) -> None:
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1:443", "10.0.0.1"),
        ("[::1]:443", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert address_of(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    "text", ["", ":80", "10.0.0", "10.0.0.01", "host:80", "10.0.0.1:x", "[::1", "10.0.0.1:443 ", "::1%" + 128 * "e"]
)
def test_texts_that_are_no_addresses(text: str) -> None:
    assert address_of(text) is None


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        (r"^C:\\Windows\\.*\.exe$", "C:\\Windows\\"),
        (r"(?s)\A.*\\temp\\.*\z", "\\temp\\"),
        ("powershell|cmd", ""),
        ("(powershell|cmd)-enc", "-enc"),
        ("abcd?e", "abc"),
        ("abcd*", "abc"),
        ("abcd+ef", "abcd"),
        ("abcd{0,2}", "abc"),
        ("[abc]def[]x]ghij", "ghij"),
        ("ab", ""),
        (r"\Qabc\E", ""),
        (r"\x41bcd", ""),
        ("äbcd", "bcd"),
    ],
)
def test_required_texts(regex: str, text: str) -> None:
    assert required_text(regex) == text


def test_the_examples_of_required_texts() -> None:
    assert doctest.testmod(fastfold.rules.required_text).failed == 0
