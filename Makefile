# qpopper_py.  `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
DESTDIR ?=
OFFLINE ?=
JOBS ?= 2
TESTS ?= tests
EXAMPLES ?= 2000

# The system's Python where it can do it: every user can run it, and root's servers become other users.
CAN_VENV := -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
VENV_PYTHON := $(or $(PYTHON),$(shell /usr/bin/python3 $(CAN_VENV) 2>/dev/null && echo /usr/bin/python3),python3)
INSTALL_PYTHON := $(or $(PYTHON),/usr/bin/python3)

# For the same reason root's environment is not made here if others cannot come here; and not where others can write.
VENV ?= $(shell [ "$$(id -u)" != 0 ] || runuser -u nobody -- test -x '$(CURDIR)' && echo .venv || \
	echo /var/cache/qpopper_py-$$(printf %s '$(CURDIR)' | cksum | cut -d' ' -f1))
VENV := $(VENV)

SOURCES := setup.py pyproject.toml MANIFEST.in $(shell find qpopper_py man etc scripts -type f -not -path '*/__pycache__/*') \
	$(wildcard *.md) LICENSE
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet --no-input
# build/ keeps modules that have since been removed, and would put them in the wheel
INSTALL_HERE := umask 022; rm -rf build qpopper_py.egg-info; trap 'rm -rf build qpopper_py.egg-info' EXIT; \
	$(PIP) install --no-build-isolation

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target words; do \
		printf '  make %-10s %s\n' "$$target" "$$words"; done
	@printf '\nVariables: PYTHON=/path/to/python3 (run, test, install); PREFIX=/usr/local DESTDIR= OFFLINE=1 (install);\n'
	@printf 'VENV=.venv JOBS=2 TESTS="tests/store -k lock" (test); TARGETS="mbox sasl" (fuzz).\n'

.PHONY: run
run: $(VENV)/installed ## a demo server on 127.0.0.1:1110, with mail in it; ends with Ctrl-C
	$(VENV)/bin/pop3d --demo

.PHONY: test
test: $(VENV)/installed lint ## lint, types and all tests, against the installed package
	QPOPPER_TEST_INSTALLED=1 $(VENV)/bin/pytest -n $(JOBS) --dist loadfile $(TESTS)

.PHONY: lint
lint: $(VENV)/test-tools ## ruff, ruff format --check, mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --strict scripts/installer/*.py

.PHONY: test-all
test-all: ## the tests that need neither root nor other programs, on every other Python at hand
	@for python in $$(.ci/pythons "$$($(VENV_PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')"); do \
		minor=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "== Python $$minor ($$python)"; \
		$(MAKE) --no-print-directory quick-test VENV=$(VENV)-$$minor PYTHON=$$python || exit 1; \
	done

.PHONY: quick-test
quick-test: $(VENV)/test-tools $(VENV)/installed
	QPOPPER_TEST_INSTALLED=1 $(VENV)/bin/pytest -n $(JOBS) --dist loadfile -m 'not root and not client and not slow' $(TESTS)

.PHONY: compare
compare: $(VENV)/installed $(VENV)/test-tools ## random mailboxes and scripts before the real popa3d, GNU mailutils and Cyrus (as root, on Debian)
	tests/compare/fetch $(abspath $(VENV))/opponents
	QPOPPER_TEST_INSTALLED=1 QPOPPER_TEST_OPPONENTS=$(abspath $(VENV))/opponents QPOPPER_COMPARE_EXAMPLES=$(EXAMPLES) \
		$(VENV)/bin/pytest tests/compare

.PHONY: coverage
coverage: $(VENV)/test-tools $(VENV)/installed ## branch coverage, in process only
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run $(VENV)/bin/pytest $(TESTS)
	$(VENV)/bin/coverage report

.PHONY: bench
bench: $(VENV)/test-tools $(VENV)/installed ## beside popa3d, as root: opening 1 GB, expunge, RETR, greeting, memory, sessions a second; some minutes
	for name in mbox_open expunge transfer greeting retr_memory "sessions --rounds=3 --seconds=1" idle "refusals --tries=30"; do \
		set -- $$name; program=$$1; shift; $(VENV)/bin/python benchmarks/$$program.py "$$@" || exit 1; done

.PHONY: torture
torture: $(VENV)/test-tools $(VENV)/installed ## ROUNDS=10000 sessions, deliveries and kill -9; every crash of an expunge; 5 GB on a full disk
	ROUNDS=$(or $(ROUNDS),10000) QPOPPER_TEST_INSTALLED=1 $(VENV)/bin/pytest -q tests/store/torture

.PHONY: fuzz
fuzz: $(VENV)/fuzz-tools $(VENV)/installed ## SECONDS=60: inputs that nobody thought of, for every parser; finds stay in tests/fuzz/found
	$(VENV)/bin/python -P tests/fuzz/run.py --seconds $(or $(SECONDS),60) $(TARGETS)

.PHONY: install
install: ## into PREFIX, one folder a version, switched by one rename
	$(INSTALL_PYTHON) -I scripts/installer install --prefix='$(PREFIX)' --destdir='$(DESTDIR)' --python='$(INSTALL_PYTHON)' \
		$(if $(OFFLINE),--offline)

.PHONY: rollback
rollback: ## back to the version that was installed before
	$(INSTALL_PYTHON) -I scripts/installer rollback --prefix='$(PREFIX)' --destdir='$(DESTDIR)'

.PHONY: uninstall
uninstall: ## remove what make install placed, and nothing else
	$(INSTALL_PYTHON) -I scripts/installer uninstall --prefix='$(PREFIX)' --destdir='$(DESTDIR)'

.PHONY: clean
clean: ## remove what the targets above made here
	rm -rf $(VENV) $(VENV)-3.* .fuzz build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made anew when its contents are asked for differently, the package when a source changes.
$(VENV)/made: setup.py pyproject.toml
	@case '$(VENV)' in /*) echo "the virtual environment goes to $(VENV)";; esac
	@$(VENV_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(VENV_PYTHON) is missing or older than Python 3.11; name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(VENV_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(VENV_PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	rm -rf $(VENV)
	umask 022; $(VENV_PYTHON) -m venv $(VENV)
	umask 022; $(PIP) install 'setuptools>=66' wheel
	@$(INSTALL_HERE) .
	@touch $@

$(VENV)/installed: $(VENV)/made $(SOURCES)
	@echo "installing the package in $(VENV)"
	@$(INSTALL_HERE) --force-reinstall --no-deps .
	@touch $@

$(VENV)/test-tools: $(VENV)/made
	@echo "installing the tools for tests in $(VENV)"
	@$(INSTALL_HERE) '.[test]'
	@touch $@

$(VENV)/fuzz-tools: $(VENV)/made
	@echo "installing the tools for fuzzing in $(VENV)"
	@$(INSTALL_HERE) '.[test,fuzz]'
	@touch $@
