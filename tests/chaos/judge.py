"""What must hold when all is at rest: the states, the key space, the dead-letter queue; and what does not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.pieces import events_of
from fastfold.store import host_key, process_key
from fastfold.values import unpack_value
from states import Identity

__all__ = ["Verdict", "judge"]

SHOWN = 5


@dataclass
class Verdict:
    """What does not hold.

    Attributes
    ----------
    lost, doubled : int
        States with fewer and with more events than were delivered; those that are missing are lost.
    wrong : list of str
        All of it in words, the first few of each kind.
    """

    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(
    found: Mapping[bytes, bytes],
    expected: Mapping[Identity, bytes],
    namespace: str,
    letters: Sequence[tuple[str, Mapping[str, str]]],
    poison: Mapping[str, str],
) -> Verdict:
    """Compare what there is with what there must be.

    Parameters
    ----------
    found : mapping
        All keys with their values.
    expected : mapping
        The payload of every process.
    namespace : str
    letters : sequence
        Body and attributes of the messages in the dead-letter queue.
    poison : mapping
        The class of error by key of the object.
    """
    verdict = Verdict()
    prefix = namespace.encode()
    keys = {process_key(host_key(who[0], who[1], prefix), who[2]): who for who in expected}
    hosts = {host_key(tenant, host, prefix) for tenant, host, _ in expected}
    for key, who in keys.items():
        _state(verdict, who, unpack_value(found[key], key, who[:2]) if key in found else None, expected[who])
    verdict.wrong += [f"key {key!r} is nobody's" for key in found.keys() - keys.keys() - hosts][:SHOWN]
    verdict.wrong += [f"the host record {key!r} is missing" for key in hosts - found.keys()][:SHOWN]
    verdict.wrong += _letters(letters, poison)
    return verdict


def _state(verdict: Verdict, who: Identity, payload: bytes | None, wanted: bytes) -> None:
    if payload == wanted:
        return
    events, wanted_events = events_of(payload) if payload is not None else 0, events_of(wanted)
    verdict.lost += events < wanted_events
    verdict.doubled += events > wanted_events
    if len(verdict.wrong) < SHOWN:
        verdict.wrong.append(f"{who} holds {events} events, not {wanted_events}")


def _letters(letters: Sequence[tuple[str, Mapping[str, str]]], poison: Mapping[str, str]) -> list[str]:
    wrong = []
    parked = set()
    for body, attributes in letters:
        keys = [record["s3"]["object"]["key"] for record in json.loads(body)["Records"]]
        reasons = {poison.get(key) for key in keys}
        if attributes.get("ErrorType") not in reasons or not attributes.get("Reason"):
            wrong.append(f"{keys} is in the dead-letter queue for {attributes}")
        parked.update(keys)
    return wrong + [f"{key} is not in the dead-letter queue" for key in poison.keys() - parked]
