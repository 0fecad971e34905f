# Two commands matter: `make demo` and `make test`. Everything else is said in README.md and CONTRIBUTING.md.
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
MANAGE := $(BIN)/python -W ignore manage.py
STAMP := .venv/.installed
# Tests that are slow by nature, and how many workers share the others.
WORKERS ?= auto

.PHONY: demo demo-reset test test-long install check bench requirements

demo: install
	@COUNTERSIGN_DEMO=1 exec $(MANAGE) demo --port $(PORT)

demo-reset: install
	@$(BIN)/python -m portal.embedded destroy
	@$(MAKE) --no-print-directory demo PORT=$(PORT)

test: install
	@$(BIN)/python -m tests.chromium
	$(BIN)/python -m pytest -n $(WORKERS) -m "not long"

test-long: install
	@$(BIN)/python -m tests.chromium
	$(BIN)/python -m pytest -m long

bench: install
	@$(MANAGE) bench

install: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt
	@test -x $(BIN)/python || { echo "making .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing what requirements.txt and requirements-dev.txt pin"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
	@touch $(STAMP)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	$(BIN)/mypy .
	$(BIN)/djlint templates --lint --quiet
	$(MANAGE) makemigrations --check --dry-run
	$(BIN)/python -m pytest -q tests/test_floors.py tests/test_house.py

# Pin anew from the .in files; needs uv (pip install uv).
requirements:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements.in -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements-dev.in -o requirements-dev.txt
