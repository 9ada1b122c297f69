"""A state's plain attributes, and its dict."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet, to_json

DEFINITION = load_definition("process")
STATE = State(
    "t",
    "h",
    "p",
    {
        "first": 5,
        "counts": {"other": 2},
        "image": Text(5, "C:\\x.exe", True),
        "files": TextSet(True, (Text(6, "a"), Text(7, "b"))),
    },
)


def test_values_are_plain_attributes() -> None:
    assert (STATE.first, STATE.counts, STATE.image) == (5, {"other": 2}, "C:\\x.exe")
    assert [file.text for file in STATE.files] == ["a", "b"]
    assert (STATE.more, STATE.cut) == (("files",), ("image",))


def test_what_was_not_seen_is_empty_where_the_definition_is_known() -> None:
    known = replace(STATE, definition=DEFINITION)
    assert (known.user, known.last, known.domains) == (None, None, ())
    assert State("", "h", "p", {}, DEFINITION).counts == {}
    for state in (STATE, known):
        with pytest.raises(AttributeError, match=r"no 'usr'; it has first, counts, image, files"):
            _ = state.usr
    with pytest.raises(AttributeError):
        _ = STATE.user


def test_the_definition_is_no_part_of_a_state() -> None:
    known = replace(STATE, definition=DEFINITION)
    assert known == STATE
    assert repr(known) == repr(STATE)
    assert pickle.loads(pickle.dumps(known)).user is None
    assert copy.deepcopy(STATE) == STATE


def test_the_dict_holds_everything_under_the_names_of_json() -> None:
    shown = STATE.to_dict()
    assert shown == {
        "tenant": "t",
        "host": "h",
        "process": "p",
        "first": 5,
        "counts": {"other": 2},
        "image": "C:\\x.exe",
        "files": [(6, "a"), (7, "b")],
        "more": ["files"],
        "cut": ["image"],
    }
    assert shown.keys() == to_json(STATE, DEFINITION).keys()
