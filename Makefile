# shipfit: every target with a line each is what `make` prints.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip reads this setting by itself; uv does not.
FIND_LINKS := $(foreach link,$(PIP_FIND_LINKS),--find-links $(link))
# All tests but those of cluster-test, in the two lanes of tests/conftest.py.
ALL_TESTS := --ignore=tests/e2e/cluster --numprocesses=2 --dist=loadscope

.PHONY: help demo cluster-demo cluster-demo-down deploy status rollback undeploy test cluster-test coverage unit integration check lint format docs bench bench-sizing fit-speed precisions lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(VENV)/ready ## the whole loop for real on this machine: plan, quantize, gate, publish, serve, load-test, compare
	@$(BIN)/shipfit demo

deploy: $(VENV)/ready ## take a deployment to its cluster (DEPLOYMENT=FILE; asks, or CONFIRM=yes)
	@$(BIN)/shipfit deploy $(DEPLOYMENT) $(if $(filter yes,$(CONFIRM)),--yes)

status: $(VENV)/ready ## what runs of a deployment (DEPLOYMENT=FILE)
	@$(BIN)/shipfit status $(DEPLOYMENT)

rollback: $(VENV)/ready ## the revision before serves again (DEPLOYMENT=FILE; TO=N: that one; asks, or CONFIRM=yes)
	@$(BIN)/shipfit rollback $(DEPLOYMENT) $(if $(TO),--to $(TO)) $(if $(filter yes,$(CONFIRM)),--yes)

cluster-demo: $(VENV)/ready ## the loop in the cluster that KUBECONFIG names: quantize by KubeRay, publish, deploy, test (IMAGE_LOAD=...)
	@$(BIN)/python -m scripts.cluster_demo

cluster-demo-down: $(VENV)/ready ## remove what cluster-demo left running
	@$(BIN)/python -m scripts.cluster_demo --down

undeploy: $(VENV)/ready ## remove a deployment from its cluster (DEPLOYMENT=FILE; asks, or CONFIRM=yes)
	@$(BIN)/shipfit down $(DEPLOYMENT) $(if $(filter yes,$(CONFIRM)),--yes)

test: $(VENV)/ready ## all tests but those of cluster-test
	$(BIN)/pytest $(ALL_TESTS)

coverage: $(VENV)/ready ## all tests, and which lines they reach
	$(BIN)/pytest $(ALL_TESTS) --cov --cov-report=term

unit: $(VENV)/ready ## the tests that need seconds: no servers, no engines, no network
	$(BIN)/pytest -q tests/unit

integration: $(VENV)/ready ## the tests on real servers and engines
	$(BIN)/pytest $(ALL_TESTS) tests/integration tests/e2e

cluster-test: $(VENV)/ready ## the loop in a cluster, under load, with failures and scaled (KUBECONFIG, IMAGE_LOAD as for cluster-demo)
	$(BIN)/pytest tests/e2e/cluster

check: lint unit ## what every change must pass: lint and unit

lint: $(VENV)/ready ## lint, types, layers, generated documents
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint containers/Containerfile
	$(BIN)/python scripts/reference.py --check
	$(BIN)/python -m benchmarks.sizing --check
	$(BIN)/python -m scripts.precisions --check

format: $(VENV)/ready ## format the code and mend what the linter can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/ready ## write the generated reference pages anew
	$(BIN)/python scripts/reference.py

bench: $(VENV)/ready ## benchmarks, as ratios within one run
	for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark; done
	$(BIN)/python -m benchmarks.sizing

bench-sizing: $(VENV)/ready ## how right the sizing model is; writes docs/accuracy.md (DATA=FOLDER: scores other rows)
	@$(BIN)/python -m benchmarks.sizing $(if $(DATA),--data $(DATA))

fit-speed: $(VENV)/ready ## fit the speed model to measured rows, with cross-validation (DATA=FOLDER: other rows)
	@$(BIN)/python -m scripts.fit_speed $(DATA)

precisions: $(VENV)/ready ## every pipeline of the bundled model, made and asked for real; writes docs/precisions.md
	@$(BIN)/python -m scripts.precisions

lock: $(VENV)/ready ## resolve every lock file anew from versions.txt
	PATH="$(BIN):$$PATH" scripts/lock

clean: ## remove the development environment and what the tools left here (caches of shipfit stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov dist

# The development environment: locked, with hashes, compiled (so that every command starts in well under 300 ms).
$(VENV)/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "shipfit needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make virtual environments; install its venv package (Debian: python3-venv)" >&2; exit 2; }
	@sed -n '/^uv==/,/[^\]$$/p' requirements-dev.lock | $(BIN)/python -m pip install --quiet --require-hashes --requirement /dev/stdin
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode $(FIND_LINKS) requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
