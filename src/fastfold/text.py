r"""Text that is safe to show.

File names, command lines and host names are chosen by attackers.  Written raw to a terminal or a
log they can move the cursor, hide a line, forge another one, or show an ending that is not the
real one.  Everything that shows such text goes through this module:

``escape``
    for people (tables, ``inspect``, log lines, error messages): dangerous characters become
    ``\x1b`` or ``\u202e``, and so do invisible ones, which make two names look alike.
    Backslashes stay single, so that Windows paths stay readable: the shown text is safe, but only
    ``json_line`` is exact.
``json_line``
    for programs: one line of JSON in which the same characters are JSON escapes.  Nothing is lost,
    and the line can be looked at in a terminal.
``attribute_text``
    for attributes of messages: what ``escape`` gives, without what SQS and SNS refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

__all__ = ["attribute_text", "escape", "json_line", "pieces"]

# C0, DEL and C1 controls; directional marks, embeddings, overrides and isolates; line and paragraph
# separators; lone surrogates (which cannot be written as UTF-8 at all); and what Unicode calls default
# ignorable: joiners, fillers, variation selectors, tags, which a terminal does not show.
_DANGEROUS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# SQS and SNS refuse a body that has one of these two: XML does.
_IN_JSON = re.compile(_DANGEROUS.pattern[:-1] + "\ufffe\uffff]")


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


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


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    r"""The parts of what `escape` gives, each with whether it stands for a character that was escaped.

    Where there is colour, it tells an escaped character from the same letters in a name.

    Examples
    --------
    >>> list(pieces("a\x1b[2J"))
    [('a', False), ('\\x1b', True), ('[2J', False)]
    """
    at = 0
    for match in _DANGEROUS.finditer(text):
        if match.start() > at:
            yield text[at : match.start()], False
        yield _shown(match), True
        at = match.end()
    if at < len(text):
        yield text[at:], False


def json_line(value: object) -> str:
    r"""One line of compact JSON, without its line feed, safe to show and exact to read.

    Examples
    --------
    >>> json_line({"image": "a\u202eb", "user": "Zoë"})
    '{"image":"a\\u202eb","user":"Zoë"}'
    """
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # json escapes C0 itself; the other dangerous characters can only stand inside strings.
    return _IN_JSON.sub(_json_escape, line)


def attribute_text(text: str, width: int | None = None) -> str:
    r"""A text that SQS and SNS take as the value of an attribute: never empty, and nothing that XML refuses.

    Examples
    --------
    >>> attribute_text("")
    '-'
    """
    return escape(text, width).replace("\ufffe", "?").replace("\uffff", "?") or "-"
