# `make` alone lists the targets. Everything lives in .venv and is installed once: a stamp
# file says for which requirements, and only a change of these installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TRAINERS := .venv-trainers
TRAINERS_PIP := $(TRAINERS)/bin/python -m pip install --quiet --disable-pip-version-check
REQUIREMENTS := pyproject.toml trainer_client/pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-trainers test-container coverage mutants check format docs \
  reward-diff bench soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(REQUIREMENTS) | $(BIN)/python
	@echo "Installing the service and the trainer into $(VENV) (some minutes, once) ..."
	$(PIP) --editable . --editable './trainer_client[train]'
	@touch $@

$(VENV)/.dev: $(REQUIREMENTS) | $(BIN)/python
	@echo "Installing the development tools into $(VENV) (some minutes, once) ..."
	$(PIP) --editable '.[dev]' --editable './trainer_client[train]'
	@touch $@ $(VENV)/.demo

# A virtual environment of its own: PyPI has another package that is called `verifiers`.
$(TRAINERS)/.ready: $(wildcard tests/trainers/*.txt) trainer_client/pyproject.toml
	@echo "Installing the trainers into $(TRAINERS) (some gigabytes, once) ..."
	$(PYTHON) -m venv $(TRAINERS)
	$(TRAINERS_PIP) --constraint tests/trainers/constraints.txt --requirement tests/trainers/requirements.txt
	$(TRAINERS_PIP) --no-deps --ignore-requires-python --requirement tests/trainers/no_deps.txt --editable ./trainer_client
	@touch $@

demo: $(VENV)/.demo ## train a policy on rewards served over HTTP (two minutes on a laptop)
	$(BIN)/assay-trainer demo

test: check ## run every test (and the checks)
	$(BIN)/python -m pytest

test-fast: $(VENV)/.dev ## run the tests that take no seconds each (under three minutes)
	$(BIN)/python -m pytest -m "not slow"

# Apart from `test`: on this code, measuring more than doubles the processor time.
coverage: $(VENV)/.dev ## run every test and gate the branches that they cover
	$(BIN)/python -m pytest --cov

mutants: $(VENV)/.dev ## list the faults in pure modules that no test notices (an hour; MODULE=... for one)
	$(BIN)/python -m benchmarks.mutants $(MODULE)

test-trainers: $(TRAINERS)/.ready $(VENV)/.demo ## run the adapters inside TRL, verl, verifiers ...
	$(TRAINERS)/bin/python -P -m pytest -c tests/trainers/pytest.ini tests/trainers

test-container: $(VENV)/.dev ## run the image, where there is docker or podman, and attack it
	$(BIN)/python -m tests.container

check: $(VENV)/.dev ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## rewrite the sources as the checks want them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reward-diff: $(VENV)/.dev ## what is rewarded otherwise than at BASE (default: the last release)
	$(BIN)/python -m benchmarks.reward_diff $(if $(BASE),--base $(BASE))

docs: $(VENV)/.dev ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(VENV)/.dev ## measure everything the README claims; writes benchmarks/results/
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(DATA))

soak: $(VENV)/.dev ## run programs for long, and far too many (five minutes)
	$(BIN)/python -m benchmarks code_soak

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) $(TRAINERS) site .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	  .import_linter_cache
