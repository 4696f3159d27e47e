# Everything runs from .venv, which `make env` makes and remakes when pyproject.toml changes.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Installed first, and held: what is installed after it would choose another one.
TORCH := torch==2.13.0
STAMP := .venv/.installed
DEMO := .demo
MODEL := $(DEMO)/paraphrase-MiniLM-L3-v2.onnx
OPTIMIZED := $(DEMO)/paraphrase-MiniLM-L3-v2.optimized.onnx
# Enough to keep a desk machine busy; each worker loads ONNX Runtime, so more is not faster.
PYTEST := $(BIN)/pytest -q -n auto --maxprocesses 4

.DEFAULT_GOAL := help
.PHONY: help env demo test test-full lint bench pages build clean
MAKEFLAGS += --no-print-directory

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

env: $(STAMP) ## the virtual environment in .venv, with graphwright and its tools

$(STAMP): pyproject.toml
	@echo "making .venv with $(PYTHON)"
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make env PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@printf '%s\n' $(TORCH) > .venv/constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c .venv/constraints.txt -e '.[dev]'
	@touch $@

$(MODEL): examples/fetch_minilm.py | $(STAMP)
	@$(BIN)/python examples/fetch_minilm.py $(DEMO)
	@touch $@

demo: $(STAMP) $(MODEL) ## optimize a sentence encoder, show what changed, verify that it is the same
	$(BIN)/optimize $(MODEL) -o $(OPTIMIZED)
	$(BIN)/graphwright diff $(MODEL) $(OPTIMIZED) || [ $$? -eq 1 ]  # 1 says that they differ
	$(BIN)/graphwright verify $(MODEL) $(OPTIMIZED)

lint: $(STAMP) ## ruff and mypy
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy

test: lint ## lint, then the tests
	@$(PYTEST)

test-full: lint ## lint, then the tests and the longer sweeps
	@$(PYTEST) -m ''

bench: $(STAMP) ## how long loading, rewriting and saving take per node of large models
	@$(BIN)/python benchmarks/speed.py --sizes 1k 10k 100k

pages: $(STAMP) ## docs/techniques, made anew of the files in passes/techniques
	@$(BIN)/python -m graphwright.technique_pages docs/techniques

build: $(STAMP) ## the sdist and the wheel, in dist/
	@$(BIN)/python -m build --outdir dist

clean: ## remove what was made, the environment and the demo's files too
	@rm -rf .venv $(DEMO) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
