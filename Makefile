# Two commands, each does its own set-up: `make demo` and `make test`. Only Python (3.11 or later), pip and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest

.PHONY: demo test test-newest clean

demo: $(VENV)/.installed
	$(BIN)/assistant demo traces -o reply.wav

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/assistant models fetch
	$(BIN)/python -m pytest -q

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

# The suite on the newest versions that pyproject.toml allows, as a user's pip installs them; on Python 3.13 if it is there.
test-newest: PYTHON := $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
test-newest:
	test -e $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager -e '.[test]'
	$(NEWEST)/bin/python -m pip freeze --exclude-editable
	$(NEWEST)/bin/assistant models fetch
	$(NEWEST)/bin/python -m pytest -q

clean:
	rm -rf $(VENV) $(NEWEST)
