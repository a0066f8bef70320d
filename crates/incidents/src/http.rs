//! The HTTP side: the API as JSON, the webhook that Alertmanager calls, and pages for people.

mod actions;
mod console;
mod follow_up;
mod form;
mod on_incident;
mod problem;
mod site;
mod status;
mod streams;
mod webhook;

pub use webconsole::Login;
pub use webhook::Credential;

use axum::extract::{FromRef, State};
use axum::middleware::from_fn;
use axum::{Extension, Json, Router};
use kit::caller::{Role, Verifier};
use kit::http::{BodyLimit, Origins, Path, Query};
use kit::{ApiError, Caller};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use webconsole::Console;

use self::streams::Streams;
use crate::app::Incidents;
use crate::domain::Severity;
use crate::pages;
use crate::view::{Filter, IncidentDetail, Page, Stage};

/// The largest delivery that is accepted. Alertmanager sends a group as one delivery.
const MAX_DELIVERY: BodyLimit = BodyLimit(1024 * 1024);

#[derive(OpenApi)]
#[openapi(info(title = "incidents", description = "Incidents, from alerts."))]
struct Api;

/// The settings of the webhook and the pages.
#[derive(Clone)]
pub struct Site {
    /// Alertmanager's credential.
    pub webhook: Credential,
    pub login: Login,
    /// The secret that seals the console's sessions, the same in every replica.
    pub secret: SecretString,
    /// The number of connections that the port accepts.
    pub connections: usize,
}

#[derive(Clone, FromRef)]
pub(crate) struct App {
    incidents: Incidents,
    webhook: Credential,
    streams: Streams,
}

/// Returns the routes of the webhook, the API, the status page and the console.
pub fn router(incidents: Incidents, site: Site, verifier: Verifier) -> anyhow::Result<Router> {
    let alerts =
        OpenApiRouter::new().routes(routes!(webhook::receive)).layer(Extension(MAX_DELIVERY));
    let (routes, api) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(status::status))
        .merge(actions::routes())
        .merge(follow_up::routes())
        .merge(alerts)
        .split_for_parts();
    let Site { webhook, login, secret, connections } = site;
    let console = Console::new(login, &secret, incidents.clock(), pages::sign_in_frame)?;
    let app = App { incidents, webhook, streams: Streams::among(connections) };
    let pages = site::routes().merge(console.routes(console::routes()));
    let routes = routes.merge(pages).with_state(app);
    let edge = kit::http::edge_with(limits(), routes, api, verifier);
    // Outermost, because the edge answers by itself, too: a used-up quota, an unknown route.
    Ok(kit::http::secured(edge.layer(from_fn(problem::readable))))
}

/// Returns the limits: strict where passwords could be guessed, none for Alertmanager, which never retries after a 429.
fn limits() -> kit::http::Limits {
    kit::http::Limits {
        strict: &["/console/login"],
        unlimited: &["/v1/alerts"],
        // Pages and the console's session are here: no other site may read them.
        origins: Origins::Refused,
        ..kit::http::Limits::default()
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only incidents with this status: investigating, identified, monitoring, resolved,
    /// postmortem_done, or open for every one that is not resolved.
    #[param(value_type = Option<String>, example = "open")]
    status: Option<Stage>,
    /// Only incidents of this severity: P0, P1, P2 or P3.
    #[param(value_type = Option<String>, example = "P0")]
    severity: Option<Severity>,
    /// Only incidents that affect this service.
    service: Option<String>,
    /// Only incidents that are, or are not, acknowledged.
    acknowledged: Option<bool>,
    /// Only incidents that Prometheus or an operator has verified, or only unverified ones.
    verified: Option<bool>,
    /// The number of incidents, 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// Lists incidents, newest first. For operators.
#[utoipa::path(get, path = "/v1/incidents", params(ListQuery), responses((status = 200, body = Page)))]
async fn list(
    State(incidents): State<Incidents>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page>, ApiError> {
    caller.require(&[Role::Operator])?;
    let ListQuery { status: stage, severity, service, acknowledged, verified, limit, cursor } =
        query;
    let filter = Filter { stage, severity, service, acknowledged, verified, limit, cursor };
    Ok(Json(incidents.list(filter).await?))
}

/// Returns an incident with everything that belongs to it. For operators.
#[utoipa::path(
    get, path = "/v1/incidents/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = IncidentDetail)),
)]
async fn show(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<IncidentDetail>, ApiError> {
    caller.require(&[Role::Operator])?;
    Ok(Json(incidents.show(id).await?))
}
