"""The page of operations shows what the commands print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from aws import Site, notification
from batches import batch
from fastfold.cli import cli
from fastfold.commands.pod import build_worker
from fastfold.config import Settings
from fastfold.listing import Lister
from fastfold.metrics import Meter
from servers import RedisServer

pytestmark = pytest.mark.servers

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
SQS = "https://sqs.eu-central-1.amazonaws.com/123456789012"
END_S = 60
MONTH_MS = 30 * 86_400_000

# What differs from run to run.
TIME = r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
ID = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
VARIES = {TIME: "TIME", ID: "ID", r"in \d+\.\d s\b": "in N s", r"ledger-window-s \d+": "ledger-window-s N"}


def blocks(page: str) -> list[str]:
    return re.findall(r"```console\n(.*?)```", page, re.DOTALL)


def normal(text: str) -> list[str]:
    for pattern, word in VARIES.items():
        text = re.sub(pattern, word, text)
    return text.split()


@pytest.fixture
def site(make_aws_site: Callable[..., Site], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Batches, a queue, and a worker that has parked a broken file and one that was gone."""
    site = make_aws_site(notify=False)
    for number in range(3):
        site.put(f"edr/2026-11/{number}.json.gz", batch(number))
        site.put(f"edr/2026-10/{number}.json.gz", batch(9 + number))
    site.put("edr/2026-11/empty.json.gz", b"")
    site.put("edr/2026-11/", b"")
    site.put("other/broken.gz", b'{"EventID":11,"Hostname":"ws-1","Image":"a\x07b"}\n')
    site.send(notification(site.bucket, "edr%2Fgone.json.gz"))
    site.send(notification(site.bucket, "other/broken.gz"))
    settings = Settings(
        queue_url=site.queue_url,
        endpoint_url=site.server.url,
        redis_url=redis_server.url,
        namespace=f"{site.name}:",
        buckets=(site.bucket,),
        wait_s=1,
        file_slots=1,
    )
    worker = build_worker(settings, Meter())
    worker.start()
    site.wait_empty(END_S)
    assert worker.drain(END_S)
    for name, value in {"QUEUE_URL": site.queue_url, "ENDPOINT_URL": site.server.url}.items():
        monkeypatch.setenv(f"FASTFOLD_{name}", value)
    return site


class Printed:
    """What the commands of the page print now."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._now_ms = Lister.now_ms
        self._parked: list[str] = []
        rebuild = site.sqs.create_queue(QueueName=f"rebuild-{site.name}")["QueueUrl"]
        self._ours = {
            f"{SQS}/batches": site.queue_url,
            f"{SQS}/rebuild": rebuild,
            "example-batches": site.bucket,
        }

    def block(self, block: str) -> str:
        """A block of the page, with what its command prints now."""
        line = block.splitlines()[0]
        if self._parked:
            # The message that the page shows is the first of those that it has listed.
            line = re.sub(ID, self._parked[0], line)
        command = line
        for page, real in self._ours.items():
            command = command.replace(page, real)
        self._let_pass(MONTH_MS if "2026-10" in command else 0)
        result = CliRunner().invoke(cli, shlex.split(command)[2:], input="y\n" if "requeue" in command else None)
        output = result.output
        for page, real in self._ours.items():
            output = output.replace(real, page)
        self._parked += re.findall(rf"^{ID}", output, re.MULTILINE)
        return f"{line}\n{output}"

    def _let_pass(self, time_ms: int) -> None:
        self._monkeypatch.setattr(Lister, "now_ms", lambda lister, prefix: self._now_ms(lister, prefix) + time_ms)


def test_every_block_is_what_is_printed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = Printed(site, monkeypatch)
    assert len(blocks(PAGE)) > 5
    for block in blocks(PAGE):
        assert normal(printed.block(block)) == normal(block)
