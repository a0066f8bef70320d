"""What the dashboards show. How they look is in look.py."""

from look import (GREEN, ORANGE, RED, SERVICES, Log, choice_variable, logs, panel, query_variable, row, stat,
                  text_variable)

SERVICE = query_variable("service", "Service", f'up{{job=~"{SERVICES}"}}', SERVICES)
UP = {1: ("up", GREEN), 0: ("down", RED)}
BREAKER = {0: ("closed", GREEN), 1: ("half-open", ORANGE), 2: ("open", RED)}
TO_LOGS = {"title": "Logs of ${__field.labels.service}", "targetBlank": False,
           "url": "/d/logs?var-service=${__field.labels.service}&${__url_time_range}"}
TO_SERVICE = {"title": "Dashboard of ${__field.labels.service}", "targetBlank": False,
              "url": "/d/${__field.labels.service}?${__url_time_range}"}
FAILED = 'code=~"UNKNOWN|INTERNAL|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"'


def quantile(q, metric, select, *by):
    labels = ", ".join([*by, "le"])
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{select}}}[$__rate_interval])))"


def rate(metric, select, *by):
    return f"sum by ({', '.join(by)}) (rate({metric}{{{select}}}[$__rate_interval]))"


def share(metric, part, select, *by):
    whole = ", ".join(filter(None, [select, part]))
    return f"{rate(metric, whole, *by)} / {rate(metric, select, *by)}"


def red(select):
    """Rate, errors and duration over both transports."""
    return [
        panel("HTTP requests", "Per second.", "reqps", (rate("http_requests_total", select, "service"), "{{service}}"),
              links=[TO_SERVICE, TO_LOGS]),
        panel("HTTP errors", "Share of the requests that failed through our fault (5xx).", "percentunit",
              (share("http_requests_total", 'status=~"5.."', select, "service"), "{{service}}"),
              warn=0.001, bad=0.05, links=[TO_LOGS, TO_SERVICE]),
        panel("HTTP duration", "Median and 99th percentile. HighLatency is at 2 s, the objective at 500 ms.", "s",
              (quantile(0.5, "http_request_duration_seconds", select, "service"), "{{service}} p50"),
              (quantile(0.99, "http_request_duration_seconds", select, "service"), "{{service}} p99"),
              warn=0.5, bad=2, links=[TO_LOGS, TO_SERVICE]),
        panel("gRPC calls", "Answered per second.", "reqps",
              (rate("grpc_requests_total", select, "service"), "{{service}}"), links=[TO_SERVICE, TO_LOGS]),
        panel("gRPC errors", "Share of the calls that failed through our fault.", "percentunit",
              (share("grpc_requests_total", FAILED, select, "service"), "{{service}}"), warn=0.001, bad=0.05,
              links=[TO_LOGS, TO_SERVICE]),
        panel("gRPC duration", "Median and 99th percentile.", "s",
              (quantile(0.5, "grpc_request_duration_seconds", select, "service"), "{{service}} p50"),
              (quantile(0.99, "grpc_request_duration_seconds", select, "service"), "{{service}} p99"),
              warn=0.5, bad=2, links=[TO_LOGS]),
    ]


def routes(select):
    return [
        panel("By route", "Requests per second.", "reqps",
              (f"topk(10, {rate('http_requests_total', select, 'method', 'path')})", "{{method}} {{path}}")),
        panel("By status", "Requests per second.", "reqps",
              (rate("http_requests_total", select, "status"), "{{status}}"), stack=True),
        panel("Slowest routes", "95th percentile.", "s",
              (f"topk(10, {quantile(0.95, 'http_request_duration_seconds', select, 'method', 'path')})",
               "{{method}} {{path}}"), warn=0.3, bad=0.5),
    ]


def slo(select):
    return [
        panel("Error budget burn, last hour", "1 spends the budget exactly; 14.4 for an hour pages.", "none",
              (f"slo:burn_rate:1h{{{select}}}", "{{service}} {{slo}}"), warn=1, bad=14.4, links=[TO_SERVICE],
              width=12),
        panel("Error budget burn, last six hours", "6 pages; what burns slower is a ticket.", "none",
              (f"slo:burn_rate:6h{{{select}}}", "{{service}} {{slo}}"), warn=1, bad=6, links=[TO_SERVICE], width=12),
    ]


def database(service):
    select = f'service="{service}"'
    return [
        panel("Connections in use", "Share of the pool. DatabaseConnectionsExhausted is at 90 %.", "percentunit",
              (f'sum by (service) (db_connections{{{select}, state="in_use"}})'
               f' / sum by (service) (db_connections{{{select}, state="max"}})', "in use"), warn=0.7, bad=0.9, high=1),
        panel("Slowest statements", "99th percentile by operation.", "s",
              (f"topk(10, {quantile(0.99, 'db_query_duration_seconds', select, 'operation')})", "{{operation}}"),
              warn=0.1, bad=1),
        panel("Slow statements", "Above 100 ms, per second; each is in the log.", "ops",
              (rate("db_slow_queries_total", select, "service"), "slow")),
    ]


def tail(service):
    return [row("Log"), logs("Errors and warnings", "A line's trace_id opens its trace.",
                             Log(f'{{service="{service}", level=~"error|warn"}}'))]


def service(uid, title, description, business):
    """The dashboard of one service: state, requests, what it is for, database, log."""
    select = f'service="{uid}"'
    return dict(uid=uid, title=title, description=description, panels=[
        row("State"),
        stat("State", "Whether Prometheus reaches it.", "none", (f'min(up{{job="{uid}"}})', title), values=UP),
        stat("Replicas", "As Prometheus sees them.", "none", (f'count(up{{job="{uid}"}} == 1)', "replicas")),
        stat("Panics, last hour", "Each is a bug.", "none", (f"sum(increase(panic_total{{{select}}}[1h]))", "panics"),
             bad=0.01, decimals=0),
        stat("Redis breaker", "Open: answers come from the database.", "none",
             (f'max(circuit_breaker_state{{{select}, dependency="redis"}})', "redis"), values=BREAKER),
        stat("Alerts firing", "Of this service.", "none",
             (f'count(ALERTS{{alertstate="firing", {select}}}) or vector(0)', "alerts"), bad=1),
        stat("Budget burn, last hour", "Availability: 1 spends the budget exactly.", "none",
             (f'max(slo:burn_rate:1h{{{select}, slo="availability"}})', "burn"), warn=1, bad=14.4, decimals=2),
        row("What it is for"), *business,
        row("Requests"), *red(select), *routes(select),
        row("Database"), *database(uid),
        *tail(uid),
    ])


OVERVIEW = dict(
    uid="overview", title="Overview", description="All services: state, objectives, requests, business, logs.",
    variables=[SERVICE], panels=[
        row("State"),
        stat("Services", "Whether Prometheus reaches each.", "none",
             (f'min by (service) (up{{service=~"$service", job=~"{SERVICES}"}})', "{{service}}"), values=UP, width=8,
             links=[TO_SERVICE]),
        stat("Alerts firing", "Without the Watchdog, which always fires.", "none",
             ('count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)', "alerts"), bad=1),
        stat("Panics, last hour", "Each is a bug.", "none",
             ('sum(increase(panic_total{service=~"$service"}[1h]))', "panics"), bad=0.01, decimals=0),
        stat("Circuit breakers", "The worst of each dependency.", "none",
             ('max by (dependency) (circuit_breaker_state{service=~"$service"})', "{{dependency}}"), values=BREAKER),
        stat("Parked events", "Events that wait for a person.", "none", ("sum(outbox_parked)", "parked"), bad=1),
        row("Objectives: availability 99.9 %, 99 % of requests within 500 ms"), *slo('service=~"$service"'),
        row("Requests"), *red('service=~"$service"'),
        row("Business"),
        panel("Bookings", "Attempts per second, by how they ended.", "reqps",
              (rate("booking_created_total", "", "status"), "{{status}}"), width=6, stack=True),
        panel("Points", "Commands per second, by outcome.", "reqps",
              (rate("points_transactions_total", "", "type", "status"), "{{type}} {{status}}"), width=6, stack=True),
        panel("Logins", "Per second, by outcome.", "reqps", (rate("auth_login_total", "", "status"), "{{status}}"),
              width=6, stack=True),
        panel("Incidents opened", "In the last hour, by severity.", "none",
              ("sum by (severity) (increase(incidents_opened_total[1h]))", "{{severity}}"), width=6, stack=True),
        row("Database and events"),
        panel("Connections in use", "Share of each pool. DatabaseConnectionsExhausted is at 90 %.", "percentunit",
              ('sum by (service) (db_connections{service=~"$service", state="in_use"})'
               ' / sum by (service) (db_connections{service=~"$service", state="max"})', "{{service}}"),
              warn=0.7, bad=0.9, high=1),
        panel("Slow statements", "Above 100 ms, per second.", "ops",
              (rate("db_slow_queries_total", 'service=~"$service"', "service"), "{{service}}"), links=[TO_LOGS]),
        panel("Oldest event in the outbox", "OutboxStalled is at a minute.", "s",
              ("max by (service) (outbox_oldest_age_seconds)", "{{service}}"), warn=10, bad=60),
        row("Logs"),
        panel("Log lines", "Per second, by level.", "cps",
              (Log('sum by (level) (rate({service=~"$service"}[$__auto]))'), "{{level}}"), width=12, height=10, stack=True),
        logs("Errors and warnings", "A line's trace_id opens its trace.",
             Log('{service=~"$service", level=~"error|warn"}'), width=12),
    ])

AUTH = service("auth", "Auth", "Logins, registrations, tokens, and the passwords being guessed.", [
    panel("Logins", "Per second. blocked: refused before the password was looked at.", "reqps",
          (rate("auth_login_total", "", "status"), "{{status}}"), stack=True),
    panel("Login success rate", "Of the logins that were tried. A fall with wrong_password is guessing.", "percentunit",
          (share("auth_login_total", 'status="success"', "", "service"),
           "success"), high=1, warn=0.9, bad=0.5),
    panel("Failed logins", "Per second, by reason.", "reqps",
          (rate("auth_failed_login_attempts_total", "", "reason"), "{{reason}}"), stack=True),
    panel("Login duration", "A password hash is slow on purpose.", "s",
          (quantile(0.5, "auth_login_duration_seconds", "", "service"), "p50"),
          (quantile(0.95, "auth_login_duration_seconds", "", "service"), "p95"), warn=0.5, bad=2),
    panel("Password hashes", "Made per second: what guessing costs us.", "ops",
          (rate("auth_password_hash_duration_seconds_count", "", "service"), "hashes")),
    panel("Active sessions", "From the database, the same in every replica.", "none",
          ("max(auth_active_sessions)", "sessions")),
    panel("Registrations", "Per second, by outcome.", "reqps",
          (rate("auth_register_total", "", "status"), "{{status}}"), stack=True),
    panel("Tokens introspected", "Per second, by outcome.", "reqps",
          (rate("auth_token_validation_total", "", "status"), "{{status}}"), stack=True),
    panel("Tokens renewed", "Per second.", "reqps", (rate("auth_token_refresh_total", "", "service"), "renewed")),
])

POINTS = service("points", "Points", "Points earned, and the cache before the balances.", [
    panel("Commands", "Per second, by type and outcome.", "reqps",
          (rate("points_transactions_total", "", "type", "status"), "{{type}} {{status}}"), stack=True),
    panel("Failed commands", "Share that failed through our fault.", "percentunit",
          (share("points_transactions_total", 'status="failed"', "", "type"), "{{type}}"), warn=0.001, bad=0.05),
    panel("Repeats", "Share that was answered from an idempotency key: clients and relays that tried again.",
          "percentunit", (share("points_transactions_total", 'status="replayed"', "", "type"), "{{type}}")),
    panel("Balance cache", "Lookups per second, by result.", "reqps",
          (rate("cache_requests_total", 'service="points"', "result"), "{{result}}"), stack=True),
    panel("Cache hit rate", "Of the lookups that asked Redis.", "percentunit",
          (share("cache_requests_total", 'result=~"hit|negative"', 'service="points", result!="bypass"', "cache"),
           "{{cache}}"), high=1),
    panel("Cache failures", "Redis commands that failed or were not tried; answers come from the database.", "ops",
          (rate("cache_failures_total", 'service="points"', "operation"), "{{operation}}"), stack=True),
    panel("Earnings that wait", "In the fallback queue, accepted with 202 while PostgreSQL was away. "
          "Replicas measure one queue.", "none", ("max by (service) (points_fallback_queue_depth)", "waiting"), warn=1,
          bad=50_000),
    panel("Oldest waiting earning", "EarningsWaiting is at two minutes.", "s",
          ("max by (service) (points_fallback_queue_age_seconds)", "age"), warn=30, bad=120),
    panel("Budgets of merchants", "The highest share of a month's budget that is given away. IssuanceBudgetNearlySpent is at 80 %.",
          "percent", ("max by (service) (points_issuance_highest_used_percent)", "used"), warn=80, bad=100, high=100),
    panel("Not given away", "Refused per second: beyond a bound, without a tender value, or to oneself.", "ops",
          (rate("points_issuance_refused_total", "", "reason"), "{{reason}}"), stack=True),
    panel("What becomes of them", "Per second: into the queue, and out of it. Refused and unreadable ones need a person.",
          "ops", (rate("points_fallback_total", "", "result"), "{{result}}"), stack=True),
])

BOOKING = service("booking", "Booking", "Bookings: success rate, P95, overlap rate; and the events for points.", [
    panel("Success rate", "Bookings made, of the attempts that were not refused for the caller's reasons.",
          "percentunit",
          (share("booking_created_total", 'status="success"', 'status=~"success|error"', "service"), "success"),
          high=1, warn=0.999, bad=0.95),
    panel("P95 duration", "Goal 300 ms; HighP95Latency is at 500 ms, a rollback at 1 s.", "s",
          (quantile(0.5, "booking_creation_duration_seconds", "", "service"), "p50"),
          (quantile(0.95, "booking_creation_duration_seconds", "", "service"), "p95"), warn=0.3, bad=0.5),
    panel("Overlap rate", "Share of the attempts that lost the slot to another. Demand, not an error.", "percentunit",
          (share("booking_created_total", 'status="overlap_error"', "", "service"), "overlap"), high=1, warn=0.3),
    panel("Attempts", "Per second, by how they ended.", "reqps",
          (rate("booking_created_total", "", "status"), "{{status}}"), stack=True),
    panel("Outbox", "Events waiting, and parked.", "none", ("sum by (service) (outbox_pending)", "waiting"),
          ("sum by (service) (outbox_parked)", "parked"), bad=100),
    panel("Oldest event", "OutboxStalled is at a minute.", "s",
          ("max by (service) (outbox_oldest_age_seconds)", "age"), warn=10, bad=60),
    panel("Events delivered", "Per second.", "ops", (rate("outbox_delivered_total", "", "service"), "delivered")),
    panel("Calls to points", "Per second, by answer.", "reqps",
          (rate("grpc_client_requests_total", 'service="booking"', "method", "code"), "{{method}} {{code}}"), stack=True),
    panel("Calls to points: duration", "95th percentile.", "s",
          (quantile(0.95, "grpc_client_request_duration_seconds", 'service="booking"', "method"), "{{method}}"),
          warn=0.3, bad=1),
])

INCIDENTS = service("incidents", "Incidents", "Alerts received and incidents opened.", [
    panel("Incidents opened", "In the last hour, by severity.", "none",
          ("sum by (severity) (increase(incidents_opened_total[1h]))", "{{severity}}"), stack=True),
    panel("Alerts received", "Per second, by what became of them.", "reqps",
          (rate("incidents_alerts_total", "", "result"), "{{result}}"), stack=True),
    panel("Alertmanager's deliveries", "Failed ones are tried again; for long, somebody is not told.", "ops",
          ('sum by (integration) (rate(alertmanager_notifications_total{integration="webhook"}[$__rate_interval]))',
           "sent"),
          ('sum by (integration) (rate(alertmanager_notifications_failed_total{integration="webhook"}[$__rate_interval]))',
           "failed"), bad=1),
])

POSTGRES = dict(
    uid="postgres", title="PostgreSQL", description="The server, as its exporter and our pools see it.",
    variables=[SERVICE], panels=[
        row("Server"),
        stat("State", "Whether the exporter reaches it.", "none", ("min(pg_up)", "PostgreSQL"), values=UP, width=6),
        stat("Connections", "Share of max_connections.", "percentunit",
             ("sum(pg_stat_activity_count) / max(pg_settings_max_connections)", "used"), warn=0.7, bad=0.9, width=6),
        stat("Last base backup", "BackupStale is at 26 hours.", "s",
             ("time() - max(platform_backup_last_success_timestamp_seconds)", "ago"), warn=90000, bad=93600, width=6),
        stat("WAL not archived yet", "What a loss of the server now would cost.", "bytes",
             ("max(platform_wal_archive_lag_bytes)", "lag"), warn=64 << 20, bad=512 << 20, width=6),
        panel("Transactions", "Per second, by database.", "ops",
              ('sum by (datname) (rate(pg_stat_database_xact_commit{datname=~"$service"}[$__rate_interval]))',
               "{{datname}} commit"),
              ('sum by (datname) (rate(pg_stat_database_xact_rollback{datname=~"$service"}[$__rate_interval]))',
               "{{datname}} rollback")),
        panel("Sessions", "By database and state; idle in transaction is a bug.", "none",
              ('sum by (datname, state) (pg_stat_activity_count{datname=~"$service"} > 0)', "{{datname}} {{state}}"),
              stack=True),
        panel("Longest transaction", "What holds back vacuum, and the outbox.", "s",
              ('max by (datname) (pg_stat_activity_max_tx_duration{datname=~"$service"})', "{{datname}}"),
              warn=5, bad=60),
        panel("Cache hit rate", "Blocks found in shared buffers.", "percentunit",
              ('sum by (datname) (rate(pg_stat_database_blks_hit{datname=~"$service"}[$__rate_interval])) / '
               '(sum by (datname) (rate(pg_stat_database_blks_hit{datname=~"$service"}[$__rate_interval])) + '
               'sum by (datname) (rate(pg_stat_database_blks_read{datname=~"$service"}[$__rate_interval])))',
               "{{datname}}"), high=1, warn=0.98, bad=0.9),
        panel("Deadlocks", "Per second. Contested slots and balances are written so that there are none.", "ops",
              ('sum by (datname) (rate(pg_stat_database_deadlocks{datname=~"$service"}[$__rate_interval]))',
               "{{datname}}"), bad=0.1),
        panel("Locks", "Held, by mode.", "none",
              ('sum by (mode) (pg_locks_count{datname=~"$service"} > 0)', "{{mode}}"), stack=True),
        panel("Rows written", "Per second: inserted, updated, deleted.", "ops",
              ('sum(rate(pg_stat_database_tup_inserted{datname=~"$service"}[$__rate_interval]))', "inserted"),
              ('sum(rate(pg_stat_database_tup_updated{datname=~"$service"}[$__rate_interval]))', "updated"),
              ('sum(rate(pg_stat_database_tup_deleted{datname=~"$service"}[$__rate_interval]))', "deleted"), width=12),
        panel("Size", "Of each database.", "bytes",
              ('max by (datname) (pg_database_size_bytes{datname=~"$service"})', "{{datname}}"), width=12, stack=True),
        row("Pools"),
        panel("In use", "Share of each service's pool.", "percentunit",
              ('sum by (service) (db_connections{service=~"$service", state="in_use"})'
               ' / sum by (service) (db_connections{service=~"$service", state="max"})', "{{service}}"),
              warn=0.7, bad=0.9, high=1),
        panel("Active and idle", "Connections of each service.", "none",
              ('sum by (service) (db_connections_active{service=~"$service"})', "{{service}} active"),
              ('sum by (service) (db_connections_idle{service=~"$service"})', "{{service}} idle")),
        panel("Statement duration", "99th percentile by service.", "s",
              (quantile(0.99, "db_query_duration_seconds", 'service=~"$service"', "service"), "{{service}}"),
              warn=0.1, bad=1),
    ])

REDIS = dict(
    uid="redis", title="Redis", description="Redis, as its exporter and our services see it.", variables=[SERVICE],
    panels=[
        row("Server"),
        stat("State", "Whether the exporter reaches it.", "none", ("min(redis_up)", "Redis"), values=UP, width=8),
        stat("Memory", "Share of maxmemory.", "percentunit",
             ("max(redis_memory_used_bytes) / max(redis_memory_max_bytes)", "used"), warn=0.8, bad=0.95, width=8),
        stat("Clients", "Connected.", "none", ("sum(redis_connected_clients)", "clients"), width=8),
        panel("Commands", "Per second.", "ops",
              ("topk(10, sum by (cmd) (rate(redis_commands_total[$__rate_interval])))", "{{cmd}}"), stack=True),
        panel("Keyspace", "Lookups per second: found, not found.", "ops",
              ("sum(rate(redis_keyspace_hits_total[$__rate_interval]))", "hits"),
              ("sum(rate(redis_keyspace_misses_total[$__rate_interval]))", "misses")),
        panel("Evicted and expired", "Per second. Eviction means that the memory is too small.", "ops",
              ("sum(rate(redis_evicted_keys_total[$__rate_interval]))", "evicted"),
              ("sum(rate(redis_expired_keys_total[$__rate_interval]))", "expired")),
        panel("Memory", "In use, and the limit.", "bytes", ("max(redis_memory_used_bytes)", "used"),
              ("max(redis_memory_max_bytes)", "limit"), width=12),
        panel("Keys", "In each database.", "none", ("sum by (db) (redis_db_keys)", "{{db}}"), width=12),
        row("As the services see it"),
        panel("Cache lookups", "Per second, by result. bypass: the breaker was open.", "reqps",
              (rate("cache_requests_total", 'service=~"$service"', "cache", "result"), "{{cache}} {{result}}"), stack=True),
        panel("Failures", "Commands that failed, timed out or were not tried.", "ops",
              (rate("cache_failures_total", 'service=~"$service"', "service", "operation"), "{{service}} {{operation}}")),
        panel("Breakers", "0 closed, 1 half-open, 2 open.", "none",
              ('max by (service) (circuit_breaker_state{service=~"$service", dependency="redis"})', "{{service}}"),
              high=2, warn=1, bad=2),
    ])

RUNTIME = dict(
    uid="runtime", title="Runtime", description="Processes and their tokio runtimes.", variables=[SERVICE], panels=[
        row("tokio"),
        panel("Busy workers", "Share of all workers' time. Above 80 % requests wait for a processor.", "percentunit",
              ('sum by (service) (rate(tokio_busy_seconds_total{service=~"$service"}[$__rate_interval]))'
               ' / sum by (service) (tokio_workers{service=~"$service"})', "{{service}}"), warn=0.6, bad=0.8, high=1),
        panel("Waiting tasks", "In the global queue; above 0 for long means overload.", "none",
              ('sum by (service) (tokio_global_queue_depth{service=~"$service"})', "{{service}}"), warn=10, bad=100),
        panel("Tasks alive", "A line that only rises is a leak.", "none",
              ('sum by (service) (tokio_alive_tasks{service=~"$service"})', "{{service}}")),
        row("Process"),
        panel("Memory", "Resident.", "bytes",
              ('sum by (service) (process_resident_memory_bytes{service=~"$service"})', "{{service}}")),
        panel("Processor", "Cores in use.", "none",
              ('sum by (service) (rate(process_cpu_seconds_total{service=~"$service"}[$__rate_interval]))',
               "{{service}}"), decimals=2),
        panel("File descriptors", "Share of the limit.", "percentunit",
              ('max by (service) (process_open_fds{service=~"$service"} / process_max_fds{service=~"$service"})',
               "{{service}}"), warn=0.7, bad=0.9),
        panel("Uptime", "A saw is a process that crashes.", "s",
              ('min by (service) (time() - process_start_time_seconds{service=~"$service"})', "{{service}}")),
        panel("Threads", "Of the process.", "none",
              ('sum by (service) (process_threads{service=~"$service"})', "{{service}}")),
        panel("Requests in flight", "Over HTTP.", "none",
              ('sum by (service) (http_requests_in_flight{service=~"$service"})', "{{service}}")),
        row("Background work"),
        panel("Jobs", "Runs in the last hour, by result.", "none",
              ('sum by (service, job, result) (increase(job_runs_total{service=~"$service"}[1h]))',
               "{{service}} {{job}} {{result}}")),
        panel("Restarted tasks", "Background tasks that ended and were started again, in the last hour.", "none",
              ('sum by (service, task) (increase(task_restarts_total{service=~"$service"}[1h]))',
               "{{service}} {{task}}"), bad=1, links=[TO_LOGS]),
        panel("Dropped log lines", "Per second: the writer could not keep up.", "cps",
              (rate("log_lines_dropped_total", 'service=~"$service"', "service", "level"), "{{service}} {{level}}"),
              bad=1),
    ])

LOGS = dict(
    uid="logs", title="Logs", description="All logs, the errors, and by service. A trace_id opens its trace.",
    variables=[SERVICE, choice_variable("level", "Level", ["error", "warn", "info", "debug"]),
               text_variable("contains", "Contains")],
    panels=[
        row("By service"),
        panel("Lines", "Per second, by service.", "cps",
              (Log('sum by (service) (rate({service=~"$service", level=~"$level"} |= "$contains" [$__auto]))'),
               "{{service}}"), stack=True, links=[TO_LOGS]),
        panel("Errors", "Per second, by service.", "cps",
              (Log('sum by (service) (rate({service=~"$service", level="error"} |= "$contains" [$__auto]))'),
               "{{service}}"), stack=True, links=[TO_LOGS]),
        panel("By level", "Per second.", "cps",
              (Log('sum by (level) (rate({service=~"$service", level=~"$level"} |= "$contains" [$__auto]))'), "{{level}}"),
              stack=True),
        row("Errors"),
        logs("Errors", "What somebody has to look at.", Log('{service=~"$service", level="error"} |= "$contains"')),
        row("All"),
        logs("All", "Everything the services write; PostgreSQL and the rest: `{container=~\".+\"}` in Explore.",
             Log('{service=~"$service", level=~"$level"} |= "$contains"'), height=16),
    ])

BOARDS = [OVERVIEW, AUTH, POINTS, BOOKING, INCIDENTS, POSTGRES, REDIS, RUNTIME, LOGS]
