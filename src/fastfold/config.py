"""Every setting: its unit, default, range, flag, environment name and help, in one place.

`Settings` is the typed structure the program works with; `SETTINGS` describes the same fields to
the command line and to the documentation, and is made from them, so the two cannot differ.

A value comes from the flag, else from the environment, else from the default.  `load` finds every
fault before it raises, so that one run shows them all::

    2 settings are wrong:
      --workers (FASTFOLD_WORKERS): 0 is not within 1 to 64
      --queue-url (FASTFOLD_QUEUE_URL): is needed

The unit stands last in a name: ``wait_s`` counts seconds, ``file_bytes`` bytes.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastfold.errors import ConfigError
from fastfold.types import Limits

__all__ = ["GROUPS", "SETTINGS", "Setting", "Settings", "load"]

GROUPS: dict[str, str] = {
    "fold": "What is read and kept",
    "queue": "Where the batches come from",
    "redis": "Where the states are kept",
    "rules": "What is looked for",
    "pod": "Processes, threads and time",
    "alerts": "Where alerts go",
    "limits": "Bounds on one message, one file and one value",
}
"""Groups of settings with their headings, in the order of the documentation."""

_LIMIT_PREFIX = "limit_"

# The fields of `types.Limits`, which knows no ranges: least, most, help.
_LIMIT_RANGES: dict[str, tuple[int, int, str]] = {
    "record_bytes": (1024, 1 << 28, "longest line, without its line feed"),
    "file_bytes": (1024, 1 << 32, "largest object as stored"),
    "inflated_bytes": (1024, 1 << 40, "largest file once inflated"),
    "ratio": (1, 1032, "largest inflated / stored ratio"),
    "ratio_from_bytes": (0, 1 << 40, "inflated bytes from which the ratio is looked at"),
    "depth": (1, 1024, "deepest nesting of arrays and objects in a record"),
    "processes": (1, 1 << 28, "most distinct processes in a file"),
    "identity_bytes": (16, 1 << 16, "longest tenant, host or process id"),
    "text_total_bytes": (1 << 20, 1 << 36, "most bytes of distinct text kept from one file"),
    "value_bytes": (1024, 16 << 20, "largest value of a process; a fold that could exceed it is refused"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What the command line and the documentation need to know of one setting.

    Attributes
    ----------
    name : str
        Name of the field in `Settings`; the unit stands last.
    group : str
        A key of `GROUPS`.
    kind : type
        ``str``, ``int``, ``float`` or ``tuple`` (texts, separated by commas).
    default : object
        Value when neither flag nor environment gives one.
    help : str
        One line, without the range.
    least, most : float or None
        Range of a number, both ends included.
    required : bool
        Whether a command that uses the group needs a value.
    choices : tuple of str
        The only values allowed, where there are such.
    schemes : tuple of str
        URL schemes allowed, where the value is a URL.
    without : str
        Characters that a text may not hold.
    digits : int
        How many digits a text consists of, where it is such a number; 0: any text.
    """

    name: str
    group: str
    kind: type
    default: Any
    help: str
    least: float | None = None
    most: float | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    without: str = ""
    digits: int = 0

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def environment(self) -> str:
        """The name in the environment."""
        return "FASTFOLD_" + self.name.upper()

    @property
    def allowed(self) -> str:
        """What values are allowed, in words; empty when any text is."""
        if self.least is not None and self.most is not None:
            return f"{_number(self.least)} to {_number(self.most)}"
        if self.choices:
            return " or ".join(self.choices)
        if self.schemes:
            return " or ".join(f"{scheme}://..." for scheme in self.schemes)
        if self.digits:
            return f"{self.digits} digits"
        return ""

    def parse(self, raw: object) -> Any:
        """The typed value of a flag or an environment text.

        Raises
        ------
        ValueError
            With what is wrong, without the name of the setting.
        """
        if self.kind is tuple:
            parts = raw.split(",") if isinstance(raw, str) else list(raw)  # type: ignore[call-overload]
            return tuple(part.strip() for part in parts if part.strip())
        if self.kind is str:
            return str(raw).strip()
        try:
            return self.kind(raw)
        except (TypeError, ValueError):
            noun = "a whole number" if self.kind is int else "a number"
            raise ValueError(f"{raw!r} is not {noun} within {self.allowed}") from None

    def fault(self, value: Any) -> str | None:
        """What is wrong with a typed value, or ``None``."""
        if self.least is not None and self.most is not None:
            if not math.isfinite(value) or not self.least <= value <= self.most:
                return f"{value} is not within {self.allowed}"
        elif self.choices and value not in self.choices:
            return f"{value!r} is not {self.allowed}"
        elif self.schemes and value:
            return self._url_fault(value)
        elif self.digits and value and not (value.isascii() and value.isdigit() and len(value) == self.digits):
            return f"{value!r} is not {self.allowed}"
        elif any(character in value for character in self.without):
            return f"{value!r} holds one of {' '.join(self.without)}"
        return None

    def _url_fault(self, value: str) -> str | None:
        # The value is not repeated: a URL may hold a password.  What reads it judges the rest.
        scheme, _, rest = value.strip().partition("://")
        if scheme.lower() not in self.schemes or not re.match(r"[^/?#]", rest):
            return f"is not a URL like {self.allowed}"
        return None


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _setting(default: Any, group: str, text: str, **facts: Any) -> Any:
    """A dataclass field that carries the facts of its `Setting`."""
    return dataclasses.field(default=default, metadata={"group": group, "help": text, **facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a run, typed and within their ranges.

    The meaning of each field is the help of the `Setting` of the same name.  Making one checks
    the ranges; that what a command needs is there is for `load` to see.

    Raises
    ------
    ConfigError
        If a value is out of its range; all faults are named.
    """

    schema: str = _setting(
        "sysmon", "fold", "record schema: a name that ships with fastfold, or the path of a TOML file"
    )
    fold: str = _setting(
        "process", "fold", "fold definition: a name that ships with fastfold, or the path of a TOML file"
    )

    queue_url: str = _setting(
        "", "queue", "URL of the SQS queue that holds the notifications", required=True, schemes=("https", "http")
    )
    buckets: tuple[str, ...] = _setting(
        (), "queue", "buckets that a notification may name, separated by commas; * allows any", required=True
    )
    dead_letter_url: str = _setting(
        "",
        "queue",
        "URL of the queue for messages that cannot be applied; empty: the one of the queue's redrive policy",
        schemes=("https", "http"),
    )
    region: str = _setting("", "queue", "AWS region; empty: as the AWS environment and profile say")
    bucket_owner: str = _setting(
        "",
        "queue",
        "AWS account that must own the buckets, 12 digits; S3 refuses the others; empty: not asked",
        digits=12,
    )
    poison: str = _setting(
        "park",
        "queue",
        "a message that cannot be applied is parked with the reason, or left to the redrive policy of the queue",
        choices=("park", "redrive"),
    )
    endpoint_url: str = _setting(
        "", "queue", "endpoint of S3 and SQS instead of those of AWS, for tests", schemes=("https", "http")
    )
    wait_s: int = _setting(20, "queue", "how long one receive waits for a message", least=1, most=20)
    visibility_s: int = _setting(
        120, "queue", "how long a message stays hidden unless extended; extended at half", least=2, most=43_200
    )

    redis_url: str = _setting(
        "",
        "redis",
        "redis://[[user]:password@]host[:port][,host[:port]...], or rediss:// for TLS; of a cluster, any nodes",
        required=True,
        schemes=("redis", "rediss"),
    )
    redis_ca_file: str = _setting(
        "", "redis", "PEM file of the authorities trusted for TLS; empty: those of the system"
    )
    redis_cert_file: str = _setting("", "redis", "PEM file of a client certificate for TLS")
    redis_key_file: str = _setting("", "redis", "PEM file of the key of redis_cert_file")
    # A brace would move the hash tag, and with it the slot of every key.
    namespace: str = _setting("ff:", "redis", "prefix of every key", without="{}")
    state_ttl_s: int = _setting(
        86_400, "redis", "life of a state after its last write", least=60, most=10 * 365 * 86_400
    )
    ledger_window_s: int = _setting(
        6 * 3600,
        "redis",
        "how far behind the newest batch of a host an older one is still taken",
        least=1,
        most=365 * 86_400,
    )
    hold_s: float = _setting(
        30.0,
        "redis",
        "on a Redis Cluster, how long a message is held after its commit, which is then verified: at least twice"
        " cluster-node-timeout; 0: deleted at once, what a failover loses is lost",
        least=0.0,
        most=3600.0,
    )
    hold_single_s: float = _setting(
        0.0, "redis", "the same on a single Redis; 0 where it has no replica to fail over to", least=0.0, most=3600.0
    )
    canary_s: float = _setting(
        1.0,
        "redis",
        "time between two writes of the counter by which a worker sees that a node has lost data; 0: none",
        least=0.0,
        most=3600.0,
    )
    topology_refresh_s: float = _setting(
        60.0,
        "redis",
        "longest time between two looks at which node of a Redis Cluster serves what; 0: only after faults and MOVED",
        least=0.0,
        most=3600.0,
    )
    dictionary: int = _setting(
        -1, "redis", "dictionary that states are written with; -1: that of state_version; 0: none", least=-1, most=255
    )
    dictionary_folder: str = _setting(
        "", "redis", "folder of dictionaries (<id>.ffdict) to read with, besides those of fastfold; empty: none"
    )
    state_version: int = _setting(
        3,
        "redis",
        "format that states are written in; an older one while workers that know no other still run",
        least=1,
        most=3,
    )
    zstd_level: int = _setting(4, "redis", "zstd level of states", least=1, most=19)
    redis_connect_timeout_s: float = _setting(1.0, "redis", "longest wait for a connection", least=0.01, most=60.0)
    redis_timeout_s: float = _setting(3.0, "redis", "longest wait for a reply", least=0.01, most=60.0)

    rules: tuple[str, ...] = _setting(
        (),
        "rules",
        "rule files and folders of them, separated by commas; starting: those that ship with fastfold; empty: none",
    )
    rules_fields: str = _setting(
        "refuse",
        "rules",
        "a Sigma rule that looks at a field without a column is refused, or the field counts as absent where that can"
        " only make the rule match less",
        choices=("refuse", "absent"),
    )
    rules_reload_s: float = _setting(
        30.0,
        "rules",
        "time between two looks whether rule files have changed; 0: on SIGHUP only",
        least=0.0,
        most=3600.0,
    )
    marks_per_step: int = _setting(
        64, "rules", "latest events kept that met a step of a rule, for each process or host", least=1, most=4096
    )
    marks_per_host: int = _setting(
        1024, "rules", "latest events kept of a host that met any step of a rule", least=16, most=65_536
    )
    raised_per_host: int = _setting(
        256, "rules", "latest alerts of a host that are remembered, not to be raised again", least=16, most=65_536
    )

    workers: int = _setting(8, "pod", "worker processes", least=1, most=64)
    file_slots: int = _setting(2, "pod", "files in work at once in one worker process", least=1, most=10)
    held_messages: int = _setting(
        1000,
        "pod",
        "messages held for verification in one worker process; at that many it receives no more",
        least=1,
        most=100_000,
    )
    file_deadline_s: float = _setting(
        300.0, "pod", "longest work on one file, retries included", least=1.0, most=36_000.0
    )
    grace_s: float = _setting(
        25.0, "pod", "time to finish the files in work after SIGTERM; the rest is handed back", least=0.0, most=3600.0
    )
    restarts: int = _setting(
        16, "pod", "restarts of crashed workers allowed in restart_window_s; more end the pod", least=0, most=10_000
    )
    restart_window_s: float = _setting(600.0, "pod", "time over which restarts are counted", least=1.0, most=86_400.0)
    http_host: str = _setting("127.0.0.1", "pod", "address of /metrics, /healthz and /readyz")
    http_port: int = _setting(
        9464, "pod", "port of /metrics, /healthz and /readyz; 0: no HTTP server", least=0, most=65_535
    )
    log_level: str = _setting(
        "info", "pod", "least level of the log lines on stderr", choices=("debug", "info", "warning", "error")
    )

    sinks: str = _setting("", "alerts", "TOML file that says where alerts go; empty: to standard output")

    limit_message_records: int = _setting(1000, "limits", "most objects in one message", least=1, most=100_000)
    limits: Limits = dataclasses.field(default_factory=Limits)

    def __post_init__(self) -> None:
        faults = ((setting, setting.fault(value_of(self, setting))) for setting in SETTINGS)
        _raise([_name(setting, fault) for setting, fault in faults if fault is not None])


def value_of(settings: Settings, setting: Setting) -> Any:
    """The value that `settings` holds for a setting."""
    if setting.name.startswith(_LIMIT_PREFIX) and not hasattr(settings, setting.name):
        return getattr(settings.limits, setting.name.removeprefix(_LIMIT_PREFIX))
    return getattr(settings, setting.name)


def _describe() -> Iterator[Setting]:
    for field in dataclasses.fields(Settings):
        if field.metadata:
            kind = type(field.default)
            yield Setting(name=field.name, kind=kind, default=field.default, **field.metadata)
    for field in dataclasses.fields(Limits):
        least, most, text = _LIMIT_RANGES[field.name]
        yield Setting(_LIMIT_PREFIX + field.name, "limits", int, field.default, text, least, most)


SETTINGS: tuple[Setting, ...] = tuple(_describe())
"""Every setting, by group in the order of the documentation."""


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    groups: Collection[str] = tuple(GROUPS),
    names: Collection[str] | None = None,
) -> Settings:
    """Settings from flags, environment and defaults, in this order.

    Parameters
    ----------
    flags : mapping
        By name of the setting; ``None`` and missing names are not given.
    environ : mapping
        The environment; an empty text is as good as none.
    groups : collection of str
        Groups that the command uses: what these require must be there, others are not read.
    names : collection of str, optional
        Only these settings of the groups.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        All faults at once, each with flag, environment name, value and allowed range.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for setting in SETTINGS:
        if setting.group not in groups or (names is not None and setting.name not in names):
            continue
        raw = flags.get(setting.name)
        if raw is None:
            raw = environ.get(setting.environment) or None
        try:
            value = setting.default if raw is None else setting.parse(raw)
            fault = "is needed" if setting.required and not value else setting.fault(value)
        except ValueError as error:
            fault = str(error)
        if fault is None:
            values[setting.name] = value
        else:
            faults.append(_name(setting, fault))
    _raise(faults)
    limits = {
        field.name: values.pop(_LIMIT_PREFIX + field.name)
        for field in dataclasses.fields(Limits)
        if _LIMIT_PREFIX + field.name in values
    }
    return Settings(**values, limits=Limits(**limits))


def _name(setting: Setting, fault: str) -> str:
    return f"{setting.flag} ({setting.environment}): {fault}"


def _raise(faults: list[str]) -> None:
    if len(faults) == 1:
        raise ConfigError(faults[0])
    if faults:
        raise ConfigError(f"{len(faults)} settings are wrong:" + "".join(f"\n  {fault}" for fault in faults))
