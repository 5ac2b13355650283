# Two commands do everything: `make demo` and `make test`. The environment is made once, in .venv, and made again
# whenever pyproject.toml or constraints.txt change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAKE ?= .cvgl
SUITE ?= quick

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage lowest check docs dist fmt ui bench constraints clean

help: ## list what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make the environment in .venv (a prerequisite of everything else)

$(READY): pyproject.toml constraints.txt
	@echo "==> setting up $(VENV) (once; downloads several GB of packages the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cvgl needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.11 setup" % sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[pipeline,dev,docs]'
	@touch $@

demo: $(READY) ## the whole pipeline on the built-in world, offline, in minutes
	@echo "==> running the whole pipeline on the built-in world (lake: $(LAKE))"
	@$(BIN)/cvgl demo --lake $(LAKE)
	@echo "==> to use the command yourself: source $(BIN)/activate; then: cvgl --help"

test: $(READY) ## the quick tests; SUITE=all adds the slow ones
	@echo "==> running the $(SUITE) tests"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(if $(filter all,$(SUITE)),,-m "not slow")

coverage: $(READY) ## the quick tests once more, with the share of lines and branches that they reach
	@echo "==> running the quick tests under coverage"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not slow" --cov --cov-report=term:skip-covered

lowest: $(READY) ## the quick tests with the oldest packages that pyproject.toml allows, in .venv-lowest
	@echo "==> setting up .venv-lowest and running the quick tests in it"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-lowest
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --editable '.[pipeline,dev]'
	@OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest --numprocesses auto --dist worksteal -m "not slow"

check: $(READY) ## lint, format, types, import contracts, the site
	@echo "==> ruff, mypy --strict, import contracts, the site"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory docs

docs: $(READY) ## the site, into site/: offline, with its links and anchors checked
	@echo "==> building the site"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

dist: $(READY) ## a wheel and an sdist, into dist/
	@echo "==> building the wheel and the sdist"
	@$(BIN)/python -m build --no-isolation --outdir dist .

fmt: $(READY) ## format the code and mend what can be mended
	@echo "==> formatting"
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

ui: $(READY) ## Prefect's and MLflow's pages for the lake
	@echo "==> starting the pages of $(LAKE); Ctrl-C ends them"
	@$(BIN)/cvgl ui --lake $(LAKE)

bench: $(READY) ## speed and memory, as ratios measured in one run
	@echo "==> measuring; figures go to docs/lab-notebook/benchmarks.md"
	@$(BIN)/python -m benchmarks

constraints: $(READY) ## resolve constraints.txt anew from pyproject.toml
	@echo "==> resolving constraints.txt"
	@$(BIN)/uv pip compile pyproject.toml --extra pipeline --extra ray --extra dask --extra heif --extra dev --extra docs --universal --upgrade --no-header --no-annotate --no-emit-index-url -o constraints.txt

clean: ## remove the environment, caches and the demo's lake
	@echo "==> removing $(VENV), caches and $(LAKE)"
	@rm -rf $(VENV) .venv-lowest $(LAKE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist site *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
