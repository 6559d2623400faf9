# `make demo` and `make test` are all a new machine needs: both set up .venv from the hash-locked requirements first.
PYTHON ?= python3
BIN := .venv/bin
LOCK := requirements
REFERENCE := $(BIN)/python -m typer tunix_rt.cli utils docs --name tunix-rt --title 'Command line'
SERVICE := $(BIN)/python -m tunix_rt.api
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

# PyTorch's CPU build for Linux and Python 3.11: the package index has only the CUDA build, so `make parity` needs an index or a
# folder (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL) that holds this file.
TORCH_CPU := sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

.PHONY: demo test test-long check serve bench docs screenshots tour setup dev parity lock clean

demo: setup  ## the main job end to end; QUICK=1 for a short one
	$(BIN)/tunix-rt demo $(if $(QUICK),--quick)

test: dev  ## every test, two files at a time; ARGS="-k packing" for some
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-long: dev  ## the counts that take long; results go to docs/results
	$(BIN)/python -m pytest -m long $(ARGS)

check: dev  ## format, lint, types, import contracts, dependencies, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(REFERENCE) | diff docs/cli.md - || (echo 'docs/cli.md is behind: run make docs'; exit 1)
	$(SERVICE) | diff docs/api.md - || (echo 'docs/api.md is behind: run make docs'; exit 1)

bench: parity  ## comparisons against baselines measured in the same run, of which PyTorch is one
	$(BIN)/python benchmarks/training.py --dataset dev-reasoning-v2
	$(BIN)/python benchmarks/training.py --dataset dev-reasoning-v3 --rounds 1 --steps 10 --curve 30
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/checking.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/curation.py
	$(BIN)/python benchmarks/service.py

serve: setup  ## the HTTP service with one worker; ARGS="--port 9000"
	$(BIN)/tunix-rt serve $(ARGS)

docs: dev  ## write the generated references and the notebook again
	$(REFERENCE) > docs/cli.md
	$(SERVICE) > docs/api.md
	TUNIX_RT_HOME=$$(mktemp -d) $(BIN)/tunix-rt submission notebook --dataset dev-reasoning-v2 --on dev-reasoning-v2-eval --out notebooks/kaggle.ipynb

screenshots: dev  ## the pictures in docs/images, from a finished demo: HOME_OF_DEMO=DIR
	PYTHONPATH=tests/web $(BIN)/python tests/web/shots.py $(HOME_OF_DEMO)

tour: dev  ## a silent film through the pages of a finished demo, tour.webm: HOME_OF_DEMO=DIR
	PYTHONPATH=tests/web $(BIN)/python tests/web/tour.py $(HOME_OF_DEMO)

setup: .venv/.train  ## only the virtual environment for running

dev: .venv/.dev

parity: .venv/.parity  ## also PyTorch on the CPU, which some tests and benchmarks compare with

.venv/.train: $(LOCK)/train.txt pyproject.toml
	$(call install,train)

.venv/.dev: $(LOCK)/dev.txt pyproject.toml
	$(call install,dev)

.venv/.parity: $(LOCK)/parity.txt pyproject.toml
	$(call install,parity)
	@touch .venv/.dev

# pip takes the locked list as it is: nothing is resolved, every file must match its hash.
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing requirements/$(1).txt into .venv (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(LOCK)/$(1).txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch .venv/.$(1) .venv/.train
endef

lock:  ## resolve the requirements again (needs uv)
	$(COMPILE) --extra train --group build --group model --group dev --output-file $(LOCK)/dev.txt
	$(COMPILE) --all-extras --group build --group model --group dev --group parity --constraint $(LOCK)/dev.txt --output-file $(LOCK)/parity.txt
	sed -i '/^torch==/,/[^\\]$$/c torch==2.13.0+cpu \\\n    --hash=$(TORCH_CPU)' $(LOCK)/parity.txt
	$(COMPILE) --extra train --group build --group model --constraint $(LOCK)/dev.txt --output-file $(LOCK)/train.txt
	$(COMPILE) --group build --constraint $(LOCK)/dev.txt --output-file $(LOCK)/core.txt

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
