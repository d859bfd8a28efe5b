# Two commands do everything on a machine with Python 3.11, git and make: `make run` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := .venv-tools
PEERS := .venv-bench
METRICS := .venv-metrics
STACK := $(BIN)/python -m kpi_warehouse.airflow.stack
export GX_ANALYTICS_ENABLED := false
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
# Certificates that the machine trusts, as pip does: behind a proxy that opens TLS, as in many offices, uv's own list fails.
export UV_SYSTEM_CERTS := 1
# Set in many containers; then each of the many processes here would compile all that it imports once more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run up down status clean test nightly check check-types check-sql check-contracts check-lint metrics bench faults trust fuzz lock install
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run:  ## the main job, from a fresh clone: set up, load every feed, build the marts, print the board
	@KPI_RUN_STARTED=$$(date +%s.%N) bash -c '$(MAKE) --no-print-directory install && $(STACK) run'

up: install  ## the same, left running (Airflow UI)
	@$(STACK) up

down: install  ## stop what `make up` started
	@$(STACK) down

status: install  ## what is running
	@$(STACK) status

clean:  ## remove what the project made here: its state, environments and caches
	@if [ -x $(BIN)/python ]; then $(STACK) clean; fi
	@rm -rf $(VENV) $(TOOLS) $(PEERS) $(METRICS) *.egg-info plugins/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

test: install check  ## everything CI runs
	@$(BIN)/python -m pytest tests

nightly: install  ## what takes longer: every cause of an alert in a standing stack, campaigns, damaged files, metrics
	@$(BIN)/python -m pytest tests -m nightly --numprocesses 0
	@KPI_TEST_RANDOM=yes $(BIN)/python -m pytest tests -m hypothesis
	@$(MAKE) --no-print-directory faults fuzz metrics

check: install $(TOOLS)/.installed  ## contracts, generated files, lint, types: seconds
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-sql check-contracts check-lint

check-types:
	@$(BIN)/mypy

check-sql:
	@$(TOOLS)/bin/sqlfluff lint --disable-progress-bar dbt_project

check-contracts:
	@$(BIN)/kpi feed check
	@$(BIN)/kpi marts columns

# The lock leaves one dependency of dbt-core out (pyproject.toml); anything else that is missing or does not fit is a fault.
check-lint:
	@! $(BIN)/uv pip check --python $(BIN)/python 2>&1 | grep '^The package' | grep -v 'requires `dbt-core-experimental-parser'
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/yamllint --strict -c tests/yamllint.yaml .
	@$(BIN)/hadolint docker/Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

metrics: install $(METRICS)/.installed  ## MetricFlow on a built warehouse: the metrics are valid and give the marts' numbers
	@METRICFLOW=$(CURDIR)/$(METRICS)/bin $(BIN)/python -m pytest tests/dbt/metrics_check.py -q --numprocesses 0

bench: install $(PEERS)/.installed  ## load path, files and marts against psql \copy and its like, pandas and dlt, as ratios; a DAG run in seconds
	@missed=0; for part in tests.bench tests.bench.files tests.bench.marts tests.bench.scheduled; do $(BIN)/python -W ignore -m $$part || missed=1; done; exit $$missed

faults: install  ## the fault campaign: no failed load may be lost or told twice (docs/reliability.md)
	@$(BIN)/python -W ignore tests/alerts/campaign.py --failures 240

trust: install  ## every plausible lie and every true month against the gate (docs/reliability.md); minutes
	@$(BIN)/python -m pytest tests/trust -m "" -q -s --numprocesses 0 --show-capture=no

fuzz: install  ## 100,000 damaged files against the readers: each is read or refused with its reason; minutes
	@FUZZ_FILES=14300 $(BIN)/python -m pytest tests/faults/test_hostile_files.py -k mutant -m "" -q --numprocesses 0

lock: install  ## compile requirements.in into requirements.txt, with hashes
	@$(BIN)/uv pip compile --quiet --upgrade requirements.in -o requirements.txt --generate-hashes --python-version 3.11 --no-annotate --custom-compile-command 'make lock'
	@for name in tests/requirements tests/sqlfluff tests/metricflow tests/bench/requirements; do $(BIN)/uv pip compile --quiet --upgrade $$name.in -o $$name.txt --generate-hashes --python-version 3.11 --no-annotate --custom-compile-command 'make lock'; done

install: $(STAMP)

# uv installs this environment in seconds where pip takes minutes; it comes from the same index as everything else.
$(STAMP): requirements.txt tests/requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 が必要です（PYTHON=… で指定できます）"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep -m1 '^uv==' tests/requirements.txt | tr -d ' \\')"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.txt tests/requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# sqlfluff's own pins would drag dbt's environment back, so it lives in one of its own.
$(TOOLS)/.installed: tests/sqlfluff.txt
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(BIN)/uv pip install --quiet --python $(TOOLS)/bin/python --require-hashes -r tests/sqlfluff.txt
	@touch $@

# MetricFlow brings a dbt of its own and is used by nothing that runs here.
$(METRICS)/.installed: tests/metricflow.txt
	@test -x $(METRICS)/bin/python || $(PYTHON) -m venv $(METRICS)
	@$(BIN)/uv pip sync --quiet --python $(METRICS)/bin/python --require-hashes tests/metricflow.txt
	@touch $@

$(PEERS)/.installed: tests/bench/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --require-hashes -r tests/bench/requirements.txt
	@touch $@
