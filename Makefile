# Two commands for a new machine: `make demo` and `make test`. The rest are their parts.
PYTHON ?= python3
PIP := -m pip --disable-pip-version-check -qq
BIN := .venv/bin

.PHONY: help setup demo test browser screenshots soak check check-breaking stubs check-stubs docs format clean

help: ## Say what each target does
	@grep -hE '^[a-zA-Z_.-]+:.*?## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: .venv/.done ## Make .venv with the service, the client and the tools

.venv/.done: pyproject.toml proto/pyproject.toml constraints.txt
	@echo "Setting up .venv (a minute or two) ..."
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP) install --constraint constraints.txt pip
	@$(BIN)/python $(PIP) install --constraint constraints.txt --editable proto --editable . --group dev
	@echo "Compiling the causal engine and the forward passes (half a minute, once) ..."
	@$(BIN)/python -c "import explainer; explainer.warm_up()" & causal=$$!; \
		$(BIN)/python -c "import recommender; recommender.warm_up()" && wait $$causal
	@touch $@

.venv-recbole/.done: constraints-recbole.txt
	@echo "Setting up .venv-recbole, RecBole's own environment (a minute or two) ..."
	@test -x .venv-recbole/bin/python || $(PYTHON) -m venv .venv-recbole
	@.venv-recbole/bin/python $(PIP) install --no-deps --requirement constraints-recbole.txt
	@.venv-recbole/bin/python $(PIP) install --no-deps --editable proto --editable .
	@touch $@

.venv-protoc/.done: constraints-protoc.txt
	@test -x .venv-protoc/bin/python || $(PYTHON) -m venv .venv-protoc
	@.venv-protoc/bin/python $(PIP) install --no-deps --requirement constraints-protoc.txt
	@touch $@

.demo/ml-100k/.done: tools/unpack_ml100k.py | .venv/.done
	@$(BIN)/python tools/unpack_ml100k.py .demo/ml-100k
	@touch $@

.demo/bundle/manifest.json: | .venv/.done .demo/ml-100k/.done
	@$(BIN)/becausal import demo/BERT4Rec-ml-100k.pth --data .demo/ml-100k --out .demo/bundle

demo: .venv/.done .demo/ml-100k/.done ## Import the demo checkpoint, serve it, and explain a real user's recommendations
	@$(BIN)/python demo/run.py

# Debian's Chromium, where apt may be used; elsewhere the tests in a browser say why they are skipped.
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo "Installing Chromium for the tests of the audit page ..." \
		&& apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null 2>&1; } \
		|| echo "Chromium cannot be installed here; the tests of the audit page in a browser are skipped."

screenshots: .venv/.done .demo/bundle/manifest.json browser ## Take the pictures of the audit page in docs/screens
	@$(BIN)/python tools/screenshots.py

test: .venv/.done .venv-recbole/.done .demo/ml-100k/.done browser ## Run every test, RecBole's conformance among them
	$(BIN)/python -m pytest -n 2 --dist worksteal
	.venv-recbole/bin/python -m pytest tests/conformance

soak: .venv/.done .demo/bundle/manifest.json ## The faults at full length (200 rounds of kill -9, 10,000 spoilt messages), and memory over 20,000 calls
	BECAUSAL_SOAK=1 $(BIN)/python -m pytest tests/storage/test_faults.py tests/e2e/test_killed_server.py tests/server/rpc/test_faults.py
	$(BIN)/python -m benchmarks.service --only memory --calls 20000

check: .venv/.done check-stubs check-breaking ## Lint, types, import rules, protocol
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto
	$(BIN)/python tools/generate_config_docs.py --check

stubs: .venv-protoc/.done ## Generate the protocol's Python stubs
	.venv-protoc/bin/python tools/generate_stubs.py

check-stubs: .venv-protoc/.done
	.venv-protoc/bin/python tools/generate_stubs.py --check

# Against the newest release; until there is one, against the last commit.
check-breaking: .venv/.done
	$(BIN)/buf breaking proto --against "$$(git rev-parse --path-format=absolute --git-common-dir)#subdir=proto,ref=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || git rev-parse HEAD)"

docs: .venv/.done ## Write the configuration reference from the code
	$(BIN)/python tools/generate_config_docs.py

format: .venv/.done ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove environments and everything that was made
	rm -rf .venv .venv-recbole .venv-protoc .venv-node .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
