# Two commands do everything: `make demo` and `make test`. Both set up .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONUNBUFFERED := 1

.PHONY: help setup demo ablation claims evidence notebooks docs docs-serve test test-slow test-bounds lint bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.installed ## create .venv and install the package with everything that its tests need

.venv/.studies: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "lightning_prune needs Python 3.10 or newer; set PYTHON=/path/to/python3.10")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing the package with its extra for studies. torch is large: this takes 3 to 5 minutes ..."
	$(BIN)/python -m pip install --quiet -e '.[studies]'
	@touch $@

.venv/.installed: .venv/.studies pyproject.toml
	@echo "Installing what the tests need, which takes 3 more minutes ..."
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

demo: .venv/.studies ## prune on real digits with two retraining variants, then make a network small; tables, pictures
	@echo "Training three networks, which takes about a minute ..."
	$(BIN)/python -m lightning_prune.lab.demo

ablation: setup ## compare six ways of retraining over three seeds; table and a page with pictures
	OMP_NUM_THREADS=1 $(BIN)/lightning-prune ablate --config configs/ablations/digits_retraining.yaml --out runs/ablation --workers 2
	$(BIN)/lightning-prune report runs/ablation

claims: setup ## measure the papers' claims (hours); CLAIM=3 one of them, DATA=folder images, FULL=1 on a GPU
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.claims $(if $(CLAIM),--claim $(CLAIM)) $(if $(FULL),--full) \
	  $(if $(DATA),--data "$(DATA)") $(if $(DATA_NAME),--data-name "$(DATA_NAME)") $(if $(WORKERS),--workers $(WORKERS))

evidence: # the former name
	@echo "make evidence is make claims now: write that; the former name goes."
	@$(MAKE) claims

notebooks: setup ## execute the notebooks afresh
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/refresh.py

docs: setup ## build the site into build/site, without network; a broken link or reference is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: setup ## show the site at http://127.0.0.1:8000 while you write
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup lint docs ## lint, types, the site (10 to 20 seconds) and the quick tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" # one thread for each of two processes: more would wait for each other

test-slow: setup ## the long tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow

test-bounds: setup ## part of the tests on the oldest libraries, Python 3.10 and 3.13 (hours, 20 GB); BOUNDS=oldest one of them
	$(BIN)/python tests/bounds.py $(BOUNDS)

bench: setup ## speed and memory, against dense training and torch.nn.utils.prune
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/ablation.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/structures.py
	$(BIN)/python benchmarks/shrinking.py
	$(BIN)/python benchmarks/latency_budget.py
	$(BIN)/python benchmarks/exporting.py
	$(BIN)/python benchmarks/zeros.py
	$(BIN)/python benchmarks/small_cycles.py

clean: ## remove the environment, caches and runs
	rm -rf .venv runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache
