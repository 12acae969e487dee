# make demo   sets everything up and evolves the example data without a key
# make demo-local   the same with a real model on this machine: a small one from the Hugging Face hub, or MODEL=FILE.gguf
# make lint   lint and types
# make unit   the tests that take less than a minute
# make test   lint, types and all tests
# make trainers   TRL, LLaMA-Factory and Axolotl, for the tests that load exports with them
# make test-long   the tests that take many minutes
# make bench  measures the program against floors, see benchmarks/RESULTS.md (SERVER=URL: also prompt prefixes)
# make docs   builds the pages of docs/ as a site, in site/
# make pictures   retakes the pictures of the README (needs chromium and chromedriver; OF="RUN OTHER SAMPLE": of these runs)
# make audit  lists what the program depends on, how old it is and what it is for
# make lock   pins the requirements of pyproject.toml

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
LOCAL := runs/demo-local
MODEL := hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf
TRAINERS := .venv-trainers

.PHONY: demo demo-local lint unit test trainers test-long bench docs pictures audit lock

# What evolve says is next goes by a coevol on the PATH.
demo: $(VENV)/demo
	$(BIN)/coevol evolve examples/alpaca_en.json -o $(DEMO) >/dev/null
	$(BIN)/coevol stats $(DEMO)
	$(BIN)/coevol show $(DEMO) train-sum
	@echo
	@echo 'Look at it in the browser:'
	@echo '  $(BIN)/coevol view $(DEMO)'
	@echo
	@echo 'Next, with a real model (OPENAI_API_KEY in the environment or in a file .env):'
	@echo '  source $(VENV)/bin/activate'
	@echo '  coevol check --model openai:gpt-5.4-mini'
	@echo '  coevol evolve examples/alpaca_en.json -o runs/first --model openai:gpt-5.4-mini'
	@echo '  coevol export runs/first -o better.json'

demo-local: $(VENV)/local
	$(BIN)/python examples/local.py '$(MODEL)' $(LOCAL) $(OPTIONS)

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/test
	$(BIN)/pytest -n 2 tests/unit

test: lint
	$(BIN)/pytest -n 2 --dist worksteal

trainers: $(TRAINERS)/ready

test-long: $(VENV)/test
	$(BIN)/pytest -m long

bench: $(VENV)/test
	$(BIN)/python -m benchmarks $(if $(SERVER),--server $(SERVER))

docs: $(VENV)/test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(VENV)/test
	$(BIN)/python -m tests.pictures docs $(OF)

audit: $(VENV)/test
	@test -x $(BIN)/uv || $(BIN)/pip install --quiet uv || true
	@$(BIN)/python -m tests.audit

# Installed from a list of exact versions and hashes.
$(VENV)/demo: requirements.txt pyproject.toml
	$(call install,requirements.txt)
	touch $@

$(VENV)/local: requirements-local.txt pyproject.toml
	$(call install,requirements-local.txt)
	touch $@ $(VENV)/demo

$(VENV)/test: requirements-test.txt pyproject.toml
	$(call install,requirements-test.txt)
	touch $@ $(VENV)/demo $(VENV)/local

$(TRAINERS)/ready: tests/trainers.txt
	@echo 'Installing into $(TRAINERS) (a minute or two) …'
	@$(PYTHON) -m venv --clear $(TRAINERS)
	@$(TRAINERS)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

define install
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "coevol needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@echo 'Installing into $(VENV) (a minute or two) …'
	@$(PYTHON) -m venv $(VENV)
	@# Also as constraints: pip looks for a newer release of what a package requires with an extra (`langsmith[otel]`).
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(1) -c $(1)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endef

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml

lock:
	$(BIN)/pip install --quiet uv
	$(LOCK) --extra build --extra test -o requirements-test.txt
	$(LOCK) --extra build --extra view -c requirements-test.txt -o requirements.txt
	$(LOCK) --extra build --extra local --extra view -c requirements-test.txt -o requirements-local.txt
