"""The store against those who may not: other users, other servers, other values."""

from __future__ import annotations

import contextlib
import gzip
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws import CREDENTIALS
from batches import batch, expected, record
from committing import a_batch, a_committer, deltas, memory_connect, state_key
from fastfold.assembly import check_servers
from fastfold.cli import cli
from fastfold.config import SETTINGS, Settings
from fastfold.errors import ConfigError, FastfoldError, Unavailable
from fastfold.exits import Exit
from fastfold.metrics import total
from fastfold.resp import Connector, ConnectSettings, RedisAddress
from fastfold.store import MemoryStore, host_key, process_key
from fleet import Fleet, a_namespace
from servers import HOST, RedisCluster, RedisServer
from sqs import Cloud
from states import open_redis, unpack_value
from tls import Authority, Tls, need_tls

pytestmark = pytest.mark.servers

PASSWORD = "only:for/tests@"
QUOTED = "only%3Afor%2Ftests%40"

# What the manual lists, and no other.
COMMANDS = ["+watch", "+get", "+setex", "+multi", "+exec", "+cluster|slots", "+cluster|info", "+asking"]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(Cloud()) as cloud:
        yield cloud


def execute(ports: list[int], *command: str) -> list[Any]:
    """Run a command on every node, with all rights."""
    import redis

    replies = []
    for port in ports:
        with redis.Redis(HOST, port) as node:
            replies.append(node.execute_command(*command))
    return replies


@dataclass
class Store:
    """A Redis, and a user of it that has the rights of the manual on one prefix."""

    url: str
    look_url: str
    ports: list[int]
    namespace: str

    def denied(self) -> list[Any]:
        """What was refused to anybody since the store was given."""
        return [entry for entries in execute(self.ports, "ACL", "LOG") for entry in entries]


@contextlib.contextmanager
def limited(server: RedisServer | RedisCluster) -> Iterator[Store]:
    namespace = a_namespace()
    rights = ["reset", "on", f">{PASSWORD}", "-@all", *COMMANDS, f"~{namespace}*", "resetchannels"]
    execute(server.ports, "ACL", "SETUSER", "fold", *rights)
    execute(server.ports, "ACL", "LOG", "RESET")
    yield Store(
        url=server.url.replace("://", f"://fold:{QUOTED}@"),
        look_url=f"redis://{HOST}:{server.ports[0]}",
        ports=server.ports,
        namespace=namespace,
    )
    execute(server.ports, "ACL", "DELUSER", "fold")


@pytest.fixture(params=["redis_server", "redis_cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with limited(request.getfixturevalue(request.param)) as store:
        yield store


MANY = gzip.compress(b"".join(record(process, host="host-many") for process in range(600)))


def work(cloud: Cloud, store: Store, **more: Any) -> Fleet:
    """Everything that workers do with a store: new states, old ones, doubles, late batches, a host in chunks."""
    fleet = Fleet(cloud, store.url, look_url=store.look_url, namespace=store.namespace, ledger_window_s=60, **more)
    with contextlib.closing(fleet.client):
        keys = fleet.put(*(batch(3 * number, host=f"host-{number % 4}") for number in range(30)), MANY)
        for key in keys * 2:
            fleet.tell(key)
        fleet.run()
        fleet.assert_holds()
        # Two workers may have shared the chunks of the host with many; a third delivery finds all of them there.
        for key in keys:
            fleet.tell(key)
        counts = fleet.run()
        fleet.assert_holds()
        (late,) = fleet.put(batch(0, host="host-1"), age_s=3600)
        before = fleet.keys()
        fleet.tell(late)
        fleet.run()
        assert fleet.keys() == before
        fleet.assert_holds(late)
        assert total(counts, "already_applied") == len(keys)
    return fleet


def inspect(store: Store, *args: str, ca_file: Path | None = None) -> Result:
    flags = ["--redis-url", store.url, "--namespace", store.namespace]
    flags += ["--redis-ca-file", str(ca_file)] if ca_file else []
    return CliRunner().invoke(cli, ["inspect", *flags, *args])


PROCESS = "00000000-0000-0000-0000-000000000001"


def test_the_rights_of_the_manual_are_enough_for_all_that_workers_do(cloud: Cloud, store: Store) -> None:
    fleet = work(cloud, store)
    check_servers(fleet.settings)
    assert store.denied() == []


def test_they_are_enough_to_look_at_a_process_and_no_more(cloud: Cloud, store: Store) -> None:
    fleet = Fleet(cloud, store.url, look_url=store.look_url, namespace=store.namespace)
    with contextlib.closing(fleet.client):
        (key,) = fleet.put(batch(0))
        fleet.tell(key)
        fleet.run(1)
    assert inspect(store, "host-a", PROCESS).exit_code == Exit.OK
    assert inspect(store, "--key", host_key("", "host-a", store.namespace.encode()).decode()).exit_code == Exit.OK
    assert store.denied() == []
    scanned = inspect(store, "--scan")
    assert scanned.exit_code == Exit.SETUP
    assert "NOPERM" in scanned.stderr


def test_keys_of_others_are_out_of_reach(cloud: Cloud, store: Store) -> None:
    committer = a_committer(url=store.url, namespace="of-others:")
    with pytest.raises(ConfigError, match="NOPERM"):
        committer.commit([deltas("a", "p")], a_batch(1), time.monotonic() + 10)
    result = CliRunner().invoke(cli, ["inspect", "--redis-url", store.url, "--namespace", "of-others:", "a", "p"])
    assert result.exit_code == Exit.SETUP
    assert "NOPERM" in result.stderr
    assert PASSWORD not in result.stderr


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    need_tls()
    return Authority(tmp_path_factory.mktemp("tls"), "ours")


Start = Callable[..., RedisServer]


@pytest.fixture(scope="module")
def start(authority: Authority) -> Iterator[Start]:
    """Starts redis-servers that speak TLS with a certificate for the hosts named."""
    with contextlib.ExitStack() as stack:

        def start(name: str, *hosts: str, asks_clients: bool = False, ended: bool = False) -> RedisServer:
            pair = authority.sign(name, *hosts, ended=ended)
            server = RedisServer(Tls(pair, authority.file, asks_clients))
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="module")
def tls_server(start: Start) -> RedisServer:
    return start("server", HOST)


def test_workers_and_people_use_tls(cloud: Cloud, tls_server: RedisServer, authority: Authority) -> None:
    tls_server.clear()
    with limited(tls_server) as store:
        work(cloud, store, redis_ca_file=str(authority.file))
        process = "00000000-0000-0000-0000-000000000004"
        result = inspect(store, "host-1", process, ca_file=authority.file)
        assert result.exit_code == Exit.OK, result.stderr
        assert store.denied() == []


def test_a_cluster_whose_nodes_speak_tls(cloud: Cloud, authority: Authority) -> None:
    cluster = RedisCluster(Tls(authority.sign("node", HOST), authority.file))
    try:
        with limited(cluster) as store:
            work(cloud, store, redis_ca_file=str(authority.file))
            assert store.denied() == []
    finally:
        cluster.stop()


def refused(url: str, ca_file: Path | str) -> tuple[str, str]:
    """How the start of a worker and `inspect` end with this server."""
    settings = Settings(redis_url=url, redis_ca_file=str(ca_file), queue_url="https://sqs.example/1/q")
    with pytest.raises(ConfigError) as caught:
        check_servers(settings)
    flags = ["--redis-ca-file", str(ca_file)] if ca_file else []
    result = CliRunner().invoke(cli, ["inspect", "--redis-url", url, *flags, "host", "process"])
    assert result.exit_code == Exit.SETUP
    for text in (str(caught.value), result.output):
        assert PASSWORD not in text
        assert QUOTED not in text
    return str(caught.value), result.stderr


def with_password(server: RedisServer) -> str:
    return server.url.replace("://", f"://fold:{QUOTED}@")


def test_a_server_that_another_authority_signed_is_refused(tls_server: RedisServer, tmp_path: Path) -> None:
    execute(tls_server.ports, "CONFIG", "RESETSTAT")
    for ca_file in (Authority(tmp_path, "other").file, ""):
        for told in refused(with_password(tls_server), ca_file):
            assert "certificate not trusted: " in told
    (stats,) = execute(tls_server.ports, "INFO", "commandstats")
    # The password was not sent to it.
    assert "cmdstat_auth" not in stats


@pytest.mark.parametrize(
    ("name", "hosts", "ended", "why"),
    [
        ("other-name", ["redis.example"], False, "IP address mismatch"),
        ("other-address", ["127.0.0.2"], False, "IP address mismatch"),
        ("no-name", [], False, "IP address mismatch"),
        ("ended", [HOST], True, "certificate has expired"),
    ],
)
def test_a_certificate_that_is_not_of_this_server_or_this_day_is_refused(
    start: Start, authority: Authority, name: str, hosts: list[str], ended: bool, why: str
) -> None:
    server = start(name, *hosts, ended=ended)
    for told in refused(with_password(server), authority.file):
        assert why in told
    (stats,) = execute(server.ports, "INFO", "commandstats")
    assert "cmdstat_auth" not in stats


def test_a_name_is_held_against_the_certificate(start: Start, authority: Authority) -> None:
    server = start("named", "localhost")
    url = server.url.replace(HOST, "localhost")
    Connector(RedisAddress.from_url(url), ConnectSettings(ca_file=str(authority.file)))(
        RedisAddress.from_url(url).seeds[0]
    ).close()
    for told in refused(with_password(server), authority.file):
        assert "IP address mismatch" in told


def test_a_server_that_asks_for_a_certificate_gets_it(start: Start, authority: Authority) -> None:
    server = start("strict", HOST, asks_clients=True)
    ours = authority.sign("client")
    address = RedisAddress.from_url(server.url)
    named = ConnectSettings(ca_file=str(authority.file), cert_file=str(ours.cert), key_file=str(ours.key))
    with contextlib.closing(a_committer(Connector(address, named), url=server.url)) as committer:
        committer.commit([deltas("a", "p")], a_batch(1), time.monotonic() + 10)
    with open_redis(f"redis://{HOST}:{server.port}") as client:
        assert client.exists(state_key("a", "p"))
    nameless = Connector(address, ConnectSettings(ca_file=str(authority.file)))
    with (
        contextlib.closing(a_committer(nameless, url=server.url)) as committer,
        pytest.raises(Unavailable),
    ):
        committer.commit([deltas("a", "p")], a_batch(2), time.monotonic() + 1)


def test_nothing_turns_verification_off(tls_server: RedisServer) -> None:
    for option in ("ssl_cert_reqs=none", "ssl_check_hostname=false", "verify=no", "insecure=1"):
        with pytest.raises(ConfigError, match="only option is"):
            RedisAddress.from_url(f"{tls_server.url}?{option}")
    context = Connector(RedisAddress.from_url(tls_server.url))._tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    # A setting that did would have to say so in its name; what is verified after a hold are commits.
    spoken = {one.name for one in SETTINGS if "verif" in one.help.lower() or "insecure" in one.help.lower()}
    assert spoken <= {"hold_s", "held_messages"}


# Values


def a_value(time_ms: int = 1_600_000_000_000) -> dict[bytes, bytes]:
    """A host record and a state as we write them."""
    memory = MemoryStore(lambda: 0.0)
    a_committer(memory_connect(memory)).commit([deltas("a", "p")], a_batch("before", time_ms), time.monotonic() + 10)
    return memory.snapshot()


def damaged(value: bytes) -> Iterator[bytes]:
    """The value with each of its bits flipped; every shorter value; and what others may write."""
    for place in range(8 * len(value)):
        changed = bytearray(value)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)
    yield from (value[:length] for length in range(len(value)))
    yield from (value + b"\0", b"not ours", b'{"json": 1}', b"\0" * len(value), b"\xff" * 64)
    yield from (bytes([version]) + value[1:] for version in (0, 99, 255))


def fault_of(act: Callable[[], object]) -> str:
    """What an act fails with; empty if it does not."""
    try:
        act()
    except FastfoldError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("which", ["record", "state"])
def test_a_value_that_is_damaged_anywhere_is_told_with_its_key_and_never_written_over(
    redis_server: RedisServer, which: str
) -> None:
    good = a_value()
    key = host_key("", "a") if which == "record" else process_key(host_key("", "a"), "p")
    committer = a_committer(url=redis_server.url)
    both = [deltas("a", "p"), deltas("b", "q")]
    tried = silent = 0
    with redis_server.client() as client, contextlib.closing(committer):
        for bad in damaged(good[key]):
            before = {**good, key: bad}
            client.mset(before)
            client.delete(host_key("", "b"), state_key("b", "q"))
            told = fault_of(lambda: committer.commit(both, a_batch(tried), time.monotonic() + 10))  # noqa: B023
            if told:
                assert repr(key) in told
                assert {name: client.get(name) for name in before} == before
            else:
                # A bit that says nothing: what was read is what had been written.
                assert unpack_value(bad, key) == unpack_value(good[key], key)
                silent += 1
            # What another host is, is not its fault.
            assert client.exists(host_key("", "b"), state_key("b", "q")) == 2
            tried += 1
        assert tried > 200
        assert silent <= 1
        client.mset(good)
        committer.commit([deltas("a", "p")], a_batch("after"), time.monotonic() + 10)
        assert client.get(key) != good[key]


def test_a_key_of_another_type_is_told_and_left(redis_server: RedisServer) -> None:
    key = state_key("a", "p")
    with redis_server.client() as client, contextlib.closing(a_committer(url=redis_server.url)) as committer:
        client.rpush(key, "x", "y")
        with pytest.raises(FastfoldError, match="not a string") as caught:
            committer.commit([deltas("a", "p")], a_batch(1), time.monotonic() + 10)
        assert repr(key) in str(caught.value)
        assert client.lrange(key, 0, -1) == [b"x", b"y"]


def truncated(value: bytes) -> bytes:
    return value[:-3]


def flipped(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 0x10])


def foreign(value: bytes) -> bytes:
    return b"somebody's value"


@pytest.mark.parametrize("harm", [truncated, flipped, foreign])
def test_a_worker_parks_the_file_and_goes_on(
    cloud: Cloud, redis_server: RedisServer, harm: Callable[[bytes], bytes]
) -> None:
    fleet = Fleet(cloud, redis_server.url)
    with contextlib.closing(fleet.client):
        (first,) = fleet.put(batch(0))
        fleet.tell(first)
        fleet.run(1)
        key = process_key(host_key("", "host-a", fleet.settings.namespace.encode()), PROCESS)
        bad = harm(fleet.keys()[key])
        fleet.client.set(key, bad)
        others = fleet.put(batch(0, host="host-a"), batch(0, host="host-b"), batch(0, host="host-c"))
        for name in others:
            fleet.tell(name)
        counts = fleet.run()
        assert fleet.client.get(key) == bad
        reply = cloud.client().receive_message(QueueUrl=fleet.dead.url, MessageAttributeNames=["All"])
        (message,) = reply["Messages"]
        attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        assert attributes["ErrorType"] == "CorruptValue"
        assert repr(key) in attributes["Reason"]
        assert attributes["File"] == f"s3://batches/{others[0]}"
        assert counts.values["parked", "CorruptValue"] == 1
        assert counts.values["messages", "done"] == 2
        states = expected(batch(0, host="host-b"), batch(0, host="host-c"))
        held = fleet.keys()
        for tenant, host, process in states:
            assert process_key(host_key(tenant, host, fleet.settings.namespace.encode()), process) in held
