"""`fastfold demo`: the whole system on this machine, for a look.

::

    batch files -> S3 -> SNS -> SQS -> pod of workers -> redis-server -> inspect
                   +------ moto ------+      |
                                             +-- rules that ship with fastfold --> alerts in a file

The servers are those of `fastfold.local`, the pod is the real one.  All that is started is stopped
again, however the demo ends.  Nothing leaves the loopback interface: the clients get an endpoint
and credentials of the demo's own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
from botocore.config import Config

from fastfold.commands.fold import find_files
from fastfold.commands.pod import build_worker
from fastfold.config import Settings
from fastfold.decoding import Decoder
from fastfold.demo_alerts import alert_latency, write_sinks
from fastfold.demo_screen import Figures, Screen, open_screen
from fastfold.exits import Exit
from fastfold.foldpool import hold_interrupts
from fastfold.generate import Corpus, write
from fastfold.inspect import Query
from fastfold.inspect import run as inspect_states
from fastfold.keyspace import Keyspace
from fastfold.local import HOST, Server, start_aws, start_redis
from fastfold.metrics import Snapshot, total
from fastfold.rules.ruleset import SHIPPED
from fastfold.schema import load_definition
from fastfold.states import State, TextSet
from fastfold.supervisor import Pod
from fastfold.text import escape

__all__ = ["Demo", "run"]

BUCKET = "fastfold-demo"
REGION = "us-east-1"

QUEUED = 90
"""Most messages in the queue: moto's receive slows down with its depth."""

READY_S = 30.0
"""Longest wait for the workers to start."""

STALLED_S = 60.0
"""Time without any message done after which the demo gives up."""

_LOOK_S = 0.2
_SAMPLED = 2000
"""States looked at to choose the one that is shown."""

_REASONS = 10
"""Parked files that are named in the summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What to show.

    Attributes
    ----------
    path : str or None
        A batch file or a folder of them; ``None`` generates.
    files, seed : int
        What to generate.
    workers : int
    keep : bool
        Whether the servers stay until Ctrl-C when all is done.
    """

    path: str | None = None
    files: int = 60
    seed: int = 1
    workers: int = 2
    keep: bool = False


@dataclass(slots=True)
class _Cloud:
    """The S3, SNS and SQS of the demo, and when the upload of each file began."""

    endpoint: str
    queue_url: str = ""
    dead_letter_url: str = ""
    s3: Any = None
    sqs: Any = None
    uploaded_ns: dict[str, int] = field(default_factory=dict)

    @property
    def uploaded(self) -> int:
        """Files that are in S3."""
        return len(self.uploaded_ns)


def run(demo: Demo) -> Exit:
    """Run the demo.

    Returns
    -------
    Exit
        `Exit.REJECTED` if some file was parked, `Exit.FAILED` if the pod did not get through.
    """
    with ExitStack() as stack:
        stack.enter_context(_stop_on_signals())
        stack.enter_context(_credentials())
        screen = stack.enter_context(open_screen())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastfold-demo-")))
        files = _files(demo, screen, folder)
        sinks, alerts = write_sinks(folder)

        screen.say("starting redis-server and an S3/SQS/SNS server on 127.0.0.1")
        redis_server = start_redis(stack)
        cloud = _open_cloud(start_aws(stack))
        settings = Settings(
            queue_url=cloud.queue_url,
            buckets=(BUCKET,),
            region=REGION,
            endpoint_url=cloud.endpoint,
            redis_url=f"redis://{HOST}:{redis_server.port}",
            rules=(SHIPPED,),
            sinks=str(sinks),
            workers=demo.workers,
            wait_s=1,
            grace_s=5.0,
            http_port=0,
            log_level="error",
        )
        keyspace = stack.enter_context(closing(Keyspace(settings)))

        screen.say(f"starting a pod of {demo.workers} workers")
        pod = Pod(settings, build_worker)
        with hold_interrupts():
            pod.start()
            stack.callback(pod.stop)
        # The clock is to measure the work, not the start of Python; a pod that does not start shows in the figures.
        pod.wait_ready(READY_S)
        figures = _Drive(pod, cloud, keyspace, screen).through(files)
        pod.stop()
        if figures is None:
            screen.say(str(pod.failure) if pod.failure else f"no file was done for {STALLED_S:g} s")
            return Exit.FAILED

        screen.close()
        _summarise(figures, pod.snapshot(), cloud, keyspace)
        _tell_alerts(alerts, cloud)
        _show_one(settings, keyspace)
        if demo.keep:
            _keep(settings)
        return Exit.REJECTED if figures.parked else Exit.OK


def _files(demo: Demo, screen: Screen, folder: Path) -> list[Path]:
    if demo.path is not None:
        return [Path(name) for name in find_files([demo.path])]
    screen.say(f"generating {demo.files} batch files")
    corpus = Corpus(files=demo.files, hosts=16, hosts_per_file=8, processes=25, events=10, others=0.2, seed=demo.seed)
    return [path for path, _ in write(corpus, folder)]


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """Unwind at Ctrl-C, at SIGTERM and when the terminal is closed, so that nothing is left running."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        # A second Ctrl-C must not break off the stopping that the first one began.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _credentials() -> Iterator[None]:
    """Give this process and its workers credentials that are good for nothing else."""
    ours = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_DEFAULT_REGION": REGION}
    gone = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")
    before = {name: os.environ.get(name) for name in (*ours, *gone)}
    os.environ.update(ours)
    for name in gone:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _open_cloud(server: Server) -> _Cloud:
    """Make bucket, topic, queue and dead-letter queue, and join them."""
    cloud = _Cloud(f"http://{HOST}:{server.port}")

    def client(service: str) -> Any:
        config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"})
        return boto3.client(service, region_name=REGION, endpoint_url=cloud.endpoint, config=config)  # type: ignore[call-overload]

    cloud.s3, cloud.sqs, sns = client("s3"), client("sqs"), client("sns")
    cloud.s3.create_bucket(Bucket=BUCKET)
    topic = sns.create_topic(Name=BUCKET)["TopicArn"]
    cloud.dead_letter_url = cloud.sqs.create_queue(QueueName=f"{BUCKET}-dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": _queue_arn(cloud.sqs, cloud.dead_letter_url), "maxReceiveCount": "100"}
    attributes = {"RedrivePolicy": json.dumps(policy)}
    cloud.queue_url = cloud.sqs.create_queue(QueueName=BUCKET, Attributes=attributes)["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=_queue_arn(cloud.sqs, cloud.queue_url))
    notify = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    cloud.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=notify)
    return cloud


def _queue_arn(sqs: Any, url: str) -> str:
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


class _Drive:
    """Uploads files as the pod works them off, and shows how it goes."""

    def __init__(self, pod: Pod, cloud: _Cloud, keyspace: Keyspace, screen: Screen) -> None:
        self._pod = pod
        self._cloud = cloud
        self._keyspace = keyspace
        self._screen = screen

    def through(self, files: list[Path]) -> Figures | None:
        """All files; ``None`` if the pod failed or stood still."""
        began = moved_at = time.monotonic()
        done = -1
        while True:
            figures = self._look(len(files), time.monotonic() - began)
            self._screen.show(figures)
            if figures.finished >= len(files):
                return figures
            if figures.finished > done:
                done, moved_at = figures.finished, time.monotonic()
            if self._pod.failure or time.monotonic() - moved_at > STALLED_S:
                return None
            end = time.monotonic() + _LOOK_S
            while self._cloud.uploaded - figures.finished < QUEUED and time.monotonic() < end:
                if self._cloud.uploaded == len(files):
                    break
                self._upload(files[self._cloud.uploaded])
            if time.monotonic() < end:
                self._pod.wait(end - time.monotonic())

    def _upload(self, path: Path) -> None:
        # The number keeps files of one name apart; it is not what orders them.
        key = f"batches/{self._cloud.uploaded:06d}-{path.name.encode(errors='backslashreplace').decode()}"
        body = path.read_bytes()
        began_ns = time.time_ns()
        self._cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        self._cloud.uploaded_ns[f"s3://{BUCKET}/{key}"] = began_ns

    def _look(self, files: int, seconds: float) -> Figures:
        snapshot = self._pod.snapshot()
        done = int(snapshot.values.get(("messages", "done"), 0))
        parked = int(snapshot.values.get(("messages", "parked"), 0))
        return Figures(
            files=files,
            # The test event that S3 sends when notifications are set up is a message too.
            done=done - int(snapshot.values.get(("skipped", "test_event"), 0)),
            parked=parked,
            events=total(snapshot, "events"),
            conflicts=total(snapshot, "conflicts"),
            keys=self._keyspace.key_count(),
            seconds=seconds,
        )


def _summarise(figures: Figures, snapshot: Snapshot, cloud: _Cloud, keyspace: Keyspace) -> None:
    """Print what was done, and why files were parked."""
    seconds = max(figures.seconds, 1e-9)
    _say(
        f"{figures.done:,} files done, {figures.parked:,} parked;"
        f" {total(snapshot, 'records'):,} records, {total(snapshot, 'events'):,} events in {seconds:.1f} s:"
        f" {total(snapshot, 'events') / seconds:,.0f} events/s, S3, SNS and SQS on the same machine"
    )
    _say(
        f"commits: {total(snapshot, 'conflicts'):,} conflicts, {total(snapshot, 'retries'):,} retries,"
        f" {total(snapshot, 'already_applied'):,} already applied, {total(snapshot, 'late'):,} late"
    )
    used_bytes = keyspace.used_bytes()
    assert used_bytes is not None, "the demo is its Redis's default user"
    _say(f"Redis: {keyspace.key_count():,} keys, {used_bytes / 1e6:,.1f} MB used in all")
    for reason in _dead_letters(cloud) if figures.parked else ():
        _say(f"parked: {reason}")


def _tell_alerts(alerts: Path, cloud: _Cloud) -> None:
    """Print how many alerts there were, and how long they took."""
    lines = alerts.read_text(encoding="utf-8").splitlines() if alerts.exists() else []
    _say(f"starting rules: {alert_latency(lines, cloud.uploaded_ns)}")


def _dead_letters(cloud: _Cloud) -> Iterator[str]:
    """The reasons of the first parked messages, as the worker wrote them into their attributes."""
    shown = 0
    while shown < _REASONS:
        received = cloud.sqs.receive_message(
            QueueUrl=cloud.dead_letter_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        messages = received.get("Messages", ())
        if not messages:
            return
        for message in messages:
            attributes = {name: item.get("StringValue", "") for name, item in message["MessageAttributes"].items()}
            yield ", ".join(f"{name} {value}" for name, value in sorted(attributes.items()) if value)
            shown += 1


def _show_one(settings: Settings, keyspace: Keyspace) -> None:
    """Inspect the process about which most different things are known."""
    best = _most_telling(settings, keyspace)
    if best is None:
        return
    _say("")
    _say(f"fastfold inspect '{best.host}' '{best.process}':")
    _say("")
    sys.stdout.flush()
    query = Query(tenant=best.tenant, host=best.host, processes=(best.process,))
    inspect_states(settings, query, settings.fold, as_json=False, output=sys.stdout.buffer)


def _most_telling(settings: Settings, keyspace: Keyspace) -> State | None:
    decoder = Decoder(load_definition(settings.fold), settings.limits, get_many=keyspace.get_many)
    best: State | None = None
    values = keyspace.states(settings.namespace.encode())
    for key, value in islice(values, _SAMPLED):
        if isinstance(value, bytes):
            state = decoder.state(key, value)
            if best is None or _telling(state) > _telling(best):
                best = state
    return best


def _telling(state: State) -> tuple[bool, int, int, str]:
    # A start seen gives the command line; many kinds of things, few of each, make a page that can be read.
    members = sum(len(value.members) for value in state.values.values() if isinstance(value, TextSet))
    return "command_line" in state.values, len(state.values), -members, state.process


def _keep(settings: Settings) -> None:
    try:
        _say("")
        _say(f"left running until Ctrl-C: {settings.redis_url}, S3/SQS/SNS at {settings.endpoint_url}")
        _say(f"  fastfold inspect --redis-url {settings.redis_url} --scan --limit 3")
        sys.stdout.flush()
        while True:
            signal.pause()
    except KeyboardInterrupt:
        _say("stopping")


def _say(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
