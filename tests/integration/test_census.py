"""`fastfold census` on a real Redis and on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fastfold.exits import Exit
from fastfold.store import process_key
from looking import OWN_ID, Stored, key_of, own_dictionary, state

pytestmark = pytest.mark.servers

DAY_S = 86_400


def fill(stored: Stored) -> None:
    """Two tenants; three hosts, one of them with most; an old half."""
    for number in range(120):
        tenant = "acme" if number % 3 else "other"
        host = f"h{0 if number % 4 else number % 3}"
        one = state(
            host,
            f"p{number}",
            tenant=tenant,
            image=Random(number).randbytes(25 + 2 * number).hex(),
            more=number % 5 == 0,
        )
        stored.put(one, life_s=DAY_S - 5 if number % 2 else 3600)
    stored.put_record("acme", "h0", life_s=DAY_S + 6 * 3600 - 30)
    for number in range(20):
        stored.client.set(f"foreign:{number}", "x" * 100)
    stored.client.rpush("foreign:list", *range(5))
    stored.client.set("ff:{not a tag}", "foreign too")


def memory_of(stored: Stored, keys: list[bytes]) -> int:
    return sum(int(stored.client.memory_usage(key)) for key in keys)


def by(rows: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    return {str(row[name]): row for row in rows}


def test_every_byte_is_counted_where_it_belongs(stored: Stored) -> None:
    fill(stored)
    result = stored.census("--json", "--top", "3")
    assert result.exit_code == Exit.OK, result.stderr
    found = json.loads(result.stdout)
    keys = list(stored.client.scan_iter(count=1000))
    assert (found["exact"], found["keys"], found["looked_at"]) == (True, 143, 143)
    assert found["total"] == {"keys": 143, "keys_margin": 0, "bytes": memory_of(stored, keys), "bytes_margin": 0}
    assert found["used_bytes"] > found["total"]["bytes"]
    kinds = by(found["kinds"], "kind")
    assert {name: row["keys"] for name, row in kinds.items()} == {"state": 120, "host record": 1, "not ours": 22}
    ours = [key for key in keys if key.startswith(b"ff:") and b"not a tag" not in key]
    assert sum(row["bytes"] for row in found["tenants"]) == memory_of(stored, ours)
    assert {name: row["keys"] for name, row in by(found["tenants"], "tenant").items()} == {"acme": 81, "other": 40}
    ages = {name: row["keys"] for name, row in by(found["ages"], "age").items()}
    assert ages == {"under 1 min": 61, "6 to 24 h": 60}
    # States are of the second version, with the dictionary of the package; host records of the first, without one.
    assert {name: row["keys"] for name, row in by(found["versions"], "version").items()} == {"2": 120, "1": 1}
    assert {name: row["keys"] for name, row in by(found["dictionaries"], "dictionary").items()} == {"1": 120, "0": 1}
    assert found["unknown_forms"] == []
    assert found["hosts"][0]["host"] == "h0"
    assert len(found["hosts"]) == len(found["processes"]) == 3
    largest = int(stored.client.memory_usage(key_of(state("h0", "p119", tenant="acme"))))
    assert found["processes"][0]["bytes"] == largest == found["state_bytes"]["largest"]
    costs = by(found["reducers"], "name")
    assert found["reducer_states"] == 120
    assert costs["files"]["limit"] == 64
    assert costs["files"]["full"] == 24
    assert costs["image"]["states"] == 120
    assert "limit" not in costs["image"]


def test_a_sample_is_about_right_and_says_how_much(stored: Stored) -> None:
    fill(stored)
    exact = json.loads(stored.census("--json", "--exact", "--sample", "100").stdout)
    found = json.loads(stored.census("--json", "--sample", "100").stdout)
    assert (exact["exact"], found["exact"]) == (True, False)
    assert found["confidence"] == 0.95
    assert found["looked_at"] >= 100
    total = found["total"]
    assert 0 < total["bytes_margin"] < total["bytes"] / 2
    # Six standard errors: chance alone breaks this once in a hundred million runs.
    assert abs(total["bytes"] - exact["total"]["bytes"]) < 3.1 * total["bytes_margin"]
    state_row = by(found["kinds"], "kind")["state"]
    assert abs(state_row["keys"] - 120) < 3.1 * state_row["keys_margin"]


def test_tables_for_a_person(stored: Stored) -> None:
    fill(stored)
    lines = [" ".join(line.split()) for line in stored.census().stdout.splitlines()]
    assert lines[0] == "every key was looked at: 143"
    assert lines[1].startswith("143 keys, ")
    for start in ("kind keys bytes", "tenant keys", "last written", "format version", "dictionary", "host (the top 4"):
        assert any(line.startswith(start) for line in lines), start
    assert any(line.startswith("reducer (on 120 states)") for line in lines)
    assert any(line.startswith("files 64 2.0 20.00%") for line in lines)
    sampled = stored.census("--sample", "100").stdout.splitlines()
    assert "of 143; ± is the margin of 95 %" in sampled[0]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_drawing(stored: Stored, tmp_path: Path, suffix: str) -> None:
    fill(stored)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix.upper()}"
    for path in (first, second):
        result = stored.census("--plot", str(path), "--seed", "1")
        assert result.exit_code == Exit.OK, result.stderr
    data = first.read_bytes()
    assert data.startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    assert len(data) > 10_000
    result = stored.census("--plot", str(tmp_path / "no" / f"x{suffix}"))
    assert result.exit_code == Exit.SETUP
    assert "No such file or directory" in result.stderr


def test_an_empty_redis_and_unreadable_values(stored: Stored) -> None:
    empty = stored.census()
    assert empty.exit_code == Exit.NOT_FOUND
    assert "0 keys" in empty.stdout
    stored.put(state("h", "p"))
    key = process_key(key_of(state("h", "p"))[:-11], "bad")
    stored.client.set(key, b"\x01\x00broken")
    stored.client.rpush(process_key(key[:-11], "list"), "x")
    found = stored.census("--json")
    assert found.exit_code == Exit.CORRUPT
    kinds = by(json.loads(found.stdout)["kinds"], "kind")
    assert kinds["unreadable"]["keys"] == 2
    assert kinds["state"]["keys"] == 1


def test_forms_that_are_not_known_are_named_once(stored: Stored, tmp_path: Path) -> None:
    stored.put(state("h", "good"))
    stored.put(*(state("h", f"p{number}") for number in range(5)), codec=own_dictionary(tmp_path))
    stored.client.set(process_key(key_of(state("h", "p"))[:-11], "newer"), b"\x07\x00value", ex=600)
    result = stored.census("--json")
    assert result.exit_code == Exit.CORRUPT
    found = json.loads(result.stdout)
    assert {name: row["keys"] for name, row in by(found["kinds"], "kind").items()} == {"state": 1, "unreadable": 6}
    # A version that is not known is a value like any damaged one: only what is missing here is named.
    assert found["unknown_forms"] == [f"dictionary {OWN_ID}"]
    (said,) = result.stderr.splitlines()
    assert f"put {OWN_ID}.ffdict into the folder that dictionary_folder names" in said
    with_it = json.loads(stored.census("--json", "--dictionary-folder", str(tmp_path)).stdout)
    assert {name: row["keys"] for name, row in by(with_it["dictionaries"], "dictionary").items()} == {
        "1": 1,
        str(OWN_ID): 5,
    }
    assert with_it["unknown_forms"] == []


def test_the_age_is_told_by_the_life_that_the_fold_definition_gives(stored: Stored, tmp_path: Path) -> None:
    text = (resources.files("fastfold") / "folds" / "process.toml").read_text()
    definition = tmp_path / "process.toml"
    head, line, rest = text.partition('name = "process"\n')
    definition.write_text(f"{head}{line}ttl_s = 7200\n{rest}")
    stored.put(state("h", "p"), life_s=7000)
    ages = json.loads(stored.census("--json", "--fold", str(definition)).stdout)["ages"]
    assert [row["age"] for row in ages] == ["1 to 10 min"]


def test_without_matplotlib_it_is_said_before_the_work(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\nfrom fastfold.cli import main; sys.argv[0] = 'fastfold'; main()"
    )
    args = ["census", "--redis-url", "redis://127.0.0.1:1", "--plot", str(tmp_path / "x.png")]
    done = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, check=False)
    assert done.returncode == Exit.SETUP
    assert "pip install 'fastfold[plot]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
