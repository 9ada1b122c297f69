"""How much memory a process takes in Redis, beside other ways to keep the same state.

    python bench/state.py                     the real files (FASTFOLD_OTRF, else ../shared/data/otrf)
    python bench/state.py --generate          generated files
    python bench/state.py --no-limits         sets as large as a fold definition allows
    python bench/state.py --train NAME ...    a dictionary trained on that DNS domain, judged on all others

Every state is written to a real redis-server in every form, with a TTL; what Redis says of it is in the table.
Of the real files the two largest domains are trained on in turn, unless told otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inputs import ROOT, generate, list_files, real_folder
from report import place, sign, write
from state_cpu import Times, time_states
from state_forms import Form, Keys, forms
from state_parts import value_parts
from state_redis import Measured, Server
from state_source import Fleet, fold_fleet

DOMAINS = ("theshire.local", "pandalab.com")
"""The two largest of the real files."""


@dataclass(frozen=True, slots=True)
class Row:
    """One form of all states."""

    title: str
    measured: Measured

    def figures(self, first: Row) -> dict[str, Any]:
        """What the table shows, beside the form that is compared with."""
        one, other = self.measured, first.measured
        return {
            "form": self.title,
            "value_bytes": one.value_bytes / one.processes,
            "value_quantiles": {str(q): one.value_quantile(q) for q in (0.5, 0.9, 0.99, 1)},
            "usage_bytes": one.usage_bytes / one.processes,
            "usage_quantiles": {str(q): one.usage_quantile(q) for q in (0.5, 0.99)},
            "used_bytes": one.used_bytes / one.processes,
            "value_saved": 1 - one.value_bytes / other.value_bytes,
            "used_saved": 1 - one.used_bytes / other.used_bytes,
        }


def main() -> int:
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        source, files = choose_files(options, Path(made))
        say(f"{source}: folding {len(files)} files")
        fleet = fold_fleet(files, options.no_limits)
    sections = [measure(fleet, train) for train in options.train or [None]]
    texts, figures = zip(*sections, strict=True)
    facts = place(["fastfold", "zstandard", "zstd"], {"redis-server": figures[0]["redis_version"]})
    limits = "sets of up to 1024 members" if options.no_limits else "sets as they are limited by default"
    text = "\n\n".join([f"Input: {source}, {limits}.", *texts, "\n\n".join(sign(facts))]) + "\n"
    print(text)
    shown = {"source": source, "no_limits": options.no_limits, "sections": figures, "place": facts}
    for path in write(options.results, options.name or default_name(options), text, shown):
        say(f"written: {path}")
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="gzip files, or folders of .json.gz")
    parser.add_argument("--generate", action="store_true", help="generated files")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is generated (default 1)")
    parser.add_argument("--no-limits", action="store_true", help="sets of up to 1024 members")
    parser.add_argument(
        "--train",
        nargs="+",
        metavar="NAME",
        help="train a dictionary on each of these DNS domains, judge on the others",
    )
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", metavar="FOLDER")
    parser.add_argument("--name", help="of the files written there")
    return parser.parse_args()


def choose_files(options: argparse.Namespace, made: Path) -> tuple[str, list[Path]]:
    """What to fold, in words and as files."""
    if options.files:
        return "files given", list_files(options.files)
    if not options.generate and real_folder().is_dir():
        options.train = options.train or DOMAINS
        return "OTRF security datasets", list_files([real_folder()])
    options.generate = True
    return "generated files", generate(made, options.seed, 20)


def default_name(options: argparse.Namespace) -> str:
    kind = "generated" if options.generate else "given" if options.files else ""
    return "-".join(part for part in ("state", kind, "no-limits" if options.no_limits else "") if part)


def measure(fleet: Fleet, train: str | None) -> tuple[str, dict[str, Any]]:
    """The tables of one division into trained on and judged, and their figures."""
    judged = fleet.without(train) if train else fleet
    with Server() as server:
        empty = server.measure(Keys.short, judged, lambda fleet, identity: b"")
        made = forms(fleet.only(train) if train else None)
        rows = [Row(form.title, _measured(server, form, judged)) for form in made]
        version = server.version
    say("CPU time")
    times = time_states(fleet, judged)
    last = made[-1].form
    assert last is not None, "the last is ours"
    parts = value_parts(judged, last)
    title = f"Dictionary trained on {train}, judged on the rest" if train else "All states"
    text = [
        f"## {title}",
        "",
        f"{len(judged.states)} processes of {len(judged.hosts())} hosts.",
        "",
        *_table(rows),
        "",
        *_rest(rows[-1], empty),
        "",
        f"What a value of `{rows[-1].title}` consists of:",
        "",
        *_two_columns(parts),
        "",
        *_events(rows[-1], judged),
        "",
        *_times(times),
    ]
    return "\n".join(text), {
        "trained_on": train,
        "processes": len(judged.states),
        "hosts": len(judged.hosts()),
        "events": judged.events,
        "redis_version": version,
        "forms": [row.figures(rows[0]) for row in rows],
        "empty_used_bytes": empty.used_bytes / empty.processes,
        "value_parts": parts,
        "cpu": [asdict(one) for one in times],
    }


def _measured(server: Server, form: Form, fleet: Fleet) -> Measured:
    say(form.title)
    return server.measure(form.key, fleet, form.value, form.records)


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| form | value mean | 50 % | 90 % | 99 % | most | MEMORY USAGE mean | 50 % | 99 % | used_memory per process "
        "| value less than JSON | memory less than JSON |",
        "|---|" + "---:|" * 11,
    ]
    first = rows[0]
    for row in rows:
        one = row.measured
        cells = [
            row.title,
            f"{one.value_bytes / one.processes:.0f}",
            *(str(one.value_quantile(q)) for q in (0.5, 0.9, 0.99, 1)),
            f"{one.usage_bytes / one.processes:.0f}",
            *(str(one.usage_quantile(q)) for q in (0.5, 0.99)),
            f"{one.used_bytes / one.processes:.0f}",
            f"{1 - one.value_bytes / first.measured.value_bytes:.1%}",
            f"{1 - one.used_bytes / first.measured.used_bytes:.1%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _rest(row: Row, empty: Measured) -> list[str]:
    """What the memory of the last form consists of."""
    one = row.measured
    processes = one.processes
    parts = {
        "key, entries of both tables, object and TTL, with an empty value": empty.used_bytes / processes,
        "host records, by `MEMORY USAGE`": one.record_bytes / processes,
        "values, as they are": one.value_bytes / processes,
    }
    parts["rounding up to the sizes of the allocator, and the rest"] = one.used_bytes / processes - sum(parts.values())
    return [
        f"What a process of `{row.title}` takes, {one.used_bytes / processes:.0f} bytes:",
        "",
        *_two_columns(parts),
    ]


def _two_columns(parts: dict[str, float]) -> list[str]:
    return ["| part | bytes |", "|---|---:|", *(f"| {title} | {size:.1f} |" for title, size in parts.items())]


def _events(row: Row, fleet: Fleet) -> list[str]:
    one, events = row.measured, fleet.events
    raw, stored = fleet.inflated_bytes / events, fleet.stored_bytes / events
    return [
        f"Per event: {one.used_bytes / events:.1f} bytes of Redis beside {raw:.0f} bytes of raw records "
        f"({stored:.0f} gzipped); {events} events, {events / one.processes:.0f} a process."
    ]


def _times(times: list[Times]) -> list[str]:
    """CPU time of a state that is rewritten, by size and by zstd level."""
    lines = [
        "A state that is rewritten, with a dictionary: expand, merge (decode two, encode one), compress; CPU time.",
        "",
        "| zstd level | states | payload | value | expand us | merge us | compress us | all us |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in times:
        steps = (one.expand_us, one.merge_us, one.compress_us, one.expand_us + one.merge_us + one.compress_us)
        cells = [str(one.level), one.title, f"{one.payload_bytes:.0f}", f"{one.value_bytes:.0f}"]
        lines.append("| " + " | ".join([*cells, *(f"{step:.2f}" for step in steps)]) + " |")
    return lines


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
