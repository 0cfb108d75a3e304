# One list of tasks for people and for CI. `make help` shows it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

UV_VERSION := 0.13.9
BOOTSTRAP := .bootstrap
# uv is taken from PATH, else installed beside the tree with nothing but Python. Quoted wherever it is used: a path may
# have a space in it. Ours is relative, because Make itself splits the names of targets at spaces.
UV := $(or $(shell command -v uv),$(BOOTSTRAP)/bin/uv)
RUN := "$(UV)" run --frozen --no-sync
# Its own installation only where it is needed.
HAVE_UV := $(if $(shell command -v uv),,$(BOOTSTRAP)/bin/uv)
# When all packages were last compiled; to look through thousands of compiled files at every call takes seconds.
COMPILED := .venv/compiled

# Where it is set, every process would compile our modules anew, and there are thousands of them in a test run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup check changed demo sandbox test test-server lint format docs hooks bench crash fuzz replay-live mutate compose-secrets shell clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BOOTSTRAP)/bin/uv:
	@echo "uv is not on PATH: installing uv $(UV_VERSION) into $(BOOTSTRAP)/"
	@python3 -m venv $(BOOTSTRAP)
	@$(BOOTSTRAP)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

setup: $(HAVE_UV) ## Install the locked dependencies
	@if [ $(COMPILED) -nt uv.lock ]; then "$(UV)" sync --frozen --quiet; \
	else "$(UV)" sync --frozen --compile-bytecode && touch $(COMPILED); fi

# What these two need is got side by side: packages, and the servers' programs.
demo: $(HAVE_UV) ## A bad release goes out: watch the runbook bring the service back
	@python3 -m sandbox.prepare --uv "$(UV)" demo
	@$(RUN) python -m sandbox.demo $(ARGS)

sandbox: $(HAVE_UV) ## Start the embedded environment alone and leave it running
	@python3 -m sandbox.prepare --uv "$(UV)" sandbox
	@$(RUN) python -m sandbox up

check: lint ## What to run while you work: lint, types, contracts, and all tests that need no server (ARGS="-k lease")
	@$(RUN) pytest --no-servers --numprocesses=auto --quiet $(ARGS)

changed: setup ## The tests found by the names of what you changed, servers or not (BASE=origin/main; main by default)
	@tests="$$($(RUN) python -m tests.docs.found_by_name --changed $(or $(BASE),main))" && \
	if [ -n "$$tests" ]; then $(RUN) pytest --quiet $$tests $(ARGS); else echo "no test has the name of what changed"; fi

test: setup ## All tests, on real servers, in several processes; says at the end where the time went
	@$(RUN) python -m sandbox.binaries
	@$(RUN) python -m sandbox.browser
	@$(RUN) pytest --numprocesses=auto --durations=15 $(ARGS)

test-server: setup ## The tests on Temporal's real server with PostgreSQL: the first time builds it, about 10 minutes
	@$(RUN) python -m sandbox.binaries
	@$(RUN) python -m sandbox.binaries temporal-server temporal-sql-tool temporal-ui-server
	@$(RUN) pytest --production --durations=5 $(ARGS)

crash: setup ## Kill a worker at every effect: make crash PROCEDURE=p1_incident (several, or all)
	@$(RUN) python -m tests.crash $(or $(PROCEDURE),p1_incident)

fuzz: setup ## Send anything to runs of every procedure on a real Temporal: make fuzz MINUTES=5 SEED=7
	@$(RUN) python -m tests.fuzz --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

replay-live: setup ## Do the open runs of your Temporal replay on this code? make replay-live ARGS="--limit 500"
	@$(RUN) python -m tests.replay.live $(ARGS)

mutate: setup ## Change modules of judgement on purpose: do their tests notice? make mutate ARGS="lease --each 50"
	@$(RUN) python -m tests.mutate $(ARGS)

# Pages that people write; `python -m docs` writes the others.
PROSE = $(filter-out docs/cli.md docs/runbook.md docs/settings.md,$(wildcard *.md docs/*.md docs/*/*.md))
MDFORMAT = mdformat --wrap 120 --number --compact-tables

lint: setup ## Style, types, import contracts, spelling, pages made from the code, open runs
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(RUN) lint-imports
	@$(RUN) codespell
	@$(RUN) $(MDFORMAT) --check $(PROSE)
	@$(RUN) python -m docs --check
	@$(RUN) python -m tests.replay.guard --check
	@$(RUN) python -m tests.starters.cli.sentences --check

docs: setup ## Write the pages that are made from the code: docs/runbook.md, settings.md, cli.md
	@$(RUN) python -m docs

format: setup ## Format, and fix what can be fixed
	@$(RUN) ruff format
	@$(RUN) $(MDFORMAT) $(PROSE)
	@$(RUN) ruff check --fix

hooks: setup ## Have git run style, format, spelling, pages and the guard of open runs before each commit
	@$(RUN) prek install

compose-secrets: ## Make the secrets that docker-compose.temporal.yml needs
	@deploy/secrets.sh

bench: setup ## Speed, each figure beside a floor of the same run
	@$(RUN) python -m bench

shell: setup ## A shell in which `runbooks` is on PATH
	@PATH="$(CURDIR)/.venv/bin:$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv" $${SHELL:-bash} -i

# What still runs is stopped first, a kept demo too: nobody takes the files from under a live database.
clean: ## Stop sandbox and demo, and remove what runs leave behind
	@if [ -d var ]; then $(RUN) python -m sandbox down; fi
	@rm -rf var .mypy_cache .ruff_cache .pytest_cache
