"""What rules compare: texts without case, numbers and addresses in texts."""

from __future__ import annotations

import ipaddress
import math
import re
from functools import lru_cache

import numpy
from numpy.typing import NDArray

__all__ = ["Address", "Network", "address_of", "caseless", "caseless_points", "network_of", "number_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_ENDPOINT = re.compile(r"\[([^\[\]]*)\](?::[0-9]+)?|([^:]*):[0-9]+")
# Beyond the last character that has another case.
_POINTS = 0x20000
_ADDRESS_LENGTH = 128


@lru_cache(maxsize=1)
def caseless_points() -> NDArray[numpy.uint32]:
    """For each code point the one that its case is folded to: simple case folding of Unicode.

    Simple: a character stays one, ``ß`` is not ``ss``.
    """
    points = numpy.arange(_POINTS, dtype="<u4")
    for point in range(_POINTS):
        character = chr(point)
        # Where the full folding is longer, the simple one is the lower case; a dotted capital I has none.
        for folded in (character.casefold(), character.lower()):
            if len(folded) == 1:
                points[point] = ord(folded)
                break
    points.flags.writeable = False
    return points


@lru_cache(maxsize=1)
def _changes() -> dict[int, int]:
    points = caseless_points()
    return {point: int(points[point]) for point in numpy.flatnonzero(points != numpy.arange(_POINTS)).tolist()}


def caseless(text: str) -> str:
    """A text with the case of each character folded; texts that differ in case only have the same."""
    return text.lower() if text.isascii() else text.translate(_changes())


def number_of(text: str) -> float | None:
    """The number that a text is, as ``gt`` and the like compare it; ``None`` if it is none."""
    # float() alone would read "1_0", " 1 " and "infinity".
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def address_of(text: str) -> Address | None:
    """The address that a text is, alone or with a port: ``10.0.0.1:443``, ``[::1]:443``, ``::1``.

    An IPv4 address mapped into IPv6 is that IPv4 address.  A text of more than 128 characters is none.
    """
    return _address_of(text) if len(text) <= _ADDRESS_LENGTH else None


# Each network of the rules asks for the same addresses.
@lru_cache(maxsize=8192)
def _address_of(text: str) -> Address | None:
    found = _ENDPOINT.fullmatch(text)
    if found is not None:
        text = found[1] if found[1] is not None else found[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network_of(text: str) -> Network:
    """The network that ``cidr`` compares with.

    Raises
    ------
    ValueError
    """
    return ipaddress.ip_network(text)
