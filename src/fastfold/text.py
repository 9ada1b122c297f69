r"""Text that is safe to show.

File names, command lines and host names are chosen by attackers.  Written raw to a terminal or a
log they can move the cursor, hide a line, forge another one, or show an ending that is not the
real one.  Everything that shows such text goes through this module:

``escape``
    for people (tables, ``inspect``, log lines, error messages): dangerous characters become
    ``\x1b`` or ``\u202e``.  Backslashes stay single, so that Windows paths stay readable: the
    shown text is safe, but only ``json_line`` is exact.
``json_line``
    for programs: one line of JSON in which the same characters are JSON escapes.  Nothing is lost,
    and the line can be looked at in a terminal.
"""

from __future__ import annotations

import json
import re

__all__ = ["escape", "json_line"]

# C0, DEL and C1 controls; directional marks, embeddings, overrides and isolates; line and paragraph
# separators; lone surrogates (which cannot be written as UTF-8 at all).
_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def escape(text: str, width: int | None = None) -> str:
    r"""The text with every character that could harm a terminal or a log made visible.

    Parameters
    ----------
    text : str
    width : int, optional
        Longest result, characters; a longer one ends in ``…``.

    Examples
    --------
    >>> escape("C:\\Temp\\a\x1b[2Jb")
    'C:\\Temp\\a\\x1b[2Jb'
    """
    if width is not None and len(text) > width:
        # Escaping only lengthens: what lies beyond the width can never be shown.
        text = text[: width + 1]
    shown = _DANGEROUS.sub(_shown, text)
    if width is not None and len(shown) > width:
        return shown[: max(width - 1, 0)] + "…"
    return shown


def json_line(value: object) -> str:
    r"""One line of compact JSON, without its line feed, safe to show and exact to read.

    Examples
    --------
    >>> json_line({"image": "a\u202eb", "user": "Zoë"})
    '{"image":"a\\u202eb","user":"Zoë"}'
    """
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # json escapes C0 itself; the other dangerous characters can only stand inside strings.
    return _DANGEROUS.sub(_json_escape, line)
