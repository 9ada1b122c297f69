"""Compare fastfold with other ways to do the same job.

Each contender runs in a process of its own, with one thread.  First all of them fold the files once and
their states are compared; only when all are equal do the timed rounds begin, in which the contenders
take turns.  A contender that cannot run here is listed with the reason.

    python bench/run.py                          the real files (FASTFOLD_OTRF, else ../shared/data/otrf),
                                                 as they are and with their lines mixed across hosts
    python bench/run.py --as-is                  only as they are
    python bench/run.py --shuffled               only mixed
    python bench/run.py --generate --repeat 5    generated files
    python bench/run.py FILE... --contender fastfold --contender orjson
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, ONE_THREAD
from inputs import ROOT, generate, list_files, real_folder, shuffle, warm
from plot import draw
from report import AT_MOST, RESULTS, Measured, Report, Row, place

DEFAULT = [name for name in CONTENDERS if name != "reference"]


def main() -> int:
    options = read_options()
    names: list[str] = options.contender or DEFAULT
    not_run: dict[str, str] = {}
    others: dict[str, str] = {}
    measured = []
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as made:
        source, files = choose_files(options, Path(made))
        if not options.shuffled:
            measured.append(measure("as they are", source, files, names, options.repeat, not_run, others))
        if not options.as_is:
            say(f"mixing the lines of {len(files)} files")
            files = shuffle(files, Path(made) / "shuffled", options.seed)
            source = f"{source}, lines mixed across hosts"
            measured.append(measure("shuffled", source, files, names, options.repeat, not_run, others))
    packages = {package for name in names if name not in not_run for package in CONTENDERS[name].packages}
    report = Report(measured, names, not_run, options.repeat, options.seed, place(packages, others))
    print(report.markdown())
    name = options.name or default_name(options)
    written = report.write(options.results, name)
    try:
        written += draw(report, options.results, name)
    except ImportError as error:
        say(f"no picture: {error}")
    for path in written:
        say(f"written: {path}")
    met = [one.ratio is not None and one.ratio <= AT_MOST for one in measured]
    return 1 if options.strict and not all(met) else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="gzip files, or folders of .json.gz")
    parser.add_argument("--generate", action="store_true", help="generated files")
    parser.add_argument("--generated-files", type=int, default=20, metavar="N", help="how many (default 20)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--as-is", action="store_true", help="only the files as they are")
    only.add_argument("--shuffled", action="store_true", help="only with their lines mixed across hosts")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="timed rounds (default 3)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is generated or mixed (default 1)")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="only this one; may be repeated")
    parser.add_argument("--strict", action="store_true", help=f"exit 1 unless fastfold needs at most {AT_MOST:.3f}")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
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
        return "generated files", generate(made / "generated", options.seed, options.generated_files)
    if options.files:
        return "files given", list_files(options.files)
    return "OTRF security datasets", list_files([real_folder()])


def default_name(options: argparse.Namespace) -> str:
    """So that another input does not overwrite the figures of this one."""
    kind = "generated" if options.generate else "given" if options.files else "whole-job"
    part = "-some" if options.contender else ""
    return kind + part + ("-shuffled" if options.shuffled else "-as-is" if options.as_is else "")


def measure(
    label: str,
    source: str,
    files: list[Path],
    names: list[str],
    repeat: int,
    not_run: dict[str, str],
    others: dict[str, str],
) -> Measured:
    """All contenders over one input; those that cannot run here go into `not_run`, further versions into `others`."""
    stored_bytes = warm(files)
    with tempfile.TemporaryDirectory(prefix="fastfold-bench-") as folder:
        runs = Runs(files, Path(folder))
        say(f"{source}: {len(files)} files, {stored_bytes / 1e6:.1f} MB; comparing the states of {', '.join(names)}")
        checked = runs.compare(names)
        not_run |= runs.not_run
        others |= runs.versions
        able = [name for name in names if name not in runs.not_run]
        timed: dict[str, list[dict[str, Any]]] = {name: [] for name in able}
        for turn in range(repeat):
            for name in able:
                timed[name].append(runs.run(name))
                say(f"round {turn + 1} of {repeat}: {name} {timed[name][-1]['cpu_s']:.3f} s")
    return Measured(
        label=label,
        source=source,
        files=len(files),
        stored_bytes=stored_bytes,
        inflated_bytes=checked["inflated_bytes"],
        records=checked["records"],
        events=checked["events"],
        processes=checked["processes"],
        digest=checked["digest"],
        rows=[Row.of(name, timed[name]) for name in able],
    )


class Runs:
    """Runs of contenders over the same files."""

    def __init__(self, files: list[Path], folder: Path) -> None:
        self._folder = folder
        self._list = folder / "files.txt"
        self._list.write_text("".join(f"{path.resolve()}\n" for path in files))
        self._checked: dict[str, Any] = {}
        self.not_run: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def run(self, name: str, dump: Path | None = None) -> dict[str, Any]:
        """One process; what it gives must be what was compared before."""
        command = [sys.executable, str(ROOT / "bench" / "contenders.py"), name, str(self._list)]
        done = subprocess.run(
            command if dump is None else [*command, "--dump", str(dump)],
            stdout=subprocess.PIPE,
            env=os.environ | ONE_THREAD,
            check=False,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"{name} failed with exit code {done.returncode}")
        result: dict[str, Any] = json.loads(done.stdout)
        if dump is None and any(result[key] != self._checked[key] for key in ("digest", "records", "events")):
            sys.exit(f"{name} gave another result than before")
        return result

    def compare(self, names: list[str]) -> dict[str, Any]:
        """Run all once; the counts and the digest that they agree on."""
        results: dict[str, dict[str, Any]] = {}
        for name in names:
            result = self.run(name, self._folder / f"{name}.jsonl")
            if "not_run" in result:
                self.not_run[name] = result["not_run"]
                say(f"{name} cannot run here: {result['not_run']}")
                continue
            results[name] = result
            self.versions |= result.get("versions", {})
        if not results:
            sys.exit("no contender can run here")
        first = next(iter(results))
        for name, result in results.items():
            for key in ("records", "events", "processes", "digest"):
                if result[key] != results[first][key]:
                    self._explain(first, name)
                    sys.exit(f"{name} and {first} differ in {key}: {result[key]} and {results[first][key]}")
        sizes = {result["inflated_bytes"] for result in results.values()} - {None}
        if len(sizes) > 1:
            sys.exit(f"contenders differ in inflated bytes: {sizes}")
        self._checked = results[first] | {"inflated_bytes": sizes.pop() if sizes else 0}
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
