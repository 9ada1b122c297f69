"""SQS as bad as it may be, and S3 to go with it: one small HTTP server, fast at any depth.

It speaks what boto3 sends (the JSON protocol of SQS, GetObject of S3) and does on purpose what SQS does rarely and
moto never: `Mischief` says how often.  Everything it did is counted, so that a test can see that it was done.

Every receive gives a new receipt, and only the newest receipt of a message deletes it: with an older one the answer
is success and nothing happens, as SQS may do.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config

import s3
from aws import CREDENTIALS, REGION
from s3 import ACCOUNT


@dataclass
class Mischief:
    """How likely it is, from 0 to 1, that ...

    Attributes
    ----------
    duplicate : float
        a message that is received stays visible, so that others receive it too.
    lose_receive : float
        the answer to a receive is lost, and its messages stay hidden with nobody at work on them.
    undead : float
        a message that was deleted comes once more.
    fail_delete, fail_hide, fail_send : float
        an entry of a batch fails.
    refuse_send : float
        an entry of a batch to send is refused as the sender's fault.
    """

    duplicate: float = 0.0
    lose_receive: float = 0.0
    undead: float = 0.0
    fail_delete: float = 0.0
    fail_hide: float = 0.0
    fail_send: float = 0.0
    refuse_send: float = 0.0


@dataclass(eq=False)
class _Message:
    body: str
    attributes: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    receives: int = 0
    receipt: str = ""
    source: str = ""
    hidden_until: float = 0.0
    deleted: bool = False


class _Lost(Exception):
    """The answer never arrives."""


class _Error(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, query_code: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.query_code = query_code or code


class AdverseQueue:
    """One queue."""

    def __init__(self, server: Cloud, name: str, visibility_s: int, dead: AdverseQueue | None, receives: int) -> None:
        self.url = f"{server.url}/{ACCOUNT}/{name}"
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        self.dead = dead
        self.most_receives = receives
        self._server = server
        self._visibility_s = visibility_s
        self._lock = threading.Condition()
        self._ready: list[_Message] = []
        self._hidden: list[tuple[float, int, _Message]] = []
        self._receipts: dict[str, _Message] = {}
        self._order = itertools.count()
        self.alive = 0

    # For tests

    def put(self, body: str, attributes: dict[str, Any] | None = None, *, source: str = "") -> str:
        """Put a message on the queue; its id."""
        message = _Message(body, attributes or {}, source=source)
        with self._lock:
            self.alive += 1
            self._ready.append(message)
            self._lock.notify()
        return message.id

    def letters(self) -> list[tuple[str, dict[str, str]]]:
        """Body and attributes of all messages that are on the queue, hidden or not, in order of bodies."""
        with self._lock:
            hidden = [m for until, _, m in self._hidden if not m.deleted and m.hidden_until == until]
            found = {id(m): m for m in [*self._ready, *hidden] if not m.deleted}.values()
            return sorted(
                ((m.body, {name: value["StringValue"] for name, value in m.attributes.items()}) for m in found),
                key=lambda letter: letter[0],
            )

    def bodies(self) -> list[str]:
        """Bodies of the same."""
        return [body for body, _ in self.letters()]

    def visible(self) -> int:
        """Messages that could be received now."""
        with self._lock:
            self._wake()
            return len({id(m) for m in self._ready if not m.deleted})

    # Requests

    def receive(self, request: dict[str, Any]) -> dict[str, Any]:
        most = request.get("MaxNumberOfMessages", 1)
        hidden_s = request.get("VisibilityTimeout", self._visibility_s)
        end = time.monotonic() + request.get("WaitTimeSeconds", 0)
        with self._lock:
            found = self._take(most, hidden_s)
            while not found and (left_s := end - time.monotonic()) > 0 and not self._server.closing:
                # Nobody tells when a message becomes visible again.
                self._lock.wait(min(left_s, 0.02))
                found = self._take(most, hidden_s)
            answers = [self._shown(message) for message in found]
        if found and self._server.happens("lose_receive"):
            raise _Lost
        return {"Messages": answers} if answers else {}

    def delete(self, receipt: str) -> None:
        with self._lock:
            message = self._receipts.get(receipt)
            if message is None:
                raise _Error("ReceiptHandleIsInvalid")
            if message.receipt != receipt:
                self._server.counts["stale"] += 1
            elif not message.deleted:
                if self._server.happens("undead"):
                    # Deleted for whoever asks, but one server of the queue did not hear of it.
                    self._ready.append(message)
                    return
                message.deleted = True
                self.alive -= 1

    def hide(self, receipt: str, hidden_s: int) -> None:
        with self._lock:
            message = self._receipts.get(receipt)
            if message is None or message.receipt != receipt:
                raise _Error("ReceiptHandleIsInvalid")
            if message.deleted or message.hidden_until <= time.monotonic():
                raise _Error("MessageNotInflight")
            self._hide(message, hidden_s)

    def attributes(self) -> dict[str, str]:
        with self._lock:
            self._wake()
            visible = len({id(m) for m in self._ready if not m.deleted})
            found = {
                "QueueArn": self.arn,
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(self.alive - visible),
            }
        if self.dead is not None:
            policy = {"deadLetterTargetArn": self.dead.arn, "maxReceiveCount": self.most_receives}
            found["RedrivePolicy"] = json.dumps(policy)
        return found

    def _take(self, most: int, hidden_s: int) -> list[_Message]:
        self._wake()
        found: list[_Message] = []
        again: list[_Message] = []
        while self._ready and len(found) < most:
            place = self._server.random.randrange(len(self._ready))
            self._ready[place], self._ready[-1] = self._ready[-1], self._ready[place]
            message = self._ready.pop()
            if message.deleted or message in found:
                continue
            if self.dead is not None and message.receives >= self.most_receives:
                message.deleted = True
                self.alive -= 1
                self._server.counts["redriven"] += 1
                self.dead.put(message.body, message.attributes, source=self.arn)
                continue
            self._server.counts["redelivered"] += message.receives > 0
            message.receives += 1
            message.receipt = str(uuid.uuid4())
            self._receipts[message.receipt] = message
            self._hide(message, hidden_s)
            if self._server.happens("duplicate"):
                again.append(message)
            found.append(message)
        self._ready += again
        return found

    def _hide(self, message: _Message, hidden_s: float) -> None:
        message.hidden_until = time.monotonic() + hidden_s
        heapq.heappush(self._hidden, (message.hidden_until, next(self._order), message))
        if not hidden_s:
            self._wake()

    def _wake(self) -> None:
        now = time.monotonic()
        while self._hidden and self._hidden[0][0] <= now:
            until, _, message = heapq.heappop(self._hidden)
            # Hidden again meanwhile: a later entry speaks for it.
            if not message.deleted and message.hidden_until == until:
                self._server.counts["visible_again"] += 1
                self._ready.append(message)

    @staticmethod
    def _shown(message: _Message) -> dict[str, Any]:
        facts = {"ApproximateReceiveCount": str(message.receives), "SentTimestamp": str(message.sent_ms)}
        if message.source:
            facts["DeadLetterQueueSourceArn"] = message.source
        shown = {
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "Body": message.body,
            "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
            "Attributes": facts,
        }
        return shown | ({"MessageAttributes": message.attributes} if message.attributes else {})


class _Http(ThreadingHTTPServer):
    # Faults of connections are wanted here, and told by the counts.
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        return


class Cloud:
    """The server, with queues and objects; of use as a context."""

    def __init__(self, seed: int = 1, listen: str = "127.0.0.1") -> None:
        self.random = random.Random(seed)
        self.mischief = Mischief()
        self.counts: Counter[str] = Counter()
        self.objects: dict[tuple[str, str], s3.Object] = {}
        self.closing = False
        self._queues: dict[str, AdverseQueue] = {}
        self._lock = threading.Lock()
        self._http = _Http((listen, 0), _handler(self))
        self.url = f"http://{listen}:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server."""
        self.closing = True
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def queue(
        self, name: str, *, visibility_s: int = 30, dead: AdverseQueue | None = None, receives: int = 100
    ) -> AdverseQueue:
        """Make a queue."""
        made = AdverseQueue(self, name, visibility_s, dead, receives)
        self._queues[made.url] = made
        return made

    def put(self, bucket: str, key: str, body: bytes, *, age_s: float = 0.0, delay_s: float = 0.0) -> str:
        """Put an object that is so old; its ETag."""
        made = s3.Object(body, time.time() - age_s, delay_s)
        self.objects[bucket, key] = made
        return made.etag

    def client(self) -> Any:
        """A client of SQS."""
        return boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        )

    def happens(self, what: str) -> bool:
        """Draw whether a mischief is done."""
        with self._lock:
            done = self.random.random() < getattr(self.mischief, what)
            self.counts[what] += done
        return done

    # Requests

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of SQS."""
        self.counts[action] += 1
        if action == "GetQueueUrl":
            url = f"{self.url}/{request.get('QueueOwnerAWSAccountId', ACCOUNT)}/{request['QueueName']}"
            return {"QueueUrl": self._named(url).url}
        queue = self._named(request["QueueUrl"])
        match action:
            case "SendMessage":
                return {"MessageId": self._send(queue, request), "MD5OfMessageBody": _md5(request)}
            case "SendMessageBatch":
                return self._each(request, "fail_send", lambda entry: self._send(queue, entry), "refuse_send")
            case "ReceiveMessage":
                return queue.receive(request)
            case "DeleteMessage":
                queue.delete(request["ReceiptHandle"])
                return {}
            case "DeleteMessageBatch":
                return self._each(request, "fail_delete", lambda entry: queue.delete(entry["ReceiptHandle"]))
            case "ChangeMessageVisibilityBatch":
                return self._each(
                    request, "fail_hide", lambda entry: queue.hide(entry["ReceiptHandle"], entry["VisibilityTimeout"])
                )
            case "GetQueueAttributes":
                return {"Attributes": queue.attributes()}
        raise _Error("InvalidAction")

    def _named(self, url: str) -> AdverseQueue:
        if url not in self._queues:
            raise _Error("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
        return self._queues[url]

    def _send(self, queue: AdverseQueue, entry: dict[str, Any]) -> str:
        if re.search("[\ufffe\uffff]", entry["MessageBody"]):
            raise _Error("InvalidMessageContents")
        return queue.put(entry["MessageBody"], entry.get("MessageAttributes"))

    def _each(
        self, request: dict[str, Any], mischief: str, act: Callable[[dict[str, Any]], object], refuse: str = ""
    ) -> dict[str, Any]:
        entries = request["Entries"]
        if not 1 <= len(entries) <= 10:
            raise _Error("TooManyEntriesInBatchRequest")
        reply: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in entries:
            if refuse and self.happens(refuse):
                reply["Failed"].append({"Id": entry["Id"], "SenderFault": True, "Code": "InvalidMessageContents"})
            elif self.happens(mischief):
                reply["Failed"].append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
            else:
                self._do(act, entry, reply)
        return reply

    @staticmethod
    def _do(act: Callable[[dict[str, Any]], object], entry: dict[str, Any], reply: dict[str, Any]) -> None:
        try:
            made = act(entry)
        except _Error as error:
            reply["Failed"].append({"Id": entry["Id"], "SenderFault": True, "Code": error.code})
        else:
            told = {"MessageId": made, "MD5OfMessageBody": _md5(entry)} if isinstance(made, str) else {}
            reply["Successful"].append({"Id": entry["Id"], **told})


def _md5(entry: dict[str, Any]) -> str:
    return hashlib.md5(entry["MessageBody"].encode()).hexdigest()


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # One packet for head and body.
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
            facts = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": str(uuid.uuid4())}
            try:
                told, status = cloud.answer(action, json.loads(body)), 200
            except _Lost:
                self.close_connection = True
                return
            except _Error as error:
                told, status = {"__type": f"com.amazonaws.sqs#{error.code}", "message": error.code}, 400
                facts["x-amzn-query-error"] = f"{error.query_code};Sender"
            self._write(s3.Answer(status, facts, json.dumps(told).encode()))

        def do_GET(self) -> None:
            cloud.counts["GetObject"] += 1
            self._write(s3.answer(cloud.objects, self.path, self.headers))

        def _write(self, answer: s3.Answer) -> None:
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            sent = answer.body[: len(answer.body) - answer.lacking]
            size = len(sent) // answer.pieces + 1
            for start in range(0, len(sent), size):
                time.sleep(answer.pause_s)
                self.wfile.write(sent[start : start + size])
                self.wfile.flush()
            self.wfile.flush()
            self.close_connection = self.close_connection or answer.lacking > 0

        def log_message(self, *args: Any) -> None:
            return

    return Handler
