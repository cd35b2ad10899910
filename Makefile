# make train    set up .venv and train LeNet-5 on handwritten digits; ARGS="…" is passed on
# make test     set up .venv and run the tests;  make test-slow runs the long ones too
# make test-cluster  sweeps on a real SLURM, which it starts and stops: as root, where Debian's
#               packages slurmctld, slurmd, slurm-client and munge are installed
# make fuzz     random words, mutated files and folders; SHARE=0.1 throws a tenth
# make soak     kill runs, a search and a study for 20 minutes and compare their ends; ARGS=seconds
# make test-oldest   the tests with the oldest libraries that pyproject.toml allows, in .venv-oldest
# make check    linters, formatting, types, and the house in figures
# make bench    Étude's loop beside the bare step and its peers, start-up, growth, memory, streamed
#               images: on the CPU, under 10 minutes; make bench-cuda: on a GPU, and whole runs
# make check-cuda  whether Étude does on this machine's GPU what it should, and how fast
# make board    TensorBoard over outputs/, on this machine only
# make clean    remove caches and builds; .venv and outputs/ stay
PYTHON ?= python3
PORT ?= 6006
ARGS ?=
BIN := .venv/bin

.PHONY: train test test-slow fuzz soak test-cluster test-oldest check format bench bench-cuda \
  check-cuda board clean

train: .venv/ready
	@$(BIN)/etude $(ARGS)

test: .venv/ready
	@$(BIN)/pytest $(ARGS)

test-slow: .venv/ready
	@$(BIN)/pytest -m "not cluster" $(ARGS)

fuzz: .venv/ready
	@ETUDE_FUZZ=$${SHARE:-1} $(BIN)/pytest -m slow --numprocesses=0 tests/fuzz $(ARGS)

test-cluster: .venv/ready
	@$(BIN)/pytest -m cluster --numprocesses=0 -rs $(ARGS) tests/cluster

test-oldest: .venv-oldest/ready
	@.venv-oldest/bin/pytest $(ARGS)

check: .venv/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --project pyproject.toml
	@$(BIN)/python tests/house.py

format: .venv/ready
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

soak: .venv/ready
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench: .venv/ready
	@for part in contest startup planning growth memory streaming; do $(BIN)/python -m benchmarks.$$part || exit 1; done

bench-cuda: .venv/ready
	@$(BIN)/python -m benchmarks.contest --device cuda
	@$(BIN)/python -m benchmarks.stacked --device cuda
	@$(BIN)/python -m benchmarks.whole_runs

check-cuda: .venv/ready
	@$(BIN)/python -m benchmarks.check_cuda $(ARGS)

board: .venv/ready
	@$(BIN)/tensorboard --logdir $${ETUDE_OUTPUTS:-outputs} --host 127.0.0.1 --port $(PORT)

clean:
	rm -rf .pytest_cache .ruff_cache dist build
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Made once, and again when pyproject.toml changes. A half-made one has no `ready` and is repeated.
.venv/ready: pyproject.toml
	@sh tools/environment.sh $(PYTHON) .venv --editable . --group dev

.venv-oldest/ready: pyproject.toml
	@mkdir -p build && $(PYTHON) tests/oldest.py > build/oldest.txt
	@sh tools/environment.sh $(PYTHON) .venv-oldest --editable '.[search,pandas,slurm]' --constraint build/oldest.txt \
	  'pytest>=8.3' 'pytest-xdist>=3.6' 'ruff>=0.14'
