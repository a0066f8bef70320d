//! The status page's content for programs: for anybody, so nothing is in it that is not on the page.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use kit::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{Incidents, Overview, PublicIncident, ServiceHealth};
use crate::domain::Health;

/// How everything does.
#[derive(Serialize, ToSchema)]
pub(super) struct Report {
    at: DateTime<Utc>,
    /// The worst that is true of anything.
    overall: Health,
    services: Vec<Service>,
    /// What still burns, the worst first.
    active_incidents: Vec<Active>,
}

#[derive(Serialize, ToSchema)]
struct Service {
    name: String,
    status: Health,
    /// The share of what was watched of the last 90 days, from 0 to 1, in which it was not CRITICAL. Absent while
    /// less than a day was watched.
    #[schema(example = 0.999_821)]
    availability: Option<f64>,
    /// Of how many of those days anything is known.
    days_known: usize,
    /// On how many of those days it was not OPERATIONAL all the time.
    days_affected: usize,
}

#[derive(Serialize, ToSchema)]
struct Active {
    #[schema(example = "INC-2026-0001")]
    number: String,
    /// P0, P1, P2 or P3.
    severity: String,
    /// What is wrong with which service.
    #[schema(example = "points does not work")]
    title: String,
    /// Absent: something behind the services.
    service: Option<String>,
    /// investigating, identified or monitoring.
    status: String,
    opened_at: DateTime<Utc>,
}

/// The overall state, each service's, and what burns. For anybody; the same as the page at `/`.
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
