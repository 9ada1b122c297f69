"""Compare fastfold with other ways to do the same job.

Each contender runs in a process of its own.  First all of them fold the files once and their states
are compared; only when all are equal do the timed rounds begin, in which the contenders take turns.

    python bench/run.py                          the real files (FASTFOLD_OTRF, else ../shared/data/otrf)
    python bench/run.py --shuffled               the same lines, mixed across hosts
    python bench/run.py --generate --repeat 5    generated files
    python bench/run.py FILE... --contender fastfold --contender orjson
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contenders import CONTENDERS
from inputs import ROOT, generate, list_files, real_folder, shuffle, warm
from report import AT_MOST, Report, Row, place

DEFAULT = ("stdlib", "orjson", "msgspec", "fastfold")


def main() -> int:
    options = read_options()
    names = options.contender or list(DEFAULT)
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        source, files = choose_files(options, Path(made))
        stored_bytes = warm(files)
        runs = Runs(files, Path(made))
        say(f"{source}: {len(files)} files, {stored_bytes / 1e6:.1f} MB; comparing the states of {', '.join(names)}")
        checked = runs.compare(names)
        timed: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for turn in range(options.repeat):
            for name in names:
                timed[name].append(runs.run(name))
                say(f"round {turn + 1} of {options.repeat}: {name} {timed[name][-1]['cpu_s']:.3f} s")
    report = Report(
        source=source,
        files=len(files),
        stored_bytes=stored_bytes,
        inflated_bytes=checked["inflated_bytes"],
        records=checked["records"],
        events=checked["events"],
        processes=checked["processes"],
        digest=checked["digest"],
        repeat=options.repeat,
        seed=options.seed,
        rows=[Row.of(name, timed[name]) for name in names],
        place=place(names),
    )
    print(report.markdown())
    for path in report.write(options.results, options.name or default_name(options)):
        say(f"written: {path}")
    return 1 if options.strict and not (report.ratio is not None and report.ratio <= AT_MOST) else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="gzip files, or folders of .json.gz")
    parser.add_argument("--generate", action="store_true", help="generated files")
    parser.add_argument("--generated-files", type=int, default=20, metavar="N", help="how many (default 20)")
    parser.add_argument("--shuffled", action="store_true", help="mix the lines across hosts first")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="timed rounds (default 3)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is generated or mixed (default 1)")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="only this one; may be repeated")
    parser.add_argument("--strict", action="store_true", help=f"exit 1 unless fastfold needs at most {AT_MOST:.3f}")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", metavar="FOLDER")
    parser.add_argument("--name", help="of the files written there")
    options = parser.parse_args()
    if options.repeat < 1 or options.generated_files < 1:
        parser.error("--repeat and --generated-files are at least 1")
    return options


def choose_files(options: argparse.Namespace, made: Path) -> tuple[str, list[Path]]:
    """What to fold, in words and as files."""
    missing = not (options.files or options.generate or real_folder().is_dir())
    if missing:
        say(f"no real files in {real_folder()} (FASTFOLD_OTRF names another folder): generating some")
    if options.generate or missing:
        options.generate = True
        source, files = "generated files", generate(made / "generated", options.seed, options.generated_files)
    elif options.files:
        source, files = "files given", list_files(options.files)
    else:
        source, files = "OTRF security datasets", list_files([real_folder()])
    if options.shuffled:
        say(f"mixing the lines of {len(files)} files")
        source, files = f"{source}, lines mixed across hosts", shuffle(files, made / "shuffled", options.seed)
    return source, files


def default_name(options: argparse.Namespace) -> str:
    """So that another input does not overwrite the figures of this one."""
    kind = "generated" if options.generate else "given" if options.files else "real"
    return kind + ("-shuffled" if options.shuffled else "")


class Runs:
    """Runs of contenders over the same files."""

    def __init__(self, files: list[Path], folder: Path) -> None:
        self._folder = folder
        self._list = folder / "files.txt"
        self._list.write_text("".join(f"{path.resolve()}\n" for path in files))
        self._checked: dict[str, Any] = {}

    def run(self, name: str, dump: Path | None = None) -> dict[str, Any]:
        """One process; what it gives must be what was compared before."""
        command = [sys.executable, str(ROOT / "bench" / "contenders.py"), name, str(self._list)]
        done = subprocess.run(
            command if dump is None else [*command, "--dump", str(dump)], stdout=subprocess.PIPE, check=False, text=True
        )
        if done.returncode != 0:
            sys.exit(f"{name} failed with exit code {done.returncode}")
        result: dict[str, Any] = json.loads(done.stdout)
        if dump is None and any(result[key] != self._checked[key] for key in ("digest", "records", "events")):
            sys.exit(f"{name} gave another result than before")
        return result

    def compare(self, names: list[str]) -> dict[str, Any]:
        """Run all once; the counts and the digest that they agree on."""
        results = {name: self.run(name, self._folder / f"{name}.jsonl") for name in names}
        first = names[0]
        for name in names[1:]:
            for key in ("records", "events", "inflated_bytes", "processes", "digest"):
                if results[name][key] != results[first][key]:
                    self._explain(first, name)
                    sys.exit(f"{name} and {first} differ in {key}: {results[name][key]} and {results[first][key]}")
        self._checked = results[first]
        return self._checked

    def _explain(self, first: str, second: str) -> None:
        """Say where the states begin to differ."""
        pairs = [(self._folder / f"{name}.jsonl").read_text().splitlines() for name in (first, second)]
        for one, other in zip(*pairs, strict=False):
            if one != other:
                say(f"{first}:\n{one[:2000]}\n{second}:\n{other[:2000]}")
                return


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
