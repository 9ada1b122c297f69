"""What S3 answers: GetObject and ListObjectVersions of a bucket without versions, and what may be wrong with an answer.

Of an object as many of the next answers are at fault as it has `Fault`s left.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from enum import Enum
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["ACCOUNT", "Answer", "Fault", "Object", "answer"]

ACCOUNT = "123456789012"
PAGE_OBJECTS = 1000
PIECES = 20


class Fault(Enum):
    """What is wrong with one answer."""

    BUSY = "503 SlowDown"
    ABSENT = "404 NoSuchKey"
    SLOW = "the body comes in pieces, with pauses"
    CUT = "the connection ends in the middle of the body"


@dataclass
class Object:
    """An object, and how long its first byte takes."""

    body: bytes
    modified: float
    delay_s: float = 0.0
    faults: list[Fault] = field(default_factory=list)

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body).hexdigest()


@dataclass
class Answer:
    """An HTTP answer: in so many pieces with a pause before each, and `lacking` bytes of what it announces."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    pieces: int = 1
    pause_s: float = 0.0
    lacking: int = 0


Objects = Mapping[tuple[str, str], Object]


def answer(objects: Objects, target: str, headers: Mapping[str, str]) -> Answer:
    """The answer to a GET."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    bucket, _, key = parts.path[1:].partition("/")
    if headers.get("x-amz-expected-bucket-owner", ACCOUNT) != ACCOUNT:
        return _error(403, "AccessDenied")
    if "versions" in query:
        return _list(objects, bucket, query)
    found = objects.get((bucket, unquote(key)))
    if found is None or query.get("versionId", "null") != "null":
        return _error(404, "NoSuchKey")
    fault = found.faults.pop(0) if found.faults else None
    if fault is Fault.BUSY:
        return _error(503, "SlowDown")
    if fault is Fault.ABSENT:
        return _error(404, "NoSuchKey")
    if headers.get("If-Match", found.etag).strip('"') != found.etag:
        return _error(412, "PreconditionFailed")
    time.sleep(found.delay_s)
    facts = {"ETag": f'"{found.etag}"', "Last-Modified": formatdate(found.modified, usegmt=True)}
    if fault is Fault.SLOW:
        return Answer(200, facts, found.body, PIECES, 0.05)
    return Answer(200, facts, found.body, lacking=len(found.body) // 2 if fault is Fault.CUT else 0)


def _list(objects: Objects, bucket: str, query: Mapping[str, str]) -> Answer:
    prefix, after = query.get("prefix", ""), query.get("key-marker", "")
    most = min(int(query.get("max-keys", PAGE_OBJECTS)), PAGE_OBJECTS)
    keys = sorted(key for where, key in objects if where == bucket and key.startswith(prefix) and key > after)
    shown = [_version(key, objects[bucket, key]) for key in keys[:most]]
    more = len(keys) > most
    next_key = f"<NextKeyMarker>{quote(keys[most - 1])}</NextKeyMarker>" if more else ""
    text = (
        '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
        f"<Name>{escape(bucket)}</Name><IsTruncated>{str(more).lower()}</IsTruncated>{next_key}{''.join(shown)}"
        "</ListVersionsResult>"
    )
    return Answer(200, {"Content-Type": "application/xml"}, text.encode())


def _version(key: str, found: Object) -> str:
    at = datetime.fromtimestamp(int(found.modified), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<Version><Key>{quote(key)}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"
        f'<LastModified>{at}</LastModified><ETag>"{found.etag}"</ETag><Size>{len(found.body)}</Size>'
        "<StorageClass>STANDARD</StorageClass></Version>"
    )


def _error(status: int, code: str) -> Answer:
    return Answer(status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode())
