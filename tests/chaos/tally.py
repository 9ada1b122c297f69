"""What a scenario did and what came of it, as a row of a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Tally", "print_table", "write_json"]


@dataclass
class Tally:
    """The counts of one scenario.

    Attributes
    ----------
    name : str
    faults : int
        How often the fault was injected, each seen to have happened.
    files : int
        Files delivered.
    redelivered : int
        Receives of messages that had been received before.
    conflicts, already_applied, in_doubt, retries : int
        From the metrics of the pods: EXECs that answered nil, hosts whose ledger held the batch, messages that were not
        known to be committed still after the hold, tries after a fault.
    gone : int
        Commits that Redis had acknowledged and then lost, where that can be counted.
    lost, doubled : int
        States in the end.
    wrong : list of str
    evidence : dict
        What else was counted on the way.
    """

    name: str
    faults: int = 0
    files: int = 0
    redelivered: int = 0
    conflicts: int = 0
    already_applied: int = 0
    in_doubt: int = 0
    retries: int = 0
    gone: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    evidence: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, amount: int) -> None:
        """Add to the evidence."""
        self.evidence[name] = self.evidence.get(name, 0) + amount


_COLUMNS = (
    "faults",
    "files",
    "redelivered",
    "conflicts",
    "already_applied",
    "in_doubt",
    "retries",
    "gone",
    "lost",
    "doubled",
    "seconds",
)


def print_table(tallies: Sequence[Tally]) -> None:
    """Print a line for each, and below it what is wrong."""
    width = max(len(tally.name) for tally in tallies)
    print("scenario".ljust(width), *(name.rjust(len(name)) for name in _COLUMNS), sep="  ")
    for tally in tallies:
        cells = [f"{getattr(tally, name):,.0f}".rjust(len(name)) for name in _COLUMNS]
        print(tally.name.ljust(width), *cells, "ok" if not tally.wrong else "WRONG", sep="  ")
        for wrong in tally.wrong:
            print(f"    {wrong}")


def write_json(tallies: Sequence[Tally], path: Path, **facts: object) -> None:
    """Write all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "scenarios": [asdict(tally) for tally in tallies]}, indent=1) + "\n")
