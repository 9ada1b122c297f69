"""The definition of right: states to and from their payload, of which there are three versions.

`encode` writes the last unless told otherwise; `decode` reads all.  The layouts are in ARCHITECTURE.md.
Of all ways to write a state in a version, only the one that `encode` has is read.
"""

from __future__ import annotations

from fastfold.errors import CorruptValue
from fastfold.reference.bytes import all_texts
from fastfold.reference.version1 import Reader1, Writer1
from fastfold.reference.version2 import MARK_2, Reader2, Writer2
from fastfold.reference.version3 import MARK_3, Reader3, Writer3
from fastfold.schema import FoldDefinition
from fastfold.states import State

__all__ = ["decode", "encode"]

_WRITERS: dict[int, type[Writer1 | Writer2]] = {1: Writer1, 2: Writer2, 3: Writer3}
_READERS: dict[int, type[Reader1 | Reader2]] = {1: Reader1, 2: Reader2, 3: Reader3}


def encode(state: State, definition: FoldDefinition, version: int = 3) -> bytes:
    """The canonical payload of a state.

    Parameters
    ----------
    state : State
    definition : FoldDefinition
    version : int
        1 to 3.

    Raises
    ------
    CorruptValue
        A text holds NUL, which none that was folded does.
    """
    for text in (state.tenant, state.host, state.process, *(member.text for member in all_texts(state))):
        if "\0" in text:
            raise CorruptValue("a text with NUL")
    return _WRITERS[version](state, definition).write()


def decode(payload: bytes, definition: FoldDefinition) -> State:
    """The state of a payload; of all payloads only those that `encode` gives are accepted.

    Parameters
    ----------
    payload : bytes
    definition : FoldDefinition

    Raises
    ------
    CorruptValue
    """
    version = 3 if payload.startswith(MARK_3) else 2 if payload.startswith(MARK_2) else 1
    state = _READERS[version](payload, definition).read()
    # What is left to be wrong is the choice among several ways to write the same: order of reducers
    # and kinds, length of varints, unit and base of times, forms of texts, values that should have
    # been left out.
    if encode(state, definition, version) != payload:
        raise CorruptValue("not canonical")
    return state
