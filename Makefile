# `make up` and `make test` are all one needs; `make` alone lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Where a fresh clone has no database, the queries are checked against crates/*/.sqlx.
export SQLX_OFFLINE := true

BIN   := $(or $(CARGO_TARGET_DIR),target)/debug
STACK := $(BIN)/stack

# make migrate-down SERVICE=points N=2. Small letters will do: make redeploy service=points
SERVICE ?= $(or $(service),all)
N       ?= 1

##@ Run

up: ## Bring up the whole system. MODE=docker or MODE=native forces one way
	@mode=$$(scripts/mode) && $(MAKE) --no-print-directory up-$$mode

up-min: ## The same in 1.5 GiB of containers: no Grafana, Loki and Alloy. Natively the same as up
	@mode=$$(scripts/mode) && COMPOSE_FILE=docker-compose.yml:deployments/compose.min.yml \
		POSTGRES_SHARED_BUFFERS=96MB REDIS_MAXMEMORY=64mb JAEGER_GOMEMLIMIT=200MiB $(MAKE) --no-print-directory up-$$mode

redeploy: ## Build one service anew and put it in the place of the one that runs. SERVICE=points
	@case " auth points booking incidents " in *" $(SERVICE) "*) ;; *) echo "Which one? make redeploy SERVICE=points"; exit 64;; esac
	@mode=$$(scripts/mode running) && $(MAKE) --no-print-directory redeploy-$$mode

down: ## Take it down; its data stays
	@mode=$$(scripts/mode running) && $(MAKE) --no-print-directory down-$$mode

status: ## Every part: ready or not, process, uptime, restarts
	@case $$(scripts/mode running) in docker) docker compose ps;; *) $(native) status || true;; esac

logs: ## What the parts write. SERVICE=points for one, F=1 to follow
	@part=$(filter-out all,$(SERVICE)); case $$(scripts/mode running) in \
		docker) docker compose logs --tail 100 $(if $(F),--follow) $$part;; \
		*) $(native) logs $(if $(F),--follow) $$part;; esac

psql: ## A database's shell, as its superuser. SERVICE=points; SQL='SELECT 1' for one statement
	@database=$(if $(filter all,$(SERVICE)),postgres,$(SERVICE)); case $$(scripts/mode running) in \
		docker) docker compose exec postgres psql -U postgres -d $$database $${SQL:+-c "$$SQL"};; \
		*) PGPASSWORD=$$(cat "$${STACK_DIR:-.stack}/secrets/postgres_password") \
			psql -h 127.0.0.1 -p "$${POSTGRES_PORT:-15432}" -U postgres -d $$database $${SQL:+-c "$$SQL"};; esac

demo: ## A member's story over the public APIs, ending with its trace
	@case $$(scripts/mode running) in docker) $(STACK) demo --compose;; *) $(native) demo;; esac

clean: ## Take it down and remove its data, secrets and logs
	@if [ -x $(STACK) ]; then $(STACK) clean; fi
	@if [ -f .stack/mode ] && [ "$$(cat .stack/mode)" = docker ]; then docker compose down --volumes; fi
	@rm -rf .stack

##@ Develop

test: programs ## Run every test, on a private PostgreSQL and Redis. T=name for some of them
	@$(STACK) exec -- sh -c '\
		if cargo nextest --version >/dev/null 2>&1; \
		then cargo nextest run --workspace $(T); \
		else cargo test --workspace $(T); fi'

fmt: ## Format the code
	@cargo fmt --all

lint: setup-build ## Formatting and clippy, warnings denied
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --quiet -- -D warnings

check: setup-check ## Everything that CI checks
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory sqlx-check
	@scripts/deny
	@deployments/check.sh
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory check-telemetry
	@$(MAKE) --no-print-directory drill-restore ROWS=100000

sqlx: tools ## Renew crates/*/.sqlx after a change of a query or a migration
	@$(STACK) exec -- scripts/sqlx write

sqlx-check: tools ## Fail when crates/*/.sqlx is out of date
	@$(STACK) exec -- scripts/sqlx check

##@ Look closer

check-telemetry: programs ## Run the system, and see that every rule and panel has its data
	@deployments/check/telemetry.sh

check-alerts: setup-check ## Each alert fires when it should, and is silent when it should
	@promtool test rules deployments/prometheus/tests/*_test.yml

check-k8s: ## The Kubernetes manifests, rendered and validated
	@deployments/check/k8s.sh

check-terraform: ## The Terraform modules: format, arguments, references
	@deployments/check/terraform.sh

check-planted: setup-check ## Plant faults, one after the other: each check must see its own
	@deployments/check/planted.sh && deployments/check/planted-cloud.sh && $(MAKE) --no-print-directory programs && deployments/check/planted-telemetry.sh

check-planted-code: programs ## Break the code, one defect at a time: a named test must see it. An hour; ONLY=grant for some
	@scripts/planted-adversary

campaign-incidents: programs ## 1,000 alerts among 45 crashes, and a minute without any channel. Some minutes
	@CAMPAIGN=full cargo test --package stack --test it storm:: -- --nocapture
	@CAMPAIGN=full $(STACK) exec -- cargo test --package incidents --test it afterward_in_order -- --nocapture

drill-restore: setup-run ## Back up a million ledger rows, lose them, restore to a point in time
	@ROWS=$(or $(ROWS),1000000) deployments/backup/drill.sh

campaign-booking: programs ## A minute of booking while its processes are killed; 2,000 races; 64,000 contested slots
	@CAMPAIGN_SECONDS=$${CAMPAIGN_SECONDS:-60} cargo test --package stack --test it campaign -- --nocapture
	@$(STACK) exec -- cargo test --profile load --package booking --test it -- --nocapture --test-threads 1 \
		saga_faults storm

bench-booking: setup-run ## Booking over HTTP beside pgbench, at 0 to 1,000,000 bookings
	@scripts/bench-booking

bench-login: setup-run ## 500 logins a second for 30 s: how many get in, and how everybody else fares
	@scripts/bench-auth flood

report-enumeration: setup-run ## Whether the time of an answer says whose address it is, as rank AUC
	@scripts/bench-auth enumeration

bench-points: setup-run ## The ledger over HTTP beside pgbench, in one run, as ratios
	@scripts/bench-points

bench-layers: ## What our layers cost: a route that does nothing, behind all of them and behind none
	@cargo build --quiet --profile load -p loadtest
	@$(or $(CARGO_TARGET_DIR),target)/load/loadtest layers

campaign-adversary: programs ## Members and strangers against the whole system, while it is killed and cut. TIME=1200 SEED=1
	@ADVERSARY_SECONDS=$(or $(TIME),$(SECONDS_TOTAL),1200) ADVERSARY_SEED=$(or $(SEED),1) ADVERSARY_SHRINK_SECONDS=600 \
		cargo test --workspace --test adversary -- --nocapture

campaign-points: programs ## 100,000 commands by clients that hang up, on a ledger that is killed; PostgreSQL away for 30 s
	@CAMPAIGN_COMMANDS=$(or $(CAMPAIGN_COMMANDS),100000) $(STACK) exec -- cargo test --package points --test it -- --nocapture --test-threads 1 \
		campaign:: degraded::under_load

##@ Break things, in the running system (native): the alert, the incident, its end

chaos-points-panic: ## Every request to points panics
	@$(native) chaos points-panic

chaos-booking-errors: ## Every request to booking fails
	@$(native) chaos booking-errors

chaos-postgres-slow: ## A transaction holds what points reads
	@$(native) chaos postgres-slow

chaos-redis-down: ## Redis stands still
	@$(native) chaos redis-down

chaos-line-down: ## LINE takes no message
	@$(native) chaos line-down

chaos-alert-storm: ## 300 alerts of three causes at once
	@$(native) chaos alert-storm

##@ Migrations, of the running system. SERVICE=points for one service

migrate-up: ## Apply what is pending
	@scripts/migrate $(SERVICE) up

migrate-down: ## Revert the newest N (1 unless told)
	@scripts/migrate $(SERVICE) down $(N)

migrate-down-all: ## Revert everything; YES=1 says that you mean it
	@scripts/migrate $(SERVICE) down --all $(if $(YES),--yes)

migrate-version: ## The version each database is at
	@scripts/migrate $(SERVICE) version

migrate-status: ## Every migration and whether it is applied
	@scripts/migrate $(SERVICE) status

migrate-create: $(BIN)/migrate ## Write the two files of the next migration. SERVICE=points NAME=expiry
	@$(BIN)/migrate $(SERVICE) create "$(NAME)"

migrate-force: ## After a dirty migration: say which version the schema has. SERVICE=points V=3
	@scripts/migrate $(SERVICE) force $(V)

unpark: ## Let events go again that the outbox has parked. SERVICE=booking SINCE='2026-11-28T03:00Z'
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

# What one waits for is said, when there is something to wait for.
building = [ -e $(STACK) ] || echo "Compiling, the first time: some minutes on two cores."

programs: setup-run
	@$(building)
	@cargo build --workspace --bins

# What `make sqlx` needs must build when a query has changed and .sqlx has not: no service is in it.
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

.PHONY: up up-min redeploy down status logs psql demo clean test fmt lint check sqlx sqlx-check help programs tools \
	check-telemetry check-alerts check-k8s check-terraform check-planted campaign-incidents drill-restore bench-login report-enumeration bench-points bench-layers campaign-points campaign-booking bench-booking migrate-up migrate-down migrate-down-all migrate-version migrate-status migrate-create migrate-force unpark campaign-adversary check-planted-code \
	setup-build setup-run setup-check up-native up-docker redeploy-native redeploy-docker down-native down-docker
