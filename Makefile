# Every target brings its virtual environment up to date first.  Needed beforehand: Python with venv
# and headers, a C compiler, make.
#
#   PYTHON=python3.13 make test      another Python (after `make clean-venv`)
#   TESTS=tests/unit make test       a part of the tests; JOBS=0: one after the other, in one process
#   BENCH="--repeat 5" make bench    options of the benchmark
#   SECONDS=3600 SEED=7 make fuzz    longer, from another seed; EXECUTIONS=1000000 ends it by count
#   REPLAY=build/fuzz/x.json make fuzz    what the fuzz wrote down, once more
#   SEEDS=1000000 make simulate      so many seeds on all cores; FIRST=n begins with another one
#   SEED=4711 make simulate          this one, step by step
#   SCALE=0.1 ONLY=master make chaos    a tenth of the faults of each scenario that has "master" in its name

PYTHON ?= python3
CC ?= cc
VENV ?= .venv
TESTS ?= tests
JOBS ?= 2
BENCH ?=
SECONDS ?= 30
EXECUTIONS ?= 0
REPLAY ?=
SEEDS ?= 100000
FIRST ?= 0
SEED ?=
SCALE ?= 1
ONLY ?=

PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
SANITIZED := build/sanitize/lib
# Python itself is not sanitized: the libraries come first.  Its own allocator would hide what lies beyond a small
# buffer.  Few frames and a short quarantine cost a third of the time of the defaults.
UNDER_SANITIZERS = LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so) $$($(CC) -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:malloc_context_size=2:quarantine_size_mb=4 \
	UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc
# Headers that the core includes; the others are parts of these.
HEADERS := $(shell sed -n 's/.*extern from "\(core.*\)".*/\1/p' src/fastfold/_core.pxd)
UNITS := $(wildcard src/fastfold/_core.pyx src/fastfold/_core.pxd src/fastfold/core/*.pxd src/fastfold/core/*.pxi)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint types format bench bench-memory bench-scaling bench-units bench-commit bench-rules \
	bench-compare bench-state annotate build-sanitized sanitize fuzz fuzz-values profile simulate chaos wheel clean clean-venv

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## virtual environment in .venv with all that development needs

$(INSTALLED): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "$(PYTHON) is missing or older than 3.10; choose another: PYTHON=python3.12 make" >&2; exit 1; }
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV) \
		|| { echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PY) -m pip install --quiet "setuptools>=77" "Cython>=3.1"
	$(PY) -m pip install --quiet --no-build-isolation --editable ".[test,lint,bench]"
	@touch $@

# The install above builds the core once; this follows changes of it, and does nothing otherwise.
build: $(INSTALLED) ## the core, compiled in place
	@$(PY) setup.py --quiet build_ext --inplace

demo: build ## the whole system on this machine, with real files or generated ones
	@$(PY) -m fastfold demo

test: build ## all tests, with real servers
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(TESTS)

simulate: build ## the commit protocol in simulated worlds: SEEDS of them on all cores, or just SEED
	PYTHONPATH=tests $(PY) -m simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --from $(FIRST))

chaos: build ## real faults on a real cluster, S3 and SQS; writes build/chaos.json
	PYTHONPATH=tests $(PY) -m chaos --scale $(SCALE) --only "$(ONLY)" $(if $(SEED),--seed $(SEED))

lint: $(INSTALLED) ## ruff, cython-lint, codespell, and the C headers with all warnings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/cython-lint $(UNITS)
	$(VENV)/bin/codespell
	@for header in $(HEADERS); do \
		echo "$(CC) -Wall -Wextra -Werror $$header"; \
		echo "#include \"$$header\"" | $(CC) -std=c11 -O2 -Wall -Wextra -Werror -fsyntax-only -Isrc/fastfold -x c - || exit 1; \
	done

types: build ## mypy strict, and the stub of the core against the core
	$(PY) -m mypy
	MYPYPATH=src $(PY) -m mypy.stubtest fastfold._core --mypy-config-file pyproject.toml

format: $(INSTALLED) ## format the Python code
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

bench: build ## fastfold beside other ways to do the same job; writes bench/results and the figures of README.md
	$(PY) bench/run.py $(BENCH)
	$(PY) bench/parse.py
	$(PY) bench/scaling.py
	$(PY) bench/memory.py --no-limit
	$(PY) bench/readme.py

bench-memory: build ## peak memory of a fold over a file of 120 MB; fails from 64 MiB up
	$(PY) bench/memory.py

bench-scaling: build ## two threads beside one
	$(PY) bench/scaling.py

bench-commit: build ## CPU per committed process beside redis-py, and workers that meet on the same hosts
	$(PY) bench/commit.py $(BENCH)
	$(PY) bench/contention.py

bench-rules: build ## what 1,000 rules cost, and ways to search for their texts
	$(PY) bench/rules.py $(BENCH)
	$(PY) bench/rules.py --shuffled $(BENCH)
	$(PY) bench/rule_search.py

bench-units: build ## each unit of the core, in CPU time
	$(PY) -m pytest -q bench/units -o pythonpath=bench/units --benchmark-timer=time.process_time \
		--benchmark-columns=min,median,stddev,rounds --benchmark-sort=name $(BENCH)

bench-compare: build ## the working tree beside another revision: BASE=revision
	@test -n "$(BASE)" || { echo "BASE names a revision: make bench-compare BASE=main" >&2; exit 2; }
	$(PY) bench/compare.py $(BASE) $(BENCH)

bench-state: build ## memory of a process in Redis, beside JSON, zlib, msgpack and zstd
	$(PY) bench/state.py $(BENCH)

annotate: $(INSTALLED) ## fail when a line of a nogil function touches the interpreter
	$(PY) bench/annotate.py

build-sanitized: $(INSTALLED)
	@FASTFOLD_SANITIZE=1 $(PY) setup.py --quiet build --build-base build/sanitize --build-lib $(SANITIZED)

sanitize: build-sanitized ## laws and conformance under AddressSanitizer and UBSan
	$(UNDER_SANITIZERS) PYTHONPATH=$(SANITIZED) $(PY) -m pytest -p no:cacheprovider tests/property tests/conformance

fuzz: build-sanitized ## the core against the reference on mutated records, under the sanitizers
	$(UNDER_SANITIZERS) PYTHONPATH=$(SANITIZED):tests $(PY) -m fuzz.run --seed $(or $(SEED),1) --seconds $(SECONDS) \
		--executions $(EXECUTIONS) $(if $(REPLAY),--replay $(REPLAY))

fuzz-values: build-sanitized ## damaged values for the decoder, under the same: EXECUTIONS=10000000
	$(UNDER_SANITIZERS) PYTHONPATH=$(SANITIZED):tests $(PY) tests/fuzzing.py --seed $(or $(SEED),1) \
		$(if $(filter-out 0,$(EXECUTIONS)),--executions $(EXECUTIONS))

profile: build ## where the time of a fold goes
	$(PY) bench/profile_fold.py

wheel: $(INSTALLED) ## a wheel in dist
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## what was built, without .venv
	rm -rf build dist src/*.egg-info src/fastfold/_core*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
	find src tests bench -name __pycache__ -type d -exec rm -rf {} +

clean-venv: clean ## the same and .venv
	rm -rf $(VENV)
