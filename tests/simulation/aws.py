"""SQS and S3 that do all that the real ones are allowed to do.

A standard queue delivers at least once, in any order; a message that was deleted may come back; a
stale receipt handle deletes nothing and says that it did.  Every request may be lost, or its reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from simulation.scheduler import Waiters, World

__all__ = ["AwsFaults", "Bucket", "Parcel", "S3Client", "SimQueue", "SqsClient", "Stored", "notification"]

DEAD_LETTERS = "https://sqs/dead"
URL = "https://sqs/work"


@dataclass
class AwsFaults:
    """How often what goes wrong; per request or message.

    Attributes
    ----------
    latency_s : float
        Longest ordinary request.
    lost : float
        A request does not arrive, or its reply does not; half and half.
    doubled : float
        A message that is received stays visible to others.
    returned : float
        A message that was deleted comes back once.
    stale_works : float
        A stale receipt handle does what it says.
    s3_down, s3_cut, s3_slow : float
        GetObject answers 503, breaks off, takes some seconds.
    """

    latency_s: float = 0.01
    lost: float = 0.0
    doubled: float = 0.0
    returned: float = 0.0
    stale_works: float = 0.0
    s3_down: float = 0.0
    s3_cut: float = 0.0
    s3_slow: float = 0.0

    def calm(self) -> None:
        """No faults from now on."""
        self.lost = self.doubled = self.returned = self.stale_works = 0.0
        self.s3_down = self.s3_cut = self.s3_slow = 0.0


@dataclass(eq=False)
class Parcel:
    """A message in the queue.

    Attributes
    ----------
    number : int
    body : str
    visible_at : float
    receipt : str
        Of the newest receive.
    deleted : bool
    """

    number: int
    body: str
    visible_at: float
    receipt: str = ""
    receives: int = 0
    deleted: bool = False


class SimQueue:
    """A queue and its dead-letter queue.

    Attributes
    ----------
    parcels : list of Parcel
        In the order in which they were sent; a deleted one stays here, marked.
    dead : list of tuple
        Body and attributes of what was parked.
    """

    def __init__(self, world: World, faults: AwsFaults) -> None:
        self.world = world
        self.faults = faults
        self.parcels: list[Parcel] = []
        self.dead: list[tuple[str, Mapping[str, Any]]] = []
        self.pollers = Waiters(world)
        self.open = 0
        self.to_come = 0

    def send(self, body: str) -> None:
        """Put a message into the queue."""
        self.parcels.append(Parcel(len(self.parcels), body, self.world.now))
        self.open += 1
        self.tell()

    def tell(self) -> None:
        """Wake those that poll."""
        self.pollers.wake_all()

    @property
    def empty(self) -> bool:
        """Whether all messages are deleted and none is still to come."""
        return not self.open and not self.to_come

    def take(self, most: int, visibility_s: float) -> list[Parcel]:
        """Visible messages, in any order."""
        world = self.world
        found = [parcel for parcel in self.parcels if not parcel.deleted and parcel.visible_at <= world.now]
        world.random.shuffle(found)
        taken = found[:most]
        for parcel in taken:
            parcel.receives += 1
            parcel.receipt = f"r{parcel.number}.{parcel.receives}"
            doubled = world.chance(self.faults.doubled)
            parcel.visible_at = world.now + (world.between(0, 1) if doubled else visibility_s)
        return taken

    def by_receipt(self, receipt: str) -> tuple[Parcel, bool]:
        """The message of a receipt handle, and whether the handle still holds it."""
        parcel = self.parcels[int(receipt[1:].partition(".")[0])]
        return parcel, parcel.receipt == receipt and parcel.visible_at > self.world.now

    def delete(self, parcel: Parcel) -> None:
        """Delete a message, for good or not."""
        if parcel.deleted:
            return
        parcel.deleted = True
        self.open -= 1
        if self.world.chance(self.faults.returned):
            self.to_come += 1
            self.world.call_at(self.world.now + self.world.between(0, 60), lambda: self._come_back(parcel))

    def _come_back(self, parcel: Parcel) -> None:
        self.to_come -= 1
        self.open += 1
        parcel.deleted = False
        parcel.visible_at = self.world.now
        self.tell()


class SqsClient:
    """What `fastfold.source.Queue` uses of boto3's client."""

    def __init__(self, queue: SimQueue) -> None:
        self._queue = queue
        self._world = queue.world

    def receive_message(self, **request: Any) -> Any:
        queue, world = self._queue, self._world
        reply_lost = self._go("receive")
        end = world.now + request["WaitTimeSeconds"]
        while not (taken := queue.take(request["MaxNumberOfMessages"], request["VisibilityTimeout"])):
            if world.now >= end:
                break
            later = [p.visible_at for p in queue.parcels if not p.deleted and p.visible_at > world.now]
            queue.pollers.wait(min([end, *later]) - world.now)
        world.trace("receive", *(f"{p.receipt}{' lost' if reply_lost else ''}" for p in taken))
        self._come_back(reply_lost)
        return {"Messages": [{"ReceiptHandle": parcel.receipt, "Body": parcel.body} for parcel in taken]}

    def delete_message_batch(self, **request: Any) -> Any:
        reply_lost = self._go("delete")
        for entry in request["Entries"]:
            parcel, holds = self._queue.by_receipt(entry["ReceiptHandle"])
            works = holds or self._world.chance(self._queue.faults.stale_works)
            self._world.trace("delete", entry["ReceiptHandle"], "" if works else "stale")
            if works:
                self._queue.delete(parcel)
        self._come_back(reply_lost)
        return {}

    def change_message_visibility_batch(self, **request: Any) -> Any:
        reply_lost = self._go("hide")
        world, failed = self._world, []
        for entry in request["Entries"]:
            parcel, holds = self._queue.by_receipt(entry["ReceiptHandle"])
            self._world.trace("hide", entry["ReceiptHandle"], entry["VisibilityTimeout"], "" if holds else "stale")
            if holds or (not parcel.deleted and world.chance(self._queue.faults.stale_works)):
                parcel.visible_at = world.now + entry["VisibilityTimeout"]
                if not entry["VisibilityTimeout"]:
                    self._queue.tell()
            else:
                failed.append({"Id": entry["Id"], "Code": "MessageNotInflight"})
        self._come_back(reply_lost)
        return {"Failed": failed} if failed else {}

    def send_message(self, **request: Any) -> Any:
        reply_lost = self._go("send")
        assert request["QueueUrl"] == DEAD_LETTERS
        attributes = {name: value["StringValue"] for name, value in request["MessageAttributes"].items()}
        self._world.trace("parked", attributes["ErrorType"], attributes["Reason"])
        self._queue.dead.append((request["MessageBody"], attributes))
        self._come_back(reply_lost)
        return {}

    def _go(self, what: str) -> bool:
        """A request on its way; whether its reply will be lost."""
        world = self._world
        world.sleep(world.between(0, self._queue.faults.latency_s))
        if not world.chance(self._queue.faults.lost):
            return False
        if world.chance(0.5):
            world.trace("lost", what)
            world.sleep(world.between(0, 5))
            raise EndpointConnectionError(endpoint_url="https://sqs")
        return True

    def _come_back(self, lost: bool) -> None:
        world = self._world
        world.sleep(world.between(0, self._queue.faults.latency_s))
        if lost:
            world.sleep(5)
            raise ReadTimeoutError(endpoint_url="https://sqs")


@dataclass
class Stored:
    """One version of an object."""

    body: bytes
    etag: str
    version_id: str
    modified_ms: int


class Bucket:
    """Objects by key, every version of them; the last one is the current one."""

    def __init__(self, world: World, faults: AwsFaults) -> None:
        self.world = world
        self.faults = faults
        self.objects: dict[str, list[Stored]] = {}

    def put(self, key: str, body: bytes, modified_ms: int, *, versions: bool) -> Stored:
        """Store an object."""
        held = self.objects.setdefault(key, [])
        stored = Stored(body, f"e{len(held)}-{key}", f"v{len(held)}" if versions else "", modified_ms)
        held.append(stored)
        return stored


class S3Client:
    """What `fastfold.fetch.Fetcher` uses of boto3's client."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def get_object(self, **request: Any) -> Any:
        world, faults = self._bucket.world, self._bucket.faults
        world.sleep(world.between(0, faults.latency_s))
        if world.chance(faults.s3_slow):
            world.sleep(world.between(0, 20))
        if world.chance(faults.s3_down):
            raise _error("SlowDown", 503)
        versions = self._bucket.objects.get(request["Key"], [])
        wanted = request.get("VersionId")
        found = [stored for stored in versions if stored.version_id == wanted] if wanted else versions[-1:]
        if not found:
            raise _error("NoSuchKey", 404)
        (stored,) = found
        if request.get("IfMatch", stored.etag) != stored.etag:
            raise _error("PreconditionFailed", 412)
        length = len(stored.body)
        body = stored.body[: length // 2] if world.chance(faults.s3_cut) else stored.body
        return {
            "Body": _Body(body),
            "ContentLength": length,
            "ETag": f'"{stored.etag}"',
            "VersionId": stored.version_id,
            "LastModified": datetime.fromtimestamp(stored.modified_ms / 1000, timezone.utc),
        }


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        piece, self._body = self._body[:size], self._body[size:]
        return piece

    def close(self) -> None:
        self._body = b""


def _error(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


def notification(bucket: str, objects: list[tuple[str, Stored]], *, through_sns: bool) -> str:
    """The body of a message that tells of objects."""
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": bucket},
                "object": {
                    "key": key,
                    "size": len(stored.body),
                    "eTag": stored.etag,
                    **({"versionId": stored.version_id} if stored.version_id else {}),
                },
            },
        }
        for key, stored in objects
    ]
    body = json.dumps({"Records": records})
    return json.dumps({"Type": "Notification", "Message": body}) if through_sns else body
