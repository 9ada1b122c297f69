"""Which addresses a webhook may be sent to.

A name may be made to lead anywhere: to this machine, into the network behind the pod, to the metadata service of the
cloud.  So a name is resolved once for a connection, its addresses are judged, and the connection is made to an
address that has passed, not to the name: a second answer of the resolver cannot lead it elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from fastfold.errors import Unavailable
from fastfold.text import escape

__all__ = ["Network", "find_addresses", "is_allowed"]

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

# Addresses of IPv6 that hold one of IPv4 in their last four bytes, to which a gateway leads them.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")

# Set aside, but not known as such to every version of Python that we run on.
_SET_ASIDE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "100::/64", "2001::/23", "3fff::/20", "5f00::/16")
)


def find_addresses(host: str, port: int, networks: Sequence[Network]) -> list[str]:
    """The addresses of a host that may be connected to, in the order of the resolver.

    Parameters
    ----------
    host : str
        A name, or an address without brackets.
    port : int
    networks : sequence of Network
        Allowed although they are not public.

    Raises
    ------
    Unavailable
        If there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(host, f"cannot be resolved: {escape(str(error), 200)}") from None
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    allowed = [address for address in addresses if is_allowed(ipaddress.ip_address(address), networks)]
    if not allowed:
        raise Unavailable(
            host, f"leads to {', '.join(addresses)}, which is not public and not within allow_networks: refused"
        )
    return allowed


def is_allowed(address: _Address, networks: Sequence[Network]) -> bool:
    """Whether an address is public, or in one of the networks."""
    if any(address in network for network in networks):
        return True
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        inner = _inner(address)
        if inner is not None:
            return is_allowed(inner, networks)
    if any(address in network for network in _SET_ASIDE):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that a packet to this one of IPv6 may end at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in (*_NAT64, _COMPATIBLE)):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
