//! `/health`, `/live`, `/ready` and `/health/detailed`.
//!
//! A live process runs its event loop. A ready process has a database that answers. Without Redis a process
//! is degraded but ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as Rpc, HealthServer};

use crate::error::{ApiError, Kind};
use crate::http::secured;
use crate::redis::Redis;

/// Maximum age of a cached report. With [`BUDGET`] it bounds the delay of a change to 2 s.
const FRESH: Duration = Duration::from_millis(500);
/// Time limit for a dependency to answer.
const BUDGET: Duration = Duration::from_millis(1500);
/// The part of [`BUDGET`] for the kept connection, before a new one is tried.
const PING: Duration = Duration::from_millis(500);

/// The health of a service and its dependencies. The database is required; without Redis the service is
/// `degraded`. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    service: &'static str,
    database: PgPool,
    /// A connection outside the pool, so that a busy pool does not look like a missing database.
    probe: Mutex<Option<PgConnection>>,
    redis: Redis,
    last: Mutex<Option<(Instant, Report)>>,
    stopping: AtomicBool,
}

/// The response time of each dependency; `None` when it did not answer.
#[derive(Clone, Copy)]
struct Report {
    database: Option<Duration>,
    /// `None` when no Redis is configured.
    redis: Option<Option<Duration>>,
}

impl Health {
    /// Creates the health of `service`, from this pool and this Redis.
    pub fn new(service: &'static str, database: PgPool, redis: Redis) -> Self {
        Self(Arc::new(Inner {
            service,
            database,
            probe: Mutex::default(),
            redis,
            last: Mutex::default(),
            stopping: AtomicBool::new(false),
        }))
    }

    pub(crate) fn redis(&self) -> Redis {
        self.0.redis.clone()
    }

    /// Reports the service as not ready from now on.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Returns the routes `/health`, `/live` and `/ready`.
    pub fn public(&self) -> Router {
        let (ready, service) = (self.clone(), self.0.service);
        let alive = move |status| Json(json!({ "status": status, "service": service }));
        let routes = Router::new()
            .route("/health", get(move || async move { alive("ok") }))
            .route("/live", get(move || async move { alive("live") }))
            .route("/ready", get(move || async move { ready.ready().await }));
        secured(routes.method_not_allowed_fallback(|| async {
            ApiError::new(Kind::MethodNotAllowed, "method_not_allowed", "see the Allow header")
        }))
    }

    /// Returns the route `/health/detailed`, for the admin port.
    pub(crate) fn detailed(&self) -> Router {
        let health = self.clone();
        Router::new()
            .route("/health/detailed", get(move || async move { Json(health.details().await) }))
    }

    async fn ready(&self) -> Response {
        let report = self.check().await;
        let status = self.status(report);
        let mut checks = json!({ "database": word(report.database) });
        if let Some(redis) = report.redis {
            checks["redis"] = word(redis).into();
        }
        let body = Json(json!({ "status": status, "checks": checks }));
        match status {
            "ready" | "degraded" => body.into_response(),
            _ => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response(),
        }
    }

    fn status(&self, report: Report) -> &'static str {
        match report {
            _ if self.0.stopping.load(Ordering::Relaxed) => "stopping",
            Report { database: None, .. } => "unready",
            Report { redis: Some(None), .. } => "degraded",
            _ => "ready",
        }
    }

    async fn details(&self) -> Value {
        let report = self.check().await;
        let probe = |took: Option<Duration>| json!({ "status": word(took), "latency_ms": took.map(|took| took.as_secs_f64() * 1e3) });
        let pool = &self.0.database;
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        let mut database = probe(report.database);
        database["pool"] = json!({
            "connections": pool.size(),
            "idle": idle,
            "in_use": pool.size().saturating_sub(idle),
            "max": pool.options().get_max_connections(),
        });
        json!({
            "status": self.status(report),
            "service": self.0.service,
            "database": database,
            "redis": report.redis.map(probe),
        })
    }

    /// Asks every dependency concurrently, unless a recent report exists.
    async fn check(&self) -> Report {
        let mut last = self.0.last.lock().await;
        let before = match *last {
            Some((at, report)) if at.elapsed() < FRESH => return report,
            Some((_, report)) => Some(report),
            None => None,
        };
        let (database, redis) = tokio::join!(self.ask_database(), self.ask_redis());
        let report = Report { database, redis };
        *last = Some((Instant::now(), report));
        let (was, is) = (before.map(|report| self.status(report)), self.status(report));
        if was.is_some_and(|was| was != is) {
            tracing::warn!(from = was, to = is, "readiness changed");
        }
        report
    }

    async fn ask_database(&self) -> Option<Duration> {
        let started = Instant::now();
        let asked = timeout(BUDGET, async {
            let mut probe = self.0.probe.lock().await;
            if let Some(mut connection) = probe.take()
                && let Ok(Ok(())) = timeout(PING, connection.ping()).await
            {
                *probe = Some(connection);
                return true;
            }
            let options = self.0.database.connect_options();
            *probe = PgConnection::connect_with(&options).await.ok();
            probe.is_some()
        });
        asked.await.unwrap_or(false).then(|| started.elapsed())
    }

    async fn ask_redis(&self) -> Option<Option<Duration>> {
        let started = Instant::now();
        if !self.0.redis.is_enabled() {
            return None;
        }
        let answered = timeout(BUDGET, self.0.redis.ping()).await.is_ok_and(|ping| ping.is_ok());
        Some(answered.then(|| started.elapsed()))
    }

    pub(crate) fn service(&self) -> &'static str {
        self.0.service
    }

    /// Serves the gRPC health service until `stop`. The whole server (the empty name) and `services` have the
    /// status of `/ready`.
    pub(crate) async fn grpc(
        &self,
        mut services: Vec<String>,
        stop: CancellationToken,
    ) -> HealthServer<impl Rpc> {
        let (reporter, server) = tonic_health::server::health_reporter();
        let health = self.clone();
        services.push(String::new());
        for service in &services {
            reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
        tokio::spawn(async move {
            loop {
                let stopping = stop.is_cancelled();
                let ready = !stopping && health.check().await.database.is_some();
                for service in &services {
                    let status =
                        if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
                    reporter.set_service_status(service, status).await;
                }
                if stopping {
                    break;
                }
                let _ = timeout(2 * FRESH, stop.cancelled()).await;
            }
        });
        server
    }
}

fn word(answered: Option<Duration>) -> &'static str {
    if answered.is_some() { "up" } else { "down" }
}
