# Every target sets up what it needs. `make help` lists them; CI calls the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test lint format bench image e2e lock clean

help: ## list the targets
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | expand -t 10

setup: $(VENV)/.locked ## create .venv with the locked tools

$(VENV)/.locked: requirements-dev.txt
	@echo 'Setting up $(VENV), once'
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=/path/to/python3" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--requirement <(sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.txt
	@touch $@

demo: setup ## run the step against the built-in simulator, as GitHub would
	@$(BIN)/python -m tests.demo

test: setup ## run all tests but the ones that need a container engine
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto tests
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: setup ## check style, types, schemas, workflows and the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy scripts/pin_image.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/hadolint Dockerfile tests/e2e/*/Dockerfile
	$(BIN)/zizmor --quiet --offline .

format: setup ## rewrite the code in the project's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

image: setup ## build the image; PYTHON_IMAGE=... chooses another base
	$(BIN)/python -m tests.e2e image

e2e: setup ## test the image in real runners; needs a container engine
	$(BIN)/python -m tests.e2e test

bench: setup ## time the step beside a minimal script, and its container beside a bare one
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.e2e bench

lock: setup ## renew requirements*.txt from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean: ## remove everything that is not in git
	git clean -fdXq
