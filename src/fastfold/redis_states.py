"""The states in a Redis, from Python.

Keys and values are those of `fastfold.store`; nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from fastfold.config import Settings
from fastfold.decoding import Decoder
from fastfold.errors import CorruptValue, IdentityClash
from fastfold.extras import needs
from fastfold.schema import FoldDefinition, load_definition
from fastfold.states import State
from fastfold.store import host_key, process_key
from fastfold.values import ValueForm

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastfold.keyspace import Keyspace

__all__ = ["RedisStates", "open_store"]


def open_store(
    url: str,
    definition: str | os.PathLike[str] | FoldDefinition = "process",
    *,
    namespace: str = "ff:",
    keys_per_s: float = 0.0,
    settings: Settings | None = None,
) -> RedisStates:
    """Open the states that workers keep in a Redis or a cluster, to read them.

    Parameters
    ----------
    url : str
        ``redis://[[user]:password@]host[:port][,host[:port]...]``, or ``rediss://`` for TLS.
    definition : str, path or FoldDefinition
        What the states were made with.
    namespace : str
        Prefix of every key.
    keys_per_s : float
        Most keys a second that are looked at by what goes through many; 0 for no limit.
    settings : Settings, optional
        Timeouts, TLS files and folder of dictionaries; `url` and `namespace` win over its own.

    Returns
    -------
    RedisStates
        To be closed, or used with ``with``.

    Raises
    ------
    Unavailable
        If no node answers.
    ConfigError
        If the URL is none, or the server refuses us.
    SchemaError
    """
    from dataclasses import replace

    chosen = replace(settings or Settings(), redis_url=url, namespace=namespace)
    loaded = definition if isinstance(definition, FoldDefinition) else load_definition(definition)
    form = ValueForm.load(folder=chosen.dictionary_folder)
    module = needs("fastfold.keyspace")
    keyspace = module.Keyspace(chosen, module.Pace(keys_per_s))
    return RedisStates(keyspace, Decoder(loaded, chosen.limits, form, keyspace.get_many), namespace.encode())


class RedisStates:
    """The states in a Redis; used by one thread.

    Iterating goes through all of them, in no order, while workers go on writing.

    Parameters
    ----------
    keyspace : Keyspace
        Owned from here on.
    decoder : Decoder
    namespace : bytes

    Examples
    --------
    ::

        with fastfold.open_store("redis://redis.example") as store:
            state = store["WORKSTATION5", "39e4a257-79fb-5f92-7117-000000000700"]
            print(state.image, state.counts, [file.text for file in state.files])
            beacons = [state for state in store if "evil.example" in {one.text for one in state.domains}]
    """

    def __init__(self, keyspace: Keyspace, decoder: Decoder, namespace: bytes) -> None:
        self._keyspace = keyspace
        self._decoder = decoder
        self._namespace = namespace

    @property
    def definition(self) -> FoldDefinition:
        """What the states are read with."""
        return self._decoder.definition

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._keyspace.close()

    def get(self, host: str, process: str, *, tenant: str = "") -> State | None:
        """The state of a process, or ``None``.

        Raises
        ------
        CorruptValue, UnknownForm
        IdentityClash
            Another process lies under its key.
        """
        key = process_key(self._record_key(tenant, host), process)
        value = self._keyspace.get(key)
        if value is None:
            return None
        state = self._decoder.state(key, value)
        if (state.tenant, state.host, state.process) != (tenant, host, process):
            raise IdentityClash(f"another process lies under key {key.decode()}: {state.host} {state.process}")
        return state

    def __getitem__(self, identity: tuple[str, str] | tuple[str, str, str]) -> State:
        """The state of ``(host, process)``, or of ``(tenant, host, process)`` where there are tenants."""
        tenant, host, process = identity if len(identity) == 3 else ("", *identity)
        state = self.get(host, process, tenant=tenant)
        if state is None:
            raise KeyError(identity)
        return state

    def __contains__(self, identity: object) -> bool:
        match identity:
            case (str() as host, str() as process):
                return self.get(host, process) is not None
            case (str() as tenant, str() as host, str() as process):
                return self.get(host, process, tenant=tenant) is not None
            case _:
                return False

    def __iter__(self) -> Iterator[State]:
        return self._read(None)

    def host(self, host: str, *, tenant: str = "") -> list[State]:
        """The states of all processes of a host, by their ids.

        Parameters
        ----------
        host : str
        tenant : str

        Raises
        ------
        CorruptValue, UnknownForm
        """
        found = self._read(self._record_key(tenant, host))
        mine = [state for state in found if (state.tenant, state.host) == (tenant, host)]
        return sorted(mine, key=lambda state: state.process)

    def _record_key(self, tenant: str, host: str) -> bytes:
        key = host_key(tenant, host, self._namespace)
        self._decoder.know(key, (tenant, host))
        return key

    def _read(self, host: bytes | None) -> Iterator[State]:
        for key, found in self._keyspace.states(self._namespace, host):
            if isinstance(found, CorruptValue):
                raise found
            assert found is not None, "what is not there is left out"
            yield self._decoder.state(key, found)
