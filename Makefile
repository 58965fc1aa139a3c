# Every task of the project. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
CREATED := $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

# Builds programs with the features that the whole workspace and its tests need. With `-p` cargo would choose features per selection
# and build a hundred libraries again for each. The example is small; naming one makes cargo count the dependencies of tests.
CARGO_BUILD := cargo build --locked --workspace --example first_service
PROGRAMS := $(foreach program,ws-node game-logic admin wsmesh-standalone auction-service,--bin $(program))
# Options for the commands below, for example: make run ARGS="--help", make test ARGS=name_of_a_test
ARGS ?=
# More options for `docker build`, for example --network host. Proxies of the environment are passed on.
DOCKER_BUILD_FLAGS ?=
PROXY_ARGS := $(foreach v,HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy,$(if $($(v)),--build-arg $(v)))
# Where tool-cargo-deny and tool-helm put what the system lacks, and tool-node a Node.js if the system's is too old (Debian 12 has 18).
TOOLS := $(abspath $(TARGET_DIR))/tools
export PATH := $(TOOLS)/bin:$(abspath $(TARGET_DIR))/node/node_modules/.bin:$(PATH)
CHART_TOOLS := helm-unittest kube-score helm-docs kubernetes-validate actionlint promtool
IMAGES := ws-node game-logic admin standalone load
HELM ?= helm
# Rendered for this version, whatever helm was built with.
HELM_TEMPLATE = $(HELM) template wsmesh charts/wsmesh --namespace wsmesh --kube-version 1.34.0

##@ Run
.PHONY: help run auction up down
help: ## List the tasks
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: tool-cc ## Everything in one process, without Redis: playground on http://127.0.0.1:9000/
	@cargo build --locked -p wsmesh-standalone
	@exec $(TARGET_DIR)/debug/wsmesh-standalone $(ARGS)

LANGUAGE ?=
auction: tool-cc ## The auction of the tutorials: LANGUAGE=python, node or go beside `make run`, or rust
	@if [ "$(LANGUAGE)" = rust ]; then $(MAKE) tool-redis; $(CARGO_BUILD) --quiet --bin ws-node --bin auction-service; fi
	@WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" exec tests/backends/auction.sh $(LANGUAGE)

up: images ## The whole cluster in containers: three Redis, two ws-nodes, game-logic, admin, Jaeger
	@tests/deploy/compose.sh up
	@echo "ws://127.0.0.1:9000/ and :9001 (more ws-nodes: up to :9009) · playground http://127.0.0.1:9000/ · admin http://127.0.0.1:9100/api/v1/cluster · traces http://127.0.0.1:16686/"

down: ## Stop what `make up` started
	@tests/deploy/compose.sh down

##@ Check
.PHONY: test test-rust test-js test-backends test-admin test-browser test-docs chaos bench bench-backends bench-collectors bench-micro
.PHONY: test-programs lint lint-code lint-scripts lint-dependencies advisories fmt docs settings-docs up-test cluster-test manifests-check chart-test dashboards-test tools
test: tool-cc tool-redis tool-openssl tool-faketime tool-node tool-python ## All tests that need no container: installs what is missing, or says what to install
	@$(MAKE) test-programs || true # each suite says what does not build
	@tests/deploy/suites.sh test-rust + test-js test-backends test-admin test-browser test-docs chart-test

test-programs: tool-cc ## Build all that the suites run: once, before they run beside each other
	@cargo build --workspace --locked --lib --bins --tests --examples

test-rust: tool-cc tool-redis tool-openssl tool-faketime ## The tests in Rust: the services and libraries, and the whole bundle end to end
	@tests/deploy/rust-tests.sh $(ARGS)

CONNECTOR_JS := services/connector-js
test-js: tool-cc $(CONNECTOR_JS)/node_modules ## The tests of the JavaScript SDK, also against a real ws-node
	@$(CARGO_BUILD) --quiet --bin ws-node
	@WSMESH_WS_NODE=$(abspath $(TARGET_DIR)/debug/ws-node) npm test --silent --prefix $(CONNECTOR_JS)

$(CONNECTOR_JS)/node_modules: $(CONNECTOR_JS)/package-lock.json | tool-node
	@npm ci --loglevel=error --no-audit --no-fund --prefix $(CONNECTOR_JS)
	@touch $@

test-backends: tool-cc tool-redis tool-python $(CONNECTOR_JS)/node_modules ## The auction in each language, on two ws-nodes, and what HTTP backends may rely on
	@command -v go >/dev/null || echo "!!! NOT TESTED: the auction in Go (install Go 1.22 or newer: https://go.dev/dl/)" >&2
	@$(CARGO_BUILD) --quiet $(PROGRAMS)
	@WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" node --test --test-reporter=spec tests/backends/*.test.mjs
	@WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" tests/backends/conformance/run.sh

test-admin: tool-cc tool-redis tool-openssl tool-python ## Requests of all kinds to admin's API, made from its description: SEED=7 repeats a run, EXAMPLES=200 ROLES="viewer"
	@$(CARGO_BUILD) --quiet --bin ws-node --bin admin
	@WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" tests/admin/run.sh

BROWSER_TESTS := tests/browser
# The program to test in: Debian's name, or a path.
CHROMIUM ?= chromium
test-browser: tool-cc tool-redis $(BROWSER_TESTS)/node_modules ## The playground and the dashboard in Chromium; skipped without Chromium, unless CI is set
	@if ! tests/deploy/need.sh "$(CHROMIUM)" chromium "the browser that the playground is tested in"; then \
	  echo "!!! NOT TESTED: the playground in a browser (another Chromium or Chrome: make test-browser CHROMIUM=/path/to/it)" >&2; \
	  if [ -n "$${CI:-}" ]; then exit 1; else exit 0; fi; \
	fi; \
	$(CARGO_BUILD) --quiet $(PROGRAMS); \
	WSMESH_CHROMIUM="$$(command -v "$(CHROMIUM)")" WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" npm test --silent --prefix $(BROWSER_TESTS)

$(BROWSER_TESTS)/node_modules: $(BROWSER_TESTS)/package-lock.json | tool-node
	@npm ci --loglevel=error --no-audit --no-fund --prefix $(BROWSER_TESTS)
	@touch $@

# Builds what the commands in the documents need. The tests run in a network of their own, which needs `ip`.
DOCS_TESTS := tests/docs
test-docs: tool-cc tool-redis tool-openssl tool-curl $(CONNECTOR_JS)/node_modules $(DOCS_TESTS)/node_modules ## Run or compile every code block of the documents, check every link
	@if [ "$$(uname)" = Linux ]; then tests/deploy/need.sh ip iproute2 "what gives the commands of the documents a network of their own" || true; fi
	@$(CARGO_BUILD) --quiet $(PROGRAMS) --bin wsmesh-load --example ask
	@WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" node --test --test-reporter=spec tests/docs/*.test.mjs

$(DOCS_TESTS)/node_modules: $(DOCS_TESTS)/package-lock.json | tool-node
	@npm ci --loglevel=error --no-audit --no-fund --prefix $(DOCS_TESTS)
	@touch $@

chaos: tool-cc tool-redis tool-faketime ## Break nodes, links and servers under load, and count what was lost or doubled: ARGS="--help", "--short", "--scenario kill-one"
	@cargo build --release --locked -p wsmesh-chaos
	@exec $(TARGET_DIR)/release/wsmesh-chaos $(ARGS)

# Servers to compare with, separated by `;`: PEERS="bun=PORT={port} bun server.js; other=./other --port {port}"
PEERS ?=
bench: tool-cc ## The standard load cases on one core, against PEERS="NAME=COMMAND with {port}; ..."; ARGS="--help"
	@cargo build --release --locked -p ws-node -p game-logic -p wsmesh-load
	@exec $(TARGET_DIR)/release/wsmesh-load bench $(if $(PEERS),--peers "$(PEERS)") $(ARGS)

bench-backends: tool-cc tool-redis ## What events cost on their way to a backend over HTTP, and to a service: ARGS="--rate 2000"
	@tests/load/backends.sh $(ARGS)

bench-collectors: tool-cc tool-python tool-curl ## Memory of a ws-node whose collector of traces is dead, silent, refusing or endless: ARGS="--rate 5000 --seconds 600"
	@tests/load/collectors.sh $(ARGS)

bench-micro: tool-cc ## Micro-benchmarks: fan-out inside a shard, envelopes, client frames, what traces cost. ARGS=NAME runs those whose name contains it
	@cargo bench --locked -p wsmesh-adapter -p wsmesh-bootstrap -p wsmesh-protocol --features wsmesh-adapter/fuzzing --bench fan_out --bench envelope --bench traces --bench frames -- $(ARGS)

# libFuzzer needs the compiler's coverage flags; with RUSTC_BOOTSTRAP a stable toolchain accepts them.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
FUZZ_SECONDS ?= 60
FUZZ ?= envelope credentials client_frames client_messages
fuzz: tool-cc ## Fuzz input from Redis and from unknown clients: FUZZ_SECONDS=600 FUZZ=envelope. Needs a C++ compiler
	@cd tests/fuzz && for target in $(FUZZ); do mkdir -p corpus/$$target && RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" \
	  cargo run --release --target "$$(rustc -vV | sed -n 's/host: //p')" --bin $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 corpus/$$target $(ARGS) || exit 1; done

lint: lint-code lint-scripts lint-dependencies ## Formatting, clippy with warnings as errors, shell scripts, dependencies

lint-code: tool-cc
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings

lint-scripts: tool-shellcheck
	@git grep -lE '^#!.*[/ ](ba)?sh$$' | xargs shellcheck

lint-dependencies: tool-cargo-deny
	@cargo deny --log-level error --locked check --hide-inclusion-graph bans licenses sources

advisories: tool-cargo-deny ## Known vulnerabilities of the dependencies; their list is fetched from GitHub
	@cargo deny fetch db || { echo "!!! NOT CHECKED: the list of known vulnerabilities could not be fetched from GitHub" >&2; exit 1; }
	@cargo deny --locked check --disable-fetch advisories

fmt: ## Format the code
	@cargo fmt --all

# Programs without a library. The example is there for the same reason as in CARGO_BUILD.
DOC_PROGRAMS := --bin auction-service --bin wsmesh-check --bin wsmesh-chaos-admin --example first_service
docs: tool-cc ## API documentation, warnings as errors: target/doc/
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --lib $(DOC_PROGRAMS)

settings-docs: tool-cc ## Write the tables of settings in services/*/README.md from the declarations in the code
	@UPDATE_SETTINGS_DOCS=1 cargo test --locked --quiet -p wsmesh-bootstrap -p ws-node -p game-logic -p admin -p wsmesh-standalone --lib the_readme_has

up-test: ## Clients talk through the containers of docker-compose.yml; needs docker and docker-compose
	@$(MAKE) images
	@tests/deploy/up-test.sh

cluster-test: tool-cc ## What clients miss while the chart is upgraded, scaled and broken, on the cluster that kubectl points at; needs helm. CLUSTER_LOAD="kind load docker-image" STEP="rights"
	@tests/deploy/cluster-test.sh

# Its tools are built once (four minutes of CPU time, in Go) and stay in target/tools; the servers read the files that the chart writes.
chart-test: tools tool-cc tool-redis tool-openssl tool-python ## Check the chart, all that it renders, alerts and workflows, without a cluster: ARGS="units schemas"
	@$(CARGO_BUILD) --quiet --bin ws-node --bin game-logic
	@WSMESH_PROGRAMS="$(abspath $(TARGET_DIR)/debug)" tests/deploy/chart-test.sh $(ARGS)

# Not in CI: it takes two minutes and a machine that has the time.
BUILT ?=
dashboards-test: tool-cc tool-redis tool-node tool-prometheus ## Whether every expression of the dashboards has data in a real Prometheus, from a bundle under load: BUILT=target/release
	@if [ -z "$(BUILT)" ]; then $(CARGO_BUILD) --quiet $(PROGRAMS) --bin wsmesh-load; fi
	@node tests/deploy/dashboards/run.mjs "$(if $(BUILT),$(BUILT),$(TARGET_DIR)/debug)" $(ARGS)

tools: tool-helm ## Get what chart-test needs, pinned, into target/tools: helm-unittest, kube-score, helm-docs and others
	@tests/deploy/tool.sh $(TOOLS) $(CHART_TOOLS)

##@ Build
.PHONY: images manifests dashboards sdk sdk-check
sdk: $(CONNECTOR_JS)/node_modules ## Build the JavaScript SDK into services/connector-js/dist/, which is committed
	@npm run build --silent --prefix $(CONNECTOR_JS)

sdk-check: $(CONNECTOR_JS)/node_modules ## Fail if that folder is not what the sources build, or too large
	@npm run check --silent --prefix $(CONNECTOR_JS)

images: ## Container images wsmesh/{ws-node,game-logic,admin,standalone,load}, and their sizes
	@for service in $(IMAGES); do \
	  echo "building wsmesh/$$service:$(VERSION)"; \
	  DOCKER_BUILDKIT=1 docker build -f services/Dockerfile --target "$$service" -t "wsmesh/$$service:$(VERSION)" \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg CREATED=$(CREATED) $(PROXY_ARGS) $(DOCKER_BUILD_FLAGS) .; \
	done
	@for service in $(IMAGES); do docker image inspect -f '{{index .RepoTags 0}} {{.Size}}' "wsmesh/$$service:$(VERSION)"; done | \
	  awk '{ printf "%-28s %6.1f MB\n", $$1, $$2 / 1e6 }'

manifests: tool-helm ## Render the chart into k8s/
	@tests/deploy/manifests.sh k8s

dashboards: tool-node ## Write the dashboards for Grafana (charts/wsmesh/files/dashboards) from their sources in deploy/grafana/dashboards
	@node deploy/grafana/dashboards/build.mjs

manifests-check: tool-helm ## Fail if k8s/ is not what the chart renders
	@tests/deploy/manifests.sh --check k8s

# --- what the tasks need: installed on Debian, asked for elsewhere -----------------------------------------------------
.PHONY: tool-prometheus tool-cc tool-redis tool-openssl tool-curl tool-faketime tool-node tool-python tool-shellcheck tool-cargo-deny tool-helm
NODE_IS_NEW := node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)'
NODE_PACKAGE := node@22.23.3
tool-cc:
	@tests/deploy/need.sh cc "gcc libc6-dev" "a C compiler (the TLS library needs it)"
tool-redis:
	@tests/deploy/need.sh redis-server redis-server "Redis 6 or newer"
tool-openssl:
	@tests/deploy/need.sh openssl openssl "what makes certificates for the tests of TLS"
tool-curl:
	@tests/deploy/need.sh curl curl "what the commands of the documents ask the servers with"
tool-prometheus:
	@tests/deploy/need.sh prometheus prometheus "what scrapes the servers"
tool-python:
	@tests/deploy/need.sh python3 python3 "Python 3, for the auction in Python"
tool-faketime:
	@tests/deploy/need.sh faketime faketime "what sets the wall clock of single processes (libfaketime), for one scenario of chaos"
tool-shellcheck:
	@tests/deploy/need.sh shellcheck shellcheck "what checks the shell scripts"
tool-cargo-deny: tool-cc
	@tests/deploy/tool.sh $(TOOLS) cargo-deny
tool-helm: tool-node
	@command -v $(HELM) >/dev/null || tests/deploy/tool.sh $(TOOLS) helm
tool-node:
	@tests/deploy/need.sh node nodejs "Node.js 20 or newer, for the JavaScript SDK"
	@tests/deploy/need.sh npm npm "the package manager of Node.js"
	@$(NODE_IS_NEW) || { echo "node is $$(node --version), too old: getting $(NODE_PACKAGE) from npm into $(TARGET_DIR)/node" >&2; \
	  npm install --prefix $(TARGET_DIR)/node --no-save --no-audit --no-fund --loglevel=error $(NODE_PACKAGE); }
	@$(NODE_IS_NEW) || { echo "node is $$(node --version), and the JavaScript SDK needs Node.js 20 or newer: install it from your system or https://nodejs.org/" >&2; exit 1; }
