"""ATT&CK, as the tags of rules name it: ``attack.credential-access``, ``attack.t1003.001``.

Tactics are the fourteen of the enterprise matrix.  Names of techniques are not known here, only their ids: the
matrix changes twice a year, and its pages are found by id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["TACTICS", "Attack", "attacks_of", "page_of"]

TACTICS: dict[str, tuple[str, str]] = {
    "reconnaissance": ("TA0043", "Reconnaissance"),
    "resource-development": ("TA0042", "Resource Development"),
    "initial-access": ("TA0001", "Initial Access"),
    "execution": ("TA0002", "Execution"),
    "persistence": ("TA0003", "Persistence"),
    "privilege-escalation": ("TA0004", "Privilege Escalation"),
    "defense-evasion": ("TA0005", "Defense Evasion"),
    "credential-access": ("TA0006", "Credential Access"),
    "discovery": ("TA0007", "Discovery"),
    "lateral-movement": ("TA0008", "Lateral Movement"),
    "collection": ("TA0009", "Collection"),
    "command-and-control": ("TA0011", "Command and Control"),
    "exfiltration": ("TA0010", "Exfiltration"),
    "impact": ("TA0040", "Impact"),
}
"""Id and name of each tactic, by its word in a tag."""

_TAG = "attack."
_TECHNIQUE = re.compile(r"t(\d{4})(?:\.(\d{3}))?")
_SITE = "https://attack.mitre.org"


@dataclass(frozen=True, slots=True)
class Attack:
    """What the tags of one rule say of ATT&CK.

    Attributes
    ----------
    tactics : tuple of (str, str)
        Ids and names.
    techniques : tuple of str
        Ids such as ``T1003``; that of a sub-technique is here too.
    subtechniques : tuple of str
        Ids such as ``T1003.001``.
    """

    tactics: tuple[tuple[str, str], ...]
    techniques: tuple[str, ...]
    subtechniques: tuple[str, ...]


def attacks_of(tags: Iterable[str]) -> Attack:
    """Read the tags that speak of ATT&CK; others, and words of it that are no tactic, are passed over.

    Examples
    --------
    >>> attacks_of(["attack.t1003.001", "attack.credential_access", "car.2016-04-002"])
    Attack(tactics=(('TA0006', 'Credential Access'),), techniques=('T1003',), subtechniques=('T1003.001',))
    """
    tactics: dict[tuple[str, str], None] = {}
    techniques: dict[str, None] = {}
    subtechniques: dict[str, None] = {}
    for tag in tags:
        word = tag.lower()
        if not word.startswith(_TAG):
            continue
        word = word.removeprefix(_TAG)
        found = _TECHNIQUE.fullmatch(word)
        if found is not None:
            techniques[f"T{found[1]}"] = None
            if found[2] is not None:
                subtechniques[f"T{found[1]}.{found[2]}"] = None
        # Sigma has written both of these.
        elif (tactic := TACTICS.get(word.replace("_", "-"))) is not None:
            tactics[tactic] = None
    return Attack(tuple(tactics), tuple(techniques), tuple(subtechniques))


def page_of(technique: str) -> str:
    """Address of the page of a technique or tactic."""
    folder = "tactics" if technique.startswith("TA") else "techniques"
    return f"{_SITE}/{folder}/{technique.replace('.', '/')}/"
