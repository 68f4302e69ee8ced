# make demo     install as a user would, run examples/demo.py, and show a run on the page
# make test     the suite, in a process for each core; PYTHON=python3.13 picks the interpreter, WORKERS=0 takes one process
# make check    format, lint and types
# make bench    measure
# make docs     build the site: build/docs/index.html
# make assets   draw the pictures of the README again; that of the page needs chromium

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV ?= .venv/$(VERSION)
DEMO ?= .venv-demo/$(VERSION)
PYTEST_ARGS ?=
WORKERS ?= auto

PIP = -m pip install --quiet --disable-pip-version-check --no-input
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.PHONY: demo test check bench soak docs assets clean
.DELETE_ON_ERROR:

demo: $(DEMO)/.web
	@# build/lib would ship files that the source no longer has
	@rm -rf build/lib
	@$(DEMO)/bin/python $(PIP) --force-reinstall --no-deps .
	@cd examples && ../$(DEMO)/bin/python demo.py && ../$(DEMO)/bin/python page.py

test: $(VENV)/.installed
	$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/.installed
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

bench: $(VENV)/.installed
	$(VENV)/bin/python -m benchmarks

# Workers that are killed at random, for ten minutes: SECONDS=60 for less, STORE=postgresql://... for a server.
soak: $(VENV)/.installed
	SECONDS_OF_SOAK=$(or $(SECONDS),600) $(VENV)/bin/python -m benchmarks.soak

docs: $(VENV)/.documented
	$(VENV)/bin/python -m sphinx --nitpicky --fail-on-warning --keep-going --fresh-env --quiet -d build/doctrees docs build/docs
	@echo "built: build/docs/index.html"

assets: $(VENV)/.installed
	$(VENV)/bin/python assets/make.py
	$(VENV)/bin/python assets/http_api.py

clean:
	rm -rf .venv .venv-demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(DEMO)/.web: setup.cfg | $(DEMO)/.ready
	$(DEMO)/bin/python $(PIP) '.[web]'
	@touch $@

# One environment for both: the suite runs the type checkers over tests/typing.
$(VENV)/.installed: setup.cfg | $(VENV)/.ready
	$(VENV)/bin/python $(PIP) --editable '.[test,check]'
	@touch $@

# autodoc imports every public module, and so what they need.
$(VENV)/.documented: setup.cfg | $(VENV)/.ready
	$(VENV)/bin/python $(PIP) --editable '.[docs]'
	@touch $@

$(VENV)/.ready $(DEMO)/.ready:
	@test -n "$(VERSION)" || { echo "make: no interpreter at PYTHON=$(PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or newer is needed, $(PYTHON) is $(VERSION)" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)
	@touch $@
