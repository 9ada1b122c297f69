"""Make a failing episode small: fewer texts, then fewer lines, then fewer bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from fuzz.episode import Episode

__all__ = ["shrink"]

Item = TypeVar("Item")


def shrink(episode: Episode, fails: Callable[[Episode], bool], tries: int) -> Episode:
    """The smallest episode that was found to fail still.

    Parameters
    ----------
    episode : Episode
        One that fails.
    fails : callable
    tries : int
        Most calls of `fails`.
    """
    left = tries

    def still(candidate: Episode) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(candidate)

    texts = _smaller(episode.texts, lambda kept: still(replace(episode, texts=tuple(kept))))
    episode = replace(episode, texts=tuple(texts))
    episode = replace(
        episode,
        variants=tuple(_smaller(episode.variants, lambda kept: still(replace(episode, variants=tuple(kept))))),
    )
    # The last text is the one that fails; what came before it only prepared it.
    for number in reversed(range(len(episode.texts))):
        for cut in (_lines, _bytes):
            before, behind = episode.texts[:number], episode.texts[number + 1 :]
            parts = _smaller(
                cut(episode.texts[number]),
                lambda kept: still(replace(episode, texts=(*before, b"".join(kept), *behind))),  # noqa: B023 - called here
            )
            episode = replace(episode, texts=(*before, b"".join(parts), *behind))
    return episode


def _lines(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def _bytes(text: bytes) -> list[bytes]:
    return [text[at : at + 1] for at in range(len(text))]


def _smaller(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> Sequence[Item]:
    """Leave out runs of items, long ones first, as long as what is left fails."""
    run = len(items)
    while run:
        at = 0
        while at < len(items):
            kept = [*items[:at], *items[at + run :]]
            if fails(kept):
                items = kept
            else:
                at += run
        run //= 2
    return items
