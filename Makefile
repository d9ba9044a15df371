# `make demo` and `make test` need Python >= 3.11, make, git and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
HAS_PIP := $(VENV)/bin/python -m pip --version >/dev/null 2>&1

# DVC runs every stage through the shell, so the programs of .venv come first.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Trainings that run at the same time; each takes one core (docs/training.md).
JOBS ?= $(or $(C2VL_WORKERS),$(shell getconf _NPROCESSORS_ONLN))

TEST_JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); [ $$n -gt 4 ] && echo 4 || echo $$n)  # each takes up to 2 GB
# One process runs all tests of a file: they share set-up. tests/conftest.py orders the files.
IN_PARALLEL = -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install demo encoders test recipes lint coverage docs engines groundingdino compare ablations study clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  (make demo PYTHON=python3.12 chooses the interpreter; c2vl --help tells more)'

install: $(STAMP)  ## Create .venv and install into it what constraints.txt pins

$(STAMP): pyproject.toml constraints.txt
	@$(HAS_PIP) || rm -rf $(VENV)
	@command -v $(PYTHON) >/dev/null || { echo "There is no '$(PYTHON)'; name a Python >= 3.11: make $(MAKECMDGOALS) PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "'$(PYTHON)' is older than 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV) && $(HAS_PIP) || { rm -rf $(VENV); \
	  echo "'$(PYTHON)' cannot create a virtual environment with pip, so $(VENV) was removed."; \
	  echo "On Debian or Ubuntu: sudo apt install $(notdir $(PYTHON))-venv"; \
	  echo "Then run again: make $(MAKECMDGOALS)"; exit 1; }
	$(INSTALL) -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## Run the whole pipeline on the synthetic world; print timings, metrics and the report's path
	@c2vl profile --require demo
	@git rev-parse --git-dir >/dev/null 2>&1 || dvc config --local core.no_scm true
	@$(MAKE) --no-print-directory encoders
	dvc repro
	@echo && c2vl timings && echo && c2vl metrics

encoders: $(STAMP)  ## Train all encoders, JOBS at once (default: one per core; on a GPU, as many as fit)
	dvc repro skeleton embed video_skeleton
	@dvc stage list --name-only | grep -E '^(baselines|pretrain)@' | sort | xargs -n 1 -P $(JOBS) dvc --wait-for-lock repro -q -s

test: lint  ## Lint, types, and all tests in parallel (with one small run of the whole pipeline)
	python -m pytest $(IN_PARALLEL)

recipes: $(STAMP)  ## Run every documented recipe on a few clips, slow model types, gpu.sh
	python -m pytest -m recipes tests/pipeline tests/prompts tests/bench

lint: $(STAMP)  ## Style, types, and which room may import which: ruff, mypy, import-linter
	ruff check .
	ruff format --check .
	mypy
	lint-imports

coverage: $(STAMP)  ## All tests, and the lines of c2vl they run: a table, and htmlcov/index.html
	python -m pytest $(IN_PARALLEL) --cov --cov-report=term --cov-report=html

docs: $(VENV)/.docs  ## Build the docs site with its API pages: site/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo site/index.html

$(VENV)/.docs: $(STAMP)
	$(INSTALL) -e '.[dev,docs]'
	@touch $@

engines: $(STAMP)  ## Train the shipped tiny engines again (an hour or more on 2 cores)
	python -m c2vl.studio.engines

groundingdino:  ## Create .venv-groundingdino for the original detector (docs/engines.md)
	$(PYTHON) -m venv .venv-groundingdino
	.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/groundingdino.txt

compare: $(STAMP)  ## Compare C2VL and its baselines over 5 seeds; also in the report
	@c2vl profile --require demo
	dvc repro
	python stages/compare.py
	dvc repro -f -s report

ablations: $(STAMP)  ## Run the sweeps of ablations.yaml: Tables VI-VIII, Figure 6 (an hour on 2 cores)
	@c2vl profile --require demo
	dvc repro embed
	python stages/ablations.py
	dvc repro -f -s report

study: $(STAMP)  ## Compare objectives on a large synthetic world (3 hours on 2 cores); switches params.yaml
	@c2vl profile --require study 2>/dev/null || c2vl profile study
	@git rev-parse --git-dir >/dev/null 2>&1 || dvc config --local core.no_scm true
	dvc repro embed
	python stages/ablations.py --file study.yaml --out results/study

clean:  ## Remove outputs and logs; the sample store and DVC's cache stay, so a rerun is fast
	rm -rf data/check data/studio data/studio-b data/targets data/class_names data/index data/skeleton data/crop data/caption data/embed truth/studio results $${C2VL_HOME:-.c2vl}/runs
