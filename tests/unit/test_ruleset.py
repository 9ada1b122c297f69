"""Rule files: all are loaded or none, and loaded again when they change."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from fastfold.errors import RuleError, RuleSetError
from fastfold.rules.fields import columns_of, implied_kinds, unpopulated
from fastfold.rules.ruleset import RuleSet, RuleWatcher, load_rules, load_set, read_files, rule_files
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule
from fastfold.rules.types import Test as Compare
from fastfold.schema import load_schema
from fastfold.types import KINDS

RULE = """\
id: {id}
title: {title}
level: low
type: count
least: 1
within: 0s
scope: process
steps: [{{name: s, kind: {kind}}}]
"""
SIGMA = """\
title: Sigma
id: 6f1b2c3d-0000-4000-8000-000000000001
logsource: {category: process_creation}
detection:
  s: {Image: a}
  condition: s
"""


def write(path: Path, rule_id: str = "a", title: str = "A", kind: str = "pipe") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RULE.format(id=rule_id, title=title, kind=kind))
    return path


def ids(rules: tuple[Rule, ...]) -> list[str]:
    return [rule.id for rule in rules]


# Loading


def test_files_folders_and_the_shipped_set_are_loaded_in_order_of_ids(tmp_path: Path) -> None:
    write(tmp_path / "z.yml", "m")
    write(tmp_path / "deep" / "er" / "y.yaml", "b")
    (tmp_path / "deep" / "s.yml").write_text(SIGMA)
    (tmp_path / "notes.txt").write_text("no rule")
    write(tmp_path / "..2026_03" / "z.yml", "m")
    write(tmp_path / "deep" / ".hidden.yml", "h")
    assert ids(load_rules([tmp_path])) == ["6f1b2c3d-0000-4000-8000-000000000001", "b", "m"]
    assert ids(load_rules([str(tmp_path / "z.yml"), tmp_path / "z.yml"])) == ["m"]
    assert len(load_rules(["starting", tmp_path])) == len(load_rules(["starting"])) + 3
    assert load_rules([]) == ()
    assert load_rules([tmp_path / "z.yml"])[0].source == f"{tmp_path / 'z.yml'}:1"


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "..data_1" / "a.yml")
    (tmp_path / "..data").symlink_to("..data_1")
    (tmp_path / "a.yml").symlink_to("..data/a.yml")
    assert rule_files([tmp_path]) == [tmp_path / "a.yml"]


def test_a_folder_called_like_the_shipped_set_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "starting" / "a.yml", "mine")
    monkeypatch.chdir(tmp_path)
    assert ids(load_rules(["./starting"])) == ["mine"]
    assert "mine" not in ids(load_rules(["starting"]))


def test_all_faults_are_told_and_nothing_is_loaded(tmp_path: Path) -> None:
    write(tmp_path / "a.yml")
    write(tmp_path / "b.yml", "b", kind="pipes")
    write(tmp_path / "c.yml", "a")
    (tmp_path / "d.yml").write_text("a: [")
    (tmp_path / "e.yml").write_text(SIGMA.replace("Image", "Company"))
    with pytest.raises(RuleSetError) as caught:
        load_rules([tmp_path])
    assert [(Path(one.file).name, one.line, one.rule) for one in caught.value.errors] == [
        ("b.yml", 8, "b"),
        ("c.yml", 1, "a"),
        ("d.yml", 2, ""),
        ("e.yml", 5, "6f1b2c3d-0000-4000-8000-000000000001"),
    ]
    assert f"the id stands in {tmp_path / 'a.yml'}:1 already" in str(caught.value)


def test_documents_before_a_broken_one_are_told_of_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml")
    path.write_text(path.read_text() + "---\nb: [\n")
    found = [one.rule for one in read_files([path])]
    assert isinstance(found[0], Rule)
    assert isinstance(found[1], RuleError)
    assert len(found) == 2


def test_paths_that_hold_no_rules_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuleSetError) as caught:
        load_rules([tmp_path / "empty", tmp_path / "nowhere.yml"])
    assert [one.reason for one in caught.value.errors] == ["has no files *.yml or *.yaml", "is not there"]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (outcome,) = read_files([tmp_path / "gone.yml"])
    assert isinstance(outcome.rule, RuleError)
    assert outcome.rule.reason == "cannot be read: No such file or directory"


def test_the_digest_is_that_of_what_is_found(tmp_path: Path) -> None:
    first = load_set([write(tmp_path / "a.yml")])
    assert len(first.digest) == 16
    assert load_set([write(tmp_path / "a.yml", title="B")]).digest == first.digest
    assert load_set([write(tmp_path / "a.yml", kind="other")]).digest != first.digest
    assert load_set([write(tmp_path / "a.yml", "b")]).digest != first.digest
    assert load_set([]) == RuleSet((), load_set([]).digest)


@pytest.mark.parametrize(
    ("missing", "file", "extra"), [("sigma", SIGMA, "sigma"), ("yaml", "", "rules"), ("re2", "", "rules")]
)
def test_an_extra_that_is_not_installed_is_told(missing: str, file: str, extra: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(file or RULE.format(id="a", title="A", kind="pipe"))
    code = f"import sys\nsys.modules[{missing!r}] = None\nfrom fastfold.cli import main\nmain()"
    command = [sys.executable, "-c", code, "rules", "check", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert ended.stderr == f"fastfold: this needs the package {missing}: pip install 'fastfold[{extra}]'\n"


def test_rules_of_our_own_do_not_need_pysigma(tmp_path: Path) -> None:
    write(tmp_path / "a.yml")
    code = "import sys\nsys.modules['sigma'] = None\nfrom fastfold.cli import main\nmain()"
    command = [sys.executable, "-c", code, "rules", "check", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "accepted  a: A\n1 accepted, 0 refused\n")


# Watching


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def touch(path: Path, **what: str) -> None:
    """Write a file as an editor does: another file in its place."""
    write(path.with_suffix(".new"), **what)
    path.with_suffix(".new").replace(path)


def test_a_change_is_loaded_when_it_is_time_to_look(tmp_path: Path, clock: Clock) -> None:
    path = write(tmp_path / "a.yml")
    told: list[str] = []
    watcher = RuleWatcher([tmp_path], 30, count=told.append, clock=clock)
    before = watcher.rules
    touch(path, title="B")
    clock.now_s += 29
    assert not watcher.poll()
    assert watcher.rules is before
    clock.now_s += 1
    assert watcher.poll()
    assert [rule.title for rule in watcher.rules.rules] == ["B"]
    assert watcher.rules.digest == before.digest
    clock.now_s += 30
    assert not watcher.poll()
    assert told == ["loaded"]


def test_files_that_come_and_go_are_changes(tmp_path: Path, clock: Clock) -> None:
    write(tmp_path / "a.yml")
    watcher = RuleWatcher([tmp_path], 1, clock=clock)
    other = write(tmp_path / "b.yml", "b")
    clock.now_s += 1
    assert watcher.poll()
    assert ids(watcher.rules.rules) == ["a", "b"]
    other.unlink()
    clock.now_s += 1
    assert watcher.poll()
    assert ids(watcher.rules.rules) == ["a"]


def test_a_broken_file_keeps_the_rules_before_and_is_told_once(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.yml")
    write(tmp_path / "b.yml", "b")
    told: list[str] = []
    watcher = RuleWatcher([tmp_path], 1, count=told.append, clock=clock)
    before = watcher.rules
    touch(path, kind="pipes")
    with caplog.at_level(logging.ERROR, "fastfold"):
        for _ in range(3):
            clock.now_s += 1
            assert not watcher.poll()
    assert watcher.rules is before
    assert told == ["refused"]
    (record,) = caplog.records
    assert "the 2 before stay" in record.getMessage()
    assert f"{path}:8: rule 'a': steps[1].kind: 'pipes' is none of" in record.getMessage()
    touch(path, kind="other")
    clock.now_s += 1
    assert watcher.poll()
    assert told == ["refused", "loaded"]


def test_a_folder_that_is_gone_keeps_the_rules_before(tmp_path: Path, clock: Clock) -> None:
    path = write(tmp_path / "r" / "a.yml")
    told: list[str] = []
    watcher = RuleWatcher([tmp_path / "r"], 1, count=told.append, clock=clock)
    path.unlink()
    for _ in range(2):
        clock.now_s += 1
        assert not watcher.poll()
    assert ids(watcher.rules.rules) == ["a"]
    assert told == ["refused"]
    write(path)
    clock.now_s += 1
    # The same rules again: nothing is another set.
    assert not watcher.poll()
    assert told == ["refused", "loaded"]


def test_asking_loads_at_the_next_poll_whatever_the_time(tmp_path: Path, clock: Clock) -> None:
    path = write(tmp_path / "a.yml")
    told: list[str] = []
    watcher = RuleWatcher([tmp_path], 0, count=told.append, clock=clock)
    touch(path, kind="other")
    clock.now_s += 1e6
    assert not watcher.poll()
    assert told == []
    watcher.ask()
    assert watcher.poll()
    assert told == ["loaded"]
    assert not watcher.poll()
    watcher.ask()
    assert not watcher.poll()
    assert told == ["loaded", "loaded"]


def test_a_watcher_begins_with_rules_that_hold(tmp_path: Path) -> None:
    with pytest.raises(RuleSetError):
        RuleWatcher([write(tmp_path / "a.yml", kind="pipes")])


def test_a_watcher_may_take_fields_without_a_column_as_absent(tmp_path: Path) -> None:
    text = SIGMA.replace("s: {Image: a}", "s: [{Image: a}, {Company: b}]")
    (tmp_path / "a.yml").write_text(text)
    assert len(RuleWatcher([tmp_path], lenient=True).rules.rules) == 1
    with pytest.raises(RuleSetError, match="the field Company has no column"):
        RuleWatcher([tmp_path])


# What a condition looks at

PIPE = KindIn(frozenset({"pipe"}))
IMAGE = Compare("image", "equals", "a")


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        (PIPE, {"pipe"}),
        (AllOf((PIPE, IMAGE)), {"pipe"}),
        (AllOf((PIPE, KindIn(frozenset({"other"})))), set()),
        (AnyOf((PIPE, KindIn(frozenset({"other"})))), {"pipe", "other"}),
        (AnyOf((PIPE, IMAGE)), set(KINDS)),
        (Not(PIPE), set(KINDS) - {"pipe"}),
        (Not(AllOf((PIPE, IMAGE))), set(KINDS)),
        (Exists("image"), set(KINDS)),
    ],
)
def test_the_kinds_that_can_meet_a_condition_are_told(condition: Condition, kinds: set[str]) -> None:
    assert implied_kinds(condition) == kinds


def test_columns_are_told_with_the_kinds_they_are_looked_at_in() -> None:
    condition = AllOf((AnyOf((AllOf((PIPE, IMAGE)), Exists("user"))), Not(Compare("process", "equals", "p"))))
    assert list(columns_of(condition)) == [("image", frozenset({"pipe"})), ("user", frozenset(KINDS))]


def test_what_events_of_a_schema_never_have_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(
        """\
id: a
title: A
level: low
type: sequence
within: 1m
scope: host
group: [integrity]
unless: {kind: file_rename}
steps:
  - {name: one, kind: process_start, where: {image: a, domain: b}}
  - {name: two, where: [{kind: dns_query, domain: a}, {kind: pipe, file: b}]}
"""
    )
    (rule,) = load_rules([path])
    assert unpopulated(rule, load_schema("sysmon")) == [
        "step one: domain of process_start",
        "step two: file of pipe",
        "step two: integrity of dns_query, pipe",
        "step unless: no event is of kind file_rename",
    ]
