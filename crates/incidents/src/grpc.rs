//! The gRPC side.

use chrono::SecondsFormat;
use kit::ApiError;
use kit::caller::Verifier;
use kit::grpc::Allowlist;
use proto::incidents::v1::incidents_server::{Incidents as Rpc, IncidentsServer};
use proto::incidents::v1::{Incident as IncidentMessage, ListOpenRequest, ListOpenResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::Incidents;
use crate::view::{Filter, Incident, Stage};

/// None of our services calls it, so none may. `inspector` is a client that no deployment has: an operator creates
/// it for a program of their own (docs/security.md).
const ALLOW: Allowlist = &[("/incidents.v1.Incidents/ListOpen", &["inspector"])];

/// Returns the methods behind the guard.
pub fn routes(incidents: Incidents, verifier: Verifier) -> Routes {
    kit::grpc::guard(Routes::new(IncidentsServer::new(Server(incidents))), verifier, ALLOW)
}

struct Server(Incidents);

#[tonic::async_trait]
impl Rpc for Server {
    async fn list_open(
        &self,
        request: Request<ListOpenRequest>,
    ) -> Result<Response<ListOpenResponse>, Status> {
        let limit = match request.get_ref().limit {
            0 => None,
            limit => Some(limit.into()),
        };
        let stage = Some(Stage::Open);
        let page = self.0.list(Filter { stage, limit, ..Filter::default() }).await;
        let incidents = page.map_err(ApiError::from)?.items.into_iter().map(Into::into).collect();
        Ok(Response::new(ListOpenResponse { incidents }))
    }
}

impl From<Incident> for IncidentMessage {
    fn from(incident: Incident) -> Self {
        Self {
            incident_id: incident.incident_id.to_string(),
            title: incident.title,
            severity: incident.severity.as_str().to_owned(),
            status: if incident.status.is_open() { "open" } else { "resolved" }.to_owned(),
            number: incident.number,
            phase: incident.status.as_str().to_owned(),
            service: incident.service,
            started_at: incident.started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        }
    }
}
