"""No dangerous character reaches a terminal, and JSON stays exact."""

from __future__ import annotations

import json
import unicodedata

import pytest

from fastfold.text import escape, json_line, pieces

BIDI = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
SEPARATORS = [0x2028, 0x2029]
CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
SURROGATES = [0xD800, 0xDBFF, 0xDC00, 0xDCFF, 0xDFFF]
# Default_Ignorable_Code_Point of Unicode, as far as it is not above.
INVISIBLE = [
    *(0xAD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x200B, 0x200C, 0x200D, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x2060, 0x2066),
    *range(0x206A, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFFC),
    *(0x1BCA0, 0x1BCA3, 0x1D173, 0x1D17A, 0xE0000, 0xE0041, 0xE0FFF),
]
DANGEROUS = [*CONTROLS, *BIDI, *SEPARATORS, *SURROGATES, *INVISIBLE]


def shown_of(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@pytest.mark.parametrize("code", DANGEROUS, ids="U+{:04X}".format)
def test_every_dangerous_character_is_escaped(code: int) -> None:
    shown = escape(f"a{chr(code)}b")
    assert shown == f"a{shown_of(code)}b"
    assert list(pieces(f"a{chr(code)}b")) == [("a", False), (shown_of(code), True), ("b", False)]
    assert shown.isascii()
    assert shown.isprintable()


def test_every_other_character_below_the_surrogates_is_kept() -> None:
    dangerous = set(DANGEROUS)
    kept = "".join(chr(code) for code in range(0xD800) if code not in dangerous)
    assert escape(kept) == kept


def test_no_bidirectional_control_of_unicode_is_missed() -> None:
    classes = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    controls = {code for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in classes}
    assert controls <= set(BIDI)


def test_format_characters_of_unicode_are_escaped_where_they_cannot_be_seen() -> None:
    formats = {code for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}
    # Signs that stand before a number, and controls of hieroglyphs and shorthand, are drawn.
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    assert {code for code in formats - drawn if escape(chr(code)) == chr(code)} == set()


def test_a_windows_path_stays_readable() -> None:
    assert escape('C:\\Windows\\system32\\cmd.exe /c "echo Zoë"') == 'C:\\Windows\\system32\\cmd.exe /c "echo Zoë"'


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("abc\x1bdef", 6, "abc\\x…"),
        ("\x1b" * 9, 4, "\\x1…"),
        ("", 3, ""),
        ("abc", 1, "…"),
    ],
)
def test_width_bounds_the_shown_text(text: str, width: int, shown: str) -> None:
    assert escape(text, width) == shown


@pytest.mark.parametrize("code", DANGEROUS, ids="U+{:04X}".format)
def test_json_is_safe_and_exact(code: int) -> None:
    value = {"image": f"a{chr(code)}b", "files": [f"{chr(code)}"]}
    line = json_line(value)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == value


def test_json_keeps_other_text_readable() -> None:
    assert json_line(["Zoë", "日本", "\\"]) == '["Zoë","日本","\\\\"]'
