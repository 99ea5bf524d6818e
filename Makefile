# Targets of a checkout. The virtual environment is made by the first target that needs it.
#   make test VENV=DIR       use the environment in DIR (made if missing)
#   make test PYTHON=python3.12   make it with this Python

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin

# Stamps say what is installed where, so that nothing is installed twice. An environment that was last
# installed from another checkout is installed again.
RUN_STAMP := $(VENV)/.vjo-train-run
DEV_STAMP := $(VENV)/.vjo-train-dev
ifneq ($(shell cat $(VENV)/.vjo-train-home 2>/dev/null),$(CURDIR))
$(RUN_STAMP) $(DEV_STAMP): FORCE
endif

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench format clean FORCE

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN_STAMP)  ## train and test on the built-in data set, offline (about three minutes)
	$(BIN)/vjo-train experiment=shapes_demo

test: $(DEV_STAMP)  ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(DEV_STAMP)  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(DEV_STAMP)  ## put the code into the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV_STAMP)  ## measure speed and show the aims (ARGS=--quick: fewer turns, smaller sizes)
	$(BIN)/python scripts/benchmark.py $(ARGS)

clean:  ## remove the environment, caches and build products (runs are kept)
	rm -rf .venv build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e . -c constraints.txt
	@pwd > $(VENV)/.vjo-train-home
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	@pwd > $(VENV)/.vjo-train-home
	@touch $@ $(RUN_STAMP)

FORCE:
