"""Show where the time of a fold goes: perf where it is installed and allowed, else cProfile.

python bench/profile_fold.py [FILE...]       default: the real files
"""

from __future__ import annotations

import cProfile
import pstats
import shutil
import subprocess
import sys
from pathlib import Path

from contenders import run_fastfold
from inputs import ROOT, generate, list_files, real_folder

_LINES = 40
_ONLY_FOLD = "--only-fold"


def main() -> int:
    if sys.argv[1:2] == [_ONLY_FOLD]:
        run_fastfold([Path(line) for line in Path(sys.argv[2]).read_text().splitlines()])
        return 0
    names = [Path(name) for name in sys.argv[1:]] or [real_folder()]
    files = list_files(names) if names[0].exists() else generate(ROOT / "build" / "generated", seed=1, files=20)
    perf = shutil.which("perf")
    if perf is not None and with_perf(perf, files):
        return 0
    print("perf is not installed or not allowed here: the core is one line in what follows", file=sys.stderr)
    profile = cProfile.Profile()
    profile.runcall(run_fastfold, files)
    pstats.Stats(profile).sort_stats("tottime").print_stats(_LINES)
    return 0


def with_perf(perf: str, files: list[Path]) -> bool:
    """Record one process that folds the files, and report by function; False if perf cannot."""
    built = ROOT / "build"
    built.mkdir(exist_ok=True)
    names = built / "profile.txt"
    names.write_text("".join(f"{path.resolve()}\n" for path in files))
    data = str(built / "profile.data")
    job = [sys.executable, __file__, _ONLY_FOLD, str(names)]
    recorded = subprocess.run(
        [perf, "record", "--quiet", "--freq", "1999", "--output", data, "--", *job],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if recorded.returncode != 0:
        return False
    report = subprocess.run(
        [perf, "report", "--stdio", "--input", data, "--sort", "dso,symbol", "--percent-limit", "0.3"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in report.stdout.splitlines() if line.strip() and not line.startswith("#")]
    print("\n".join(lines[:_LINES]))
    print(f"\nMore: perf annotate --input {data}", file=sys.stderr)
    return report.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
