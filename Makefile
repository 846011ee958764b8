# Laike: everything a developer runs. `make` alone lists it.
# Must live here: the names of the jobs. Must not: logic (that is in the `laike` commands).

PYTHON ?= $(shell command -v python3.11 2>/dev/null || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SDK    := tests/sdk
UP     ?=
TESTS  ?=

.DEFAULT_GOAL := help
.PHONY: help install up test bench faults check format kafka secrets lock clean

help:  ## list these jobs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(STAMP)  ## the virtual environment .venv, from the lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else "Laike needs Python 3.11, and $(PYTHON) is %d.%d: make install PYTHON=/path/to/python3.11" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time takes a minute or two)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: $(STAMP)  ## a whole shop on this machine, live in the terminal (UP="--for 30s --json")
	@exec $(BIN)/laike up $(UP)

test: $(STAMP) $(VENV)/.sdk  ## every test (TESTS="tests/unit -k cart" for some)
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

# The Segment SDKs that tests/sdk drives; without Node those tests are skipped with their reason.
$(VENV)/.sdk: $(STAMP) $(wildcard $(SDK)/package-lock.json)
	@if test -f $(SDK)/package-lock.json && command -v npm >/dev/null; then \
	  npm ci --prefix $(SDK) --silent --no-audit --no-fund; \
	else echo "no npm here: the tests of the Node SDK will be skipped"; fi
	@touch $@

bench: $(STAMP)  ## how fast, beside plain Faust
	@$(BIN)/laike bench

faults: $(STAMP)  ## a thousand simulated worlds that break, then real processes killed a hundred times
	@$(BIN)/python -m simulator faults --seeds 1000
	@$(BIN)/python -m simulator kills --kills 100

check: $(STAMP)  ## lint, format, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP)  ## put the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

kafka: $(STAMP)  ## a real one-node Kafka in .kafka, for the tests marked kafka (needs Java 17 and Maven)
	@$(BIN)/python -m engine.logs.broker start --dir .kafka/node

secrets:  ## random secrets for docker compose, in .secrets
	@mkdir -p .secrets && chmod 700 .secrets
	@for name in secret redis_password clickhouse_password; do \
	  test -s .secrets/$$name || openssl rand -hex 32 > .secrets/$$name; done
	@printf 'redis://:%s@redis:6379' "$$(cat .secrets/redis_password)" > .secrets/redis_url
	@printf 'http://laike:%s@clickhouse:8123' "$$(cat .secrets/clickhouse_password)" > .secrets/clickhouse_url
	@chmod 644 .secrets/*  # the containers' users read them; the folder itself is closed

lock: $(STAMP)  ## write requirements.lock anew from pyproject.toml
	@$(BIN)/pip-compile --quiet --allow-unsafe --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --strip-extras -o requirements.lock pyproject.toml

clean:  ## forget the environment and every cache (data folders .laike* stay)
	@rm -rf $(VENV) $(SDK)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
