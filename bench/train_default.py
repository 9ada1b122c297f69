"""Make the dictionary that comes with fastfold: ``src/fastfold/dictionaries/2.ffdict``.

    python bench/train_default.py OUTPUT

Its samples are states of generated files, several fleets of several sizes.  The same code gives the same bytes;
it is run once, since a dictionary that values were written with never changes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fastfold._core import Folder, Plan, merge_group
from fastfold.dictionaries import DEFAULT_ID, compressed_part, train
from fastfold.folding import fold_file
from fastfold.generate import Corpus, batches
from fastfold.schema import load_definition, load_schema
from fastfold.types import Limits

CORPORA = (
    Corpus(files=6, hosts=30, hosts_per_file=10, processes=20, events=8, seed=101),
    Corpus(files=6, hosts=30, hosts_per_file=10, processes=20, events=30, seed=102),
    Corpus(files=4, hosts=60, hosts_per_file=30, processes=12, events=2, seed=103),
    Corpus(files=2, hosts=8, processes=10, events=120, seed=104),
)


def main() -> int:
    plan = Plan(load_schema("sysmon"), load_definition("process"), Limits())
    folder = Folder(plan)
    samples: list[bytes] = []
    for number, corpus in enumerate(CORPORA):
        payloads: dict[tuple[str, str], bytes] = {}
        for batch in batches(corpus):
            text = b"".join(line + b"\n" for line in batch.lines())
            for host in fold_file(folder, text, f"corpus {number}", Limits()):
                names = [(host.host, process) for process in host.processes]
                merged = merge_group(plan, [payloads.get(name) for name in names], host.payloads)
                payloads.update(zip(names, merged, strict=True))
        samples += [compressed_part(payload) for _, payload in sorted(payloads.items())]
    made = train(samples, DEFAULT_ID, "files of fastfold generate")
    Path(sys.argv[1]).write_bytes(made.dump())
    print(f"{made.samples} samples, {len(made.content)} bytes, digest {made.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
