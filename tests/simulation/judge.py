"""What must hold when a world has come to rest.

* Every state is, byte for byte, the fold of the files it holds, each once.
* Every file whose message was deleted is in all the states it names; or its message is in the
  dead-letter queue, and for a reason that is true.
* The ledger of a host names the files that its states hold, and no others.
* There is nothing else, neither in Redis nor in the dead-letter queue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fastfold.canary import canary_prefix
from fastfold.detection.record import detection_key
from fastfold.ledger import HostRecord
from fastfold.store import batch_id, host_key, process_digest, process_key
from fastfold.values import unpack_value
from simulation.aws import SimQueue, Stored
from simulation.files import BUCKET, expected, kinds_in
from simulation.judge_alerts import AlertJudge, Held
from simulation.redis_fleet import Fleet
from simulation.scenario import File, Scenario
from simulation.sinks import Receiver

__all__ = ["judge"]

_REASONS = {"poison": "Reject", "missing": "Missing"}


def judge(
    scenario: Scenario, fleet: Fleet, queue: SimQueue, stored: dict[int, Stored], receivers: Sequence[Receiver]
) -> list[str]:
    """What does not hold; empty when all is well."""
    return list(_Judge(scenario, fleet, queue, stored, receivers).faults())


class _Judge:
    def __init__(
        self,
        scenario: Scenario,
        fleet: Fleet,
        queue: SimQueue,
        stored: dict[int, Stored],
        receivers: Sequence[Receiver],
    ) -> None:
        self.scenario = scenario
        self.receivers = receivers
        found = fleet.snapshot().items()
        canaries = canary_prefix(b"ff:")
        named = {host_key("", host): ("", host) for file in scenario.files for host, _ in file.parts}
        self.values = {
            key: unpack_value(value, key, named.get(key[: key.rfind(b"}") + 1]))
            for key, value in found
            if not key.startswith(canaries)
        }
        self.expired = fleet.expired
        self.queue = queue
        self.stored = stored
        self.held: dict[bytes, set[int]] = {}
        self.newest_ms: dict[str, int] = {}
        for file in scenario.files:
            for host, _ in file.parts:
                if self._counts(file):
                    self.newest_ms[host] = max(self.newest_ms.get(host, 0), file.modified_ms)

    def faults(self) -> Iterator[str]:
        hosts: dict[str, dict[str, list[File]]] = {}
        for file in self.scenario.files:
            for host, processes in file.parts:
                for process in processes:
                    hosts.setdefault(host, {}).setdefault(process, []).append(file)
        known: set[bytes] = set()
        for host, named in hosts.items():
            record_key = host_key("", host)
            known.add(record_key)
            if self.scenario.rules:
                known.add(detection_key(record_key))
            record = HostRecord.decode(self.values[record_key]) if record_key in self.values else None
            for process, files in named.items():
                key = process_key(record_key, process)
                known.add(key)
                yield from self._state(key, host, process, files, record)
        yield from (f"key {key!r} is nobody's" for key in self.values.keys() - known)
        yield from self._dead_letters()
        if self.scenario.rules:
            held = Held(self.values, self.expired, self.held)
            counted = [file for file in self.scenario.files if self._counts(file)]
            yield from AlertJudge(self.scenario, held, self.receivers, counted).faults()

    def _counts(self, file: File) -> bool:
        """Whether a file is in the states in the end, as far as itself is concerned."""
        return file.fault not in _REASONS

    def _may_be_late(self, file: File, host: str) -> bool:
        behind_ms = self.newest_ms.get(host, 0) - file.modified_ms
        return behind_ms > self.scenario.ledger_window_s * 1000

    def _state(
        self, key: bytes, host: str, process: str, files: list[File], record: HostRecord | None
    ) -> Iterator[str]:
        value = self.values.get(key)
        held = kinds_in(value) if value is not None else {}
        self.held[key] = set(held)
        what = f"{host}/{process}"
        for file in files:
            count = held.pop(file.number, 0)
            if count > 1:
                yield f"{what} holds file {file.number} {count} times"
            elif count and not self._counts(file):
                yield f"{what} holds file {file.number}, which is {file.fault}"
            elif not count and self._must_be_held(file, host, key):
                yield f"{what} lacks file {file.number}"
            yield from self._ledger(what, file, host, key, process, count, record)
        yield from (f"{what} holds file {number}, which does not name it" for number in held)
        if value is not None and key not in self.expired:
            numbers = tuple(sorted(number for number in kinds_in(value)))
            if value != expected(host, process, numbers) and max(kinds_in(value).values()) == 1:
                yield f"{what} is not the fold of the files {numbers}"

    def _must_be_held(self, file: File, host: str, key: bytes) -> bool:
        if not self._counts(file) or key in self.expired or self._may_be_late(file, host):
            return False
        # What has been replaced is read only where the bucket keeps versions.
        return file.fault != "replaced" or self.scenario.versions

    def _ledger(
        self, what: str, file: File, host: str, key: bytes, process: str, count: int, record: HostRecord | None
    ) -> Iterator[str]:
        if not self._counts(file):
            return
        stored = self.stored[file.number]
        batch = batch_id(BUCKET, file.key, stored.version_id, stored.etag, stored.modified_ms)
        digest = int.from_bytes(process_digest(process), "big")
        entries = record.entries if record is not None else ()
        named = any(e.id == batch.id and digest >> (64 - e.bits) == e.chunk_index for e in entries)
        if named and not count and key not in self.expired:
            yield f"the ledger of {host} has file {file.number}, {what} has not"
        within = record is not None and record.behind_ms(batch) <= self.scenario.ledger_window_s * 1000
        if count and not named and within:
            yield f"{what} has file {file.number}, the ledger of {host} has not"

    def _dead_letters(self) -> Iterator[str]:
        by_key = {file.key: file for file in self.scenario.files}
        parked = set()
        for body, attributes in self.queue.dead:
            envelope = json.loads(body)
            records = json.loads(envelope["Message"])["Records"] if "Message" in envelope else envelope["Records"]
            files = [by_key[record["s3"]["object"]["key"]] for record in records]
            parked.add(tuple(file.number for file in files))
            reason = attributes["ErrorType"]
            true = {_REASONS.get(file.fault) for file in files}
            if any(self._may_be_late(file, host) for file in files for host, _ in file.parts):
                true.add("Late")
            if reason not in true:
                yield f"files {[file.number for file in files]} are parked for {reason}: {attributes['Reason']}"
        for _, numbers, _ in self.scenario.messages:
            bad = [number for number in numbers if not self._counts(self.scenario.files[number])]
            if bad and numbers not in parked:
                yield f"files {bad} are not in the dead-letter queue"
