# Each target is a thin line over a command that CONTRIBUTING.md explains.
SHELL := /bin/bash
BIN := .venv/bin
LAB ?= 1
PEOPLE ?= 200000

.PHONY: help demo test lab check docs bench bench-grid soak mutants security clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: .venv/installed ## the whole job on invented people and a local Salesforce, in ./demo; then JupyterLab until Ctrl-C (LAB=0: without)
	@$(BIN)/workbench demo demo $(if $(filter 0,$(LAB)),,--lab)

test: .venv/installed ## everything: pytest, strict nbval over notebooks/, papermill runs of reports/, layers, the browser
	@.ci/browser
	@.ci/postgresql
	@$(BIN)/python -m pytest -q -m 'not slow' -n 2 --dist loadfile
	@WORKBENCH_TEST_REGISTER=postgresql $(BIN)/python -m pytest -q -m 'not slow' -n 2 --dist loadfile $(REGISTER:%=tests/test_%.py)

# The tests that are run a second time with the register in PostgreSQL.
REGISTER := store_records store_mismatches store_touched store_leases store_operators store_trail_log store_review pull push nightly resubscription \
	worker attacks attacks_sync attacks_intake intake intake_consents intake_named two_operators person_accounts preview \
	another_org changed_fields clocks former_addresses key_trouble withdrawal

lab: .venv/installed ## JupyterLab on your workspace (WORKBENCH_HOME, else the one this folder is in)
	@$(BIN)/workbench lab

check: .venv/installed ## lint, format, types, and the tests that need neither browser nor notebooks
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -m 'not slow' -n 2 --dist loadfile $(SLOWER:%=--ignore=%)

SLOWER := tests/e2e tests/faults tests/test_notebooks.py tests/test_reports.py tests/test_report_injection.py tests/test_packaging.py tests/test_tour.py

docs: .venv/installed ## README, docs/ and the pages beside them as a site in artifacts/docs; a link that leads nowhere is an error
	@PYTHONPATH=tests $(BIN)/python tests/generated_pages.py
	@$(BIN)/sphinx-build -q -W --keep-going -n -c docs . artifacts/docs

bench: .venv/installed ## speed and memory: commands, API calls, scratch org, pull against a bare reading (PEOPLE=200000; docs/performance.md)
	@$(BIN)/python tests/bench/startup.py --runs 15
	@$(BIN)/python tests/bench/api_cost.py
	@$(BIN)/python tests/bench/scratch_org.py --people $(PEOPLE)
	@$(BIN)/python tests/bench/batch.py --people 2000 --rounds 1
	@$(BIN)/python tests/bench/trail_cost.py --people 2000
	@$(BIN)/python tests/bench/pull.py --people $(PEOPLE) --runs 2 --kills 3
	@$(BIN)/python tests/bench/million.py --people $(PEOPLE)
	@$(BIN)/python tests/bench/engines.py --people $(PEOPLE) --runs 1
	@$(BIN)/python tests/bench/importing.py --people $(PEOPLE) --again

bench-grid: .venv/installed ## the review grid in a real browser at 1,000, 100,000 and a million people, beside other grids
	@.ci/browser
	@$(BIN)/python tests/bench/grid.py --rivals

soak: .venv/installed ## the tests marked slow: every kill point and fault; HOURS=1 for an hour of random kills, PAIRS=15000 pairs of crashes
	@$(BIN)/python tests/fuzzing.py --hours $(or $(HOURS),0.1)
	@SOAK_HOURS=$(HOURS) SOAK_PAIRS=$(PAIRS) $(BIN)/python -m pytest -q -m slow || { [ $$? = 5 ] && echo 'No test is marked slow yet: there is nothing to soak.'; }

mutants: .venv/installed ## mistakes made in the rules, the lease and the verifier, one at a time: does a test notice? (MODULES=workbench.store.leases)
	@PYTHONPATH=tests $(BIN)/python -m mutants $(MODULES)

security: .venv/installed ## the tests of the rules in SECURITY.md, and how many attacks and payloads they made
	@.ci/browser
	@.ci/postgresql
	@.ci/audit
	@$(BIN)/python tests/security.py

clean: ## remove what make made: .venv, caches, builds; workspaces and ./demo stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist artifacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: requirements.lock pyproject.toml
	@.ci/venv
