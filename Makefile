# `make up` and `make test` are enough to begin with; `make` alone lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# A fresh clone has no database: the compiler checks the queries against crates/*/.sqlx.
export SQLX_OFFLINE := true

BIN   := $(or $(CARGO_TARGET_DIR),target)/debug
STACK := $(BIN)/stack

# make migrate-down SERVICE=points N=2. Lower case is accepted too: make redeploy service=points
SERVICE ?= $(or $(service),all)
N       ?= 1

##@ Run

up: ## Start the whole system. MODE=docker or MODE=native forces one way
	@mode=$$(scripts/mode) && $(MAKE) --no-print-directory up-$$mode

up-min: ## Start it in 1.5 GiB of containers, without Grafana, Loki and Alloy. Natively the same as up
	@mode=$$(scripts/mode) && COMPOSE_FILE=docker-compose.yml:deployments/compose.min.yml \
		POSTGRES_SHARED_BUFFERS=96MB REDIS_MAXMEMORY=64mb JAEGER_GOMEMLIMIT=200MiB $(MAKE) --no-print-directory up-$$mode

redeploy: ## Rebuild one service and replace the running one. SERVICE=points
	@case " auth points booking incidents " in *" $(SERVICE) "*) ;; *) echo "Which one? make redeploy SERVICE=points"; exit 64;; esac
	@mode=$$(scripts/mode running) && $(MAKE) --no-print-directory redeploy-$$mode

down: ## Stop the system; its data stays
	@mode=$$(scripts/mode running) && $(MAKE) --no-print-directory down-$$mode

status: ## Show every part: readiness, process, uptime, restarts
	@case $$(scripts/mode running) in docker) docker compose ps;; *) $(native) status || true;; esac

logs: ## Print the logs. SERVICE=points for one service, F=1 to follow
	@part=$(filter-out all,$(SERVICE)); case $$(scripts/mode running) in \
		docker) docker compose logs --tail 100 $(if $(F),--follow) $$part;; \
		*) $(native) logs $(if $(F),--follow) $$part;; esac

psql: ## Open a database's shell as its superuser. SERVICE=points; SQL='SELECT 1' for one statement
	@database=$(if $(filter all,$(SERVICE)),postgres,$(SERVICE)); case $$(scripts/mode running) in \
		docker) docker compose exec postgres psql -U postgres -d $$database $${SQL:+-c "$$SQL"};; \
		*) PGPASSWORD=$$(cat "$${STACK_DIR:-.stack}/secrets/postgres_password") \
			psql -h 127.0.0.1 -p "$${POSTGRES_PORT:-15432}" -U postgres -d $$database $${SQL:+-c "$$SQL"};; esac

demo: ## Follow one member through the public APIs; ends with the trace
	@case $$(scripts/mode running) in docker) $(STACK) demo --compose;; *) $(native) demo;; esac

clean: ## Stop the system and remove its data, secrets and logs
	@if [ -x $(STACK) ]; then $(STACK) clean; fi
	@if [ -f .stack/mode ] && [ "$$(cat .stack/mode)" = docker ]; then docker compose down --volumes; fi
	@rm -rf .stack

##@ Develop

# make test P="booking points": all tests of these crates, and their number at the end. T=word: only those that have the word in
# their name, whatever crate they are in.
test: test-build ## Run every test, on a private PostgreSQL and Redis. P=booking: those of one crate; T=word: those with it in their name
	@$(STACK) exec -- sh -c '\
		if cargo nextest --version >/dev/null 2>&1; \
		then cargo nextest run --workspace $(foreach p,$(P),-E "package(=$(p))") $(T); \
		else cargo test $(or $(foreach p,$(P),--package $(p)),--workspace) $(T); fi'

fmt: ## Format the code
	@cargo fmt --all

lint: setup-build ## Check the formatting and run clippy, warnings denied
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --quiet -- -D warnings

check: setup-check ## Run everything that CI checks
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory sqlx-check
	@scripts/deny
	@deployments/check.sh
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory check-telemetry
	@$(MAKE) --no-print-directory drill-restore ROWS=100000

sqlx: tools ## Update crates/*/.sqlx after a change of a query or a migration
	@$(STACK) exec -- scripts/sqlx write

sqlx-check: tools ## Check that crates/*/.sqlx is up to date
	@$(STACK) exec -- scripts/sqlx check

##@ Checks, campaigns and benchmarks

check-telemetry: programs ## Run the system and check that every rule and panel has its data
	@deployments/check/telemetry.sh

check-alerts: setup-check ## Check that each alert fires when it should, and only then
	@promtool test rules deployments/prometheus/tests/*_test.yml

check-k8s: ## Render and validate the Kubernetes manifests
	@deployments/check/k8s.sh

check-terraform: ## Check the Terraform modules: format, arguments, references
	@deployments/check/terraform.sh

check-planted: setup-check ## Plant one fault after another: each check must find its own
	@deployments/check/planted.sh && deployments/check/planted-cloud.sh && $(MAKE) --no-print-directory programs && deployments/check/planted-telemetry.sh

check-planted-code: programs ## Break the code, one defect at a time: a named test must fail. An hour; ONLY=grant for some
	@scripts/planted-adversary

campaign-incidents: programs ## Send 1,000 alerts during 45 crashes and a minute without any channel. Some minutes
	@CAMPAIGN=full cargo test --package stack --test it storm:: -- --nocapture
	@CAMPAIGN=full $(STACK) exec -- cargo test --package incidents --test it afterward_in_order -- --nocapture

drill-restore: setup-run ## Back up a million ledger rows, lose them, restore them to a point in time
	@ROWS=$(or $(ROWS),1000000) deployments/backup/drill.sh

campaign-booking: programs ## Book for a minute while booking's processes are killed; 2,000 races; 64,000 contested slots
	@CAMPAIGN_SECONDS=$${CAMPAIGN_SECONDS:-60} cargo test --package stack --test it campaign -- --nocapture
	@$(STACK) exec -- cargo test --profile load --package booking --test it -- --nocapture --test-threads 1 \
		saga_faults storm

bench-booking: setup-run ## Measure booking over HTTP beside pgbench, at 0 to 1,000,000 bookings
	@scripts/bench-booking

bench-login: setup-run ## Send 500 logins a second for 30 s: successes, and the latency of all other requests
	@scripts/bench-auth flood

report-enumeration: setup-run ## Measure how much the time of an answer tells about an address, as rank AUC
	@scripts/bench-auth enumeration

bench-points: setup-run ## Measure the ledger over HTTP beside pgbench, in one run, as ratios
	@scripts/bench-points

bench-layers: ## Measure the cost of our layers: a no-op route behind all of them and behind none
	@cargo build --quiet --profile load -p loadtest
	@$(or $(CARGO_TARGET_DIR),target)/load/loadtest layers

campaign-adversary: programs ## Attack the whole system as members and strangers, while parts are killed and cut off. TIME=1200 SEED=1
	@ADVERSARY_SECONDS=$(or $(TIME),$(SECONDS_TOTAL),1200) ADVERSARY_SEED=$(or $(SEED),1) ADVERSARY_SHRINK_SECONDS=600 \
		cargo test --workspace --test adversary -- --nocapture

campaign-points: programs ## Send 100,000 commands from clients that hang up, while the ledger is killed; PostgreSQL is away for 30 s
	@CAMPAIGN_COMMANDS=$(or $(CAMPAIGN_COMMANDS),100000) $(STACK) exec -- cargo test --package points --test it -- --nocapture --test-threads 1 \
		campaign:: degraded::under_load

##@ Break the running (native) system: the alert, the incident, its end

chaos-points-panic: ## Make every request to points panic
	@$(native) chaos points-panic

chaos-booking-errors: ## Make every request to booking fail
	@$(native) chaos booking-errors

chaos-postgres-slow: ## Lock the rows that points reads
	@$(native) chaos postgres-slow

chaos-redis-down: ## Stop Redis without ending it
	@$(native) chaos redis-down

chaos-line-down: ## Make LINE refuse every message
	@$(native) chaos line-down

chaos-alert-storm: ## Send 300 alerts of three causes at once
	@$(native) chaos alert-storm

##@ Migrations, of the running system. SERVICE=points for one service

migrate-up: ## Apply pending migrations
	@scripts/migrate $(SERVICE) up

migrate-down: ## Revert the newest N (1 by default)
	@scripts/migrate $(SERVICE) down $(N)

migrate-down-all: ## Revert all of them; YES=1 confirms
	@scripts/migrate $(SERVICE) down --all $(if $(YES),--yes)

migrate-version: ## Show the version of each database
	@scripts/migrate $(SERVICE) version

migrate-status: ## List the migrations, applied and pending
	@scripts/migrate $(SERVICE) status

migrate-create: $(BIN)/migrate ## Write the two files of the next migration; needs no running system. SERVICE=points NAME=expiry
	@$(BIN)/migrate $(SERVICE) create "$(NAME)"

migrate-force: ## Set the version of the schema after a failed migration. SERVICE=points V=3
	@scripts/migrate $(SERVICE) force $(V)

unpark: ## Deliver the events again that the outbox has parked. SERVICE=booking SINCE='2026-11-28T03:00Z'
	@scripts/migrate $(SERVICE) unpark --since "$(SINCE)" $(if $(UNTIL),--until "$(UNTIL)") $(if $(KIND),--kind "$(KIND)")

##@ Behind the others

native = { [ -x $(STACK) ] || { echo "Nothing is running. make up starts it."; exit 1; }; } && $(STACK)

help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ Behind/ { exit } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

setup-build setup-run setup-check: setup-%:
	@scripts/bootstrap $*

# The first build takes minutes, so it is announced.
building = [ -e $(STACK) ] || echo "Compiling, the first time: some minutes on two cores."

programs: setup-run
	@$(building)
	@cargo build --workspace --bins

# Everything that the tests run. The services are in it: built by `programs` they would have other features, and a hundred
# crates would be compiled twice.
test-build: setup-run
	@$(building)
	@cargo test --quiet --workspace --no-run

# `make sqlx` needs these two: neither contains a query, so both build while .sqlx is out of date.
tools: setup-run
	@$(building)
	@cargo build --quiet --package stack --package migrate

$(BIN)/migrate:
	@$(MAKE) --no-print-directory programs

up-native: programs
	@mkdir -p .stack && echo native >.stack/mode
	@$(STACK) up

up-docker: setup-build
	@mkdir -p .stack && echo docker >.stack/mode
	@deployments/secrets.sh
	@docker compose up --build --detach --wait
	@cargo build --workspace --bins && $(STACK) welcome

redeploy-native:
	@cargo build --bin $(SERVICE) && $(native) restart $(SERVICE)

redeploy-docker:
	@docker compose up --build --detach --wait --no-deps $(SERVICE)

down-native:
	@if [ -x $(STACK) ]; then $(STACK) down; else echo "Nothing is running."; fi

down-docker:
	@docker compose down

.PHONY: up up-min redeploy down status logs psql demo clean test fmt lint check sqlx sqlx-check help programs test-build tools \
	check-telemetry check-alerts check-k8s check-terraform check-planted campaign-incidents drill-restore bench-login report-enumeration bench-points bench-layers campaign-points campaign-booking bench-booking migrate-up migrate-down migrate-down-all migrate-version migrate-status migrate-create migrate-force unpark campaign-adversary check-planted-code \
	setup-build setup-run setup-check up-native up-docker redeploy-native redeploy-docker down-native down-docker
