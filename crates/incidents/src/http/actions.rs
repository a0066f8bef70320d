//! Operators' actions on an incident. Each takes an `Idempotency-Key` and answers the incident.

use chrono::{DateTime, Datelike as _, Utc};
use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::http::IdempotencyKey;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::App;
use super::on_incident::OnIncident;
use crate::app::Action;
use crate::domain::{LongText, Role, Severity, ShortText, Status};
use crate::view::IncidentDetail;

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
    /// A note for the timeline. When it resolves the incident, it is the resolution.
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
    /// The time of the event (RFC 3339).
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

type Answered = Result<Answer<IncidentDetail>, ApiError>;

impl<B> OnIncident<B> {
    async fn act(self, action: Action) -> Answered {
        Ok(self.incidents.act(self.by, self.id, self.key, action).await?)
    }
}

pub(super) fn long_text(field: &str, text: &str) -> Result<LongText, ApiError> {
    let mut fields = Fields::new();
    let text = fields.check(field, "invalid_text", LongText::new(text));
    fields.done(|| text)
}

pub(super) fn short_text(field: &str, text: &str) -> Result<ShortText, ApiError> {
    let mut fields = Fields::new();
    let text = fields.check(field, "invalid_text", ShortText::new(text));
    fields.done(|| text)
}

fn time(at: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
    let mut fields = Fields::new();
    // PostgreSQL does not know all of chrono's years.
    if !(2000..=9_999).contains(&at.year()) {
        fields.add("at", "invalid_time", "must be a time since the year 2000");
    }
    fields.done(|| Some(at))
}

/// Acknowledges an incident.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/acknowledgement", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = AcknowledgeBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn acknowledge(on: OnIncident<AcknowledgeBody>) -> Answered {
    on.act(Action::Acknowledge).await
}

/// Changes the status of an incident.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/status", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = StatusBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn change_status(on: OnIncident<StatusBody>) -> Answered {
    let note = on.body.note.as_deref().map(|note| long_text("note", note)).transpose()?;
    let action = Action::Move { to: on.body.status, note };
    on.act(action).await
}

/// Classifies an incident by hand; alerts no longer change its severity.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/severity", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = SeverityBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn classify(on: OnIncident<SeverityBody>) -> Answered {
    let reason = short_text("reason", &on.body.reason)?;
    let action = Action::Classify { severity: on.body.severity, reason };
    on.act(action).await
}

/// Adds a comment to the timeline.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/comments", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = CommentBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn comment(on: OnIncident<CommentBody>) -> Answered {
    let action = Action::Comment(long_text("text", &on.body.text)?);
    on.act(action).await
}

/// Adds an event to the timeline, at its time.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/timeline", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = NoteBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn note(on: OnIncident<NoteBody>) -> Answered {
    let action = Action::Note { at: time(on.body.at)?, text: long_text("text", &on.body.text)? };
    on.act(action).await
}

/// Assigns a role in the response.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/roles", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = RoleBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn assign(on: OnIncident<RoleBody>) -> Answered {
    let holder = short_text("holder", &on.body.holder)?;
    let action = Action::Assign { role: on.body.role, holder };
    on.act(action).await
}

/// Adds an affected service.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/services", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = ServiceBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn affect(on: OnIncident<ServiceBody>) -> Answered {
    let action = Action::Affect(short_text("service", &on.body.service)?);
    on.act(action).await
}

/// Ticks an item of the checklist, or removes the tick.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/checks", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = CheckBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn tick(on: OnIncident<CheckBody>) -> Answered {
    let action = Action::Tick { item: on.body.item.clone(), done: on.body.done };
    on.act(action).await
}

/// Links two related incidents.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/links", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = OtherBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn link(on: OnIncident<OtherBody>) -> Answered {
    let action = Action::Link(on.body.incident_id);
    on.act(action).await
}

/// Merges an incident into another one of the same cause, which goes on.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/merge", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = OtherBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn merge(on: OnIncident<OtherBody>) -> Answered {
    let action = Action::Merge(on.body.incident_id);
    on.act(action).await
}
