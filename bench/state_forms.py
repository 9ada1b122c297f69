"""The forms in which a state is put into Redis: ours and what one would do otherwise."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import zstandard

from fastfold._core import Dictionary
from fastfold.dictionaries import OWN_IDS, compressed_part, train
from fastfold.states import to_json
from fastfold.store import host_key, process_key
from fastfold.values import ZSTD_LEVEL, Codec, ValueForm
from state_source import Fleet, Identity

__all__ = ["Form", "Keys", "forms"]


class Keys:
    """Names of keys."""

    @staticmethod
    def text(identity: Identity) -> bytes:
        return "process:{}:{}:{}".format(*identity).encode()

    @staticmethod
    def short(identity: Identity) -> bytes:
        return process_key(host_key(identity[0], identity[1]), identity[2])


@dataclass(frozen=True)
class Form:
    """How a state is written: its key, its value, and what else Redis holds because of it."""

    title: str
    key: Callable[[Identity], bytes]
    value: Callable[[Fleet, Identity], bytes]
    records: Callable[[Fleet], Iterator[tuple[bytes, bytes]]] | None = None
    form: ValueForm | None = None


def as_json(fleet: Fleet, identity: Identity) -> bytes:
    shown = to_json(fleet.states[identity], fleet.definition)
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode()


def forms(trained_on: Fleet | None) -> list[Form]:
    """What is compared: JSON first, then the others, ours last."""
    squeeze = zstandard.ZstdCompressor(level=3).compress

    def as_msgpack(fleet: Fleet, identity: Identity) -> bytes:
        return squeeze(msgspec.msgpack.encode(to_json(fleet.states[identity], fleet.definition)))

    found = [
        Form("JSON", Keys.text, as_json),
        Form("JSON + zlib 6", Keys.text, lambda fleet, identity: zlib.compress(as_json(fleet, identity), 6)),
        Form("msgpack + zstd 3", Keys.text, as_msgpack),
        _ours("fastfold, no dictionary", ValueForm.load(0)),
        _ours("fastfold, its own dictionary", ValueForm.load(1)),
    ]
    if trained_on is not None:
        made = train(
            [compressed_part(payload) for payload in trained_on.payloads.values()], OWN_IDS[0], "another fleet"
        )
        form = ValueForm((Dictionary(made.id, made.content, ZSTD_LEVEL),), made.id)
        found.append(_ours("fastfold, dictionary of another fleet", form))
    return found


def _ours(title: str, form: ValueForm) -> Form:
    codec = Codec(form)

    def records(fleet: Fleet) -> Iterator[tuple[bytes, bytes]]:
        for (tenant, host), record in fleet.records.items():
            yield host_key(tenant, host), codec.pack(record.encode())

    return Form(title, Keys.short, lambda fleet, identity: codec.pack(fleet.payloads[identity]), records, form)
