//! The status page's content for programs. It is public and has no more than the page.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use kit::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Incidents;
use crate::domain::{Health, Severity, Status};
use crate::view::{Overview, PublicIncident, ServiceHealth};

/// The health of all services.
#[derive(Serialize, ToSchema)]
pub(super) struct Report {
    at: DateTime<Utc>,
    /// The worst health of any service.
    overall: Health,
    services: Vec<Service>,
    /// The open incidents, worst first.
    active_incidents: Vec<Active>,
}

#[derive(Serialize, ToSchema)]
struct Service {
    name: String,
    status: Health,
    /// The share, from 0 to 1, of the watched time of the last 90 days in which it was not CRITICAL. Absent while
    /// less than a day was watched.
    #[schema(example = 0.999_821)]
    availability: Option<f64>,
    /// The number of those days that were watched.
    days_known: usize,
    /// The number of those days on which it was not OPERATIONAL all the time.
    days_affected: usize,
}

#[derive(Serialize, ToSchema)]
struct Active {
    #[schema(example = "INC-2026-0001")]
    number: String,
    /// The severity: P0, P1, P2 or P3.
    #[schema(value_type = String)]
    severity: Severity,
    /// The service and the effect on its users.
    #[schema(example = "points does not work")]
    title: String,
    /// The affected service; absent when it is not one that the page shows.
    service: Option<String>,
    /// The status: investigating, identified or monitoring.
    #[schema(value_type = String)]
    status: Status,
    opened_at: DateTime<Utc>,
}

/// Returns the overall health, each service's, and the open incidents. Public, like the page at `/`.
#[utoipa::path(
    get, path = "/v1/status", responses((status = 200, body = Report)), security(()),
)]
pub(super) async fn status(State(incidents): State<Incidents>) -> Result<Response, ApiError> {
    let report = Report::from(incidents.overview().await?);
    Ok(([(CACHE_CONTROL, "public, max-age=5")], Json(report)).into_response())
}

impl From<Overview> for Report {
    fn from(overview: Overview) -> Self {
        Self {
            at: overview.now,
            overall: overview.overall,
            services: overview.services.into_iter().map(Service::from).collect(),
            active_incidents: overview.active.into_iter().map(Active::from).collect(),
        }
    }
}

impl From<ServiceHealth> for Service {
    fn from(service: ServiceHealth) -> Self {
        let known = || service.days.iter().flatten();
        let (days_known, days_affected) =
            (known().count(), known().filter(|day| **day != Health::Operational).count());
        Self {
            name: service.name,
            status: service.now,
            availability: service.availability,
            days_known,
            days_affected,
        }
    }
}

impl From<PublicIncident> for Active {
    fn from(incident: PublicIncident) -> Self {
        let title = incident.title();
        let PublicIncident { number, severity, service, status, opened_at, .. } = incident;
        Self { number, severity, title, service, status, opened_at }
    }
}
