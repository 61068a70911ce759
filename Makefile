# Everything a user or a developer runs. The first target sets up what the others need, and only once.
SHELL := /bin/bash
PYTHON_RANGE := >=3.11,<3.14
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin
READY := .venv/.ready
BENCH := .venv-bench
BARS ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-live test lint check format lock bench bench-scaling bench-live soak clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY) ## Make .venv with the pinned versions.

$(READY): requirements.lock pyproject.toml
	@command -v $(UV) >/dev/null || python3 -m pip install --quiet --disable-pip-version-check --target .tools uv
	@$(UV) venv --quiet --allow-existing --python '$(PYTHON_RANGE)' .venv
	@echo "Installing the pinned packages into .venv (about 1 GB with Freqtrade) ..."
	@VIRTUAL_ENV=.venv $(UV) pip install $$([ -t 2 ] || echo --quiet) --require-hashes -r requirements.lock
	@VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## Run the main job: bars, graph, signals, Freqtrade. BARS=file.csv.gz replays a real file.
	@$(BIN)/quantflow demo $(if $(BARS),--bars $(BARS))

demo-live: $(READY) ## Run the live chain at replay speed: bars stream in, Freqtrade trades at a local venue.
	@$(BIN)/quantflow demo-live $(if $(BARS),--bars $(BARS))

test: $(READY) ## Run all tests on WORKERS processes.
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal

lint: $(READY) ## Check style, types and the direction of imports.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test ## Lint and test.

format: $(READY) ## Put the code into shape.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

PIN := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras \
	--group dev --custom-compile-command 'make lock' pyproject.toml

lock: $(READY) ## Pin the newest versions that fit pyproject.toml, and those of the peers that are measured beside it.
	@$(UV) $(PIN) --upgrade -o requirements.lock
	@$(UV) $(PIN) --upgrade --group bench -o benchmarks/requirements.lock

bench: $(BENCH)/.ready ## Measure all that must be fast beside its peers, as one table; about 15 minutes.
	@$(BENCH)/bin/python benchmarks/table.py

bench-scaling: $(BENCH)/.ready ## Measure how cost grows with symbols and years.
	@$(BENCH)/bin/python benchmarks/bench_scaling.py

bench-live: $(READY) ## Measure the live chain from a bar's close to the order, in wall time; 20 minutes.
	@$(BIN)/python benchmarks/bench_live.py

$(BENCH)/.ready: benchmarks/requirements.lock pyproject.toml $(READY)
	@$(UV) venv --quiet --allow-existing --python '$(PYTHON_RANGE)' $(BENCH)
	@echo "Installing the pinned packages and the peers into $(BENCH) ..."
	@VIRTUAL_ENV=$(BENCH) $(UV) pip install $$([ -t 2 ] || echo --quiet) --require-hashes -r benchmarks/requirements.lock
	@VIRTUAL_ENV=$(BENCH) $(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(BENCH)/.ready

soak: $(READY) ## Run the chain with 20 pairs for half an hour, and watch the monitor's memory and its load on MongoDB.
	@$(BIN)/python benchmarks/soak_monitor.py

clean: ## Remove what the targets made.
	@rm -rf .venv .venv-bench .tools demo-run dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
