# `make search` and `make test` are all a newcomer needs; both install what is missing into .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# of `make chaos`
SEED ?= 0
STORAGE ?= postgres
# tests at once: many wait for processes, so one more than there are cores
TESTS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

.PHONY: search lab test unit check bench chaos docs secrets kubernetes-secrets hashes digests clean

search: $(VENV)/.installed
	$(BIN)/search run lab

# what fails beside others, on a busy machine, must pass alone; containers take the machine for themselves
test: check
	$(BIN)/pytest -n $(TESTS) -m "not containers" || { test $$? -eq 1 && \
		$(BIN)/pytest -m "not containers" --last-failed --last-failed-no-failures none; }
	$(BIN)/pytest -m containers $$(grep -rl --include='*.py' mark.containers tests)

unit: $(VENV)/.installed-dev
	$(BIN)/pytest -m "not slow" -n $(TESTS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lab: $(VENV)/.installed
	$(BIN)/search reproduce

bench: $(VENV)/.installed
	$(BIN)/search bench

chaos: $(VENV)/.installed-dev
	$(BIN)/python tests/whole/chaos.py --storage $(STORAGE) --seed $(SEED)

# after a change of a command's help: docs/commands.md
docs: $(VENV)/.installed-dev
	$(BIN)/python docs/commands.py

# containers read the file as a user of their own: the folder keeps others on this machine out
secrets:
	mkdir -p -m 700 secrets
	test -s secrets/db-password || $(PYTHON) -c "import secrets; print(secrets.token_urlsafe(24))" > secrets/db-password
	chmod 644 secrets/db-password

# the same password for a cluster's own Postgres, and its URL: two files for `kubectl create secret`
kubernetes-secrets: secrets
	tr -d '\n' < secrets/db-password > secrets/password
	printf 'postgresql://search:%s@search-postgres/search' "$$(cat secrets/password)" > secrets/url

# after a change of constraints.txt or of the dependencies: what the image installs, file by file
hashes: $(VENV)/.installed-dev
	$(BIN)/python deploy/hashes.py

# lines for .env: the base images as they are today; needs docker with buildx, and the registry
digests:
	@sed -n 's/^\(PYTHON_IMAGE\|POSTGRES_IMAGE\)=//p' .env.example | while read -r image; do \
		digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$$image") || exit 1; \
		sed -n "s|^\([A-Z]*_IMAGE=$$image\)$$|\1@$$digest|p" .env.example; \
	done

$(BIN)/pip:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml setup.py constraints.txt | $(BIN)/pip
	$(BIN)/pip install --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml setup.py constraints.txt | $(BIN)/pip
	$(BIN)/pip install --constraint constraints.txt --editable ".[dev]"
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) build *.egg-info
