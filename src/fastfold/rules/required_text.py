"""A plain text that whatever meets a regular expression must contain."""

from __future__ import annotations

import re

__all__ = ["required_text"]

_SHORTEST = 3
_REPEAT = re.compile(r"\{[0-9]+(?:,[0-9]*)?\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]", re.DOTALL)
# Escapes of one letter that stand for no character or for one of several.
_PLACES = "AzbBdDsSwWnrtfav"


def required_text(regex: str) -> str:
    r"""The longest text found that all matches of an expression contain, ASCII, in any case; or an empty one.

    Parameters
    ----------
    regex : str
        A valid expression of RE2.

    Notes
    -----
    Where it is in doubt it says nothing: an empty text is always right.

    Examples
    --------
    >>> required_text(r"(?i)powershell(\.exe)? .*-enc")
    'powershell'
    >>> required_text("powershell|cmd")
    ''
    """
    runs = [""]
    depth = 0
    at = 0
    while at < len(regex):
        character = regex[at]
        length = 1
        plain = ""
        if character == "\\":
            length = 2
            following = regex[at + 1]
            if following.isalnum() and following not in _PLACES:
                return ""
            plain = "" if following.isalnum() else following
        elif character == "[":
            found = _CLASS.match(regex, at)
            if found is None:
                return ""
            length = len(found[0])
        elif character in "*?{":
            repeat = _REPEAT.match(regex, at)
            length = len(repeat[0]) if repeat else 1
            # What it follows may be missing.
            runs[-1] = runs[-1][:-1]
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            return ""
        elif character not in "^$.+|":
            plain = character
        if plain.isascii() and plain and depth == 0:
            runs[-1] += plain
        else:
            runs.append("")
        at += length
    longest = max(runs, key=len)
    return longest if len(longest) >= _SHORTEST else ""
