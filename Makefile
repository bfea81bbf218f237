# Two commands do everything: `make run` serves, `make test` checks. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIENT_VENV := .venv-client
CLIENT_READY := $(CLIENT_VENV)/.ready
CLIENT_V4_VENV := .venv-client-v4
CLIENT_V4_READY := $(CLIENT_V4_VENV)/.ready
RELEASE_4_PYTHON := 3.10
REFERENCE_VENV := .venv-reference
REFERENCE_READY := $(REFERENCE_VENV)/.ready
SUPPLY_VENV := .venv-supply
SUPPLY_READY := $(SUPPLY_VENV)/.ready
FUZZ_VENV := .venv-fuzz
FUZZ_READY := $(FUZZ_VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install run test client-v4 lint lock supply site sbom wheel sdist bench docs soak machine fuzz kills clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "v6srv needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

install: $(READY) ## Make the virtual environment from the lock file

run: $(READY) ## Serve REST, /apidocs and Socket.IO (HOST, PORT and V6SRV_* are honoured)
	@exec $(BIN)/v6srv start

test: $(READY) $(CLIENT_READY) $(REFERENCE_READY) client-v4 ## Check everything: style, types, house rules, and all tests
	bash tools/services.sh
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(READY) ## Style, types, import contracts and dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/deptry --no-ansi v6srv

$(CLIENT_READY): tests/wire/requirements.lock
	bash tools/python_venv.sh 3.11 $(CLIENT_VENV) $<
	touch $@

$(CLIENT_V4_READY): tests/wire_v4/requirements.lock
	bash tools/python_venv.sh $(RELEASE_4_PYTHON) $(CLIENT_V4_VENV) $<
	touch $@

client-v4:
	@if bash tools/python_venv.sh $(RELEASE_4_PYTHON) >/dev/null; then $(MAKE) --no-print-directory $(CLIENT_V4_READY); \
	else echo "!!! WITHOUT python$(RELEASE_4_PYTHON) THE PROGRAMS OF RELEASE 4.15.2 ARE NOT TESTED: tests/wire_v4 is skipped, and the take-over of 4.x databases" >&2; fi

$(REFERENCE_READY): tests/takeover/requirements.lock
	bash tools/python_venv.sh 3.11 $(REFERENCE_VENV) $<
	touch $@

bench: $(READY) ## Measure beside a bare view of the same rows and the reference (ARGS=--write renews docs/performance.md)
	$(BIN)/python bench/run.py $(ARGS)

docs: $(READY) ## Write the documentation that is generated
	$(BIN)/python tools/generate_docs.py

soak: $(READY) ## What takes longer than a test: many more examples, many connections
	V6SRV_TEST_EXAMPLES=200 $(BIN)/python -m pytest -n 2 tests/authz tests/rights tests/unit_of_work tests/policy/test_diff.py tests/policy/test_explain.py tests/policy/test_export_casbin.py tests/policy/test_some_row.py tests/policy/test_lint.py
	$(BIN)/python -m pytest --ignore tests/soak/test_kills.py tests/soak

machine: $(READY) ## Processes, sockets and a queue that fail in any order: a long search
	bash tools/services.sh
	V6SRV_TEST_MACHINE=2000 $(BIN)/python -m pytest tests/machine

$(FUZZ_READY): requirements-dev.lock tests/fuzz/requirements.lock
	test -x $(FUZZ_VENV)/bin/python || $(PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(FUZZ_VENV)/bin/python -m pip install --quiet --require-hashes -r tests/fuzz/requirements.lock
	$(FUZZ_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

fuzz: $(READY) $(FUZZ_READY) ## Fuzz policy and model files, tokens, bodies and packets (SECONDS=300 each), then both OpenAPI documents
	for target in policy_file model_file token body packet; do \
	  PYTHONPATH=. $(FUZZ_VENV)/bin/python -m tests.fuzz.explore $$target $(or $(SECONDS),300) || exit 1; done
	V6SRV_TEST_FUZZ=100 $(BIN)/python -m pytest -n 2 tests/api/test_fuzz.py

kills: $(READY) ## Kill processes of a server that works, 20 times: nothing acknowledged is lost
	bash tools/services.sh
	$(BIN)/python -m pytest --log-cli-level INFO tests/soak/test_kills.py

$(SUPPLY_READY): tools/requirements.lock
	test -x $(SUPPLY_VENV)/bin/python || $(PYTHON) -m venv $(SUPPLY_VENV)
	$(SUPPLY_VENV)/bin/python -m pip install --quiet --require-hashes -r $<
	touch $@

lock: $(SUPPLY_READY) ## Renew the lock files from pyproject.toml
	bash tools/lock.sh $(SUPPLY_VENV)/bin/uv

supply: $(SUPPLY_READY) ## Ask the registry of what is locked: withdrawn, abandoned, known weaknesses (ARGS=--help)
	$(SUPPLY_VENV)/bin/python tools/supply.py $(ARGS)

site: $(SUPPLY_READY) ## Write build/site: the documentation to read in a browser; a dead link fails
	$(SUPPLY_VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going -c docs -b html . build/site

sbom: $(SUPPLY_READY) ## Write dist/v6srv.cdx.json: what an installation is made of (CycloneDX)
	mkdir -p dist
	$(SUPPLY_VENV)/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --output-format JSON --output-file dist/v6srv.cdx.json requirements.lock

wheel: $(READY) ## Build dist/*.whl of the last commit: the same bytes wherever and whenever
	bash tools/wheel.sh $(BIN)/python dist

sdist: $(READY) ## Build dist/*.tar.gz of the last commit: what pip builds the same wheel from
	bash tools/wheel.sh $(BIN)/python dist sdist

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(CLIENT_VENV) $(CLIENT_V4_VENV) $(REFERENCE_VENV) $(SUPPLY_VENV) $(FUZZ_VENV) build dist *.egg-info
