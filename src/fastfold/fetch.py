"""Fetches one object from S3, whole, and exactly the one that was notified.

A version is asked for by its id; without one the ETag of the notification must still hold, so that
an object that was replaced since is never read under the name of the old one.  What was replaced
has a notification of its own.

Answers and what follows::

    200                          the body, if it is as long as the reply says
    412                          replaced meanwhile: nothing to do
    404, 403, other 4xx          a few tries, then `Missing`: the object is at fault
    5xx, slow, cut, throttled    tries until the deadline, then `Unavailable`: S3 is at fault
    credentials expired          the same: no object is at fault
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from fastfold.clients import make_client
from fastfold.config import Settings
from fastfold.errors import Missing, Reject, Unavailable
from fastfold.metrics import Meter
from fastfold.notification import ObjectRef
from fastfold.retry import Backoff, BackoffPolicy

__all__ = ["Fetched", "Fetcher", "S3Client", "connect_fetcher"]

NULL_VERSION = "null"
"""Version id of what was written while the bucket kept no versions; what lies under it may be replaced."""

MISSING_TRIES = 3
"""Tries of an object that is not there or may not be read, before it is given up."""

PIECE_BYTES = 1 << 20
"""Bytes read from the socket between two looks at the clock."""

POLICY = BackoffPolicy(base_s=0.2, cap_s=10.0)
"""Waits between tries."""

_READ_TIMEOUT_S = 10.0
_MS_PER_SECOND = 1000

_REPLACED = 412
_THROTTLED = 429

# These say that we may not speak at all; they say nothing of the object.
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
# Throttling and time-outs that S3 answers with 4xx.
_SLOW = frozenset({"RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException"})


class S3Client(Protocol):
    """What is used of boto3's client; keyword arguments and reply are those of the S3 API."""

    get_object: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object as S3 gave it.

    Attributes
    ----------
    body : memoryview
        Read-only.
    etag, version_id : str
        Of the reply; the version id is empty for what was written while the bucket kept no versions.
    last_modified_ms : int
        Milliseconds since 1970 UTC.
    """

    body: memoryview
    etag: str
    version_id: str
    last_modified_ms: int


class Fetcher:
    """Fetches objects; threads may share it.

    Parameters
    ----------
    client : S3Client
    file_bytes : int
        Largest object.
    meter : Meter
    owner : str
        Account that must own the bucket; empty: not asked for.
    clock, sleep : callable
        Seconds.
    """

    def __init__(
        self,
        client: S3Client,
        file_bytes: int,
        meter: Meter,
        *,
        owner: str = "",
        policy: BackoffPolicy = POLICY,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._file_bytes = file_bytes
        self._meter = meter
        self._owner = owner
        self._policy = policy
        self._clock = clock
        self._sleep = sleep

    def fetch(self, ref: ObjectRef, deadline: float) -> Fetched | None:
        """The object, or ``None`` if another has taken its place.

        Parameters
        ----------
        ref : ObjectRef
        deadline : float
            When to give up, on the clock of this fetcher.

        Raises
        ------
        Missing
            If it is not there, or may not be read.
        Reject
            If it is larger than the limit.
        Unavailable
            If S3 did not give it before the deadline.
        """
        backoff = Backoff(self._policy, deadline, clock=self._clock, sleep=self._sleep)
        refused = 0
        while True:
            try:
                return self._try(ref, deadline)
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if status == _REPLACED:
                    return None
                if _is_of_object(error, status):
                    refused += 1
                    if refused >= MISSING_TRIES:
                        raise Missing(f"{ref.name}: {error}") from None
                fault = Unavailable("S3", f"{ref.name}: {error}")
            except ParamValidationError as error:
                raise Missing(f"{ref.name}: {error}") from None
            except (BotoCoreError, _CutError) as error:
                fault = Unavailable("S3", f"{ref.name}: {error}")
            self._meter.add("retries", label="fetch")
            if not backoff.wait():
                if refused:
                    raise Missing(str(fault))
                raise fault

    def _try(self, ref: ObjectRef, deadline: float) -> Fetched:
        request = {"Bucket": ref.bucket, "Key": ref.key}
        if ref.version_id:
            request["VersionId"] = ref.version_id
        if ref.etag and ref.version_id in ("", NULL_VERSION):
            request["IfMatch"] = ref.etag
        if self._owner:
            request["ExpectedBucketOwner"] = self._owner
        reply = self._client.get_object(**request)
        # Not the body's own context manager: that one gives the socket without botocore's errors.
        with closing(reply["Body"]) as stream:
            body = self._read(stream, reply["ContentLength"], ref, deadline)
        return Fetched(
            body=memoryview(body).toreadonly(),
            etag=reply["ETag"].strip('"'),
            version_id=_identity(reply.get("VersionId") or ""),
            last_modified_ms=round(reply["LastModified"].timestamp() * _MS_PER_SECOND),
        )

    def _read(self, stream: Any, length: int, ref: ObjectRef, deadline: float) -> bytearray:
        if length > self._file_bytes:
            raise Reject(f"object of {length} bytes", file=ref.name, limit=self._file_bytes)
        body = bytearray(length)
        read = 0
        # One read past the end: what the connection gives beyond the length it named is a fault too.
        while piece := stream.read(PIECE_BYTES):
            if read + len(piece) > length:
                raise _CutError(f"more than the {length} bytes announced")
            body[read : read + len(piece)] = piece
            read += len(piece)
            if self._clock() > deadline:
                raise _CutError(f"{read} of {length} bytes when the deadline passed")
        if read < length:
            raise _CutError(f"{read} of {length} bytes")
        return body


class _CutError(Exception):
    """A body that is not as long as its reply said."""


def _identity(version_id: str) -> str:
    # Turning versions on must not give an object that is there another identity: it would count twice.
    return "" if version_id == NULL_VERSION else version_id


def _is_of_object(error: ClientError, status: int) -> bool:
    code = error.response.get("Error", {}).get("Code", "")
    return 400 <= status < 500 and status != _THROTTLED and code not in _CREDENTIALS and code not in _SLOW


def connect_fetcher(settings: Settings, meter: Meter) -> Fetcher:
    """A fetcher with a client of its own; make it after a process has started.

    Raises
    ------
    ConfigError
        If the settings of AWS do not hold together.
    """
    client = make_client(settings, "s3", reply_timeout_s=_READ_TIMEOUT_S, connections=settings.file_slots)
    return Fetcher(client, settings.limits.file_bytes, meter, owner=settings.bucket_owner)
