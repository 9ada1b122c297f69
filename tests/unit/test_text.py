"""No dangerous character reaches a terminal, and JSON stays exact."""

from __future__ import annotations

import json
import unicodedata

import pytest

from fastfold.text import escape, json_line

BIDI = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
SEPARATORS = [0x2028, 0x2029]
CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
SURROGATES = [0xD800, 0xDBFF, 0xDC00, 0xDCFF, 0xDFFF]
DANGEROUS = [*CONTROLS, *BIDI, *SEPARATORS, *SURROGATES]


@pytest.mark.parametrize("code", DANGEROUS, ids="U+{:04X}".format)
def test_every_dangerous_character_is_escaped(code: int) -> None:
    shown = escape(f"a{chr(code)}b")
    assert shown == (f"a\\x{code:02x}b" if code < 0x100 else f"a\\u{code:04x}b")
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
