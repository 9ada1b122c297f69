"""What lies in a bucket: every version of every object below a prefix.

Versions are listed and not only the objects of today: each was notified when it came, so each is a batch of its
own.  A bucket that never kept versions answers the same request with one version for each object, called ``null``.
Keys come form-encoded and are decoded by botocore, so that one with a line feed in it does not break the reply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from fastfold.clients import make_client, translated
from fastfold.config import Settings

__all__ = ["PAGE_VERSIONS", "Listed", "Lister", "connect_lister"]

PAGE_VERSIONS = 1000
"""Most versions that S3 gives in one answer."""

_READ_TIMEOUT_S = 30.0
_MS_PER_SECOND = 1000
_NULL_VERSION = "null"
_SERVER = "S3"

# GetObject refuses these until somebody has them restored.
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of an object, or a mark that it was deleted.

    Attributes
    ----------
    key : str
    version_id : str
        Empty where the bucket kept no versions when it was written.
    etag : str
        Without quotes.
    size_bytes : int
    time_ms : int
        LastModified, milliseconds since 1970 UTC.
    skipped : str
        Why it is no batch: ``folder``, ``empty``, ``archived`` or ``deleted``; empty for a batch.
    """

    key: str
    version_id: str
    etag: str
    size_bytes: int
    time_ms: int
    skipped: str


class Lister:
    """Lists one bucket.

    Parameters
    ----------
    client : client of S3
    bucket : str
    owner : str
        Account that must own the bucket; empty: not asked for.
    page : int
        Versions in one answer.
    """

    def __init__(self, client: Any, bucket: str, owner: str = "", page: int = PAGE_VERSIONS) -> None:
        self._client = client
        self._page = page
        self._request: dict[str, str] = {"Bucket": bucket}
        if owner:
            self._request["ExpectedBucketOwner"] = owner

    def now_ms(self, prefix: str) -> int:
        """The time by the clock of S3, which also dates the objects.

        Raises
        ------
        Unavailable
            If S3 does not answer, or refuses.
        ConfigError
            If there is no such bucket.
        """
        with translated(_SERVER):
            reply = self._client.list_object_versions(**self._request, Prefix=prefix, MaxKeys=1)
        date = reply["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date) if date else datetime.now(timezone.utc)
        return round(now.timestamp() * _MS_PER_SECOND)

    def versions(self, prefix: str) -> Iterator[Listed]:
        """Every version below a prefix, in the order of S3: by key, the newest first; deletions last of a page.

        Raises
        ------
        Unavailable
            If S3 does not answer, or refuses.
        ConfigError
            If there is no such bucket.
        """
        paginator = self._client.get_paginator("list_object_versions")
        pages = iter(paginator.paginate(**self._request, Prefix=prefix, PaginationConfig={"PageSize": self._page}))
        while True:
            with translated(_SERVER):
                page = next(pages, None)
            if page is None:
                return
            for found in page.get("Versions", ()):
                yield _listed(found, _why_not(found))
            for found in page.get("DeleteMarkers", ()):
                yield _listed(found, "deleted")


def _why_not(found: dict[str, Any]) -> str:
    if found["Key"].endswith("/"):
        return "folder"
    if not found["Size"]:
        return "empty"
    return "archived" if found.get("StorageClass") in _ARCHIVES else ""


def _listed(found: dict[str, Any], skipped: str) -> Listed:
    version = found["VersionId"]
    return Listed(
        key=found["Key"],
        version_id="" if version == _NULL_VERSION else version,
        etag=found.get("ETag", "").strip('"'),
        size_bytes=found.get("Size", 0),
        time_ms=round(found["LastModified"].timestamp() * _MS_PER_SECOND),
        skipped=skipped,
    )


def connect_lister(settings: Settings, bucket: str) -> Lister:
    """A lister with a client of its own.

    Raises
    ------
    ConfigError
        If the settings of AWS do not hold together.
    """
    client = make_client(settings, "s3", reply_timeout_s=_READ_TIMEOUT_S, connections=1)
    return Lister(client, bucket, settings.bucket_owner)
