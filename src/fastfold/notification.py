"""What a queue message says: which objects of S3 are new.

Bodies that are understood, all on one queue::

    {"Records": [...]}                                S3 event notification
    {"Service": ..., "Event": "s3:TestEvent", ...}    sent when a notification is set up: no objects
    {"Type": "Notification", "Message": "<one of the two above>", ...}     the same through SNS

A body is untrusted input.  It may only name a bucket, a key, a version and an ETag; region,
endpoint and owner in it are not looked at.  Everything else is refused with `ParkError`.

`fastfold.replay` writes bodies of the first form.  One that is to rebuild another key space says so in a
member of its own, ``"FastfoldNamespace": "<namespace>"``, and is refused by workers of any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote_plus

import msgspec

from fastfold.errors import NotAllowed, ParkError

__all__ = ["ANY_BUCKET", "NAMESPACE_MEMBER", "Notification", "ObjectRef", "parse_body"]

_T = TypeVar("_T")

NAMESPACE_MEMBER = "FastfoldNamespace"
"""Member of a body that only a worker of this namespace may apply."""

ANY_BUCKET = "*"
"""In the list of allowed buckets: any name that is a bucket's."""

KEY_BYTES = 1024
"""Longest key that S3 allows, bytes of UTF-8."""

# A name with a colon or slash would be an ARN or a path: another endpoint to the client.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}\Z")
# These two become headers or parameters of a request.
_TOKEN = re.compile(r"[!-~]{0,1024}\Z")


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object that a notification names.

    Attributes
    ----------
    bucket, key : str
        The key is decoded.
    version_id, etag : str
        Empty where the notification has none; the ETag without quotes.
    """

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""

    @property
    def name(self) -> str:
        """How the object is called in errors and logs."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Notification:
    """What one message asks for.

    Attributes
    ----------
    objects : tuple of ObjectRef
        In the order of the message.
    skipped : dict of str to int
        What needs no work, by reason: ``test_event``, ``not_created``, ``folder``, ``empty``.
    """

    objects: tuple[ObjectRef, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)


class _Bucket(msgspec.Struct):
    name: str


class _Object(msgspec.Struct, rename={"etag": "eTag", "version_id": "versionId"}):
    key: str
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None


class _Entity(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _Record(msgspec.Struct, rename="camel"):
    event_version: str
    event_source: str
    event_name: str
    s3: _Entity


class _Event(msgspec.Struct):
    records: list[_Record] = msgspec.field(name="Records")
    namespace: str | None = msgspec.field(name=NAMESPACE_MEMBER, default=None)


class _Envelope(msgspec.Struct, rename="pascal"):
    """The members that tell the bodies apart."""

    records: msgspec.Raw = msgspec.Raw()
    event: str | None = None
    type: str | None = None
    message: str | None = None


def parse_body(body: str, buckets: Collection[str], most_records: int, namespace: str = "") -> Notification:
    """The objects that a message names.

    Parameters
    ----------
    body : str
        Body of the queue message.
    buckets : collection of str
        Buckets that may be named; `ANY_BUCKET` allows any.
    most_records : int
        Most objects in one message.
    namespace : str
        Of the worker that asks.

    Raises
    ------
    ParkError
        If the body is none of those this module knows.
    NotAllowed
        If it names a bucket that is not allowed, comes from another service, or is for another namespace.
    """
    envelope = _decode(body, _Envelope)
    if envelope.type is not None:
        if envelope.type != "Notification":
            raise ParkError(f"SNS message of type {envelope.type!r}, not a notification")
        if envelope.message is None:
            raise ParkError("SNS notification without a message")
        body = envelope.message
        envelope = _decode(body, _Envelope)
    if envelope.records:
        event = _decode(body, _Event)
        if event.namespace is not None and event.namespace != namespace:
            raise NotAllowed(f"message is for namespace {event.namespace!r}, this worker keeps {namespace!r}")
        return _objects(event.records, buckets, most_records)
    if envelope.event == "s3:TestEvent":
        return Notification(skipped={"test_event": 1})
    raise ParkError("message is no S3 notification: no member Records")


def _decode(text: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(text.encode(), type=kind)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise ParkError(f"message is no S3 notification: {error}") from None


def _objects(records: list[_Record], buckets: Collection[str], most_records: int) -> Notification:
    if not records:
        raise ParkError("notification without records")
    if len(records) > most_records:
        raise ParkError(f"{len(records)} records in one message, limit {most_records}")
    objects: list[ObjectRef] = []
    skipped: Counter[str] = Counter()
    for record in records:
        _check_source(record, buckets)
        found = _object(record)
        if isinstance(found, ObjectRef):
            objects.append(found)
        else:
            skipped[found] += 1
    return Notification(tuple(objects), dict(skipped))


def _check_source(record: _Record, buckets: Collection[str]) -> None:
    if record.event_source != "aws:s3":
        raise NotAllowed(f"record from {record.event_source!r}, not from aws:s3")
    if not record.event_version.startswith("2."):
        raise ParkError(f"notification of version {record.event_version!r}, not 2.x")
    bucket = record.s3.bucket.name
    if _BUCKET.match(bucket) is None or (bucket not in buckets and ANY_BUCKET not in buckets):
        raise NotAllowed(f"bucket {bucket!r} is not among the allowed buckets")


def _object(record: _Record) -> ObjectRef | str:
    """The object of a record, or why there is nothing to do."""
    if not record.event_name.startswith("ObjectCreated:"):
        return "not_created"
    found = record.s3.object
    try:
        # The key is form-encoded: a plus is a blank.
        key = unquote_plus(found.key, errors="strict")
        long = len(key.encode()) > KEY_BYTES
    except UnicodeError:
        raise ParkError(f"key {found.key!r} is not UTF-8") from None
    if long or not key:
        raise ParkError(f"key of {len(key)} characters, limit {KEY_BYTES} bytes of UTF-8")
    if key.endswith("/"):
        return "folder"
    if found.size == 0:
        return "empty"
    ref = ObjectRef(record.s3.bucket.name, key, found.version_id or "", (found.etag or "").strip('"'))
    if _TOKEN.match(ref.etag) is None or _TOKEN.match(ref.version_id) is None:
        raise ParkError(f"{ref.name}: malformed ETag or version id")
    return ref
