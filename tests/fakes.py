"""Clients of S3 and SQS that misbehave as told, without a network."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError


def client_error(code: str, status: int, operation: str = "GetObject") -> ClientError:
    """An error as a boto3 client raises it."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


class FakeSqs:
    """Remembers requests; refuses the entries of the receipts in `bad`, and everything while `down`."""

    def __init__(self, *bodies: str) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.waiting = [{"ReceiptHandle": f"r{index}", "Body": body} for index, body in enumerate(bodies)]
        self.bad: set[str] = set()
        self.down: Exception | None = None
        self.attributes: dict[str, str] = {}
        self._lock = threading.Lock()

    def named(self, name: str) -> list[dict[str, Any]]:
        """The requests of one name, in order."""
        with self._lock:
            return [request for found, request in self.requests if found == name]

    def receipts(self, name: str) -> list[str]:
        """The receipts in the batch requests of one name, in order."""
        return [entry["ReceiptHandle"] for request in self.named(name) for entry in request["Entries"]]

    def receive_message(self, **request: Any) -> Any:
        self._take("receive", request)
        with self._lock:
            most = request["MaxNumberOfMessages"]
            found, self.waiting = self.waiting[:most], self.waiting[most:]
        if not found:
            threading.Event().wait(0.01)
            return {}
        return {"Messages": found}

    def delete_message_batch(self, **request: Any) -> Any:
        return self._batch("delete", request)

    def change_message_visibility_batch(self, **request: Any) -> Any:
        return self._batch("hide", request)

    def send_message(self, **request: Any) -> Any:
        self._take("send", request)
        return {}

    def get_queue_attributes(self, **request: Any) -> Any:
        self._take("attributes", request)
        return {"Attributes": self.attributes} if self.attributes else {}

    def get_queue_url(self, **request: Any) -> Any:
        self._take("url", request)
        return {"QueueUrl": f"https://sqs/{request['QueueOwnerAWSAccountId']}/{request['QueueName']}"}

    def _batch(self, name: str, request: dict[str, Any]) -> Any:
        self._take(name, request)
        entries = request["Entries"]
        assert 1 <= len(entries) <= 10
        failed = [{"Id": entry["Id"]} for entry in entries if entry["ReceiptHandle"] in self.bad]
        return {"Failed": failed} if failed else {}

    def _take(self, name: str, request: dict[str, Any]) -> None:
        with self._lock:
            self.requests.append((name, request))
        if self.down is not None:
            raise self.down


class FakeBody:
    """A body that arrives in pieces, and may break."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.closed = False
        self._pieces = list(pieces)

    def read(self, size_bytes: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if len(piece) > size_bytes:
            self._pieces.insert(0, piece[size_bytes:])
        return piece[:size_bytes]

    def close(self) -> None:
        self.closed = True


class FakeS3:
    """Gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Exception | dict[str, Any]) -> None:
        self.requests: list[dict[str, Any]] = []
        self._answers = list(answers)

    def get_object(self, **request: Any) -> Any:
        self.requests.append(request)
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def s3_reply(*pieces: bytes | Exception, length: int | None = None) -> dict[str, Any]:
    """A reply to GetObject; its length is that of the pieces unless said otherwise."""
    whole = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
    return {
        "Body": FakeBody(*pieces),
        "ContentLength": whole if length is None else length,
        "ETag": '"e1"',
        "LastModified": datetime(2026, 1, 1, tzinfo=timezone.utc),
    }
