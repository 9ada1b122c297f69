"""The connection against a server that says what the test tells it to, and the URL of Redis."""

from __future__ import annotations

import contextlib
import pickle
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastfold.errors import ConfigError, Unavailable
from fastfold.resp import Connector, ConnectSettings, Node, RedisAddress, RespConnection
from fastfold.store import ReplyError

# The URL


def test_a_url_with_everything() -> None:
    address = RedisAddress.from_url("rediss://us%40er:p%3Aw%2F@[::1]:7000/3?cluster=no")
    assert address == RedisAddress((Node("::1", 7000),), "us@er", "p:w/", True, 3, "no")


@pytest.mark.parametrize(
    ("url", "seeds"),
    [
        ("redis://h", [("h", 6379)]),
        ("redis://h/", [("h", 6379)]),
        ("redis://[::1]", [("::1", 6379)]),
        ("redis://a:1,b,c:65535", [("a", 1), ("b", 6379), ("c", 65535)]),
    ],
)
def test_hosts(url: str, seeds: list[tuple[str, int]]) -> None:
    assert list(RedisAddress.from_url(url).seeds) == seeds


def test_a_password_without_a_user() -> None:
    address = RedisAddress.from_url("redis://:s3cret@h")
    assert (address.username, address.password) == ("", "s3cret")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://h", "redis:// or rediss://"),
        ("redis:h", "database number"),
        ("redis://", "host is missing"),
        ("redis://a,,b", "host is missing"),
        ("redis://h:", "port is missing"),
        ("redis://h:0", "1 to 65535"),
        ("redis://h:65536", "1 to 65535"),
        ("redis://h:x", "1 to 65535"),
        ("redis://h:\u0661", "1 to 65535"),
        ("redis://::1", "host is missing"),
        ("redis://fe80::1", "IPv6"),
        ("redis://[::1", "brackets"),
        ("redis://[::1]7", ""),
        ("redis://h/x", "database number"),
        ("redis://h/-1", "database number"),
        ("redis://h/1?cluster=yes", "only database 0"),
        ("redis://h?cluster=maybe", "auto, yes or no"),
        ("redis://h?timeout=3", "only option"),
        ("redis://a,b?cluster=no", "seeds of a cluster"),
        ("redis://h#x", "%23"),
        ("redis://h\x07", "characters"),
        ("redis://a b", "characters"),
        ("redis://u:a]b@h", "%5D"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match="Redis URL") as caught:
        RedisAddress.from_url(url)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis://u:s3cret@h:x", "redis://u:s3cret/x@h", "redis://u:s3cret#x@h", "redis://u:[s3cret@h", "x://:s3cret@h"],
)
def test_no_error_repeats_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisAddress.from_url(url)
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert "s3cret" not in shown


def test_the_address_never_shows_its_password() -> None:
    address = RedisAddress.from_url("redis://fold:s3cret@h:1,[::1]:2/?cluster=yes")
    assert str(address) == "redis://fold:***@h:1,[::1]:2?cluster=yes"
    assert "s3cret" not in repr(address)
    assert pickle.loads(pickle.dumps(address)) == address


# The connection


class ScriptedServer:
    """Answers each received piece by its script; remembers what it received."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.node = Node("127.0.0.1", self._listener.getsockname()[1])
        self._thread: threading.Thread | None = None

    def answer(self, *script: bytes, stay: threading.Event | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Serve one connection: wait for something, send a piece; close at the end, or once `stay` is set."""

        def serve() -> None:
            client, _ = self._listener.accept()
            client.settimeout(10)
            # The client may leave before the script ends, as some tests want it to.
            with contextlib.suppress(OSError):
                if tls is not None:
                    client = tls.wrap_socket(client, server_side=True)
                for piece in script:
                    self.received += client.recv(1 << 20)
                    client.sendall(piece)
                if stay is not None:
                    stay.wait(10)
            client.close()

        self._thread = threading.Thread(target=serve)
        self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def stay() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


Open = Callable[..., RespConnection]


@pytest.fixture
def connect(server: ScriptedServer) -> Iterator[Open]:
    opened: list[RespConnection] = []

    def connect(user_info: str = "", database: str = "", **settings: float) -> RespConnection:
        address = RedisAddress.from_url(f"redis://{user_info}{server.node}{database}")
        opened.append(Connector(address, ConnectSettings(**settings))(server.node))  # type: ignore[arg-type]
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_commands_go_out_in_one_packet_and_replies_come_back_in_order(server: ScriptedServer, connect: Open) -> None:
    server.answer(b"+OK\r\n$-1\r\n$3\r\na\0b\r\n:7\r\n*-1\r\n*2\r\n+OK\r\n-ERR inner\r\n")
    connection = connect()
    connection.send([(b"WATCH", b"k"), (b"GET", b"")])
    assert connection.read(4) == [b"OK", None, b"a\0b", 7]
    assert connection.read(2) == [None, [b"OK", ReplyError("ERR inner")]]
    assert server.received == b"*2\r\n$5\r\nWATCH\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"


def test_an_error_reply_is_data(server: ScriptedServer, connect: Open) -> None:
    server.answer(b"-MOVED 3999 127.0.0.1:6381\r\n+OK\r\n")
    connection = connect()
    connection.send([(b"GET", b"k")])
    error, after = connection.read(2)
    assert error == ReplyError("MOVED 3999 127.0.0.1:6381")
    assert isinstance(error, ReplyError)
    assert error.code == "MOVED"
    assert after == b"OK"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ERR what", "ERR"),
        ("OOM", "OOM"),
        ("EXECABORT Transaction discarded because of previous errors.", "EXECABORT"),
        ("EXECABORT Transaction discarded because of: NOPERM no exec", "NOPERM"),
    ],
)
def test_the_code_of_an_error_is_its_cause(text: str, code: str) -> None:
    assert ReplyError(text).code == code


def test_replies_may_arrive_in_any_pieces(server: ScriptedServer, connect: Open, stay: threading.Event) -> None:
    big = bytes(range(256)) * 1000
    server.answer(b"$256000\r\n" + big[:100_000], big[100_000:] + b"\r\n+O", b"K\r\n", stay=stay)
    connection = connect()
    connection.send([(b"GET", b"k")])

    # The script waits for something before each piece.
    threading.Timer(0.01, connection.send, ([(b"x",)],)).start()
    threading.Timer(0.05, connection.send, ([(b"x",)],)).start()
    assert connection.read(2) == [big, b"OK"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (b"", "closed by the server"),
        (b"$5\r\nab", "closed by the server"),
        (b"+OK\r\n", "closed by the server"),
        (b"?what\r\n", "not RESP"),
    ],
)
def test_a_broken_stream_closes_the_connection(
    server: ScriptedServer, connect: Open, script: bytes, reason: str
) -> None:
    server.answer(script)
    connection = connect()
    connection.send([(b"GET", b"k")])
    with pytest.raises(Unavailable, match=reason) as caught:
        connection.read(2)
    assert caught.value.server == str(server.node)
    with pytest.raises(Unavailable):
        connection.send([(b"GET", b"k")])


def test_a_server_that_is_silent_is_left(server: ScriptedServer, connect: Open, stay: threading.Event) -> None:
    server.answer(b"+OK\r\n", stay=stay)
    connection = connect(timeout_s=0.05)
    connection.send([(b"GET", b"k")])
    with pytest.raises(Unavailable, match="timed out"):
        connection.read(2)
    with pytest.raises(Unavailable):
        connection.read(1)


def test_a_reply_above_the_limit_is_not_waited_for(
    server: ScriptedServer, connect: Open, stay: threading.Event
) -> None:
    server.answer(b"$9999999999\r\n" + bytes(300_000), stay=stay)
    connection = connect(reply_bytes=100_000)
    connection.send([(b"GET", b"k")])
    with pytest.raises(Unavailable, match="reply too long, limit 100000 bytes"):
        connection.read(1)


def test_many_small_replies_are_no_long_one(server: ScriptedServer, connect: Open, stay: threading.Event) -> None:
    server.answer(b"$1000\r\n" + bytes(1000) + b"\r\n", *[b"$1000\r\n" + bytes(1000) + b"\r\n"] * 9, stay=stay)
    connection = connect(reply_bytes=2000)
    for _ in range(10):
        connection.send([(b"GET", b"k")])
        assert connection.read(1) == [bytes(1000)]


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node = Node("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(Unavailable, match="cannot connect"):
        Connector(RedisAddress((node,)))(node)


def test_closing_twice_does_nothing(server: ScriptedServer, connect: Open) -> None:
    server.answer()
    connection = connect()
    connection.close()
    connection.close()


# AUTH, SELECT


@pytest.mark.parametrize(
    ("user_info", "database", "sent"),
    [
        ("fold:s3cret@", "/2", b"*3\r\n$4\r\nAUTH\r\n$4\r\nfold\r\n$6\r\ns3cret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"),
        (":s3cret@", "", b"*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n"),
    ],
)
def test_who_we_are_and_which_database(
    server: ScriptedServer, connect: Open, user_info: str, database: str, sent: bytes
) -> None:
    server.answer(b"+OK\r\n+OK\r\n")
    connect(user_info, database)
    assert server.received == sent


@pytest.mark.parametrize(
    "refusal",
    [
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPERM this user has no permissions to run the 'select' command",
        "ERR AUTH <password> called without any password configured for the default user.",
        "ERR DB index is out of range",
        "ERR SELECT is not allowed in cluster mode",
    ],
)
def test_a_refusal_is_for_a_person(server: ScriptedServer, connect: Open, refusal: str) -> None:
    server.answer(f"-{refusal}\r\n+OK\r\n".encode())
    with pytest.raises(ConfigError) as caught:
        connect(":s3cret@", "/1")
    assert refusal in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("refusal", ["LOADING Redis is loading the dataset", "ERR max number of clients reached"])
def test_a_server_that_cannot_serve_now(server: ScriptedServer, connect: Open, refusal: str) -> None:
    server.answer(f"-{refusal}\r\n".encode())
    with pytest.raises(Unavailable, match=refusal):
        connect(":s3cret@")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([openssl, *new, *name, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def serve_tls(server: ScriptedServer, certificate: Path, *script: bytes) -> RedisAddress:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.answer(*script, tls=context)
    return RedisAddress((server.node,), tls=True)


def test_tls_with_a_trusted_certificate(server: ScriptedServer, certificate: Path) -> None:
    address = serve_tls(server, certificate, b"+OK\r\n")
    connection = Connector(address, ConnectSettings(ca_file=str(certificate)))(server.node)
    connection.send([(b"GET", b"k")])
    assert connection.read(1) == [b"OK"]
    connection.close()


def test_tls_with_a_certificate_that_nobody_vouches_for(server: ScriptedServer, certificate: Path) -> None:
    address = serve_tls(server, certificate)
    with pytest.raises(ConfigError, match="certificate not trusted"):
        Connector(address)(server.node)


def test_tls_with_a_server_that_has_none(server: ScriptedServer) -> None:
    server.answer(b"-ERR what\r\n")
    with pytest.raises(Unavailable, match="cannot connect"):
        Connector(RedisAddress((server.node,), tls=True))(server.node)


def test_certificate_files_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/ca\.pem"):
        Connector(RedisAddress((Node("h", 1),), tls=True), ConnectSettings(ca_file="/nowhere/ca.pem"))
