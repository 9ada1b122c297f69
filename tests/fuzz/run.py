"""Run episodes: ``python -m fuzz.run --seed 1 --seconds 30``; ``--replay FILE`` plays one again.

A sanitizer ends the process at what it finds, so episodes run in a child, which notes each before it
runs it; the parent reads the note when the child is gone.  Exit status 1 says that something was found.
"""

from __future__ import annotations

import argparse
import json
import mmap
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fuzz.episode import Difference, Episode, differences, dumps, load, loads, only, save
from fuzz.plan import Episodes, instruction_sets
from fuzz.shrink import shrink

__all__ = ["first_difference", "main"]

_NOTE_BYTES = 8 << 20
_TELL_EVERY_S = 5.0
# A child that says nothing for so long hangs; under a sanitizer one episode takes milliseconds.
_SILENCE_S = 120.0
_TRIES = 4000
# Each in a process of its own.
_TRIES_OF_CRASHES = 150


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="fuzz.run", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="stop after so long")
    parser.add_argument("--executions", type=int, default=0, help="stop after so many texts read and compared")
    parser.add_argument("--first", type=int, default=0, help="number of the first episode")
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"), help="where failing episodes are written")
    parser.add_argument("--replay", type=Path, help="an episode that was written down")
    parser.add_argument("--crash-tries", type=int, default=_TRIES_OF_CRASHES, help="processes to make a crash small")
    parser.add_argument("--note", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.replay:
        return _replay(load(given.replay))
    if given.note:
        return _child(given)
    return _parent(given)


# --- one episode ----------------------------------------------------------------------------------


def first_difference(episode: Episode) -> Difference | None:
    """The first of an episode, or ``None``."""
    return next((found for found in differences(episode) if found), None)


def _replay(episode: Episode) -> int:
    difference = first_difference(episode)
    if difference is None:
        print("no difference")
        return 0
    _show(difference, episode)
    return 1


def _show(difference: Difference, episode: Episode) -> None:
    print(f"text      {episode.texts[difference.text]!r}")
    print(f"read by   {difference.variant}")
    print(f"expected  {difference.expected!r}")
    print(f"found     {difference.found!r}")


# --- the child ------------------------------------------------------------------------------------


def _child(given: argparse.Namespace) -> int:
    episodes = Episodes(given.seed)
    started = time.monotonic()
    told = started
    texts = executions = 0
    number = given.first
    with given.note.open("r+b") as stream, mmap.mmap(stream.fileno(), _NOTE_BYTES) as note:
        while time.monotonic() - started < given.seconds and not 0 < given.executions <= executions:
            episode = episodes[number]
            line = dumps(episode).encode()
            note[: len(line) + 1] = line + b"\n"
            for answer in differences(episode):
                executions += 1
                if answer:
                    _keep(episode, answer, given)
                    return 1
            texts += len(episode.texts)
            number += 1
            if time.monotonic() - told > _TELL_EVERY_S:
                told = time.monotonic()
                _tell(given.seed, number, texts, executions, told - started)
    _tell(given.seed, number, texts, executions, time.monotonic() - started)
    return 0


def _tell(seed: int, episodes: int, texts: int, executions: int, seconds: float) -> None:
    line = {"seed": seed, "episodes": episodes, "texts": texts, "executions": executions, "seconds": round(seconds, 1)}
    print(json.dumps(line), flush=True)


def _keep(episode: Episode, difference: Difference, given: argparse.Namespace) -> None:
    """Write a difference down, made small."""
    candidate = only(episode, difference)
    if first_difference(candidate) is None:
        candidate = episode
    smallest = shrink(candidate, lambda tried: first_difference(tried) is not None, _TRIES)
    shown = first_difference(smallest)
    assert shown is not None
    _show(shown, smallest)
    _write(smallest, given)


def _write(episode: Episode, given: argparse.Namespace) -> None:
    given.found.mkdir(parents=True, exist_ok=True)
    path = given.found / f"seed-{given.seed}-{time.time_ns()}.json"
    save(episode, path)
    print(f"seed {given.seed}; play it again: make fuzz REPLAY={path}", flush=True)


# --- the parent -----------------------------------------------------------------------------------


def _parent(given: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "note")
        note.write_bytes(bytes(_NOTE_BYTES))
        command = [sys.executable, "-m", "fuzz.run", *sys.argv[1:], "--note", str(note)]
        print(f"fuzz: seed {given.seed}, {', '.join(instruction_sets())}", flush=True)
        status = _watch(command)
        if status in (0, 1):
            return status
        print(f"fuzz: the child ended with {status}", flush=True)
        line = note.read_bytes().split(b"\n", 1)[0]
        episode = loads(line.decode())
        _write(episode, given)
        _write(shrink(episode, lambda tried: _crashes(tried, Path(folder)), given.crash_tries), given)
    return 1


def _watch(command: list[str]) -> int:
    """Run the child to its end and pass on what it says; one that hangs is ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            for line in _lines(child):
                print(line, end="", flush=True)
        except TimeoutError:
            child.kill()
        return child.wait()


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(_SILENCE_S):
                raise TimeoutError
            line = child.stdout.readline()
            if not line:
                return
            yield line


def _crashes(episode: Episode, folder: Path) -> bool:
    """Whether an episode ends a process of its own by more than a difference."""
    path = folder / "tried.json"
    save(episode, path)
    command = [sys.executable, "-m", "fuzz.run", "--replay", str(path)]
    return subprocess.run(command, capture_output=True, timeout=_SILENCE_S, check=False).returncode not in (0, 1)


if __name__ == "__main__":
    sys.exit(main())
