"""`fastfold worker`: what each worker process of the pod is made of."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from fastfold._core import EventFolder, EventPlan, Folder, Plan, merge_group
from fastfold.assembly import assemble, make_publisher
from fastfold.bounds import check_value_bytes
from fastfold.commit import CommitSettings, Committer
from fastfold.config import Settings
from fastfold.detection.record import DetectionLimits
from fastfold.dictionaries import dictionary_for
from fastfold.exits import Exit
from fastfold.extras import needs
from fastfold.folding import fold_file, fold_with_events
from fastfold.metrics import Meter
from fastfold.pipeline import Commit, Fold, Folded
from fastfold.schema import FoldDefinition, load_definition, load_schema
from fastfold.sinks.read import load_sinks
from fastfold.supervisor import run_pod
from fastfold.topology import Nodes, redis_connector
from fastfold.values import ValueForm
from fastfold.worker import Worker

if TYPE_CHECKING:
    from fastfold.detect import Detector

__all__ = ["build_worker", "run"]


def build_worker(settings: Settings, meter: Meter) -> Worker:
    """The worker of one process: its slots share the plan, each has a folder and connections of its own."""
    definition, plan = _plan(settings)

    address, connector = redis_connector(settings)
    how = CommitSettings(
        namespace=settings.namespace.encode(),
        state_ttl_s=definition.ttl_s or settings.state_ttl_s,
        ledger_window_s=settings.ledger_window_s,
        hold_s=settings.hold_s,
        hold_single_s=settings.hold_single_s,
        form=_value_form(settings),
    )
    merge = partial(merge_group, plan, version=settings.state_version)

    def fold() -> Fold:
        folder = Folder(plan)

        def fold_one(body: memoryview, name: str) -> Folded:
            return Folded(fold_file(folder, body, name, settings.limits))

        return fold_one

    def commit() -> Commit:
        nodes = Nodes(address, connector, random.random, refresh_s=settings.topology_refresh_s)
        return Committer(nodes, merge, how, meter)

    if not settings.rules:
        return assemble(settings, meter, fold, commit)
    detector = _detector(settings, meter)
    event_plan = EventPlan(plan.schema, definition, settings.limits)

    def fold_and_detect() -> Fold:
        folder = EventFolder(event_plan)

        def fold_one(body: memoryview, name: str) -> Folded:
            deltas, batch = fold_with_events(folder, body, name, settings.limits)
            return Folded(deltas, detector.marks(batch, name))

        return fold_one

    publisher = make_publisher(settings, meter)
    return assemble(settings, meter, fold_and_detect, commit, publisher, detector.reload)


def _detector(settings: Settings, meter: Meter) -> Detector:
    def count(outcome: str) -> None:
        meter.add("rule_loads", label=outcome)

    rules, detect = needs("fastfold.rules.ruleset"), needs("fastfold.detect")
    watcher = rules.RuleWatcher(
        settings.rules, settings.rules_reload_s, lenient=settings.rules_fields == "absent", count=count
    )
    limits = DetectionLimits(settings.marks_per_step, settings.marks_per_host, settings.raised_per_host)
    detector: Detector = detect.Detector(watcher, limits)
    return detector


def _value_form(settings: Settings) -> ValueForm:
    return ValueForm.load(
        dictionary_for(settings.dictionary, settings.state_version), settings.zstd_level, settings.dictionary_folder
    )


def _plan(settings: Settings) -> tuple[FoldDefinition, Plan]:
    definition = load_definition(settings.fold)
    check_value_bytes(definition, settings.limits)
    return definition, Plan(load_schema(settings.schema), definition, settings.limits)


def run(settings: Settings) -> Exit:
    """Run a pod until it is told to end."""
    # A wrong schema, fold definition, dictionary, rule or file of sinks is an error of the start, not of each worker.
    _value_form(settings)
    _plan(settings)
    load_sinks(settings.sinks)
    if settings.rules:
        _detector(settings, Meter())
    return Exit(run_pod(settings, build_worker))
