"""The values that rules compare with, checked: wildcards, regular expressions, networks, numbers, spans of time.

Rules of our own and Sigma rules come together here: both make the same tests of the same texts.

google-re2 comes with the extra ``rules``: this module is imported only where rules are.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterable

import re2

from fastfold.rules.comparisons import number_of
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, Operator, Test

__all__ = [
    "SPAN_MOST_NS",
    "Pattern",
    "ValueFault",
    "Wild",
    "all_of",
    "any_of",
    "check",
    "escape_regex",
    "pattern_condition",
    "pattern_of",
    "pattern_regex",
    "span_ns",
]

SPAN_MOST_NS = 366 * 86_400 * 1_000_000_000
"""Longest span of time in a rule, nanoseconds."""

_SPAN = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_UNIT_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_REGEX_BYTES = 1 << 20
"""Most memory of one compiled expression."""


class ValueFault(ValueError):
    """What is wrong with a value, without its place."""


def span_ns(text: str) -> int:
    """Nanoseconds of ``90s``, ``5m``, ``1h``, ``2d``, ``250ms`` or ``0s``.

    Raises
    ------
    ValueFault
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueFault(f"{text!r} is no span of time like 90s, 5m, 1h, 2d, 250ms or 0s")
    span = int(found[1]) * _UNIT_NS[found[2]]
    if span > SPAN_MOST_NS:
        raise ValueFault(f"{text!r} is longer than {SPAN_MOST_NS // _UNIT_NS['d']} days")
    return span


def all_of(parts: Iterable[Condition]) -> Condition:
    """That all hold, without needless nesting."""
    return _joined(AllOf, parts)


def any_of(parts: Iterable[Condition]) -> Condition:
    """That at least one holds, without needless nesting."""
    return _joined(AnyOf, parts)


def _joined(way: type[AllOf | AnyOf], parts: Iterable[Condition]) -> Condition:
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, way) else [part])
    return flat[0] if len(flat) == 1 else way(tuple(flat))


def check(operator: Operator, value: str) -> None:
    """See that a value is one that `operator` can compare with.

    Raises
    ------
    ValueFault
    """
    if operator == "re":
        _check_regex(value)
    elif operator == "cidr":
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise ValueFault(f"{value!r} is no network like 10.0.0.0/8 or fd00::/8, without host bits") from None
    elif operator in ("gt", "gte", "lt", "lte") and number_of(value) is None:
        raise ValueFault(f"{value!r} is no number")
    elif operator in ("contains", "startswith", "endswith") and not value:
        raise ValueFault(f"{operator} with an empty text holds for every text; write exists instead")


def _check_regex(value: str) -> None:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_BYTES
    try:
        re2.compile(value, options=options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        # Not by repr: it would double every backslash.
        raise ValueFault(f"'{value}' is no regular expression of RE2: {reason}") from None


def escape_regex(text: str) -> str:
    """A regular expression that only this text meets."""
    # Not re.escape: it puts a backslash before characters where RE2 allows none.
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


class Wild(enum.Enum):
    """A wildcard of a pattern."""

    ANY = "*"
    ONE = "?"


Pattern = tuple[str | Wild, ...]
"""A text with wildcards: its parts in order, no two texts side by side."""


def pattern_of(text: str) -> Pattern:
    r"""The pattern that a text of a rule is.

    ``*`` stands for any text, ``?`` for one character, ``\*`` and ``\?`` for themselves.  A backslash before anything
    else is a backslash; only right before a wildcard must it be doubled: ``C:\Temp\\*``.
    """
    parts: list[str | Wild] = []
    for plain, slashes, wild in re.findall(r"((?:[^\\*?]|\\+(?![\\*?]))*)(\\*)([*?]?)", text, re.DOTALL):
        kept = "\\" * (len(slashes) // 2 if wild else len(slashes))
        escaped = wild and len(slashes) % 2
        _put(parts, plain + kept + (wild if escaped else ""))
        if wild and not escaped:
            parts.append(Wild(wild))
    return tuple(parts) or ("",)


def _put(parts: list[str | Wild], text: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    elif text:
        parts.append(text)


def pattern_condition(column: str, pattern: Pattern, cased: bool = False) -> Condition:
    """The condition that the whole text of a column is what a pattern says; plain comparisons where these do.

    Raises
    ------
    ValueFault
    """
    plain = "".join(part for part in pattern if isinstance(part, str))
    wild = tuple(part if isinstance(part, Wild) else "" for part in pattern)
    operators: dict[tuple[Wild | str, ...], Operator] = {
        ("",): "equals",
        ("", Wild.ANY): "startswith",
        (Wild.ANY, ""): "endswith",
        (Wild.ANY, "", Wild.ANY): "contains",
    }
    if wild in operators:
        return Test(column, operators[wild], plain, cased)
    if set(wild) == {Wild.ANY}:
        return Exists(column)
    # Not ^ and $: these mean other places to other engines.
    regex = rf"(?s)\A{pattern_regex(pattern)}\z"
    check("re", regex)
    return Test(column, "re", regex, cased)


def pattern_regex(pattern: Pattern) -> str:
    """A regular expression, without anchors, that meets what a pattern does."""
    regexes = {Wild.ANY: ".*", Wild.ONE: "."}
    return "".join(regexes[part] if isinstance(part, Wild) else escape_regex(part) for part in pattern)
