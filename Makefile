# Two commands, each does its own set-up: `make demo` and `make test`. Only Python (3.11 or later), pip and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest
CLUSTER := .venv-cluster
PYTEST := $(BIN)/python -m pytest -q

# An environment that nothing keeps compiled would compile torch in every process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-full test-newest test-cluster checks parallel clean

demo: $(VENV)/.installed
	$(BIN)/assistant demo traces -o reply.wav

# What the checks say is shown behind the tests beside which they run. Tests in real time may fail by what else
# the machine does at the moment; a fault of the assistant's fails three times.
test: $(VENV)/.installed-test
	$(BIN)/assistant models fetch
	@$(MAKE) --no-print-directory --keep-going --jobs=2 parallel checks; status=$$?; \
	cat $(VENV)/checks.log; exit $$status
	$(PYTEST) -m realtime tests/realtime --reruns 2

# The slowest tests at four times their size.
test-full: export FULL_TESTS := 1
test-full: test

checks:
	@{ $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy; } >$(VENV)/checks.log 2>&1

parallel:
	OMP_NUM_THREADS=1 $(PYTEST) -m "not realtime" -n 2 --dist loadfile --no-loadscope-reorder

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

# Python compiles what the tests import; pip would compile all of torch and transformers, for a minute.
$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[test]'
	touch $(VENV)/.installed $@

# The suite on the newest versions that pyproject.toml allows, as a user's pip installs them; on Python 3.13 if it is there.
test-newest: PYTHON := $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
test-newest:
	test -e $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager -e '.[test]'
	$(NEWEST)/bin/python -m pip freeze --exclude-editable
	$(NEWEST)/bin/assistant models fetch
	$(NEWEST)/bin/python -m pytest -q

# With a real Ray on 127.0.0.1, in an environment of its own; the client of OpenAI gets another.
test-cluster: $(CLUSTER)/.installed
	CLUSTER_TESTS=1 $(CLUSTER)/bin/python -m pytest -q tests/cluster

$(CLUSTER)/.installed: pyproject.toml constraints.txt
	test -e $(CLUSTER)/bin/python || $(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/bin/python -m pip install --quiet --no-compile -c constraints.txt -e '.[test,cluster]'
	$(CLUSTER)/bin/assistant models fetch
	touch $@

clean:
	rm -rf $(VENV) $(NEWEST) $(CLUSTER)
