# The commands people type. Each sets up what it needs: a .venv, made by the standard library, with the pinned versions.
#
#   make demo ARGS="--duration 120 --no-dashboard --json out.json"
#   make test
#
# uv is used when it is on PATH, pip otherwise; a step runs again when pyproject.toml or constraints.txt changed.

SHELL := /bin/bash
unexport PYTHONDONTWRITEBYTECODE  # compiled once, not in each of hundreds of processes
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
ARGS ?=
RUFF := $(BIN)/ruff check . && $(BIN)/ruff format --check .

.DEFAULT_GOAL := help
.PHONY: help install demo drill test fuzz lint format otelcol bench bench-ingest bench-sdk bench-detect bench-recorder sdk-comparison soak kill-test eval screenshots clean

help: ## what can be typed here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@set -e; found=""; \
	for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make: paramedic needs Python 3.11 or newer, found $$(python3 --version 2>&1 || true); install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	  echo "make: $$found has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "make: a new $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV)

# $(1) is an extra of pyproject.toml.
define install
	@echo "make: installing paramedic[$(1)] into $(VENV)"
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(1)]'; \
	else \
	  $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(1)]'; \
	fi
	@echo "make: compiling the collector for this machine, which happens once and takes about half a minute"
	@$(BIN)/python -m paramedic_collector.warm_up
endef

# `dev` holds all of `demo`, so whoever has the first is not asked to install the second.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,demo)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,dev)
	@touch $(VENV)/.demo $@

install: $(VENV)/.dev ## set up .venv with everything, tests and linters too

demo: $(VENV)/.demo ## hurt a real bot three ways and watch it be treated; ARGS="--duration 120 --no-dashboard --json out.json"
	@$(BIN)/paramedic demo $(ARGS)

drill: $(VENV)/.demo ## scenarios against real processes; ARGS="demo --compare --json out.json"
	@$(BIN)/paramedic drill $(ARGS)

test: $(VENV)/.dev ## lint, then every test; ARGS="tests/cli -k scorecard" for some
	@if [ -n "$(ARGS)" ]; then $(MAKE) --no-print-directory lint && $(BIN)/python -m pytest $(ARGS); exit; fi; \
	$(RUFF) || exit; \
	$(BIN)/mypy & types=$$!; \
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow"; tests=$$?; \
	wait $$types || exit; [ $$tests = 0 ] || exit $$tests; \
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow $$(grep -rl --include="test_*.py" "mark\.slow" tests)

kill-test: $(VENV)/.dev ## kill -9 a collector under load, twenty times, and count exactly
	@PARAMEDIC_KILLS=20 $(BIN)/python -m pytest tests/test_collector_killed.py $(ARGS)

lint: $(VENV)/.dev ## ruff and mypy --strict
	@$(RUFF)
	@$(BIN)/mypy

format: $(VENV)/.dev ## let ruff put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

fuzz: $(VENV)/.dev ## whatever bytes against the collector; ARGS="60" for sixty times as many as in the tests
	@PARAMEDIC_FUZZ_TIMES=$(or $(ARGS),20) $(BIN)/python -m pytest -q --timeout 3600 tests/collector/test_collector_fuzz.py tests/collector/test_collector_fuzz_live.py

otelcol: $(BIN)/python ## build the OpenTelemetry Collector that tests and bench-ingest compare with, into build/otelcol
	@deploy/otelcol/build.sh $(BIN)/python

bench: bench-ingest bench-sdk bench-detect ## all three benchmarks

bench-ingest: otelcol
bench-ingest bench-sdk bench-detect bench-recorder: $(VENV)/.dev ## one benchmark: a table, and build/bench/NAME.json
	@if [ -f benchmarks/$(subst -,_,$@).py ]; then $(BIN)/python benchmarks/$(subst -,_,$@).py $(ARGS); \
	else echo "make: benchmarks/$(subst -,_,$@).py is not part of this version; nothing was measured" >&2; exit 1; fi

# The libraries that the SDK is compared with live apart from ours, which shows too that the SDK needs nothing but OpenTelemetry.
PEERS := .venv-peers
$(PEERS)/.made: benchmarks/peers.txt pyproject.toml | $(BIN)/python
	@echo "make: installing the libraries to compare with into $(PEERS), about 300 MB"
	@[ -x $(PEERS)/bin/python ] || $(BIN)/python -m venv $(PEERS)
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(PEERS)/bin/python --no-deps -r benchmarks/peers.txt && \
	  uv pip install --quiet --python $(PEERS)/bin/python -e .; \
	else \
	  $(PEERS)/bin/python -m pip install --quiet --no-deps -r benchmarks/peers.txt && \
	  $(PEERS)/bin/python -m pip install --quiet -e .; \
	fi
	@touch $@

bench-sdk: $(PEERS)/.made

sdk-comparison: $(VENV)/.dev $(PEERS)/.made ## the same bad days for the SDK and for other libraries; writes docs/sdk-comparison.md
	@$(BIN)/python benchmarks/sdk_behaviour.py $(ARGS)

soak: $(VENV)/.dev ## a million calls of all kinds through the SDK, and what memory they leave; ARGS="100000" for fewer
	@$(BIN)/python benchmarks/soak_sdk.py $(ARGS)

DATA ?= ../shared/data
eval: $(VENV)/.dev ## replay recorded data sets and write docs/accuracy.md; DATA=FOLDER of sets, or ARGS="DATASET --json out.json"
	@if [ -n "$(ARGS)" ]; then $(BIN)/paramedic eval $(ARGS); exit; fi; \
	sets=$$(ls -d $(DATA)/*/faults.csv 2>/dev/null | xargs -r -n 1 dirname); \
	if [ -z "$$sets" ]; then echo "make: no folder in DATA=$(DATA) has a faults.csv; name one: make eval DATA=/path/to/sets" >&2; exit 1; fi; \
	mkdir -p build && $(BIN)/paramedic eval $$sets --page docs/accuracy.md --json build/accuracy.json

screenshots: $(VENV)/.dev ## pictures of the dashboard for the documentation, out of a real run
	@$(BIN)/python docs/screenshots.py $(ARGS)

clean: ## remove the .venv and everything that was built
	rm -rf $(VENV) $(PEERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
