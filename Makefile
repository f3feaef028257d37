# Karman's front door. Every target sets itself up: a machine needs Python 3.11+, Node 20+ (for the tests) and make.

PYTHON ?= python3
PYTEST_ARGS ?= -n auto --dist worksteal
TESTS ?= quick
BENCH_ARGS ?=
SEEDS ?= 10000
FUZZ_ARGS ?= --cases 500 --seed $(shell date +%s)
CDK_ARGS ?=
AUDIT_ARGS ?=
DEV_ARGS ?= examples/document_digest/digest.py

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
PYTHON_STAMP := .venv/.installed
NODE_STAMP := node_modules/.package-lock.json
CODE := $(wildcard core sdk runtime cli functions infra examples tests bench)
UV = $$(command -v uv || echo $(BIN)/uv)
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" --quiet

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(PYTHON_STAMP) ## Run the example graph on the embedded backend, on this machine alone
	@mkdir -p build
	$(BIN)/karman run examples/document_digest/digest.py --input folder=docs --input out=build/digest

.PHONY: dev
dev: $(PYTHON_STAMP) ## Start API, cron and workers in one process, reloading on change
	$(BIN)/karman dev $(DEV_ARGS)

# What is marked slow has its place in CI, which runs all; without it the suite takes less than five minutes.
SELECTION = $(if $(filter all,$(TESTS)),,-m "not slow")

.PHONY: test
test: lint types contracts pytest ## Lint, types, import contracts, then the tests; with TESTS=all the slow ones too

.PHONY: check
check: format-check test ## What a change must pass: format, lint, types, contracts, tests

.PHONY: pytest
pytest: $(PYTHON_STAMP) $(NODE_STAMP) ## Run the tests; fails if tests/domain leaves a branch of the domain out
	@mkdir -p build
	$(BIN)/pytest tests/domain $(PYTEST_ARGS) --cov --cov-report=term --cov-fail-under=100
	$(BIN)/pytest --ignore=tests/domain $(PYTEST_ARGS) $(SELECTION) --durations=10

# Where properties are tested. `make test` draws the same examples each time.
PROPERTIES = $(addprefix tests/,domain sdk aws cli examples security)

.PHONY: fuzz
fuzz: $(PYTHON_STAMP) ## Try the API with many more requests, and properties with other examples, each time new ones
	$(BIN)/python -m tests.api.conformance $(FUZZ_ARGS)
	KARMAN_FUZZ_EXAMPLES=1000 $(BIN)/pytest tests/api/test_fuzz.py --timeout 3600 $(PYTEST_ARGS)
	$(BIN)/pytest $(PROPERTIES) --hypothesis-profile explore --timeout 3600 $(PYTEST_ARGS)

.PHONY: simulate
simulate: $(PYTHON_STAMP) ## Try crashes, duplicates and races: SEEDS histories, every crash point, small ones exhaustively
	$(BIN)/python -m tests.simulation --all --seeds $(SEEDS)

.PHONY: test-aws
test-aws: $(PYTHON_STAMP) $(NODE_STAMP) ## Deploy to an emulated account with the CDK command line, and test what is deployed
	$(BIN)/pytest tests/e2e_aws tests/e2e_docs --durations=10

.PHONY: synth
synth: $(PYTHON_STAMP) $(NODE_STAMP) ## Write the CloudFormation templates to build/cdk.out; needs no network and no account
	node_modules/.bin/cdk synth --quiet --context examples=true --context bundle=false $(CDK_ARGS)

.PHONY: bench
bench: $(PYTHON_STAMP) ## Measure throughput, latency and cost per state
	$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: format
format: $(PYTHON_STAMP) ## Format the code and apply safe fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: format-check
format-check: $(PYTHON_STAMP) ## Fail if the formatter would change something
	$(BIN)/ruff format --check

.PHONY: lint
lint: $(PYTHON_STAMP) ## Check the rules of ruff
	$(BIN)/ruff check

.PHONY: types
types: $(PYTHON_STAMP) ## Check the types (mypy, strict)
	$(BIN)/mypy $(CODE)

.PHONY: contracts
contracts: $(PYTHON_STAMP) ## Check that imports point down (import-linter)
	$(BIN)/lint-imports --cache-dir .cache/import-linter

.PHONY: audit
audit: $(PYTHON_STAMP) ## Ask whether locked dependencies have known vulnerabilities; says where nobody can be asked
	@$(BIN)/python -m tests.security.audit $(AUDIT_ARGS)

.PHONY: sbom
sbom: $(PYTHON_STAMP) ## Write bills of materials (CycloneDX) of functions and wheel to build/sbom
	@$(BIN)/python -m tests.security.sbom build/sbom

.PHONY: setup
setup: $(PYTHON_STAMP) $(NODE_STAMP) ## Install everything into .venv and node_modules

.PHONY: lock
lock: $(PYTHON_STAMP) ## Resolve the dependencies again and write the lock files
	$(COMPILE) --upgrade requirements/bootstrap.in --output-file requirements/bootstrap.txt
	$(COMPILE) --upgrade pyproject.toml --group dev --extra worker --extra server --extra deploy \
		--output-file requirements/dev.txt
	$(COMPILE) --upgrade --constraint requirements/dev.txt infra/karman_infra/bundles/requirements.in \
		--output-file infra/karman_infra/bundles/requirements.txt
	npm update --package-lock-only

.PHONY: clean
clean: ## Remove what builds, runs and tools leave behind, and the environments
	rm -rf .venv node_modules build dist .cache .karman .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# With uv this takes seconds, with pip minutes; so pip installs only uv, from a lock file of its own.
$(PYTHON_STAMP): pyproject.toml requirements/bootstrap.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Karman needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." \
			"Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --requirement requirements/bootstrap.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(NODE_STAMP): package.json package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "The tests need Node 20 or newer with npm." >&2; exit 1; }
	npm ci --loglevel=error
	@touch $@
