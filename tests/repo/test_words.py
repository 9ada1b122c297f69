"""What may not be said: claims that no number supports, and places on somebody's machine."""

from __future__ import annotations

import re
from pathlib import Path

from repo.project import ROOT, texts

# Each in two parts, so that this file does not hold what it looks for.
CLAIMS = (
    "production" + "-ready",
    "production" + " ready",
    "blazing" + " fast",
    "blazing" + "ly",
    "fully" + " tested",
    "battle" + "-tested",
    "enterprise" + "-grade",
    "world" + "-class",
    "bullet" + "proof",
    "cutting" + "-edge",
)
MACHINE = re.compile("/" + r"(?:home|Users|root|work)/[\w.]|\b[A-Z]:\\Users\\(?!Public)\w+\\(?:src|git|repos)\b")
UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b")
KEYS = re.compile("-----BEGIN " + r"(?:[A-Z0-9]+ )*PRIVATE KEY|\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")


def _hits(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_documents_claim_nothing_that_cannot_be_measured() -> None:
    documents = [path for path in texts() if path.suffix == ".md"]
    assert documents
    assert _hits(re.compile("|".join(map(re.escape, CLAIMS)), re.IGNORECASE), documents) == []


def test_no_path_of_a_machine_is_named() -> None:
    assert _hits(MACHINE, list(texts())) == []


def test_nothing_is_left_for_later() -> None:
    assert _hits(UNFINISHED, list(texts())) == []


def test_no_key_is_in_the_repository() -> None:
    assert _hits(KEYS, list(texts())) == []


def test_no_error_passes_in_silence() -> None:
    sources = [path for path in texts() if path.suffix in {".py", ".pyx", ".pxi"}]
    silent = re.compile(r"except[^\n]*:\s*\n?\s*pass\b")
    assert [str(path.relative_to(ROOT)) for path in sources if silent.search(path.read_text())] == []
