"""Settings: where a value comes from, what is refused, and that all faults are told at once."""

from __future__ import annotations

import dataclasses
import pickle
import re

import pytest

from fastfold.config import GROUPS, SETTINGS, Setting, Settings, load, value_of
from fastfold.errors import ConfigError
from fastfold.types import Limits

NEEDED = {
    "FASTFOLD_QUEUE_URL": "https://sqs.example/1/q",
    "FASTFOLD_BUCKETS": "one, two",
    "FASTFOLD_REDIS_URL": "redis://:secret@a,b:7000",
}
BY_NAME = {setting.name: setting for setting in SETTINGS}


def test_flag_wins_over_environment_and_environment_over_default() -> None:
    environ = {**NEEDED, "FASTFOLD_WORKERS": "4", "FASTFOLD_FILE_SLOTS": "3", "FASTFOLD_WAIT_S": ""}
    settings = load({"workers": "5", "file_slots": None}, environ)
    assert (settings.workers, settings.file_slots, settings.wait_s) == (5, 3, 20)
    assert settings.buckets == ("one", "two")


def test_all_faults_are_told_at_once_each_with_flag_name_value_and_range() -> None:
    environ = {"FASTFOLD_QUEUE_URL": "ftp://x", "FASTFOLD_WORKERS": "0", "FASTFOLD_VISIBILITY_S": "long"}
    with pytest.raises(ConfigError) as caught:
        load({"grace_s": "nan", "namespace": "a{b}", "log_level": "loud"}, environ)
    lines = str(caught.value).splitlines()
    assert lines == [
        "8 settings are wrong:",
        "  --queue-url (FASTFOLD_QUEUE_URL): is not a URL like https://... or http://...",
        "  --buckets (FASTFOLD_BUCKETS): is needed",
        "  --visibility-s (FASTFOLD_VISIBILITY_S): 'long' is not a whole number within 2 to 43,200",
        "  --redis-url (FASTFOLD_REDIS_URL): is needed",
        "  --namespace (FASTFOLD_NAMESPACE): 'a{b}' holds one of { }",
        "  --workers (FASTFOLD_WORKERS): 0 is not within 1 to 64",
        "  --grace-s (FASTFOLD_GRACE_S): nan is not within 0 to 3600",
        "  --log-level (FASTFOLD_LOG_LEVEL): 'loud' is not debug or info or warning or error",
    ]


def test_an_error_never_shows_a_password() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {**NEEDED, "FASTFOLD_REDIS_URL": "http://:secret@host"})
    assert "secret" not in str(caught.value)


def test_a_command_needs_only_its_groups() -> None:
    settings = load({"limit_depth": "7"}, {"FASTFOLD_WORKERS": "0"}, groups=("fold", "limits"))
    assert settings.schema == "sysmon"
    assert settings.limits == dataclasses.replace(Limits(), depth=7)


def test_buckets_are_allowed_by_name_or_all_by_a_star() -> None:
    assert load({"buckets": "*"}, NEEDED).buckets == ("*",)
    with pytest.raises(ConfigError, match="buckets"):
        load({"buckets": " , "}, NEEDED)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.least is not None], ids=lambda s: s.name)
def test_both_ends_of_a_range_are_allowed_and_nothing_beyond(setting: Setting) -> None:
    assert setting.least is not None
    assert setting.most is not None
    for value in (setting.least, setting.most, setting.default):
        assert setting.fault(value) is None
    assert setting.fault(setting.least - 1) is not None
    assert setting.fault(setting.most + 1) is not None


def test_settings_made_by_a_program_are_checked_too() -> None:
    with pytest.raises(ConfigError, match=re.escape("--file-slots (FASTFOLD_FILE_SLOTS): 11 is not within 1 to 10")):
        Settings(file_slots=11)
    with pytest.raises(ConfigError, match="LIMIT_DEPTH"):
        Settings(limits=Limits(depth=0))


@pytest.mark.parametrize("account", ["12345678901", "1234567890123", "12345678901a", "１２３４５６７８９０１２"])
def test_an_account_is_twelve_digits(account: str) -> None:
    with pytest.raises(ConfigError, match="is not 12 digits"):
        load({"bucket_owner": account}, NEEDED)
    assert load({"bucket_owner": "012345678901"}, NEEDED).bucket_owner == "012345678901"


def test_a_command_may_need_only_some_settings_of_a_group() -> None:
    settings = load({}, {**NEEDED, "FASTFOLD_BUCKETS": "", "FASTFOLD_WAIT_S": "x"}, names=("queue_url", "namespace"))
    assert settings.queue_url == NEEDED["FASTFOLD_QUEUE_URL"]
    with pytest.raises(ConfigError, match="queue-url"):
        load({}, {}, names=("queue_url",))


def test_every_field_is_described() -> None:
    names = {field.name for field in dataclasses.fields(Settings)} - {"limits"}
    names |= {f"limit_{field.name}" for field in dataclasses.fields(Limits)}
    assert names == BY_NAME.keys()
    for setting in SETTINGS:
        assert setting.group in GROUPS
        assert setting.help
        assert value_of(Settings(), setting) == setting.default
        assert isinstance(setting.default, setting.kind)


def test_settings_survive_the_way_to_a_worker() -> None:
    settings = load({}, NEEDED)
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:s3cret@h:1,[::1]:2/?cluster=yes", "redis://[::1]:7000"])
def test_a_url_of_redis_may_name_several_hosts(url: str) -> None:
    assert load({}, {"FASTFOLD_REDIS_URL": url}, groups=("redis",)).redis_url == url


@pytest.mark.parametrize("url", ["redis://", "redis:///1", "redis:h", "http://s3cret", "h:6379"])
def test_what_is_no_url_of_redis_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="is not a URL like redis") as caught:
        load({}, {"FASTFOLD_REDIS_URL": url}, groups=("redis",))
    assert "s3cret" not in str(caught.value)
