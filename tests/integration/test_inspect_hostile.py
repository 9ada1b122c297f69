"""Names that attack whoever reads them: no output form of any command lets one through.

The attacks are in every field that comes from a log: tenant, host, process id, program, command line, parent,
members of sets.  Safe means: nothing that moves a cursor or turns text round, and no line that the attacker wrote.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fastfold import reference
from fastfold.exits import Exit
from fastfold.page import page
from fastfold.printing import Printer
from fastfold.states import State, Text, TextSet
from fastfold.store import host_key, process_key
from fastfold.values import pack_value
from looking import DEFINITION, START_NS, Stored, key_of, state

pytestmark = pytest.mark.servers

FORGED = "fastfold: nothing is stored"
ATTACK = (
    f"a\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\\x9b31m\u202egpj.exe\u2066\u200b\u00ad\U000e0041"
    f"\u2028{FORGED}\r\n{FORGED}\n\x85{FORGED}\x0b\x0c[bold red]$x^2$<script>&]]>-->\x7f"
)
DANGEROUS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
VIEWS = (
    ("HOST PROCESS", ()),
    ("HOST PROCESS", ("--json",)),
    ("HOST PROCESS", ("--raw",)),
    ("HOST PROCESS", ("--raw", "--json")),
    ("HOST PROCESS", ("--tree",)),
    ("HOST PROCESS", ("--tree", "--json")),
    ("HOST PROCESS", ("--watch", "--for", "0")),
    ("HOST PROCESS OTHER", ("--diff",)),
    ("HOST PROCESS OTHER", ("--diff", "--json")),
    ("--host HOST", ()),
    ("--host HOST", ("--json",)),
    ("--host HOST", ("--tree",)),
    ("--host HOST", ("--tree", "--json")),
    ("--scan", ()),
    ("--scan", ("--json",)),
    ("--key KEY", ()),
    ("--key RECORD", ()),
    ("--key RECORD", ("--json",)),
    ("--key RECORD", ("--raw",)),
)


def attacker(process: str) -> State:
    values = state(ATTACK, process, image=f"C:\\{ATTACK}", parent=ATTACK, tenant=ATTACK).values
    texts = TextSet(True, (Text(START_NS, ATTACK), Text(START_NS + 1, f"b\\{ATTACK}", True)))
    return State(ATTACK, ATTACK, process, values | {"domains": texts, "targets": texts})


def assert_safe(text: str) -> None:
    found = DANGEROUS.search(text)
    assert found is None, f"{found.group()!r} in {text[max(found.start() - 40, 0) : found.end() + 40]!r}"
    assert not any(line.strip().startswith(FORGED) for line in text.splitlines()), text


def strings(value: object) -> Iterator[str]:
    """Every text in a parsed JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings(list(value.values()))
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


@pytest.mark.parametrize(("what", "how"), VIEWS, ids=lambda part: part if isinstance(part, str) else "".join(part))
def test_no_view_lets_an_attack_through(stored: Stored, what: str, how: tuple[str, ...]) -> None:
    one, other = attacker(ATTACK), attacker("other")
    stored.put(one, other)
    record = stored.put_record(ATTACK, ATTACK).decode()
    names = {"HOST": ATTACK, "PROCESS": ATTACK, "OTHER": "other", "KEY": key_of(one).decode(), "RECORD": record}
    args = [names.get(word, word) for word in what.split()]
    result = stored.inspect(*args, *how, "--tenant", ATTACK)
    assert result.exit_code == Exit.OK, result.stderr
    assert "owned" in result.stdout
    assert_safe(result.stdout)
    assert_safe(result.stderr)
    if "--json" in how:
        # Escaped, and nothing lost.
        objects = [json.loads(line) for line in result.stdout.splitlines()]
        assert any(ATTACK in text for text in strings(objects))


def test_messages_escape_what_they_repeat(stored: Stored) -> None:
    for args in (("a", ATTACK), (ATTACK, "a"), ("--key", ATTACK), ("--host", ATTACK), ("--scan", "--match", ATTACK)):
        result = stored.inspect(*args)
        assert result.exit_code == Exit.NOT_FOUND
        assert len(result.stderr.splitlines()) == 1
        # The one line is ours.
        assert_safe(result.stderr.removeprefix("fastfold: "))
    stored.put(attacker(ATTACK))
    clash = process_key(host_key("", "h"), "p")
    stored.client.set(clash, pack_value(reference.encode(attacker(ATTACK), DEFINITION, 2)))
    result = stored.inspect("h", "p")
    assert result.exit_code == Exit.CORRUPT
    assert "another process lies under key" in result.stderr
    assert_safe(result.stderr)


def test_the_census_is_as_safe(stored: Stored, tmp_path: Path) -> None:
    stored.put(attacker(ATTACK), attacker("other"))
    stored.client.set(f"foreign{ATTACK}", b"x")
    for args in ((), ("--json",)):
        result = stored.census(*args)
        assert result.exit_code == Exit.OK, result.stderr
        assert "owned" in result.stdout
        assert_safe(result.stdout)
        assert_safe(result.stderr)
    drawing = tmp_path / "x.svg"
    assert stored.census("--plot", str(drawing)).exit_code == Exit.OK
    text = drawing.read_text()
    assert_safe(text)
    assert "<script" not in text
    ET.fromstring(text)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_in_colour_only_our_own_escapes_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    Printer(terminal).lines(page(attacker(ATTACK), DEFINITION))
    text = terminal.getvalue().decode()
    assert "\x1b[36m" in text
    # What was escaped is set off, so that it is not taken for letters of a name.
    assert "\x1b[1;31m\\x1b\x1b[0m" in text
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert_safe(bare)
    pipe = io.BytesIO()
    Printer(pipe).lines(page(attacker(ATTACK), DEFINITION))
    assert bare == pipe.getvalue().decode()


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    Printer(terminal).lines(page(attacker(ATTACK), DEFINITION))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", terminal.getvalue().decode())


def test_a_broken_value_with_an_attack_in_it(stored: Stored) -> None:
    key = process_key(host_key("", "h1"), "p1")
    payload = b"\x00" + bytes([len(ATTACK.encode())]) + ATTACK.encode()
    stored.client.set(key, pack_value(payload))
    for args in (("h1", "p1"), ("h1", "p1", "--raw"), ("h1", "p1", "--raw", "--json"), ("--scan",)):
        result = stored.inspect(*args)
        assert result.exit_code == Exit.CORRUPT
        assert_safe(result.stdout)
        assert_safe(result.stderr)
