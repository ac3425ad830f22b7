# make quickstart   set up, run the main study on the bundled images, leave figures in runs/quickstart
# make test         set up, lint, check types and the import contract, run every test
# make docs         the site, into runs/site/index.html; warnings are errors
# make lab          JupyterLab on the notebooks
# make release      set up, build wheel and sdist into dist/, check them, install and try the wheel
# make bench        measure the speed claims, into runs/benchmarks; what is published lies in benchmarks/results
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test docs lab release bench clean

quickstart: $(VENV)/.ready
	$(BIN)/archbias run studies/families --out runs/quickstart
	@echo "Look at runs/quickstart/figures/ and runs/quickstart/summary.csv"

test: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

docs: $(VENV)/.ready-docs
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W -n --keep-going -q -c docs . runs/site
	@echo "Open runs/site/index.html"

lab: $(VENV)/.ready-lab
	$(BIN)/jupyter lab notebooks

release: $(VENV)/.ready-release
	$(BIN)/python tests/package/release.py

bench: $(VENV)/.ready-test
	set -e; for script in benchmarks/*.py; do $(BIN)/python $$script; done

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	touch $@

$(VENV)/.ready-docs: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@

$(VENV)/.ready-release: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[release]"
	touch $@

$(VENV)/.ready-lab: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[notebook]"
	touch $@

clean:
	rm -rf $(VENV) runs build dist *.egg-info
