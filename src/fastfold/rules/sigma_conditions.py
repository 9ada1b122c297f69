"""The detection of a Sigma rule, as pySigma has parsed it, to a `Condition`.

A walk over the condition tree of pySigma, after it has applied all modifiers.  What has no equal here is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from fastfold.rules.fields import implied_kinds
from fastfold.rules.sigma_fields import ADDRESS, INITIATED, PORT, Category
from fastfold.rules.types import AnyOf, Condition, Exists, KindIn, Not, Operator, Test
from fastfold.rules.values import Pattern, ValueFault, Wild, all_of, any_of, check, pattern_condition, pattern_regex

__all__ = ["Refused", "Walk"]

_NEVER = AnyOf(())
_WILD = {SpecialChars.WILDCARD_MULTI: Wild.ANY, SpecialChars.WILDCARD_SINGLE: Wild.ONE}
_COMPARE: dict[CompareOperators, Operator] = {
    CompareOperators.LT: "lt",
    CompareOperators.LTE: "lte",
    CompareOperators.GT: "gt",
    CompareOperators.GTE: "gte",
}
_FLAGS = {SigmaRegularExpressionFlag.MULTILINE: "m", SigmaRegularExpressionFlag.DOTALL: "s"}
_OPENED = {"true": "net_connect", "false": "net_accept"}


class Refused(Exception):
    """What of a rule cannot be honoured.

    Attributes
    ----------
    reason : str
    field : str
        Field of the rule, as it is written there; empty: none.
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Walk:
    """The conversion of one rule.

    Parameters
    ----------
    category : Category
    lenient : bool
        Whether a field without a column counts as absent from every event: the test never holds.  That is refused
        where it would make a rule match more than it says, under ``not``, and where nothing is left of the rule.
        Otherwise every such field is refused.

    Attributes
    ----------
    absent : list of str
        Fields that were taken as absent.
    """

    def __init__(self, category: Category, lenient: bool) -> None:
        self.category = category
        self.lenient = lenient
        self.absent: list[str] = []
        self.remote: list[str] = []

    def whole(self, parsed: Sequence[object]) -> Condition:
        """The condition of a rule with these parsed conditions: any of them.

        Raises
        ------
        Refused
        """
        detection = _any([self._walk(one) for one in parsed])
        if detection == _NEVER:
            raise Refused(f"nothing is left without {', '.join(self.absent)}: there is no such column", self.absent[0])
        found = _all([KindIn(self.category.kinds), detection])
        if self.remote and implied_kinds(found) != {"net_connect"}:
            raise Refused(
                f"{self.remote[0]} is known of connections that the process opened: the rule must ask for "
                "Initiated: 'true' as well",
                self.remote[0],
            )
        return found

    def _walk(self, node: object) -> Condition:
        if isinstance(node, ConditionAND):
            return _all([self._walk(part) for part in node.args])
        if isinstance(node, ConditionOR):
            return _any([self._walk(part) for part in node.args])
        if isinstance(node, ConditionNOT):
            return self._negated(node)
        if isinstance(node, ConditionFieldEqualsValueExpression):
            return self._compared(node.field, node.value)
        if isinstance(node, ConditionValueExpression):
            raise Refused(f"a search for {node.value} without a field: events have columns, no text as a whole")
        raise Refused(f"a condition of {type(node).__name__}")

    def _negated(self, node: ConditionNOT) -> Condition:
        before = len(self.absent)
        part = self._walk(node.args[0])
        if len(self.absent) > before:
            field = self.absent[before]
            raise Refused(f"{field} has no column, and is looked at under not: without it more would match", field)
        return Not(part)

    def _compared(self, field: str, value: SigmaType) -> Condition:
        column = self.category.fields.get(field)
        if column is None:
            if not self.lenient:
                raise Refused(f"the field {field} has no column", field)
            self.absent.append(field)
            return _NEVER
        try:
            if isinstance(value, SigmaExpansion):
                return _any([self._compared(field, part) for part in value.values])
            if column == INITIATED:
                return _initiated(value)
            if column in (ADDRESS, PORT):
                self.remote.append(field)
                return _address(value) if column == ADDRESS else _port(value)
            return _test(column, value)
        except ValueFault as fault:
            raise Refused(str(fault), field) from None


def _all(parts: list[Condition]) -> Condition:
    if _NEVER in parts:
        return _NEVER
    return all_of(parts)


def _any(parts: list[Condition]) -> Condition:
    return any_of(part for part in parts if part != _NEVER)


def _test(column: str, value: SigmaType) -> Condition:
    if isinstance(value, SigmaString):
        pattern = _pattern(value)
        if pattern == ("",):
            # To Sigma an empty text and none are the same.
            return AnyOf((Not(Exists(column)), Test(column, "equals", "")))
        return pattern_condition(column, pattern, isinstance(value, SigmaCasedString))
    if isinstance(value, SigmaTimestampPart):
        raise ValueFault("parts of times are not compared")
    if isinstance(value, (SigmaNumber, SigmaBool)):
        return Test(column, "equals", str(value).lower())
    if isinstance(value, SigmaNull):
        return Not(Exists(column))
    if isinstance(value, SigmaExists):
        return Exists(column) if value.exists else Not(Exists(column))
    if isinstance(value, SigmaRegularExpression):
        return _regex(column, value)
    if isinstance(value, SigmaCIDRExpression):
        return Test(column, "cidr", str(value.network))
    if isinstance(value, SigmaCompareExpression):
        if value.op is CompareOperators.NEQ:
            return Not(Test(column, "equals", str(value.number)))
        return Test(column, _COMPARE[value.op], str(value.number))
    raise ValueFault(f"{_name(value)} is not honoured")


def _name(value: SigmaType) -> str:
    return {
        "SigmaFieldReference": "a comparison with another field",
        "SigmaQueryExpression": "a query of another system",
    }.get(type(value).__name__, type(value).__name__)


def _pattern(value: SigmaString) -> Pattern:
    parts: list[str | Wild] = []
    for part in value.s:
        if isinstance(part, Placeholder):
            raise ValueFault(f"the placeholder %{part.name}% is not known: write its values instead")
        parts.append(_WILD[part] if isinstance(part, SpecialChars) else part)
    return tuple(parts) or ("",)


def _regex(column: str, value: SigmaRegularExpression) -> Test:
    if value.contains_placeholder():
        raise ValueFault("placeholders in a regular expression are not known")
    flags = "".join(sorted(_FLAGS[flag] for flag in value.flags if flag in _FLAGS))
    regex = (f"(?{flags})" if flags else "") + str(value.regexp)
    check("re", regex)
    # Other than its plain texts, the expressions of Sigma tell capitals apart unless they say otherwise.
    return Test(column, "re", regex, SigmaRegularExpressionFlag.IGNORECASE not in value.flags)


def _initiated(value: SigmaType) -> Condition:
    text = str(value).lower() if isinstance(value, (SigmaBool, SigmaString)) else ""
    if text not in _OPENED:
        raise ValueFault("is true or false")
    return KindIn(frozenset({_OPENED[text]}))


# The address and the port in ``remote``: 10.0.0.1:443, [fe80::1]:443, 10.0.0.1, fe80::1


def _port(value: SigmaType) -> Condition:
    text = str(value) if isinstance(value, (SigmaNumber, SigmaString)) else ""
    if not (text.isascii() and text.isdigit()):
        raise ValueFault("is compared with whole numbers only: the port is a part of a text")
    return Test("remote", "endswith", f":{text}")


def _address(value: SigmaType) -> Condition:
    if isinstance(value, SigmaCIDRExpression):
        return Test("remote", "cidr", str(value.network))
    if not isinstance(value, SigmaString):
        raise ValueFault(f"{_name(value)} is not honoured for a part of a text")
    pattern = _pattern(value)
    if pattern == ("",):
        raise ValueFault("an empty address is not compared")
    first = pattern[0]
    six = any(isinstance(part, str) and ":" in part for part in pattern)
    if isinstance(first, str) and pattern[1:] in ((), (Wild.ANY,)):
        begins = [first, f"[{first}"] if six else [first]
        if len(pattern) == 2:
            return _any([Test("remote", "startswith", text) for text in begins])
        whole = f"[{first}]:" if six else f"{first}:"
        return AnyOf((Test("remote", "equals", first), Test("remote", "startswith", whole)))
    if six:
        raise ValueFault("a wildcard in an IPv6 address may only stand at its end; or use cidr")
    # No wildcard reaches over the colon into the port.
    regex = pattern_regex(pattern).replace(".*", "[^:]*")
    regex = rf"\A{regex}(?::[0-9]+)?\z"
    check("re", regex)
    return Test("remote", "re", regex)
