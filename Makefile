# Every target sets up what it needs. `make help` lists them; CI calls the same targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo docs zipapp test fork fuzz mutants lint format bench image e2e rehearsal picture lock clean

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

demo: setup ## run all three steps against the built-in simulator, as GitHub would
	@$(BIN)/python -m tests.tools.demo

test: setup ## run all tests that need no container engine
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto tests
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

fork: setup ## check that a fork with a name of its own passes lint and the tests that read the name
	$(BIN)/pytest --numprocesses=auto tests/fork.py

fuzz: setup ## send thousands of hostile answers; FUZZ_SEED=... repeats a run
	FUZZ_ANSWERS=10500 FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM} \
		$(BIN)/pytest --hypothesis-profile=fuzz --timeout=0 --numprocesses=auto tests/behavior/test_fuzz.py

mutants: setup ## change the code in 220 random places and list the changes that no test notices; takes an hour
	$(BIN)/python -m tests.tools.mutants --count 220 --seed 7

lint: setup ## check style, types, schemas, workflows, scripts and the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m scripts.docs --check
	$(BIN)/complexipy wallarm_fast --max-complexity-allowed 17 --failed --plain
	$(BIN)/shellcheck .ci/run native/run.sh tests/self_test/*.sh
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml */action.yml native/*/action.yml
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

rehearsal: setup ## make releases with a registry and a repository of this machine
	@type cosign docker-buildx docker-registry >/dev/null 2>&1 || $(MAKE) --no-print-directory $(RELEASE_TOOLS)
	$(BIN)/pytest --numprocesses=auto tests/scripts/rehearsal.py

# Debian's packages: installed, or else unpacked here.
RELEASE_TOOLS := .build/release-tools
PLUGINS := usr/libexec/docker/cli-plugins
rehearsal: export PATH := $(PATH):/$(PLUGINS):$(CURDIR)/$(RELEASE_TOOLS)/usr/bin:$(CURDIR)/$(RELEASE_TOOLS)/$(PLUGINS)
$(RELEASE_TOOLS):
	@rm -rf $@.unfinished && mkdir -p $@.unfinished
	@mmdebstrap --quiet --variant=extract --include=cosign,docker-buildx,docker-registry trixie $@.unfinished
	@mv $@.unfinished $@

docs: setup ## generate actions, components and reference from the tables of inputs and outputs
	$(BIN)/python -m scripts.docs

zipapp: setup ## build native/wallarm-fast.pyz, for runners without Docker
	$(BIN)/python scripts/zipapp.py

bench: setup ## compare the step with a minimal script, and its container with a bare one
	$(BIN)/python -m tests.tools.bench
	$(BIN)/python -m tests.e2e bench

picture: setup ## take the pictures of job summaries for the README; needs Chromium on PATH
	$(BIN)/python -m tests.tools.picture

lock: setup ## update requirements*.txt from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --group run -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --group dev -c requirements.txt -o requirements-dev.txt

clean: ## remove everything that git ignores, .venv included, and list it
	git clean -fdX
