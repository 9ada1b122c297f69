"""Compare the fastfold of the working tree with that of another revision, in one run.

The other revision is checked out and built under build/compare.  Then both take turns, each run in a
process of its own: the whole job over the real files, with each revision's own bench/contenders.py, and
the units of bench/units of the working tree.  Ratios are CPU time of the base over that of the working
tree: above 1 the working tree is faster.

    python bench/compare.py REVISION [--rounds N] [FILE...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inputs import ROOT, generate, list_files, real_folder

BUILT = ROOT / "build" / "compare"


@dataclass(frozen=True, slots=True)
class Revision:
    """A checkout with its core built."""

    name: str
    root: Path

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.root / "src")}

    def whole_job(self, names: Path) -> float:
        """CPU seconds of the whole job."""
        command = [sys.executable, str(self.root / "bench" / "contenders.py"), "fastfold", str(names)]
        done = subprocess.run(command, env=self.environment(), stdout=subprocess.PIPE, check=True)
        return float(json.loads(done.stdout)["cpu_s"])

    def units(self, told: Path, choice: str | None) -> dict[str, float]:
        """Least CPU seconds of each unit; what this revision does not have is left out."""
        command = [sys.executable, "-m", "pytest", "-q", *UNITS, f"--benchmark-json={told}"]
        command += ["-k", choice] if choice else []
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)
        if not told.exists() or not told.stat().st_size:
            say(f"{self.name}: the units cannot be run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            return {}
        units: list[dict[str, Any]] = json.loads(told.read_text())["benchmarks"]
        return {unit["name"].removeprefix("test_"): unit["stats"]["min"] for unit in units}


UNITS = (
    str(ROOT / "bench" / "units"),
    *("-p", "no:cacheprovider", "-o", f"pythonpath={ROOT / 'bench' / 'units'}"),
    *("--benchmark-timer=time.process_time", "--benchmark-max-time=0.3", "--benchmark-min-rounds=5"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="REVISION")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of the whole job (default 5)")
    parser.add_argument("--unit-rounds", type=int, default=2, metavar="N", help="of the units (default 2; 0: none)")
    parser.add_argument("--units", metavar="WORDS", help="only units that match, as pytest -k has it")
    options = parser.parse_args()
    base, ours = check_out(options.base), Revision("working tree", ROOT)
    times: dict[str, tuple[list[float], list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        real = options.files or ([real_folder()] if real_folder().is_dir() else [])
        files = list_files(real) if real else generate(Path(made, "generated"), seed=1, files=20)
        names = Path(made, "files.txt")
        names.write_text("".join(f"{path.resolve()}\n" for path in files))
        for number in range(options.rounds):
            for side, revision in enumerate((base, ours)):
                keep(times, side, {"whole job": revision.whole_job(names)})
            before, after = times["whole job"]
            say(f"round {number + 1} of {options.rounds}: {before[-1]:.3f} {after[-1]:.3f}")
        for number in range(options.unit_rounds):
            for side, revision in enumerate((base, ours)):
                keep(times, side, revision.units(Path(made, f"{number}-{side}.json"), options.units))
    print(describe(base.name, times))
    return 0


def keep(times: dict[str, tuple[list[float], list[float]]], side: int, seconds: dict[str, float]) -> None:
    for name, spent in seconds.items():
        times.setdefault(name, ([], []))[side].append(spent)


def check_out(name: str) -> Revision:
    """The revision as a worktree under build/compare, built; it stays there for the next comparison."""
    commit = _git("rev-parse", "--short", f"{name}^{{commit}}")
    root = BUILT / commit
    if not (root / "setup.py").exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", "--force", str(root), commit)
    say(f"building {name} ({commit})")
    subprocess.run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], cwd=root, check=True)
    return Revision(f"{name} ({commit})", root)


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def describe(base: str, times: dict[str, tuple[list[float], list[float]]]) -> str:
    """One row for each measurement: the least of both, their ratio, and the ratios of single rounds."""
    lines = [
        f"| CPU seconds | {base} | working tree | ratio | of single rounds |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (before, after) in times.items():
        if not before or not after:
            lines.append(f"| {name} | | | | only in {'the working tree' if after else 'the base'} |")
            continue
        pairs = [b / a for b, a in zip(before, after, strict=False)]
        ratio = min(before) / min(after)
        lines.append(
            f"| {name} | {min(before):.6f} | {min(after):.6f} | {ratio:.3f} | {min(pairs):.3f} to {max(pairs):.3f} |"
        )
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
