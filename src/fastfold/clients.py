"""Clients of S3, SQS and SNS, and what their errors mean to us.

Nothing here is shared by processes: a client is made after its process has started.  Every client has short
timeouts and few tries of its own, so that whoever uses it decides how long something is tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fastfold.config import Settings
from fastfold.errors import ConfigError, Unavailable

__all__ = ["find_dead_letter_url", "make_client", "translated"]

_CONNECT_TIMEOUT_S = 2.0
_REQUEST_TRIES = 3

# Only a person can mend these; what else is refused may be granted a moment later.
_NOT_THERE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NoSuchBucket"})


def make_client(
    settings: Settings, service: Literal["s3", "sns", "sqs"], *, reply_timeout_s: float, connections: int
) -> Any:
    """A client of S3, SQS or SNS.

    Parameters
    ----------
    settings : Settings
        Region and endpoint.
    service : str
    reply_timeout_s : float
        Longest wait for bytes of an answer, seconds.
    connections : int
        Requests at once.

    Raises
    ------
    ConfigError
        If the settings of AWS do not hold together.
    """
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=reply_timeout_s,
        retries={"mode": "standard", "total_max_attempts": _REQUEST_TRIES},
        max_pool_connections=connections,
    )
    try:
        return boto3.client(
            service, region_name=settings.region or None, endpoint_url=settings.endpoint_url or None, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"{service.upper()} client: {error}") from None


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Errors of botocore as errors of ours.

    Raises
    ------
    ConfigError
        If there is no such queue or bucket.
    Unavailable
        For everything else.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _NOT_THERE:
            raise ConfigError(
                f"{server}: there is no such {'bucket' if server == 'S3' else 'queue'}: {error}"
            ) from None
        raise Unavailable(server, str(error)) from None
    except BotoCoreError as error:
        raise Unavailable(server, str(error)) from None


def find_dead_letter_url(client: Any, queue_url: str) -> str:
    """URL of the queue that the redrive policy names, empty without one.  Shows too that SQS answers.

    Raises
    ------
    ConfigError
        If there is no such queue.
    Unavailable
        If SQS does not answer.
    """
    with translated("SQS"):
        reply = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])
        policy = reply.get("Attributes", {}).get("RedrivePolicy")
        if policy is None:
            return ""
        *_, account, name = json.loads(policy)["deadLetterTargetArn"].split(":")
        return str(client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"])
