# make export   a verified EdgeViT-S in artifacts/ (TorchScript lite, ONNX, TFLite)
# make test     the test suite in the same environment
# make runners  native runners and their runtimes' libraries in .runners/, for the tests that run them (3 minutes)
# PYTHON=...    another interpreter (3.11 or later) for the virtual environment

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(name)),$(name))))
VENV := .venv
BIN := $(VENV)/bin
NATIVE := runtimes/runners/native/source tests/runtimes/runners/native tests/support/android

.PHONY: export test runners lint clean

export: $(VENV)/.export
	$(BIN)/edgevit-export --variant s --format ptl,onnx,tflite

# Many tests wait for devices and other processes: three at a time keep two cores busy.
test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile -m "not realtime"
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile -m realtime

runners: export EDGEVIT_RUNNERS := $(CURDIR)/.runners
runners: $(VENV)/.test
	$(BIN)/edgevit-export runner fetch --abi x86_64-linux --format onnx,tflite,pte,ptl
	$(BIN)/edgevit-export runner fetch --abi x86_64-linux --glibc
	$(BIN)/edgevit-export runner build --abi x86_64-linux
	$(BIN)/edgevit-export runner fetch --abi aarch64-linux --format onnx,tflite,pte
	$(BIN)/edgevit-export runner fetch --abi aarch64-linux --glibc
	$(BIN)/edgevit-export runner build --abi aarch64-linux

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find $(NATIVE) -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run --Werror
	PYTHONPATH=tests/support $(BIN)/lint-imports --no-cache --no-logo

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than Python 3.11" >&2; echo "hint: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# One resolver run per environment, everything pinned; the second stamp only adds what the tests need.
$(VENV)/.export: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[export]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	@touch $(VENV)/.export $@
