use chrono::{DateTime, Utc};

use super::Incident;
use crate::domain::{DAYS, Health, Severity, Status};

/// The public health of all services.
#[derive(Clone, Debug)]
pub struct Overview {
    pub now: DateTime<Utc>,
    pub overall: Health,
    pub services: Vec<ServiceHealth>,
    /// The open incidents, worst first.
    pub active: Vec<PublicIncident>,
    /// Resolved incidents, newest first.
    pub recent: Vec<PublicIncident>,
}

/// The public part of an incident: no text of an alert or an operator.
#[derive(Clone, Debug)]
pub struct PublicIncident {
    pub number: String,
    pub severity: Severity,
    /// The service, if the status page shows it.
    pub service: Option<String>,
    pub status: Status,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
}

impl PublicIncident {
    /// Returns the public part of an incident; `services` are those of the status page.
    pub fn of(incident: Incident, services: &[String]) -> Self {
        let Incident { number, severity, service, status, opened_at, resolved_at, .. } = incident;
        let service = services.contains(&service).then_some(service);
        Self { number, severity, service, status, opened_at, resolved_at }
    }

    /// Returns the service and the effect on its users.
    pub fn title(&self) -> String {
        let service = self.service.as_deref().unwrap_or("Something behind the services");
        format!("{service} {}", Health::felt(self.severity))
    }
}

#[derive(Clone, Debug)]
pub struct ServiceHealth {
    pub name: String,
    pub now: Health,
    /// The oldest day first, today last; `None` for a day that was not watched.
    pub days: [Option<Health>; DAYS],
    /// A share from 0 to 1 of the watched time of these days; `None` when that is less than a day.
    pub availability: Option<f64>,
}
