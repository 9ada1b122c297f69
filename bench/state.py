"""How much memory a process takes in Redis, beside other ways to keep the same state.

    python bench/state.py                     the real files (FASTFOLD_OTRF, else ../shared/data/otrf)
    python bench/state.py --generate          generated files
    python bench/state.py --no-limits         sets as large as a fold definition allows
    python bench/state.py --train NAME        a dictionary trained on that DNS domain, judged on all others

Every state is written to a real redis-server in every form, with a TTL; what Redis says of it is in the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from inputs import ROOT, generate, list_files, real_folder
from report import place
from state_cpu import Times, time_states
from state_forms import Form, Keys, forms
from state_redis import Measured, Server
from state_source import Fleet, fold_fleet


@dataclass(frozen=True, slots=True)
class Row:
    """One form of all states."""

    title: str
    payload_bytes: int
    measured: Measured


def main() -> int:
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        source, files = choose_files(options, Path(made))
        say(f"{source}: folding {len(files)} files")
        fleet = fold_fleet(files, options.no_limits)
    text = report(source, fleet, options)
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    name = options.name or default_name(options)
    (options.results / f"{name}.md").write_text(text + "\n")
    say(f"written: {options.results / name}.md")
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="gzip files, or folders of .json.gz")
    parser.add_argument("--generate", action="store_true", help="generated files")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is generated (default 1)")
    parser.add_argument("--no-limits", action="store_true", help="sets of up to 1024 members")
    parser.add_argument("--train", metavar="NAME", help="train a dictionary on this DNS domain, judge on the others")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", metavar="FOLDER")
    parser.add_argument("--name", help="of the file written there")
    return parser.parse_args()


def choose_files(options: argparse.Namespace, made: Path) -> tuple[str, list[Path]]:
    """What to fold, in words and as files."""
    if options.files:
        return "files given", list_files(options.files)
    if not options.generate and real_folder().is_dir():
        return "OTRF security datasets", list_files([real_folder()])
    options.generate = True
    return "generated files", generate(made, options.seed, 20)


def default_name(options: argparse.Namespace) -> str:
    kind = "generated" if options.generate else "given" if options.files else "real"
    parts = ["state", kind, "no-limits" if options.no_limits else "", f"train-{options.train}" if options.train else ""]
    return "-".join(part for part in parts if part)


def report(source: str, fleet: Fleet, options: argparse.Namespace) -> str:
    """The tables and what they rest on."""
    judged = fleet.without(options.train) if options.train else fleet
    with Server() as server:
        empty = server.measure(Keys.short, judged, lambda fleet, identity: b"")
        rows = []
        for form in forms(fleet.only(options.train) if options.train else None):
            say(f"{form.title}")
            rows.append(measure(server, form, judged))
    lines = [*_table(rows), "", *_rest(rows[-1], empty, judged), "", *_events(rows[-1], judged)]
    say("CPU time")
    lines += ["", *_times(time_states(fleet, judged))]
    facts = place([])
    lines += [
        "",
        f"Input: {source}" + (f"; dictionary trained on {options.train}, judged on the rest" if options.train else ""),
        f"({len(judged.states)} processes of {len(judged.hosts())} hosts"
        + (", sets of up to 1024 members)." if options.no_limits else ")."),
        "",
        f"{facts['date']}, commit {facts['commit']}, {facts['cpu']}, redis-server {server.version}.",
        "",
        f"Command: `python bench/state.py {' '.join(sys.argv[1:])}`",
    ]
    return "\n".join(lines)


def measure(server: Server, form: Form, fleet: Fleet) -> Row:
    measured = server.measure(form.key, fleet, form.value, form.records)
    return Row(form.title, measured.value_bytes, measured)


def _table(rows: list[Row]) -> list[str]:
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


def _rest(row: Row, empty: Measured, fleet: Fleet) -> list[str]:
    """What the memory of the last form consists of."""
    one = row.measured
    processes = one.processes
    parts: list[tuple[str, float]] = [
        ("key, entries of both tables, object and TTL, with an empty value", empty.used_bytes / processes),
        ("host records, by `MEMORY USAGE`", one.record_bytes / processes),
        ("values, as they are", one.value_bytes / processes),
    ]
    parts.append(
        (
            "rounding up to the sizes of the allocator, and the rest",
            one.used_bytes / processes - sum(p for _, p in parts),
        )
    )
    lines = [f"What a process of `{row.title}` takes, {one.used_bytes / processes:.0f} bytes:", ""]
    lines += ["| part | bytes |", "|---|---:|", *(f"| {title} | {size:.0f} |" for title, size in parts)]
    return lines


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
