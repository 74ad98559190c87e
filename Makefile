# surgical_ml: `make demo` shows it working, `make test` proves it. Everything is installed into .venv and nowhere else.

PYTHON ?= python3
SEED ?=

VENV   := $(CURDIR)/.venv
PY     := $(VENV)/bin/python
DONE   := $(VENV)/done
MSGS   := surgical_ml_msgs
MSG_SOURCES := $(MSGS)/package.xml $(MSGS)/CMakeLists.txt $(wildcard $(MSGS)/msg/*.msg $(MSGS)/srv/*.srv)

# The demo brings its own ROS 2; one that happens to be sourced, perhaps for another Python, must not leak into it.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH RMW_IMPLEMENTATION ROS_DISTRO
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
export VIRTUAL_ENV := $(VENV)
export PATH := $(VENV)/bin:$(PATH)

# Two makes at once take turns at the shared .venv: each step below holds this file's lock while it runs.
ALONE  := flock $(CURDIR)/Makefile
PIP    := $(ALONE) $(PY) -m pip install --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.PHONY: help demo test campaign lint clean distclean

help: ## say what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

demo: $(DONE)/msgs ## run the assistant on a shipped clip on a live ROS 2 graph (SEED=n: on a fresh clip)
	@$(PY) -m surgical_ml.ros.demo $(if $(SEED),--seed $(SEED))

test: $(DONE)/msgs $(DONE)/train $(DONE)/tensorrt ## run the whole test suite
	@.ci/install-debian-packages apt.txt
	@$(PY) tests/whole_suite.py

campaign: $(DONE)/msgs $(DONE)/train $(DONE)/tensorrt ## run the full-count campaigns and write docs/evidence.md
	@$(PY) tests/campaign.py docs/evidence.md

lint: $(DONE)/dev ## check style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

clean: ## remove what was built
	@rm -rf build install log out dist $(VENV)/build $(DONE)/msgs .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## remove what was installed as well
	@rm -rf $(VENV)

$(DONE)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: expected Python 3.11 or newer, found $$($(PYTHON) --version 2>&1 | head -1); set PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
	  { echo "make: expected the headers of $(PYTHON) (Debian: python3-dev), found none" >&2; exit 1; }
	@for tool in gcc g++ flock; do command -v $$tool >/dev/null || \
	  { echo "make: expected $$tool on the PATH, found none" >&2; exit 1; }; done
	@test -x $(PY) || $(ALONE) $(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/ros: pyproject.toml setup.py | $(DONE)/venv
	@echo "make: installing ROS 2 and what the assistant needs into .venv"
	@$(PIP) --editable '.[ros,ros-build]'
	@touch $@

$(DONE)/dev: $(DONE)/ros
	@echo "make: installing the tools of development into .venv"
	@$(PIP) --editable '.[dev]'
	@touch $@

$(DONE)/train: $(DONE)/dev
	@echo "make: installing what training, the other engines, the comparisons and the exports need into .venv"
	@$(PIP) --editable '.[train,openvino,cluster,agreement,audit]'
	@touch $@

# TensorRT's two Python bindings, of which no GPU is needed to say which names exist; each in a folder of its own.
$(DONE)/tensorrt: pyproject.toml | $(DONE)/venv
	@echo "make: installing the bindings of TensorRT 10 and 11 into .venv/tensorrt"
	@$(PIP) --no-deps --upgrade --target $(VENV)/tensorrt/10 tensorrt_cu12_bindings==10.16.1.11
	@$(PIP) --no-deps --upgrade --target $(VENV)/tensorrt/11 tensorrt_cu13_bindings==11.4.0.106
	@touch $@

$(DONE)/msgs: $(MSG_SOURCES) $(DONE)/ros
	@echo "make: building $(MSGS) into .venv"
	@$(ALONE) cmake -S $(MSGS) -B $(VENV)/build/$(MSGS) -G Ninja --log-level=WARNING \
	  -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF -DPython3_EXECUTABLE=$(PY) \
	  -DCMAKE_PREFIX_PATH=$(VENV) -DCMAKE_INSTALL_PREFIX=$(VENV) >/dev/null
	@$(ALONE) cmake --build $(VENV)/build/$(MSGS) >$(VENV)/build/$(MSGS).log || { cat $(VENV)/build/$(MSGS).log; exit 1; }
	@$(ALONE) cmake --install $(VENV)/build/$(MSGS) >/dev/null
	@touch $@
