"""`fastfold explain`: why a rule has raised an alert of a process or host, or why not.

The marks come from the detection record in Redis, or from batch files by way of a backtest.  Nothing is written;
of Redis, only ``GET`` of up to three keys of one host is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from fastfold import api
from fastfold.backtest import Backtest
from fastfold.commands.fold import find_files
from fastfold.config import Settings
from fastfold.decoding import UNREADABLE, Decoder
from fastfold.detection.explain_page import explanation_object, explanation_page
from fastfold.detection.explaining import explain
from fastfold.detection.record import DetectionRecord, detection_key
from fastfold.errors import IdentityClash
from fastfold.exits import Exit
from fastfold.keyspace import Keyspace, Pace
from fastfold.lookup import Query, hosts_named, nothing, say, spellings
from fastfold.printing import Printer
from fastfold.rules.ruleset import SHIPPED, load_rules
from fastfold.rules.types import Rule
from fastfold.rules.words import unknown_rule
from fastfold.schema import load_definition, load_schema
from fastfold.states import State
from fastfold.store import host_key, process_key
from fastfold.types import Limits
from fastfold.values import ValueForm

__all__ = ["Question", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be explained.

    Attributes
    ----------
    rule : str
        Its id.
    tenant, host : str
        Without a tenant, a host may also be written ``tenant/host``.
    process : str or None
        ``None`` for all that there is of the host.
    files : tuple of str
        Batch files and folders to look into instead of Redis.
    schema, definition : str
        Names, or TOML files.
    """

    rule: str
    tenant: str
    host: str
    process: str | None
    files: tuple[str, ...]
    schema: str
    definition: str


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What there is of a host: its record, the state of the process, and where batches came from."""

    record: DetectionRecord
    process: str | None
    state: State | None
    files: dict[bytes, str]


def run(settings: Settings, question: Question, *, as_json: bool, output: BinaryIO) -> Exit:
    """Answer a question.

    Parameters
    ----------
    settings : Settings
        Where Redis is, and which rules are loaded: those that ship if there are none.
    question : Question
    as_json : bool
        One object instead of a page.
    output : BinaryIO

    Returns
    -------
    Exit
        `Exit.NOT_FOUND` if there is no such rule, host or process.

    Raises
    ------
    RuleSetError, SchemaError
        Rules, schema or fold definition are at fault.
    CorruptValue, UnknownForm
        The detection record cannot be read.
    Reject
        A file is malformed.
    """
    loaded = load_rules(settings.rules or [SHIPPED], lenient=settings.rules_fields == "absent")
    rule = next((one for one in loaded if one.id == question.rule), None)
    if rule is None:
        say(unknown_rule(question.rule, loaded))
        return Exit.NOT_FOUND
    evidence = _in_files(question, rule) if question.files else _in_redis(settings, question)
    if evidence is None:
        names = () if question.process is None else (question.process,)
        return nothing(Query(tenant=question.tenant, host=question.host, processes=names), [])
    explanation = explain(
        rule, evidence.record, evidence.process, state=evidence.state, schema=load_schema(question.schema)
    )
    printer = Printer(output, as_json)
    if as_json:
        printer.json(explanation_object(explanation, evidence.files))
    else:
        printer.lines(explanation_page(explanation, evidence.files))
    return Exit.OK


def _processes(question: Question) -> Sequence[str | None]:
    return (None,) if question.process is None else spellings(question.process)


def _in_redis(settings: Settings, question: Question) -> _Evidence | None:
    """The evidence of the first way to read the question of which there is any."""
    form = ValueForm.load(folder=settings.dictionary_folder)
    with closing(Keyspace(settings, Pace(0.0))) as keyspace:
        decoder = Decoder(load_definition(question.definition), settings.limits, form, keyspace.get_many)
        for tenant, host in hosts_named(question.tenant, question.host):
            key = host_key(tenant, host, settings.namespace.encode())
            decoder.know(key, (tenant, host))
            record = _record(keyspace, decoder, key, tenant, host)
            for process in _processes(question):
                state = None if process is None else _state(keyspace, decoder, process_key(key, process))
                if state is not None or (record is not None and (process is None or _has_marks(record, process))):
                    return _Evidence(record or DetectionRecord(tenant, host), process, state, {})
            if record is None and question.process is None and keyspace.get(key) is not None:
                return _Evidence(DetectionRecord(tenant, host), None, None, {})
    return None


def _record(keyspace: Keyspace, decoder: Decoder, key: bytes, tenant: str, host: str) -> DetectionRecord | None:
    value = keyspace.get(detection_key(key))
    if value is None:
        return None
    record = decoder.detection_record(detection_key(key), value)
    if (record.tenant, record.host) != (tenant, host):
        raise IdentityClash(f"another host lies under key {key.decode()}: {record.host}")
    return record


def _state(keyspace: Keyspace, decoder: Decoder, key: bytes) -> State | None:
    value = keyspace.get(key)
    if value is None:
        return None
    try:
        return decoder.state(key, value)
    except UNREADABLE as error:
        # The marks tell without it, only less of what is missing.
        say(str(error))
        return None


def _has_marks(record: DetectionRecord, process: str) -> bool:
    marks = any(one.mark.process == process for found in record.series.values() for one in found)
    return marks or any(one.process == process for one in record.raised)


def _in_files(question: Question, rule: Rule) -> _Evidence | None:
    """The same of files, which are taken as the batches of one fleet."""
    names = find_files(question.files)
    schema = load_schema(question.schema)
    definition = load_definition(question.definition)
    made = Backtest([rule], schema, definition, Limits())
    for name in names:
        made.take(Path(name))
    states = api.fold([Path(name) for name in names], schema, definition)
    hosts = {identity[:2] for identity in states.payloads}
    for tenant, host in hosts_named(question.tenant, question.host):
        for process in _processes(question):
            if (tenant, host) in hosts if process is None else (tenant, host, process) in states:
                state = None if process is None else replace(states[tenant, host, process], definition=definition)
                return _Evidence(made.record(tenant, host), process, state, made.files)
    return None
