# `make demo` shows what negsift does; `make test` is what CI runs. Both build .venv first.
PYTHON ?= python3
RUN := .venv/bin/python
NEEDS_CIFAR10 = $(or $(CIFAR10),$(error say where CIFAR-10 lies: make $@ CIFAR10=FOLDER))

.PHONY: demo test test-unit test-cluster-first test-cluster-second lint types bench-overhead bench-kmeanspp bench-pool gpu chaos results lock clean

demo: .venv/.ready
	$(RUN) -m deploy demo

# The tests with Ray wait much of the time: two halves of them and the rest run side by side, each with its summary.
test: lint
	$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-unit test-cluster-first test-cluster-second types

test-unit: .venv/.ready
	$(RUN) -m pytest -m "not gpu and not slow" --durations=8 --ignore tests/cluster --cov=negsift --cov-report=
	@echo "Least covered files:" && $(RUN) -m coverage report --sort=cover | awk 'NR <= 12 || /^TOTAL/'

test-cluster-first: .venv/.ready
	$(RUN) -m tests.run -m "not gpu and not slow" --durations=15 tests/cluster/test_[a-n]*.py

test-cluster-second: .venv/.ready
	$(RUN) -m tests.run -m "not gpu and not slow" --durations=15 tests/cluster/test_[o-z]*.py

lint: .venv/.ready
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports --no-cache

types: .venv/.ready
	.venv/bin/mypy

bench-overhead: .venv/.ready
	$(RUN) -m tests.bench.overhead --root $(NEEDS_CIFAR10)

bench-kmeanspp: .venv/.ready
	$(RUN) -m tests.bench.kmeanspp $(if $(CIFAR10),--root $(CIFAR10))

bench-pool: .venv/.ready
	$(RUN) -m tests.bench.big_pool

# On a machine with a GPU, in eight minutes: its tests, and the figures of tests/bench/gpu.md. PRETEND=1: on a CPU, small.
gpu: .venv/.ready
	$(RUN) -m tests.bench.gpu $(if $(PRETEND),--pretend) $(if $(DATA),--data $(DATA))

# Kills scorers, the coordinator and nodes of a Ray cluster on this machine, a hundred times.
chaos: .venv/.ready
	$(RUN) -m tests.bench.chaos

results: .venv/.ready
	$(RUN) -m tests.bench.cifar_table --root $(NEEDS_CIFAR10)

.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "negsift: found $$($(PYTHON) --version); expected Python 3.11 or later; make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

# Exact versions of everything pyproject.toml asks for; run after changing it.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet "setuptools>=77" ".[cpu,fast,dev]"
	.venv-lock/bin/pip freeze --exclude negsift > requirements.lock
	rm -rf .venv-lock build *.egg-info

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
