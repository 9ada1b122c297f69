"""What a real redis-server says of keys and values."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from fastfold.local import find_redis
from state_source import Fleet, Identity

__all__ = ["Measured", "Server"]

TTL_S = 86_400
PIPELINE = 500


@dataclass(frozen=True)
class Measured:
    """Sizes of one form of all states, ascending where they are lists."""

    values: list[int]
    usages: list[int]
    used_bytes: int
    record_bytes: int

    @property
    def processes(self) -> int:
        return len(self.values)

    @property
    def value_bytes(self) -> int:
        return sum(self.values)

    @property
    def usage_bytes(self) -> int:
        return sum(self.usages)

    def value_quantile(self, share: float) -> int:
        return self.values[round(share * (len(self.values) - 1))]

    def usage_quantile(self, share: float) -> int:
        return self.usages[round(share * (len(self.usages) - 1))]


class Server:
    """A redis-server on a socket of its own, ended with the block."""

    def __enter__(self) -> Server:  # noqa: PYI034 - nobody inherits from it
        self._folder = tempfile.TemporaryDirectory(prefix="fastfold-redis-")
        path = Path(self._folder.name, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([find_redis(), *options], stdout=subprocess.DEVNULL, cwd=self._folder.name)
        end = time.monotonic() + 30
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.02)
        self._client: Any = redis.Redis(unix_socket_path=str(path))
        self.version = self._client.info("server")["redis_version"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def measure(
        self,
        key_of: Callable[[Identity], bytes],
        fleet: Fleet,
        value_of: Callable[[Fleet, Identity], bytes],
        records: Callable[[Fleet], Iterator[tuple[bytes, bytes]]] | None = None,
    ) -> Measured:
        """Write all states, and the records, and ask what they take."""
        self._client.flushall()
        start = self._used()
        pairs = [(key_of(identity), value_of(fleet, identity)) for identity in fleet.states]
        self._write(pairs)
        usages = self._usages([key for key, _ in pairs])
        more = [] if records is None else list(records(fleet))
        self._write(more)
        record_bytes = sum(self._usages([key for key, _ in more]))
        return Measured(sorted(len(v) for _, v in pairs), sorted(usages), self._used() - start, record_bytes)

    def _write(self, pairs: list[tuple[bytes, bytes]]) -> None:
        for at in range(0, len(pairs), PIPELINE):
            with self._client.pipeline(transaction=False) as pipeline:
                for key, value in pairs[at : at + PIPELINE]:
                    pipeline.setex(key, TTL_S, value)
                pipeline.execute()

    def _usages(self, keys: list[bytes]) -> list[int]:
        usages: list[int] = []
        for at in range(0, len(keys), PIPELINE):
            with self._client.pipeline(transaction=False) as pipeline:
                for key in keys[at : at + PIPELINE]:
                    pipeline.memory_usage(key)
                usages += pipeline.execute()
        return usages

    def _used(self) -> int:
        """Memory without what this connection's buffers take for a moment, and without a table half moved."""
        lowest = self._settled()
        for _ in range(20):
            time.sleep(0.05)
            now = self._settled()
            if now >= lowest:
                return lowest
            lowest = now
        return lowest

    def _settled(self) -> int:
        memory = self._client.info("memory")
        return int(memory["used_memory"]) - int(memory["mem_clients_normal"])
