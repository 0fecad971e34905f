# Two commands matter: `make demo` and `make test`. Everything else is said in README.md and CONTRIBUTING.md.
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
MANAGE := $(BIN)/python -W ignore manage.py
STAMP := .venv/.installed
PINNED := -r requirements.txt -r requirements-dev.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# How many processes share the tests: two more than there are cores, because browsers and servers keep them waiting.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
# Tests and demo start many processes; each would compile the same modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-reset test test-long install check bench bench-large requirements compliance-matrix mutation

demo: install
	@COUNTERSIGN_DEMO=1 exec $(MANAGE) demo --port $(PORT)

demo-reset: install
	@$(BIN)/python -m portal.embedded destroy
	@$(MAKE) --no-print-directory demo PORT=$(PORT)

test: install
	@$(BIN)/python -m tests.programs
	$(BIN)/python -m pytest -n $(WORKERS) -m "not long"

test-long: install
	@$(BIN)/python -m tests.programs
	$(BIN)/python -m pytest -m long

bench: install
	@$(MANAGE) bench

# The audit view among ten million events, and the four questions: ten minutes or more, and 10 GB of disk.
bench-large: install
	@BENCH_EVENTS=10000000 $(MANAGE) bench audit_scale

install: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt requirements-install.txt
	@test -x $(BIN)/python || { echo "making .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing what requirements.txt and requirements-dev.txt pin"
	@$(PIP) -r requirements-install.txt && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes $(PINNED) \
	  || $(PIP) $(PINNED)
	@touch $(STAMP)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	tools/without_servers.sh $(BIN)/mypy .
	$(BIN)/djlint templates --lint --quiet
	tools/without_servers.sh $(MANAGE) makemigrations --check --dry-run
	$(BIN)/python -m pytest -q tests/test_floors.py tests/test_house.py

# Pin anew from the .in files.
requirements: install
	for set in requirements requirements-dev requirements-install; do $(BIN)/uv pip compile -q --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header $$set.in -o $$set.txt; done

# Which paragraph is held by which test.
compliance-matrix: install
	@$(BIN)/python tools/compliance_matrix.py

# Small faults in trail, identity and signing, and whether the tests see them. What is known already is not run again.
mutation: install
	@$(BIN)/python -m tools.mutation
