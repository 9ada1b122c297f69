"""The stage that detects: the rules in force, and what they find in the events of a batch.

Marks are found here, before the commit; what they complete together with those of other batches is found inside it
(`fastfold.detection.detecting`), over the state that all workers share.
"""

from __future__ import annotations

import logging
import threading

from fastfold._core import Batch
from fastfold.detection.detecting import BatchMarks, DetectionRules
from fastfold.detection.matching import Matcher
from fastfold.detection.record import DetectionLimits
from fastfold.errors import ConfigError
from fastfold.rules.ruleset import RuleSet, RuleWatcher

__all__ = ["Detector"]

log = logging.getLogger(__name__)


class Detector:
    """Finds what rules ask for; the threads of a worker share it.

    Parameters
    ----------
    watcher : RuleWatcher
        Keeps the rules that its files hold now.
    limits : DetectionLimits

    Raises
    ------
    ConfigError
        If a rule cannot be matched.
    """

    def __init__(self, watcher: RuleWatcher, limits: DetectionLimits) -> None:
        self._watcher = watcher
        self._limits = limits
        self._lock = threading.Lock()
        self._now = self._compile(watcher.rules)

    def reload(self) -> None:
        """Load the rules before the next batch, whether a change is seen or not."""
        self._watcher.ask()

    def marks(self, batch: Batch, file: str) -> BatchMarks:
        """What the rules find in a batch.

        Parameters
        ----------
        batch : Batch
            Of one file, with all columns of its schema.
        file : str
            ``s3://bucket/key`` of it.
        """
        matcher, rules = self._rules()
        return BatchMarks(rules, matcher.match(batch), file)

    def _rules(self) -> tuple[Matcher, DetectionRules]:
        # One thread looks at the files; the others need not wait for it.
        if self._lock.acquire(blocking=False):
            try:
                if self._watcher.poll():
                    self._now = self._compile(self._watcher.rules)
            except ConfigError as error:
                log.error("changed rules cannot be matched, those before stay: %s", error)
            finally:
                self._lock.release()
        return self._now

    def _compile(self, found: RuleSet) -> tuple[Matcher, DetectionRules]:
        return (
            Matcher(found.rules, self._limits.marks_per_step),
            DetectionRules.of(found.rules, self._limits),
        )
