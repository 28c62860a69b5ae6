# Everything one does here, by name. `make` alone lists it.

CARGO ?= cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)
# The local stack as `make run` has built it.
DEV = $(TARGET)/release/darkroom-dev
# Docker or Podman, whichever is here.
COMPOSE = $(shell if command -v docker >/dev/null 2>&1; then echo docker compose; else echo podman compose; fi)

.DEFAULT_GOAL = help
.PHONY: help run env demo test chaos fuzz lint fmt doc openapi prepare bench bench-catalog bench-queue bench-render bench-e2e conformance up down clean debug

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { gsub(/\$$\$$/, "$$"); printf "  make %-13s %s\n", $$1, $$2 }' Makefile

run: ## Run everything in this terminal: Postgres, S3, api, worker (PORT, DATA_DIR)
	@$(CARGO) build --release --workspace --bins
	@$(DEV) run

env: $(DEV) ## Print the running stack's settings, for: eval "$$(make env)"
	@$(DEV) env

demo: $(DEV) ## Upload a picture to the running stack and show what becomes of it
	@$(DEV) demo

test: debug ## Run all tests, with a Postgres and S3 servers of their own
	$(TARGET)/debug/darkroom-dev postgres -- $(CARGO) test --workspace --no-fail-fast

chaos: debug ## Break things while they work, TIMES times over (TIMES=1, CHAOS_SEED)
	@for n in $$(seq $(or $(TIMES),1)); do echo "chaos $$n of $(or $(TIMES),1)"; \
	$(TARGET)/debug/darkroom-dev postgres -- \
	$(CARGO) test --quiet --workspace --test chaos -- --include-ignored --test-threads=4 || exit 1; done

fuzz: debug ## Fuzz what reads uploads, SECONDS for each target (SECONDS=60, TARGETS, SEED); needs cargo-fuzz
	$(TARGET)/debug/examples/seeds fuzz/seeds
	@for target in $(or $(TARGETS),$$($(CARGO) fuzz list)); do \
	mkdir -p fuzz/corpus/$$target fuzz/seeds/$$target; \
	$(CARGO) fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	-max_total_time=$(or $(SECONDS),60) -seed=$(or $(SEED),0) -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 || exit 1; done

lint: ## Check format, clippy, and that .sqlx and openapi.yaml are what the sources say
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(MAKE) --no-print-directory debug
	$(TARGET)/debug/darkroom-dev prepare --check
	@$(TARGET)/debug/darkroom-api openapi | diff -u openapi.yaml - \
	|| { echo 'openapi.yaml is not what the api says: run `make openapi`' >&2; exit 1; }

fmt: ## Format the sources
	$(CARGO) fmt --all

doc: ## Build the documentation of all crates; warnings are errors
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

openapi: ## Write openapi.yaml from the api's code
	$(CARGO) run --quiet --package darkroom-api -- openapi > openapi.yaml.new
	mv openapi.yaml.new openapi.yaml

prepare: ## Write .sqlx from the queries and the migrations
	$(CARGO) run --quiet --package darkroom-dev -- prepare

bench: $(DEV) ## Measure uploads against the running stack
	@eval "$$($(DEV) env)"; api=$$(pgrep -n -x darkroom-api); \
	for what in latency burst slow; do python3 bench/upload.py $$what "http://$$BIND" "$$api" || exit 1; done

bench-queue: ## Compare the queue with others, on a Postgres of its own with fsync on (ROUNDS, FULL=1, CHURN=5000000)
	$(CARGO) build --release --workspace --bins --examples
	PEERS=$(TARGET)/bench-queue QUEUE_BENCH=$(TARGET)/release/examples/queue_bench \
	$(DEV) postgres --durable --set shared_buffers=1GB --set max_wal_size=4GB -- \
	python3 bench/queue/run.py

bench-catalog: debug ## Measure the catalog with ROWS images, on a Postgres of its own with fsync on (ROWS=1000000, ROUNDS)
	ROWS=$(or $(ROWS),1000000) $(TARGET)/debug/darkroom-dev postgres --durable \
	--set shared_buffers=1GB --set max_wal_size=4GB -- $(TARGET)/debug/examples/catalog_bench

bench-render: ## Compare the pipeline with others on the pictures in CORPUS=dir (ROUNDS, ONLY, WRITE=1)
	@test -n "$(CORPUS)" || { echo 'which pictures? CORPUS=dir, see bench/render/run.py' >&2; exit 1; }
	$(CARGO) build --release --package darkroom-pipeline --example render_bench
	$(CARGO) build --release --package darkroom-webp --example frontier
	$(CARGO) build --release --manifest-path bench/render/Cargo.toml --target-dir $(TARGET)/bench-render/score
	CORPUS="$(CORPUS)" PEERS=$(TARGET)/bench-render RENDER_BENCH=$(TARGET)/release/examples/render_bench \
	FRONTIER=$(TARGET)/release/examples/frontier \
	SCORE=$(TARGET)/bench-render/score/release/score python3 bench/render/run.py

conformance: ## Compare the pictures in SETS=dir with a browser and other decoders (ONLY, CHROMIUM, TOLERANCE)
	@test -n "$(SETS)" || { echo 'which pictures? SETS=dir, see bench/conformance/run.py' >&2; exit 1; }
	$(CARGO) build --release --package darkroom-pipeline --example conform
	SETS="$(SETS)" PEERS=$(TARGET)/conformance CONFORM=$(TARGET)/release/examples/conform python3 bench/conformance/run.py

up: .env ## Run everything in containers
	$(COMPOSE) up --build --detach --wait
	@echo 'Swagger UI is at /docs, on port 8000 unless .env has another API_PORT; an API key with all scopes:'
	@$(COMPOSE) exec api cat /var/lib/darkroom/keys/admin

down: ## Stop the containers; their data stays
	$(COMPOSE) down

clean: ## Remove what was built; data/ stays
	$(CARGO) clean

# Everything that `cargo test --workspace` needs, binaries included, and nothing that it would build again.
debug:
	$(CARGO) build --workspace --lib --bins --tests --examples

$(DEV):
	@echo 'nothing runs: start it with `make run`' >&2; exit 1

# Made once, with random secrets.
.env:
	@umask 077; while IFS= read -r line; do case $$line in \
	*=change-me) echo "$${line%change-me}$$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" ;; \
	*) echo "$$line" ;; esac; done < .env.example > .env
	@echo 'wrote .env with random secrets'
