# Every chore of the project; `make help` lists them. Needs make, bash and Python 3.11 or newer, nothing else.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= examples/trilepton.yaml
RUN    ?= runs/trilepton

# pip says what it downloads and installs, one line each; errors go to stderr untouched.
PIP  := PYTHONUNBUFFERED=1 $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off -c constraints.txt
SHOW := awk '/^ *(Downloading|Using cached|Installing collected)/ { print "    " substr($$0, 1, 110); fflush() }'

.PHONY: help install search test bench lint clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.stamp-run ## Make .venv with anomalon and PYTHIA, at the versions of constraints.txt
	@echo "==> ready: $(BIN)/anomalon"

search: $(VENV)/.stamp-run ## Install, then search for anomalous trilepton events (a second run continues the first)
	@$(BIN)/anomalon search $(CONFIG) --output $(RUN) --resume

# One thread per process: those of several processes would wait for each other.
test: $(VENV)/.stamp-dev ## Install, then run every test, on up to four cores
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --durations=10 $(ARGS)

bench: $(VENV)/.stamp-dev ## Install, then print the ratios of our speed to that of our peers
	@$(PIP) --group bench | $(SHOW)
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/.stamp-dev ## Check style, formatting and types; report the sizes
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python scripts/size_report.py

clean: ## Remove the environment and the caches; runs/ and stores/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp-venv: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "anomalon needs Python 3.11 or newer;" \
	  "$(PYTHON) is $$($(PYTHON) --version 2>&1 || true). Name another one: make install PYTHON=python3.12" >&2; exit 2; }
	@echo "==> environment: $(VENV), $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip | $(SHOW)
	@touch $@

$(VENV)/.stamp-run: $(VENV)/.stamp-venv pyproject.toml
	@echo "==> anomalon with the extra 'simulate': 1 to 5 minutes the first time"
	@$(PIP) --build-constraint constraints.txt -e '.[simulate,generator,stats,style,tune,onnx]' | $(SHOW)
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run
	@echo "==> test and lint tools"
	@$(PIP) --group test --group lint | $(SHOW)
	@touch $@
