# What developers and users run. A fresh Debian with Python 3.11, pip and gcc is enough.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data

# make run: an OpenAI-compatible vLLM that is there already, and the model's name in it
UPSTREAM ?=
MODEL ?=

# make load: the gateway, and a key of it
URL ?= http://127.0.0.1:8080
KEY ?=

# make test ARGS="-k journal -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run check lint unit unit-service unit-others test coverage evaluate bench soak load docs lock dashboards site faults chart sbom clean

help:  ## show this
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /\1\t/' \
		| while IFS="$$(printf '\t')" read -r name words; do printf '  make %-10s %s\n' "$$name" "$$words"; done

setup:  ## make .venv with the watchgate command and everything but vLLM
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 is needed: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m scripts.setup

run: setup  ## set up and run everything on this machine (UPSTREAM=http://host:8000 MODEL=name: in front of that)
	@$(BIN)/python -m scripts.run $(if $(UPSTREAM),--upstream "$(UPSTREAM)") $(if $(MODEL),--model "$(MODEL)")

check: setup  ## the quick loop: lint, types, layers, sizes, unit tests
	@$(MAKE) --no-print-directory --output-sync=target -j2 lint unit-service unit-others

lint: setup  ## lint, types, layers, sizes
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/lint-imports --no-logo > .cache/lint-imports.txt || { cat .cache/lint-imports.txt; exit 1; }
	@$(BIN)/python -m scripts.check_sizes > .cache/sizes.txt || { cat .cache/sizes.txt; exit 1; }
	@$(BIN)/mypy

unit: unit-service unit-others  ## the unit tests

# Two halves that take about as long as each other
# The tests are compiled once, also where the environment (a container's, often) asks Python not to
unit-service unit-others: export PYTHONDONTWRITEBYTECODE =

unit-service: setup
	@$(BIN)/pytest -q tests/unit/service --ignore tests/unit/service/events $(ARGS)

unit-others: setup
	@$(BIN)/pytest -q tests/unit/service/events $(wildcard tests/unit/test_*.py) \
		$(filter-out tests/unit/service/ %__pycache__/,$(wildcard tests/unit/*/)) $(ARGS)

test: lint  ## set up and run every test, with a real vLLM
	@$(BIN)/watchgate vllm --prepare
	@$(BIN)/python -m scripts.fetch_parts
	@$(BIN)/python -m scripts.test_all $(ARGS)

coverage:  ## every test, and what of the code they run (half as long again)
	@$(MAKE) --no-print-directory test ARGS="--coverage $(ARGS)"

evaluate: setup  ## the detectors' quality against its floors, of the suite by a sample (DATA=folder)
	@if [ -d "$(DATA)" ]; then $(BIN)/watchgate detectors evaluate --data "$(DATA)" \
		&& $(BIN)/watchgate detectors evaluate --data "$(DATA)" --detector suite --per-source 100 --battery-rows 0; \
	else echo "make evaluate: there is no data in $(DATA), so nothing was evaluated; name a folder with DATA=" >&2; exit 1; fi

bench: setup  ## what the gateway costs beside its peers (about 45 minutes; ARGS="--quick": 4)
	@$(BIN)/python -m load_tests.bench_gateway $(ARGS)

faults: setup  ## each fault under load, set against what callers saw (half an hour; ARGS="--only NAME")
	@$(BIN)/python -m load_tests.faults $(ARGS)

soak: setup  ## 1,000 streams for half an hour (SOAK_S=300: five minutes); nothing may leak or be lost
	@$(BIN)/python -m load_tests.soak $(ARGS)

load: setup  ## load by people's scenarios, with Locust (URL=http://host:8080 KEY=sk-wg-... MODEL=name)
	@$(BIN)/python -m load_tests.run_locust --url "$(URL)" --key "$(KEY)" --model "$(MODEL)" $(ARGS)

docs: setup  ## write the tables of docs/ anew from the code
	@$(BIN)/python -m scripts.make_docs

dashboards: setup  ## write the chart's dashboards anew from scripts/dashboards
	@$(BIN)/python -m scripts.dashboards

site: setup  ## build the site of the documents into .cache/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

chart: setup  ## write the chart's values.schema.json anew from its values.yaml and the settings
	@$(BIN)/python -m scripts.chart_schema

sbom: setup  ## write .cache/sbom.cdx.json (CycloneDX), as it is in the image
	@$(BIN)/python -m scripts.sbom

lock: setup  ## pin the packages anew (requirements/main.txt and dev.txt)
	@$(BIN)/python -m scripts.lock $(ARGS)

clean:  ## remove what was made, but for var/, where your data is
	rm -rf .venv .venv-vllm .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov
