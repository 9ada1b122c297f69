"""Parts of an alert that some forms want apart: its span, names of files, domains of users, addresses and ports."""

from __future__ import annotations

import ipaddress
import re

from fastfold.alerts.types import Alert

__all__ = ["base_name", "span_of", "split_remote", "split_user"]

_PORT = re.compile(r"(.*):(\d{1,5})")
_MOST_PORT = 65_535


def span_of(alert: Alert) -> tuple[int, int]:
    """Times of the first and of the last matched event, nanoseconds since 1970 UTC."""
    times = [step.time_ns for step in alert.steps] or [alert.times.event_ns]
    return min(times), max(times)


def base_name(path: str) -> str:
    r"""The last part of a path of Windows or of Unix.

    Examples
    --------
    >>> base_name("C:\\Windows\\cmd.exe")
    'cmd.exe'
    """
    return re.split(r"[\\/]", path)[-1] or path


def split_user(user: str) -> tuple[str, str]:
    r"""Domain, empty where there is none, and name.

    Examples
    --------
    >>> split_user("ACME\\bob")
    ('ACME', 'bob')
    """
    domain, separator, name = user.partition("\\")
    return (domain, name) if separator and name and "\\" not in name else ("", user)


def split_remote(remote: str) -> tuple[str, int | None]:
    """Address and port of ``ip:port``; the address is empty where there is no address in it.

    Examples
    --------
    >>> split_remote("[2001:db8::1]:443")
    ('2001:db8::1', 443)
    """
    address, port = remote, None
    found = _PORT.fullmatch(remote)
    if found is not None and (":" not in found[1] or found[1].startswith("[")) and int(found[2]) <= _MOST_PORT:
        address, port = found[1], int(found[2])
    try:
        return str(ipaddress.ip_address(address.strip("[]"))), port
    except ValueError:
        return "", None
