# Everything happens inside this checkout: tools in .tools, the environment in .venv, caches in .cache.
# Needs Python 3.11 or later with pip, and make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
ROOT := $(CURDIR)
UV := $(ROOT)/.tools/bin/uv
BIN := $(ROOT)/.venv/bin
STAMP := .venv/.installed

export UV_CACHE_DIR ?= $(ROOT)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
export RUFF_CACHE_DIR := $(ROOT)/.cache/ruff
export MYPY_CACHE_DIR := $(ROOT)/.cache/mypy
# Compiled once at installation; without it, each of the many Airflow processes would compile for itself.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

EXTRAS := --extra s3 --extra media --extra simulator --group dev
DISTRIBUTED_EXTRAS := $(EXTRAS) --group distributed
ALL_EXTRAS := --extra s3 --extra gcs --extra azure --extra media --extra simulator --extra openlineage --group extras

.PHONY: help
help:  ## List the commands.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

# ── Environment ──────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: setup
setup: $(STAMP)  ## Build the environment in .venv.

$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
		--no-cache-dir --target .tools --require-hashes --requirement constraints/uv.txt

$(STAMP): $(UV) constraints/dev.txt pyproject.toml
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode --requirement constraints/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

.PHONY: constraints
constraints: $(UV)  ## Compile the pinned environment anew.
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make constraints" --upgrade $(EXTRAS) pyproject.toml --output-file constraints/dev.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make constraints" --upgrade $(ALL_EXTRAS) pyproject.toml --output-file constraints/extras.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make constraints" --upgrade $(DISTRIBUTED_EXTRAS) pyproject.toml \
		--output-file constraints/distributed.txt
	echo uv | $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make constraints" --upgrade - --output-file constraints/uv.txt

# ── Try it ───────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: demo
demo: setup  ## Run the example DAG on real Airflow against the simulator; ends with an MP4.
	$(BIN)/python scripts/demo.py

.PHONY: standalone
standalone: setup  ## Start Airflow with everything in place; open the UI and press play. Ctrl-C ends it.
	$(BIN)/python scripts/standalone.py

# ── Check it ─────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: test
test: setup  ## Run the test suite, but for what needs the extras of make test-extras.
	$(BIN)/python -m pytest --ignore tests/stores --ignore tests/plugins/browser $(PYTEST_ARGS)

.PHONY: check
check: lint types layers workflows docs  ## Lint, types, layers, workflows, docs.

.PHONY: lint
lint: setup  ## ruff: rules and format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: setup  ## Let ruff write.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: setup  ## mypy, strict.
	$(BIN)/mypy

.PHONY: layers
layers: setup  ## import-linter: who may import whom.
	$(BIN)/lint-imports --cache-dir .cache/import_linter

.PHONY: workflows
workflows: setup  ## zizmor: what is unsafe in the workflows of .github, as far as it shows without the network.
	$(BIN)/zizmor --offline --quiet --no-progress --persona=pedantic .github/workflows

.PHONY: docs
docs: setup  ## Build the documentation into docs/_build/html; warnings are errors.
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

.PHONY: audit
audit: setup  ## pip-audit: known vulnerabilities in the pinned environment; needs PyPI's or OSV's advisories.
	$(BIN)/pip-audit --strict --requirement constraints/dev.txt --require-hashes --disable-pip --progress-spinner off

.PHONY: dist
dist: setup  ## Build sdist and wheel (out of the sdist) into dist, and check both.
	@rm -rf dist
	$(UV) build --quiet --python $(BIN)/python --out-dir dist
	$(BIN)/twine check --strict dist/*.tar.gz dist/*.whl
	$(BIN)/check-wheel-contents dist/*.whl

.PHONY: matrix
matrix: setup  ## The built wheel on every Airflow and Python; CELLS="airflow3.1-*" for a part, ARGS=--list for the names.
	$(BIN)/python scripts/matrix.py $(ARGS) $(CELLS)

.PHONY: mutation
mutation: setup  ## mutmut: change the code that decides over money, and see whether a test notices; MUTANTS="…decision*" for a part.
	$(BIN)/mutmut run --max-children 1 $(MUTANTS)  # more would share one throw-away AIRFLOW_HOME
	$(BIN)/mutmut results

.PHONY: chaos
chaos: setup  ## Break a real deployment in every way of the runbook's table, and print what was paid.
	ORVIDEO_CHAOS=full $(BIN)/python -m pytest -q -s tests/chaos

.PHONY: mapped
mapped: setup  ## 200 mapped videos on a real deployment: a pool, a budget, and what was paid.
	ORVIDEO_MAPPED=200 $(BIN)/python -m pytest -q -s tests/e2e/test_mapped.py

# Google's provider alone weighs more than a gigabyte, so what needs it has an environment of its own.
EXTRAS_STAMP := .venv-extras/.installed
$(EXTRAS_STAMP): $(UV) constraints/extras.txt pyproject.toml
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-extras
	$(UV) pip install --quiet --python .venv-extras/bin/python --require-hashes --compile-bytecode \
		--requirement constraints/extras.txt
	$(UV) pip install --quiet --python .venv-extras/bin/python --no-deps --no-build-isolation --editable .
	@touch $(EXTRAS_STAMP)

# The last version that runs on Node.js 20.
AZURITE_VERSION := 3.35.0
AZURITE := .tools/azurite/.version-$(AZURITE_VERSION)
$(AZURITE):
	@command -v npm >/dev/null || { echo "npm is missing, and Azure Blob is tested on Azurite: install nodejs and npm." >&2; exit 1; }
	@rm -rf .tools/azurite && mkdir -p .tools/azurite && echo '{"private": true}' > .tools/azurite/package.json
	@npm install --prefix .tools/azurite --cache .cache/npm --no-package-lock --no-audit --no-fund --ignore-scripts \
		--loglevel=error azurite@$(AZURITE_VERSION) >/dev/null
	@touch $(AZURITE)

.PHONY: test-extras
test-extras: $(EXTRAS_STAMP) $(AZURITE)  ## Landing on S3, Azure Blob, Google Cloud Storage and this machine; OpenLineage.
	ORVIDEO_EXTRAS=all .venv-extras/bin/python -m pytest tests/stores tests/airflow_side/test_download_lineage.py tests/batch/test_batch_lineage.py $(PYTEST_ARGS)

# Celery, PostgreSQL and Redis have nothing to do in the environment that everything else is checked in.
DISTRIBUTED_STAMP := .venv-distributed/.installed
DISTRIBUTED_BIN := $(ROOT)/.venv-distributed/bin
$(DISTRIBUTED_STAMP): $(UV) constraints/distributed.txt pyproject.toml
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-distributed
	$(UV) pip install --quiet --python $(DISTRIBUTED_BIN)/python --require-hashes --compile-bytecode \
		--requirement constraints/distributed.txt
	$(UV) pip install --quiet --python $(DISTRIBUTED_BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(DISTRIBUTED_STAMP)

.PHONY: distributed-setup
distributed-setup: $(DISTRIBUTED_STAMP)
	@$(DISTRIBUTED_BIN)/python scripts/local_services.py

# A private world of processes, mounts and networks, in which each host can have its own; it ends with the command.
APART := unshare --net --mount --pid --fork --kill-child --mount-proc

.PHONY: distributed
distributed: distributed-setup  ## The examples on two workers and two triggerers, which are lost on the way; about 4 minutes.
	@if [ "$$(id -u)" = 0 ] && command -v ip >/dev/null && $(APART) true 2>/dev/null; then \
		$(APART) env ORVIDEO_DISTRIBUTED=namespaces $(DISTRIBUTED_BIN)/python -m pytest -q -s tests/distributed $(PYTEST_ARGS); \
	else \
		ORVIDEO_DISTRIBUTED=folders $(DISTRIBUTED_BIN)/python -m pytest -q -s tests/distributed $(PYTEST_ARGS); \
	fi

.PHONY: soak
soak: distributed-setup  ## N=2000 videos while calls fail and processes die; ends after DURATION=25 minutes at the latest.
	$(DISTRIBUTED_BIN)/python scripts/soak.py --videos $(or $(N),2000) --minutes $(or $(DURATION),25) \
		--kill-every $(or $(KILL),60) $(SOAK_ARGS)

.PHONY: browser
browser: setup  ## The UI's pages in a real Chromium, on real Airflow; needs Debian's chromium.
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y chromium >/dev/null; } \
		|| { echo "Chromium is missing: apt-get install chromium" >&2; exit 1; }
	ORVIDEO_BROWSER=all $(BIN)/python -m pytest tests/plugins/browser $(PYTEST_ARGS)

.PHONY: screenshots
screenshots: setup  ## Make the pictures in docs/images anew.
	$(BIN)/python scripts/screenshots.py

empty :=
space := $(empty) $(empty)
comma := ,
PURE := $(subst $(space),$(comma),$(addprefix airflow_provider_orvideo/,preflight/* polling/decision.py \
	$(addprefix ledger/,$(addsuffix .py,record decision policies fingerprint fallback reasons budget_account)) \
	landing/naming.py landing/expect.py inputs/written.py inputs/kinds.py inputs/address.py webhooks.py manifests.py))

.PHONY: coverage
coverage: setup  ## The test suite with branch coverage: 95 % of everything, 100 % of what decides without I/O.
	$(BIN)/coverage run -m pytest --ignore tests/stores --ignore tests/plugins/browser $(PYTEST_ARGS)
	$(BIN)/coverage report
	$(BIN)/coverage report --fail-under=100 --include="$(PURE)"

# ── Measure it ───────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: bench-import
bench-import: setup  ## What importing the operators costs, next to other providers.
	$(BIN)/python benchmarks/bench_import.py

.PHONY: bench-pay-once
bench-pay-once: setup  ## Paid requests under the same faults: the official SDK and this provider.
	$(BIN)/python benchmarks/bench_pay_once.py

.PHONY: bench-polling
bench-polling: setup  ## What waiting costs one event loop; PRESET=1000x10, 5000x10, 10000x30 or quick.
	$(BIN)/python -m benchmarks.bench_polling --preset $(or $(PRESET),1000x10)

.PHONY: bench-schedule
bench-schedule: setup  ## The schedule that expects against fixed intervals, simulated.
	$(BIN)/python -m benchmarks.bench_schedule

.PHONY: bench-throttle
bench-throttle: setup  ## A server that answers 429 above 100 requests per second.
	$(BIN)/python -m benchmarks.bench_throttle

.PHONY: bench-triggerer
bench-triggerer: setup  ## N=1000 deferred tasks in a real triggerer, which is then killed and started again.
	$(BIN)/python -m benchmarks.bench_triggerer --jobs $(or $(N),1000)
	$(BIN)/python -m benchmarks.bench_triggerer --jobs $(or $(N),1000) --restart

.PHONY: bench-download
bench-download: setup  ## A landing of 512 MB to a file and to S3, next to curl, boto3 and the official SDK.
	$(BIN)/python -m benchmarks.bench_download

.PHONY: clean
clean:  ## Remove everything that the commands above made.
	rm -rf .venv .venv-extras .venv-distributed .venv-matrix mutants .tools .cache .demo .standalone build dist docs/_build
