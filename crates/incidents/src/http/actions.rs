//! What operators do to an incident. Every one takes an `Idempotency-Key` and answers the incident.

use axum::extract::State;
use chrono::{DateTime, Datelike as _, Utc};
use kit::caller::Role as Allowed;
use kit::error::Fields;
use kit::http::{Command, IdempotencyKey, Path};
use kit::idempotency::{Answer, Key};
use kit::{ApiError, Caller};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::App;
use crate::app::{Action, IncidentDetail, Incidents, Role};
use crate::domain::{Line, Prose, Severity, Status};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(acknowledge))
        .routes(routes!(change_status))
        .routes(routes!(classify))
        .routes(routes!(comment))
        .routes(routes!(note))
        .routes(routes!(assign))
        .routes(routes!(affect))
        .routes(routes!(tick))
        .routes(routes!(link))
        .routes(routes!(merge))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcknowledgeBody {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StatusBody {
    status: Status,
    /// Goes into the timeline; when it resolves the incident, it is its resolution.
    note: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SeverityBody {
    severity: Severity,
    #[schema(max_length = 100)]
    reason: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CommentBody {
    #[schema(max_length = 4000)]
    text: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    /// When it happened (RFC 3339).
    at: DateTime<Utc>,
    #[schema(max_length = 4000)]
    text: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    role: Role,
    #[schema(max_length = 100)]
    holder: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ServiceBody {
    #[schema(max_length = 100)]
    service: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckBody {
    item: String,
    done: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OtherBody {
    /// The other incident's id.
    incident_id: Uuid,
}

/// An operator's command on one incident.
async fn act(
    incidents: Incidents,
    caller: &Caller,
    id: Uuid,
    key: Key,
    action: Result<Action, ApiError>,
) -> Result<Answer, ApiError> {
    caller.require(&[Allowed::Operator])?;
    Ok(incidents.act(caller.id, id, key, action?).await?)
}

pub(super) fn prose(field: &str, text: &str) -> Result<Prose, ApiError> {
    let mut fields = Fields::new();
    let prose = fields.check(field, "invalid_text", Prose::new(text));
    fields.done(|| prose)
}

pub(super) fn line(field: &str, text: &str) -> Result<Line, ApiError> {
    let mut fields = Fields::new();
    let line = fields.check(field, "invalid_text", Line::new(text));
    fields.done(|| line)
}

fn time(at: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
    let mut fields = Fields::new();
    // Years that chrono knows and PostgreSQL does not.
    if !(2000..=9_999).contains(&at.year()) {
        fields.add("at", "invalid_time", "is a time since the year 2000");
    }
    fields.done(|| Some(at))
}

/// Says that somebody is on it.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/acknowledgement", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = AcknowledgeBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn acknowledge(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<AcknowledgeBody>,
) -> Result<Answer, ApiError> {
    let AcknowledgeBody {} = body;
    let action = Ok(Action::Acknowledge);
    act(incidents, &caller, id, key, action).await
}

/// Moves an incident on in its life.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/status", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = StatusBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn change_status(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<StatusBody>,
) -> Result<Answer, ApiError> {
    let StatusBody { status, note } = body;
    let note = note.map(|note| prose("note", &note)).transpose();
    let action = note.map(|note| Action::Move { to: status, note });
    act(incidents, &caller, id, key, action).await
}

/// Classifies an incident by hand; alerts no longer do.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/severity", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = SeverityBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn classify(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<SeverityBody>,
) -> Result<Answer, ApiError> {
    let SeverityBody { severity, reason } = body;
    let action = line("reason", &reason).map(|reason| Action::Classify { severity, reason });
    act(incidents, &caller, id, key, action).await
}

/// Adds a comment to the timeline.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/comments", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = CommentBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn comment(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<CommentBody>,
) -> Result<Answer, ApiError> {
    let CommentBody { text } = body;
    let action = prose("text", &text).map(Action::Comment);
    act(incidents, &caller, id, key, action).await
}

/// Adds something that happened to the timeline, at its time.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/timeline", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = NoteBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn note(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<NoteBody>,
) -> Result<Answer, ApiError> {
    let NoteBody { at, text } = body;
    let action = time(at).and_then(|at| Ok(Action::Note { at, text: prose("text", &text)? }));
    act(incidents, &caller, id, key, action).await
}

/// Gives a role in the response to somebody.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/roles", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = RoleBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn assign(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<RoleBody>,
) -> Result<Answer, ApiError> {
    let RoleBody { role, holder } = body;
    let action = line("holder", &holder).map(|holder| Action::Assign { role, holder });
    act(incidents, &caller, id, key, action).await
}

/// Adds an affected service.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/services", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = ServiceBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn affect(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<ServiceBody>,
) -> Result<Answer, ApiError> {
    let ServiceBody { service } = body;
    let action = line("service", &service).map(Action::Affect);
    act(incidents, &caller, id, key, action).await
}

/// Ticks an item of the checklist, or takes the tick back.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/checks", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = CheckBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn tick(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<CheckBody>,
) -> Result<Answer, ApiError> {
    let CheckBody { item, done } = body;
    let action = Ok(Action::Tick { item, done });
    act(incidents, &caller, id, key, action).await
}

/// Links two incidents that have to do with each other.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/links", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = OtherBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn link(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<OtherBody>,
) -> Result<Answer, ApiError> {
    let OtherBody { incident_id } = body;
    let action = Ok(Action::Link(incident_id));
    act(incidents, &caller, id, key, action).await
}

/// Merges an incident into another one of the same cause, which goes on.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/merge", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = OtherBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn merge(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<OtherBody>,
) -> Result<Answer, ApiError> {
    let OtherBody { incident_id } = body;
    let action = Ok(Action::Merge(incident_id));
    act(incidents, &caller, id, key, action).await
}
