"""The webhook against real servers: who is talked to, what is said, and what becomes of each answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastfold.errors import Unavailable
from fastfold.sinks import webhook_address
from fastfold.sinks.types import TAKEN, Answer, Parcel, WebhookFacts
from fastfold.sinks.webhook import AFTER_MOST_S, ANSWER_BYTES, WebhookSink
from fastfold.sinks.webhook_address import find_addresses, is_allowed
from hooks import Dripping, Hook
from tls import Authority

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PARCEL = Parcel("0f" * 16, "rule", "high", "acme", "host", "title", b'{"id":"\xc3\xa9"}')
SECRET = b"a shared secret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "hooks")


@pytest.fixture
def hook(authority: Authority) -> Iterator[Hook]:
    with closing(Hook(authority.sign("localhost", "localhost"))) as made:
        yield made


Open = Callable[..., WebhookSink]


@pytest.fixture
def open_sink(authority: Authority) -> Iterator[Open]:
    made: list[WebhookSink] = []

    def open_sink(url: str, secret: bytes = SECRET, authorization: str = "", **more: Any) -> WebhookSink:
        how = {"ca_file": str(authority.file), "allow_networks": LOOPBACK, "timeout_s": 5, "rate_per_s": 10_000}
        clocks = {name: more.pop(name) for name in ("clock", "sleep", "now") if name in more}
        made.append(WebhookSink(WebhookFacts(url, **how | more), secret, authorization, **clocks))
        return made[-1]

    yield open_sink
    for sink in made:
        sink.close()


def fault(sink: WebhookSink) -> str:
    with pytest.raises(Unavailable) as caught:
        sink.send([PARCEL])
    return str(caught.value)


def test_an_alert_arrives_signed(hook: Hook, open_sink: Open) -> None:
    sink = open_sink(f"https://localhost:{hook.port}/in/alerts?source=x", authorization="Bearer t")
    assert sink.send([PARCEL]) == [TAKEN]
    (request,) = hook.requests
    assert (request.path, request.body, request.sni) == ("/in/alerts?source=x", PARCEL.body, "localhost")
    headers = request.headers
    assert headers["Host"] == f"localhost:{hook.port}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Fastfold-Alert"] == PARCEL.id
    assert headers["Authorization"] == "Bearer t"
    assert abs(time.time() - int(headers["Fastfold-Timestamp"])) < 300
    signed = f"{headers['Fastfold-Timestamp']}.".encode() + request.body
    assert headers["Fastfold-Signature"] == "v1=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()


def test_without_a_secret_nothing_is_signed(hook: Hook, open_sink: Open) -> None:
    open_sink(f"https://localhost:{hook.port}", secret=b"").send([PARCEL])
    assert not {"Fastfold-Signature", "Authorization"} & hook.requests[0].headers.keys()
    assert hook.requests[0].path == "/"


def test_a_connection_is_used_again(hook: Hook, open_sink: Open) -> None:
    sink = open_sink(f"https://localhost:{hook.port}/")
    for _ in range(5):
        assert sink.send([PARCEL]) == [TAKEN]
    assert hook.connections == 1


def test_a_connection_that_the_server_closed_is_opened_anew(hook: Hook, open_sink: Open) -> None:
    hook.answer = lambda _: (200, {"Connection": "close"}, b"")
    sink = open_sink(f"https://localhost:{hook.port}/")
    assert [sink.send([PARCEL]) for _ in range(3)] == [[TAKEN]] * 3
    assert hook.connections == 3
    # Without a word, at the moment of the next request.
    hook.answer = lambda handler: setattr(handler, "close_connection", True) or (200, {}, b"")
    assert [sink.send([PARCEL]) for _ in range(3)] == [[TAKEN]] * 3


def test_a_connection_that_was_idle_is_resolved_again(hook: Hook, open_sink: Open) -> None:
    now = [0.0]
    sink = open_sink(f"https://localhost:{hook.port}/", clock=lambda: now[0], sleep=lambda _: None)
    sink.send([PARCEL])
    now[0] += 31
    sink.send([PARCEL])
    assert hook.connections == 2


# Who may be talked to


def test_a_certificate_must_be_trusted_and_for_the_name(hook: Hook, open_sink: Open, tmp_path: Path) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in fault(open_sink(f"https://localhost:{hook.port}/", ca_file=""))
    other = Authority(tmp_path, "other")
    assert "CERTIFICATE_VERIFY_FAILED" in fault(open_sink(f"https://localhost:{hook.port}/", ca_file=str(other.file)))
    assert "IP address mismatch" in fault(open_sink(f"https://127.0.0.1:{hook.port}/"))
    assert hook.requests == []


def test_a_certificate_for_another_name_or_one_that_has_ended_is_refused(authority: Authority, open_sink: Open) -> None:
    with closing(Hook(authority.sign("other", "other.example"))) as hook:
        assert "Hostname mismatch" in fault(open_sink(f"https://localhost:{hook.port}/"))
    with closing(Hook(authority.sign("old", "localhost", ended=True))) as hook:
        assert "certificate has expired" in fault(open_sink(f"https://localhost:{hook.port}/"))


def test_an_address_in_the_certificate_is_as_good_as_a_name(authority: Authority, open_sink: Open) -> None:
    with closing(Hook(authority.sign("address", "127.0.0.1"))) as hook:
        assert open_sink(f"https://127.0.0.1:{hook.port}/").send([PARCEL]) == [TAKEN]


def test_clear_text_works_where_it_is_allowed(open_sink: Open) -> None:
    with closing(Hook()) as hook:
        assert open_sink(f"http://localhost:{hook.port}/", allow_http=True).send([PARCEL]) == [TAKEN]
        assert hook.requests[0].headers["Fastfold-Signature"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
def test_this_machine_is_refused_unless_it_is_allowed(hook: Hook, open_sink: Open, host: str) -> None:
    said = fault(open_sink(f"https://{host}:{hook.port}/", allow_networks=()))
    assert "which is not public and not within allow_networks: refused" in said or "cannot be resolved" in said
    assert hook.connections == 0


def test_the_connection_goes_to_the_address_that_was_judged(
    hook: Hook, open_sink: Open, monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """A name whose second answer leads elsewhere leads nowhere: it is asked for once for a connection."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebind(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != "hooks.example":
            return real(host, port, *args, **more)
        asked.append(host)
        # First a public address, then this machine.
        return real("203.0.113.1" if len(asked) == 1 else "127.0.0.1", port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    monkeypatch.setattr(webhook_address, "is_allowed", lambda address, _: str(address) == "203.0.113.1")
    with closing(Hook(authority.sign("hooks", "hooks.example"))) as server:
        sink = open_sink(f"https://hooks.example:{server.port}/", timeout_s=1)
        connected: list[str] = []
        opened = sink._open
        monkeypatch.setattr(
            sink, "_open", lambda address, left: connected.append(address) or opened(address, min(left, 0.2))
        )
        fault(sink)
        assert (asked, connected) == (["hooks.example"], ["203.0.113.1"])
        # The next connection asks again, and is judged again.
        assert "leads to 127.0.0.1, which is not public" in fault(sink)
        assert server.connections == 0


def test_a_name_that_also_leads_elsewhere_is_reached_where_it_may(
    hook: Hook, open_sink: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, hook.port)) for ip in ("10.0.0.1", "127.0.0.1")]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *how, **more: places if host == "localhost" else real(host, *how, **more)
    )
    assert find_addresses("localhost", hook.port, LOOPBACK) == ["127.0.0.1"]
    assert open_sink(f"https://localhost:{hook.port}/").send([PARCEL]) == [TAKEN]


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:0:0:0:0:f5ff:fffe",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), ())


def test_what_is_public_or_named_is_allowed() -> None:
    for address in ("8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert is_allowed(ipaddress.ip_address(address), ())
    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    allowed = {"10.1.2.3": True, "10.2.0.1": False, "fd00::1": True, "fe80::1": False, "::ffff:10.1.2.3": True}
    assert {address: is_allowed(ipaddress.ip_address(address), networks) for address in allowed} == allowed


def test_proxies_of_the_environment_are_not_asked(hook: Hook, open_sink: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert open_sink(f"https://localhost:{hook.port}/").send([PARCEL]) == [TAKEN]


# What becomes of an answer


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_taken(hook: Hook, open_sink: Open, status: int) -> None:
    hook.answer = lambda _: (status, {}, b"")
    assert open_sink(f"https://localhost:{hook.port}/").send([PARCEL]) == [TAKEN]


@pytest.mark.parametrize(
    ("status", "headers", "after_s"),
    [
        (500, {}, 0.0),
        (503, {"Retry-After": "7"}, 7.0),
        (429, {"Retry-After": "99999"}, AFTER_MOST_S),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        (408, {"Retry-After": "-1"}, 0.0),
        (425, {}, 0.0),
    ],
)
def test_not_now_is_later(hook: Hook, open_sink: Open, status: int, headers: dict[str, str], after_s: float) -> None:
    hook.answer = lambda _: (status, headers, b"busy\x1b[2J")
    (answer,) = open_sink(f"https://localhost:{hook.port}/").send([PARCEL])
    assert answer == Answer("later", f"status {status}: busy\\x1b[2J", after_s)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_no_is_refused(hook: Hook, open_sink: Open, status: int) -> None:
    hook.answer = lambda _: (status, {}, b"no\r\nforged line " + b"x" * 5000)
    (answer,) = open_sink(f"https://localhost:{hook.port}/").send([PARCEL])
    assert (answer.kind, answer.reason.splitlines()) == ("refused", [answer.reason])
    assert answer.reason.startswith(f"status {status}: no\\x0d\\x0aforged line xxx")
    assert len(answer.reason) < 250


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(hook: Hook, open_sink: Open, status: int) -> None:
    with closing(Hook()) as elsewhere:
        hook.answer = lambda _: (status, {"Location": f"http://127.0.0.1:{elsewhere.port}/"}, b"")
        answers = open_sink(f"https://localhost:{hook.port}/").send([PARCEL])
        assert answers == [Answer("refused", f"status {status}: redirects are not followed")]
        assert (len(hook.requests), elsewhere.connections) == (1, 0)


def test_a_long_answer_is_not_read_to_its_end(hook: Hook, open_sink: Open) -> None:
    hook.answer = lambda _: (200, {}, b"x" * (50 * ANSWER_BYTES))
    sink = open_sink(f"https://localhost:{hook.port}/")
    assert [sink.send([PARCEL]) for _ in range(2)] == [[TAKEN]] * 2
    assert hook.connections == 2


def test_a_bomb_is_not_inflated(hook: Hook, open_sink: Open) -> None:
    hook.answer = lambda _: (400, {"Content-Encoding": "gzip"}, b"\x1f\x8b not gzip")
    (answer,) = open_sink(f"https://localhost:{hook.port}/").send([PARCEL])
    assert answer.reason == "status 400: \\x1f� not gzip"


def test_a_server_that_is_not_there_is_unavailable(open_sink: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert "refused" in fault(open_sink(f"https://localhost:{port}/"))
    assert "cannot be resolved" in fault(open_sink("https://no-such-host.invalid/"))


def test_an_answer_that_breaks_off_is_none(hook: Hook, open_sink: Open) -> None:
    def break_off(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        handler.close_connection = True

    hook.answer = break_off
    fault(open_sink(f"https://localhost:{hook.port}/"))
    hook.answer = lambda _: (200, {}, b"")
    assert open_sink(f"https://localhost:{hook.port}/").send([PARCEL]) == [TAKEN]


def test_a_server_that_says_nothing_is_given_up(hook: Hook, open_sink: Open) -> None:
    hook.answer = lambda _: time.sleep(3)
    assert fault(open_sink(f"https://localhost:{hook.port}/", timeout_s=1)) == "localhost: no answer within 1 s"


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_drips_is_cut(open_sink: Open, tls: bool) -> None:
    # A byte now and then keeps every wait for the next one short of its end; that of a handshake too.
    slow = b"\x16\x03\x03\x40\x00" if tls else b"HTTP/1.1 200 OK\r\n"
    with closing(Dripping(slow + b"x" * 10_000)) as server:
        url = f"{'https' if tls else 'http'}://localhost:{server.port}/"
        assert re.search("no answer within 1 s|timed out", fault(open_sink(url, allow_http=True, timeout_s=1)))
        assert server.connections == 1


def test_the_rate_is_kept(hook: Hook, open_sink: Open) -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        now[0] += seconds

    sink = open_sink(f"https://localhost:{hook.port}/", rate_per_s=4, clock=lambda: now[0], sleep=sleep)
    sink.send([PARCEL] * 4)
    assert slept == [0.25, 0.25, 0.25]
    now[0] += 10
    sink.send([PARCEL] * 2)
    assert slept == [0.25] * 4


def test_a_large_body_arrives_whole(hook: Hook, open_sink: Open) -> None:
    body = json.dumps({"fill": "é" * 200_000}).encode()
    parcel = Parcel(PARCEL.id, "r", "low", "", "h", "t", body)
    assert open_sink(f"https://localhost:{hook.port}/").send([parcel]) == [TAKEN]
    assert hook.requests[0].body == body
