"""A bounded run of the fuzz on every test run, and that it finds, keeps and replays what is wrong.

``make fuzz`` runs longer, under the sanitizers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastfold
from fuzz import episode as episodes_of
from fuzz.episode import Episode, Variant, differences, load, loads, save
from fuzz.formats import SCHEMAS
from fuzz.plan import Episodes, instruction_sets
from fuzz.run import first_difference
from fuzz.shrink import shrink

_TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def episodes() -> Episodes:
    return Episodes(20261125)


def test_core_and_reference_agree(episodes: Episodes) -> None:
    executions = 0
    for number in range(300):
        episode = episodes[number]
        for difference in differences(episode):
            assert difference is None, (episodes_of.dumps(episode), difference)
            executions += 1
    assert executions >= 300 * 12


def test_episodes_are_made_again_from_their_seed(episodes: Episodes) -> None:
    again = Episodes(episodes.seed)
    assert [again[number] for number in range(20)] == [episodes[number] for number in range(20)]
    assert Episodes(1)[0] != episodes[0]


def test_episodes_try_everything(episodes: Episodes) -> None:
    """Every schema and instruction set, small windows, single bytes, texts that pass and texts that do not."""
    some = [episodes[number] for number in range(400)]
    assert {episode.schema for episode in some} == set(SCHEMAS)
    variants = [variant for episode in some for variant in episode.variants]
    assert {variant.simd for variant in variants} == set(instruction_sets())
    assert {64, 1 << 18} < {variant.window_bytes for variant in variants}
    assert (1,) in {variant.sizes for variant in variants}
    assert {variant.in_place for variant in variants} == {False, True}
    refused = events = 0
    for episode in some:
        for text in episode.texts:
            answer = episodes_of.reference_answer(text, episode)
            if isinstance(answer, tuple):
                events += answer[1].events
            else:
                refused += 1
    count = sum(len(episode.texts) for episode in some)
    assert count / 5 < refused < count / 2
    assert events > count


# --- what is wrong --------------------------------------------------------------------------------


def plant(monkeypatch: pytest.MonkeyPatch, needle: bytes) -> None:
    """A reference that is wrong about texts with `needle`."""
    right = episodes_of.reference_answer

    def wrong(text: bytes, episode: Episode) -> object:
        return None if needle in text else right(text, episode)

    monkeypatch.setattr(episodes_of, "reference_answer", wrong)


def test_a_difference_is_found_made_small_and_played_again(
    monkeypatch: pytest.MonkeyPatch, episodes: Episodes, tmp_path: Path
) -> None:
    plant(monkeypatch, b"\xe2\x82")
    failing = next(e for number in range(1000) if first_difference(e := episodes[number]))
    smallest = shrink(failing, lambda tried: first_difference(tried) is not None, 3000)
    assert smallest.texts == (b"\xe2\x82",)
    assert len(smallest.variants) == 1
    save(smallest, tmp_path / "case.json")
    assert load(tmp_path / "case.json") == smallest
    assert first_difference(load(tmp_path / "case.json")) is not None
    monkeypatch.undo()
    assert first_difference(load(tmp_path / "case.json")) is None


def test_an_episode_survives_being_written_down() -> None:
    episode = Episode("own", "", "tight", (Variant("scalar", 64, (1, 2), True),), (b"\0\xff\n", b"", bytes(range(256))))
    assert loads(episodes_of.dumps(episode)) == episode


# Runs at the start of every Python that has this folder on its path.
_PATCH = """
import os
from fuzz import episode
right = episode.read_text

def wrong(reader, read, text, variant):
    if b"\\xe2\\x82" in text:
        os.abort()
    return right(reader, read, text, variant)

episode.read_text = wrong
"""


def test_a_crash_is_kept_made_small_and_played_again(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_PATCH)
    source = Path(fastfold.__file__).parents[1]
    paths = [str(tmp_path), str(source), str(_TESTS)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "fuzz.run", "--found", str(tmp_path / "found"), "--executions", "1000000"]
    done = subprocess.run(
        [*command, "--seconds", "60", "--crash-tries", "5"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = sorted((tmp_path / "found").glob("seed-1-*.json"))
    assert len(found) == 2
    whole, smaller = (load(path) for path in found)
    assert len(smaller.texts) < len(whole.texts)
    replay = [sys.executable, "-m", "fuzz.run", "--replay", str(found[1])]
    assert subprocess.run(replay, env=environment, check=False, capture_output=True).returncode not in (0, 1)
    environment["PYTHONPATH"] = os.pathsep.join(paths[1:])
    assert subprocess.run(replay, env=environment, check=False, capture_output=True).returncode == 0
