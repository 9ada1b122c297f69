"""The states of a fleet, and its parts by DNS domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastfold._core import Folder, Plan, decode, merge_group
from fastfold.folding import fold_file
from fastfold.ledger import HostRecord
from fastfold.schema import FoldDefinition, load_definition, load_schema
from fastfold.states import State
from fastfold.store import batch_id
from fastfold.types import Limits

__all__ = ["Fleet", "fold_fleet"]

Identity = tuple[str, str, str]
SET_LIMIT_MOST = 1024
NO_BOUND = 1 << 29


@dataclass(frozen=True)
class Fleet:
    """States with their payloads, and the records of their hosts as the commits of all files leave them."""

    definition: FoldDefinition
    states: dict[Identity, State]
    payloads: dict[Identity, bytes]
    records: dict[tuple[str, str], HostRecord]
    events: int
    inflated_bytes: int
    stored_bytes: int

    def hosts(self) -> set[tuple[str, str]]:
        return {identity[:2] for identity in self.states}

    def domains(self) -> dict[str, int]:
        """How many processes each DNS domain has; hosts without one are their own."""
        counts: dict[str, int] = {}
        for identity in self.states:
            counts[domain_of(identity)] = counts.get(domain_of(identity), 0) + 1
        return counts

    def only(self, domain: str) -> Fleet:
        return self._part(lambda identity: domain_of(identity) == domain)

    def without(self, domain: str) -> Fleet:
        return self._part(lambda identity: domain_of(identity) != domain)

    def _part(self, wanted) -> Fleet:
        states = {name: state for name, state in self.states.items() if wanted(name)}
        if not states:
            raise SystemExit(f"no such hosts; domains: {', '.join(sorted(self.domains()))}")
        events = sum(sum(state.values["counts"].values()) for state in states.values())
        share = events / self.events
        return dataclasses.replace(
            self,
            states=states,
            payloads={name: self.payloads[name] for name in states},
            records={name[:2]: self.records[name[:2]] for name in states},
            events=events,
            inflated_bytes=round(self.inflated_bytes * share),
            stored_bytes=round(self.stored_bytes * share),
        )


def domain_of(identity: Identity) -> str:
    host = identity[1]
    return host.partition(".")[2] or host


def fold_fleet(files: Sequence[Path], no_limits: bool) -> Fleet:
    """Fold all files; each is a batch of its own in the records of its hosts."""
    definition = load_definition("process")
    if no_limits:
        reducers = tuple(
            dataclasses.replace(one, limit=SET_LIMIT_MOST, bytes=NO_BOUND, reserve_bytes=NO_BOUND)
            if one.op == "set"
            else one
            for one in definition.reducers
        )
        definition = dataclasses.replace(definition, reducers=reducers, value_bytes=2 * NO_BOUND)
    plan = Plan(load_schema("sysmon"), definition, Limits())
    folder = Folder(plan)
    payloads: dict[Identity, bytes] = {}
    records: dict[tuple[str, str], HostRecord] = {}
    events = inflated_bytes = stored_bytes = 0
    for number, path in enumerate(files):
        data = path.read_bytes()
        deltas = fold_file(folder, data, path.name, Limits())
        events += deltas.counts.events
        inflated_bytes += deltas.counts.bytes
        stored_bytes += len(data)
        batch = batch_id("bench", path.name, None, "etag", 1_700_000_000_000 + 60_000 * number)
        for host in deltas:
            names = [(host.tenant, host.host, process) for process in host.processes]
            merged = merge_group(plan, [payloads.get(name) for name in names], host.payloads)
            payloads.update(zip(names, merged, strict=True))
            record = records.get(names[0][:2]) or HostRecord(host.tenant, host.host)
            records[names[0][:2]] = record.with_entry(batch, 6 * 3_600_000)
    states = {name: decode(plan, payload) for name, payload in payloads.items()}
    return Fleet(definition, states, payloads, records, events, inflated_bytes, stored_bytes)
