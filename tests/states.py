"""What Redis holds, read with redis-py: the tests look at the store with other eyes than the program."""

from __future__ import annotations

from typing import Any

import redis

from fastfold.canary import canary_prefix
from fastfold.detection.record import detection_key
from fastfold.resp import RedisAddress
from fastfold.store import host_key, process_key
from fastfold.values import unpack_value

Identity = tuple[str, str, str]


def open_redis(url: str) -> Any:
    """A client of a single Redis or of a cluster."""
    seed = RedisAddress.from_url(url).seeds[0]
    client: Any = redis.Redis(seed.host, seed.port)
    if client.info("cluster")["cluster_enabled"]:
        client.close()
        client = redis.RedisCluster(seed.host, seed.port)
    return client


def read_keys(client: Any, namespace: str) -> dict[bytes, bytes]:
    """Every key of a namespace with its value, but for those of canaries."""
    found = client.scan_iter(match=f"{namespace}*", count=1000)
    keys = [key for key in found if not key.startswith(canary_prefix(namespace.encode()))]
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.get(key)
        return dict(zip(keys, pipe.execute(), strict=True))


def assert_states(found: dict[bytes, bytes], expected: dict[Identity, bytes], namespace: str) -> None:
    """See that the states are these, byte for byte after decompression, and that there is nothing else."""
    prefix = namespace.encode()
    wanted = {
        process_key(host_key(tenant, host, prefix), process): payload
        for (tenant, host, process), payload in expected.items()
    }
    hosts = {host_key(tenant, host, prefix) for tenant, host, _ in expected}
    # What rules have found on a host lies beside its record.
    others = found.keys() - wanted.keys() - {detection_key(host) for host in hosts}
    assert others == hosts, "one record for each host, and no other key"
    missing = wanted.keys() - found.keys()
    assert not missing, f"{len(missing)} of {len(wanted)} states are missing"
    named = {process_key(host_key(*name[:2], prefix), name[2]): name[:2] for name in expected}
    different = [key for key, payload in wanted.items() if unpack_value(found[key], key, named[key]) != payload]
    assert not different, f"{len(different)} of {len(wanted)} states differ, the first under {different[0]!r}"
