# Everything a fresh machine needs: make and Python 3.11 or newer. `make run` and `make test` set up on their own.
# Another interpreter: `make PYTHON=/path/to/python3.12 setup`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCENARIO ?= scenarios/tocilizumab_timing.yaml
OUT ?=
PYTEST_WORKERS ?= 2

# The first interpreter on the path that is new enough; plain python3 if none is, so that the check can say so.
FIND_PYTHON = for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && exit; done; echo python3
PYTHON ?= $(shell $(FIND_PYTHON))

.DEFAULT_GOAL := help
.PHONY: help setup run test verify bench lint format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## .venv with everything the lock names, and cartsim itself

$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "cartsim needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1 || true)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 setup" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Could not make $(VENV). On Debian and Ubuntu the venv module is a package of its own: python3-venv." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## the main scenario into results/<its id> (SCENARIO=..., OUT=... for another)
	$(BIN)/cartsim run $(SCENARIO) $(if $(OUT),--out $(OUT))

test: lint ## lint, types and every fast test
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) -m "not verify"

verify: setup ## slow tests: closed forms, other packages, published figures
	$(BIN)/python -m pytest -m verify

bench: setup ## speed, memory and scaling, against the same pathway in plain SimPy
	$(BIN)/python -m benchmarks

lint: setup ## style and layout only
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

format: setup ## lay out the code and mend what ruff can mend
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

# Only making the lock needs uv; it gets an environment of its own and the lock names no package index.
lock: ## resolve the newest versions again into requirements.lock
	"$(PYTHON)" -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --extra dev --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  pyproject.toml --output-file requirements.lock
	rm -rf $(VENV)-lock

clean: ## remove the environment and caches, keep results
	rm -rf $(VENV) $(VENV)-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
