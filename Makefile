# Two commands do all on a machine with Python >= 3.11 and make: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo

.PHONY: demo test install lint types proof mutants fuzz bench clean

demo: $(VENV)/installed
	@rm -rf $(DEMO) && mkdir -p $(DEMO) && cp -R jobs/. $(DEMO)/
	@echo "== a folder of photographs, measured by the embedded provider (no model, no key) =="
	$(BIN)/overnight run $(DEMO)/photos
	@echo && $(BIN)/python -c "import json,sys; [print('  ' + r['id'] + ': ' + r['output']) for r in map(json.loads, open(sys.argv[1], encoding='utf-8'))]" $(DEMO)/photos.results.jsonl
	@echo && echo "== a file of prompts: what carries a text is extracted from it, the rest needs a model =="
	$(BIN)/overnight run $(DEMO)/prompts.jsonl || test $$? -eq 1
	@echo && $(BIN)/python -c "import json,sys; [print('  ' + r['id'] + ': ' + r['output'].replace(chr(10), ' / ')[:160]) for r in map(json.loads, open(sys.argv[1], encoding='utf-8'))]" $(DEMO)/prompts.results.jsonl
	@echo && echo "== the same command again sends nothing =="
	$(BIN)/overnight run $(DEMO)/photos
	@echo && echo "== the command is $(BIN)/overnight here: put $(BIN) before what stands behind next:, or on your PATH =="

test: $(VENV)/installed-dev lint types
	$(BIN)/pytest

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

# The whole of tests/proof, about an hour; `make test` does a share of it. Some suites need strace.
proof: $(VENV)/installed-dev
	$(BIN)/pytest tests/proof --long

# Breaks the program on purpose, one way at a time: a test has to notice each.
mutants: $(VENV)/installed-dev
	$(BIN)/python tests/proof/mutants.py

# Each target for so many seconds; what is found stays in build/fuzz, its minimum goes to the seeds.
FUZZ_SECONDS ?= 150
fuzz: $(VENV)/installed-fuzz
	for each in job results image reply; do \
	  $(BIN)/python tests/fuzz/fuzz.py $$each $(FUZZ_SECONDS) || exit 1; done

bench: $(VENV)/installed-dev
	$(BIN)/python tests/bench/throughput.py

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/installed-fuzz: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache
