"""What rules cost: CPU time from stored file to deltas, without rules and with many.

    python bench/rules.py [FILE...] [--rules N] [--seed N] [--rounds N] [--shuffled]      default: the real files

Before the clock starts, some records drawn from all files are matched by the reference, one rule and one event at a
time: the marks must be equal.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from inputs import generate, list_files, real_folder, shuffle
from report import RESULTS, place, sign, write
from rule_maker import RuleMaker

SAMPLE = 1500
"""Records that the reference looks at."""
WAYS = {
    "none": "no rules",
    "events": "no rules, events kept",
    "first": "rules, a matcher that has seen no file",
    "kept": "rules, a matcher that has seen other files",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rules", type=int, default=1000, metavar="N", help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="that the rules are made from (default 1)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each, in turns (default 5)")
    parser.add_argument("--shuffled", action="store_true", help="the same lines, mixed across hosts")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        real = options.files or ([real_folder()] if real_folder().is_dir() else [])
        files = list_files(real) if real else generate(Path(made), seed=1, files=20)
        if options.shuffled:
            files = shuffle(files, Path(made) / "shuffled", seed=1)
        contents = {path.name: path.read_bytes() for path in files}
    rules = RuleMaker(options.seed).rules(options.rules)
    sample = check(rules, list(contents.values()), options.seed)
    figures = measure(rules, contents, options.rounds)
    figures |= {"sample": sample, "rules": options.rules, "seed": options.seed, "shuffled": options.shuffled}
    text = describe(figures, options.rounds)
    print(text)
    name = "rules-shuffled" if options.shuffled else "rules"
    for path in write(options.results, name, text, figures):
        print(f"written: {path}", file=sys.stderr)
    return 0


def check(rules: Sequence[Any], contents: list[bytes], seed: int) -> dict[str, int]:
    """Compare the matcher with the reference; how many events and marks that were."""
    from fastfold._core import EventFolder, EventPlan
    from fastfold.detection.matching import Matcher
    from fastfold.folding import fold_with_events
    from fastfold.reference.inflate import inflate
    from fastfold.reference.matching import reference_marks
    from fastfold.schema import load_definition, load_schema
    from fastfold.types import Limits

    limits = Limits()
    draw = random.Random(seed)
    each = -(-SAMPLE // len(contents))
    lines = []
    for data in contents:
        found = inflate(data).split(b"\n")
        lines += draw.sample(found, min(each, len(found)))
    folder = EventFolder(EventPlan(load_schema("sysmon"), load_definition("process"), limits))
    _, batch = fold_with_events(folder, b"\n".join(lines), "sample", limits)
    found, expected = Matcher(rules).match(batch), reference_marks(rules, batch)
    if found != expected:
        raise SystemExit("the matcher and the reference differ: nothing was measured")
    return {"events": len(batch), "marks": sum(len(host.marks) for host in expected)}


def measure(rules: Sequence[Any], contents: dict[str, bytes], rounds: int) -> dict[str, Any]:
    """CPU seconds of each way, for each file the least of all rounds."""
    from fastfold._core import EventFolder, EventPlan, Folder, Plan
    from fastfold.detection.matching import Matcher
    from fastfold.folding import fold_file, fold_with_events
    from fastfold.schema import load_definition, load_schema
    from fastfold.types import Limits

    schema, definition, limits = load_schema("sysmon"), load_definition("process"), Limits()
    plain = Folder(Plan(schema, definition, limits))
    both = EventFolder(EventPlan(schema, definition, limits))
    counts = {"events": 0, "texts": 0, "text_bytes": 0, "marks": 0}
    for data in contents.values():
        _, batch = fold_with_events(both, data, "", limits)
        counts["events"] += len(batch)
        counts["texts"] += len(batch.strings) - 1
        counts["text_bytes"] += len(batch.strings.text)
        counts["marks"] += sum(len(host.marks) for host in Matcher(rules).match(batch))

    def matching(matcher: Matcher) -> Callable[[bytes], object]:
        return lambda data: matcher.match(fold_with_events(both, data, "", limits)[1])

    least: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    compiling = []
    for _ in range(rounds):
        began = time.process_time()
        matcher = Matcher(rules)
        compiling.append(time.process_time() - began)
        ways: dict[str, Callable[[bytes], object]] = {
            "none": lambda data: fold_file(plain, data, "", limits),
            "events": lambda data: fold_with_events(both, data, "", limits),
            "first": matching(matcher),
            "kept": matching(matcher),
        }
        for way, work in ways.items():
            for name, data in contents.items():
                began = time.process_time()
                work(data)
                taken = time.process_time() - began
                least[way][name] = min(taken, least[way].get(name, taken))
    return {**counts, "files": len(contents), "compile_s": min(compiling), "least": least}


def describe(figures: dict[str, Any], rounds: int) -> str:
    least = figures["least"]
    total = {way: sum(of_file.values()) for way, of_file in least.items()}
    figures["total_s"] = total
    lines = ["| file to deltas | CPU s | us per event | growth |", "|---|---:|---:|---:|"]
    for way, title in WAYS.items():
        growth = total[way] / total["none"] - 1
        lines.append(f"| {title} | {total[way]:.3f} | {total[way] / figures['events'] * 1e6:.3f} | {growth:+.0%} |")
    lines += ["", "| file | no rules, CPU ms | rules | growth |", "|---|---:|---:|---:|"]
    growths = {name: least["first"][name] / seconds - 1 for name, seconds in least["none"].items()}
    for name in islice(sorted(growths, key=growths.__getitem__, reverse=True), 8):
        none, first = least["none"][name], least["first"][name]
        lines.append(f"| {name} | {none * 1e3:.2f} | {first * 1e3:.2f} | {growths[name]:+.0%} |")
    figures["place"] = place(["fastfold", "numpy", "google-re2"])
    notes = [
        f"{figures['files']} {'shuffled ' if figures['shuffled'] else ''}files, {figures['events']:,} events, "
        f"{figures['texts']:,} distinct texts (each file's by itself) of {figures['text_bytes'] / 1e6:.1f} MB, "
        f"{figures['rules']:,} rules, {figures['marks']:,} marks. Compiling the rules took {figures['compile_s']:.3f} "
        f"s. The second table has the files that grow most, with a matcher that has seen no file before this round.",
        f"Equal to the reference on {figures['sample']['events']:,} events drawn from all files, with "
        f"{figures['sample']['marks']:,} marks, before the clock started.",
        f"CPU is user and system time of the process, one thread; of each file the least of {rounds} rounds in turns. "
        f"Seed {figures['seed']}.",
        *sign(figures["place"]),
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in notes)


if __name__ == "__main__":
    sys.exit(main())
