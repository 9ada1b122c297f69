"""sinks.toml: what it may say, and that a fault is told with its line."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from alerts import an_alert
from fastfold.errors import SchemaError
from fastfold.sinks.read import DEFAULT_SINKS, load_sinks, read_sinks
from fastfold.sinks.types import FileFacts, QueueFacts, Route, TopicFacts, WebhookFacts

HOOK = '[[sink]]\nname = "soc"\nkind = "webhook"\nurl = "https://soc.example/in"\n'


def fault(text: str) -> str:
    with pytest.raises(SchemaError) as caught:
        read_sinks("sinks.toml", text.encode())
    return str(caught.value)


def test_every_kind_is_read() -> None:
    sinks = read_sinks(
        "sinks.toml",
        b"""
[[sink]]
name = "out"
kind = "stdout"

[[sink]]
name = "log"
kind = "file"
path = "/var/log/alerts.ndjson"
sync = false
format = "ecs"
body_bytes = 1048576

[[sink]]
name = "queue"
kind = "sqs"
url = "https://sqs.eu-central-1.amazonaws.com/123456789012/alerts.fifo"
region = "eu-central-1"
format = "ocsf"

[[sink]]
name = "topic"
kind = "sns"
arn = "arn:aws:sns:eu-central-1:123456789012:alerts"
level = "high"
tags = ["attack.t1003*", "attack.impact"]
tenants = ["acme"]

[[sink]]
name = "soc"
kind = "webhook"
url = "https://soc.example:8443/in?x=1"
secret_env = "SOC_SECRET"
authorization_env = "SOC_TOKEN"
allow_networks = ["10.1.0.0/16", "fd00::/8"]
timeout_s = 5
rate_per_s = 10
patience_s = 30
queue_alerts = 500
""",
    )
    assert [(sink.name, sink.kind, sink.form) for sink in sinks] == [
        ("out", "stdout", "native"),
        ("log", "file", "ecs"),
        ("queue", "sqs", "ocsf"),
        ("topic", "sns", "native"),
        ("soc", "webhook", "native"),
    ]
    assert sinks[1].of_kind == FileFacts("/var/log/alerts.ndjson", sync=False)
    assert (sinks[1].body_bytes, sinks[2].body_bytes, sinks[4].body_bytes) == (1 << 20, 252 << 10, 256 << 10)
    assert sinks[2].of_kind == QueueFacts(
        "https://sqs.eu-central-1.amazonaws.com/123456789012/alerts.fifo", "eu-central-1"
    )
    assert sinks[3].of_kind == TopicFacts("arn:aws:sns:eu-central-1:123456789012:alerts")
    assert sinks[3].route == Route("high", ("attack.t1003*", "attack.impact"), ("acme",))
    assert sinks[4].of_kind == WebhookFacts(
        "https://soc.example:8443/in?x=1",
        secret_env="SOC_SECRET",
        authorization_env="SOC_TOKEN",
        allow_networks=(ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")),
        timeout_s=5,
        rate_per_s=10,
    )
    assert (sinks[4].patience_s, sinks[4].queue_alerts) == (30, 500)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sinks.toml: the file: no [[sink]]"),
        ("[[sink]\n", "sinks.toml:1: not TOML"),
        ("x = 1\n" + HOOK, "sinks.toml:1: the file: unknown key 'x'; allowed: sink"),
        (HOOK + 'secret = "s"\n', "sinks.toml:5: [[sink]] 1: unknown key 'secret'"),
        (HOOK + 'path = "p"\n', "sinks.toml:5: [[sink]] 1: unknown key 'path'"),
        (HOOK + HOOK, "sinks.toml:6: [[sink]] 2: name 'soc' is used twice"),
        (HOOK.replace("soc", "a b", 1), "sinks.toml:2: [[sink]] 1: name 'a b' is not 32 or less of"),
        (HOOK.replace("webhook", "mail"), "sinks.toml:3: [[sink]] 1: kind = 'mail'; allowed: stdout, file, sns"),
        (HOOK.replace("https://soc", "http://soc"), "sinks.toml:4: [[sink]] 1: url is http://, which anybody"),
        (HOOK.replace("https://soc", "ftp://soc"), "sinks.toml:4: [[sink]] 1: url is not a URL like https://..."),
        (HOOK.replace("soc.example", "user:pass@soc.example"), "sinks.toml:4: [[sink]] 1: url holds a user or a"),
        (HOOK.replace("/in", "/in#x"), "sinks.toml:4: [[sink]] 1: url has a fragment"),
        (HOOK.replace("/in", "/i n"), "sinks.toml:4: [[sink]] 1: url is not a URL like"),
        (HOOK.replace("example", "example:99999"), "sinks.toml:4: [[sink]] 1: url is not a URL"),
        (HOOK.replace("soc.example", ""), "sinks.toml:4: [[sink]] 1: url is not a URL like"),
        (HOOK + "level = 3\n", "sinks.toml:5: [[sink]] 1: level must be a text, is 3"),
        (HOOK + 'level = "bad"\n', "sinks.toml:5: [[sink]] 1: level = 'bad'; allowed: informational, low"),
        (HOOK + "tags = []\n", "sinks.toml:5: [[sink]] 1: tags is empty"),
        (HOOK + "body_bytes = 100\n", "sinks.toml:5: [[sink]] 1: body_bytes = 100; allowed: 16384 to 16777216"),
        (HOOK + 'allow_networks = ["10.0.0.1/8"]\n', "sinks.toml:5: [[sink]] 1: allow_networks has '10.0.0.1/8': "),
        (HOOK + "timeout_s = 0\n", "sinks.toml:5: [[sink]] 1: timeout_s = 0; allowed: 1 to 60"),
        (HOOK + "allow_http = 1\n", "sinks.toml:5: [[sink]] 1: allow_http must be true or false, is 1"),
        ('[[sink]]\nname = "t"\nkind = "sns"\narn = "topic"\n', "sinks.toml:4: [[sink]] 1: arn = 'topic' is not the"),
        ('[[sink]]\nname = "f"\nkind = "file"\n', "[[sink]] 1: path is missing"),
        ("sink = 1\n", "sinks.toml:1: the file: sink must be a list, is 1"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, said: str) -> None:
    assert said in fault(text)


def test_a_password_is_not_repeated() -> None:
    assert "pass" not in fault(HOOK.replace("soc.example", "user:hunter2@soc.example")).replace("password", "")


def test_clear_text_needs_its_own_setting() -> None:
    (sink,) = read_sinks("f", (HOOK.replace("https:", "http:") + "allow_http = true\n").encode())
    assert isinstance(sink.of_kind, WebhookFacts)
    assert sink.of_kind.allow_http


def test_without_a_file_alerts_go_to_standard_output(tmp_path: Path) -> None:
    assert load_sinks("") == DEFAULT_SINKS
    with pytest.raises(SchemaError, match="cannot be read"):
        load_sinks(str(tmp_path / "none.toml"))
    path = tmp_path / "sinks.toml"
    path.write_text(HOOK)
    assert [sink.name for sink in load_sinks(str(path))] == ["soc"]


@pytest.mark.parametrize(
    ("route", "takes"),
    [
        (Route(), True),
        (Route("high"), True),
        (Route("critical"), False),
        (Route(tags=("attack.t1059.003",)), True),
        (Route(tags=("ATTACK.T1059*",)), True),
        (Route(tags=("attack.t1059",)), False),
        (Route(tags=("attack.impact", "attack.execution")), True),
        (Route(tags=("*",)), True),
        (Route(tenants=("acme",)), True),
        (Route(tenants=("ACME", "")), False),
        (Route("high", ("attack.execution",), ("other",)), False),
    ],
)
def test_a_route_takes_by_level_tag_and_tenant(route: Route, takes: bool) -> None:
    assert route.takes(an_alert()) is takes
    assert not Route(tags=("*",)).takes(an_alert(tags=()))
