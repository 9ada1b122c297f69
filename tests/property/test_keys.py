"""The keys that the core makes are those that `fastfold.store` defines with hashlib."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastfold._core import name_host, state_keys
from fastfold.store import host_key, key_slot, prefixed, process_key

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
LONG = st.builds(
    lambda text, times: text * times, st.text("a\u00e9\U00010348{}", min_size=1, max_size=9), st.integers(0, 90)
)
"""Around and above the block of the hash, which is 128 bytes long."""


@given(tenant=NAMES, host=NAMES | LONG, namespace=st.binary(max_size=9).filter(lambda name: not set(name) & set(b"{}")))
@example(tenant="", host="WORKSTATION5.theshire.local", namespace=b"ff:")
@example(tenant="", host="", namespace=b"")
def test_a_host_is_named_as_it_is_defined(tenant: str, host: str, namespace: bytes) -> None:
    identity, key, slot = name_host(tenant, host, namespace)
    assert identity == prefixed(tenant) + prefixed(host)
    assert key == host_key(tenant, host, namespace)
    assert slot == key_slot(key)


@given(processes=st.lists(NAMES | LONG, max_size=5))
@example(processes=["{1d3a5f7e-0000-0000-1234-56789abcdef0}", ""])
def test_states_have_the_keys_that_are_defined(processes: list[str]) -> None:
    key = host_key("", "host")
    assert state_keys(key, processes) == [process_key(key, process) for process in processes]


@pytest.mark.parametrize("length", [*range(120, 137), *range(250, 262), 1000])
def test_names_of_every_length_around_a_block(length: int) -> None:
    name = "x" * length
    key = host_key("", name)
    assert name_host("", name, b"ff:")[1] == key
    assert state_keys(key, [name]) == [process_key(key, name)]


def test_what_is_no_text_of_unicode_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        name_host("", "\ud800", b"ff:")
    with pytest.raises(UnicodeEncodeError):
        state_keys(b"ff:{x}", ["p", "\ud800"])
    with pytest.raises(TypeError):
        state_keys(b"ff:{x}", [b"p"])  # type: ignore[list-item]
