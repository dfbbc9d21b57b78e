# `make demo` trains the demo and `make test` tests everything fast; both need only Python >= 3.11, make and a registry.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Folders that `make test` leaves out, because something else has run them: make test WITHOUT=tests/faults
WITHOUT ?=
# Tests run side by side in processes, so that more threads in each would only be in each other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-engine faults smoke lint bench reference docs clean

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 14

setup: $(STAMP)  ## create .venv and install the project with its tools (PYTHON=python3.12 to choose one)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.12 setup")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: setup  ## train on simulated recordings: under two minutes of training, then a report
	$(BIN)/visioncore train configs/demo.yaml

test: setup  ## all tests that are not slow
	$(PYTEST) -n 2 -m "not slow" $(addprefix --ignore=,$(WITHOUT))

faults: setup  ## do to trainings whatever may happen to them: the tables of docs/reliability.md
	$(PYTEST) -n 2 tests/faults

test-all: setup  ## all tests, with ten times as many mutated files
	VISIONCORE_FUZZ=all $(PYTEST) -n 2 --cov=visioncore_engine --cov-report=term:skip-covered --cov-fail-under=90

test-engine: setup  ## the engine's own tests in a copy of the tree without any plugin, and how much of it they cover
	.ci/test-engine $(BIN)/python

smoke: setup  ## what is slow and a reader would do: train every run file for two steps, follow every page
	$(PYTEST) -n 2 -m 'slow and not rest' tests/configs tests/docs tests/example_lab tests/new_plugin

lint: setup  ## style, types and the order of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## measure the rows of docs/performance.md, beside the stored figures: ten minutes
	$(BIN)/python benchmarks/suite.py

reference: setup  ## write the pages again that are made from the code: components and errors
	$(BIN)/visioncore reference docs/components --only visioncore_common --only visioncore_neural
	$(BIN)/python tests/support/catalogue.py

docs: setup  ## run every command, run file and snippet of the documentation
	$(PYTEST) tests/docs

clean:  ## remove what tools and builds leave; runs stay
	rm -rf .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
