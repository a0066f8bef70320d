//! Rollbacks, postmortems, actions and statistics.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{NaiveDate, TimeDelta};
use kit::caller::Role;
use kit::command::Answer;
use kit::error::Fields;
use kit::http::{BodyLimit, Command, IdempotencyKey, Path, Query};
use kit::{ApiError, Caller};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::App;
use super::actions::short_text;
use super::on_incident::OnIncident;
use crate::app::{Draft, FollowUp, Incidents};
use crate::domain::{Markdown, NewAction, Priority, Statistics};
use crate::view::{ActionItem, Actions, IncidentDetail, Postmortem};

/// The largest body of a postmortem: 40,000 characters, escaped.
pub(super) const MAX_POSTMORTEM: BodyLimit = BodyLimit(512 * 1024);

pub(super) fn routes() -> OpenApiRouter<App> {
    let write = OpenApiRouter::new()
        .routes(routes!(postmortem, write_postmortem))
        .layer(axum::Extension(MAX_POSTMORTEM));
    OpenApiRouter::new()
        .routes(routes!(export_postmortem))
        .routes(routes!(add_action))
        .routes(routes!(finish_action))
        .routes(routes!(list_actions))
        .routes(routes!(roll_back))
        .routes(routes!(statistics))
        .merge(write)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostmortemBody {
    /// Markdown.
    #[schema(max_length = 40000)]
    body: String,
    /// The version that was edited, from a GET.
    version: i32,
    /// True to finish the postmortem and close the incident with it.
    done: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    /// The service to roll back.
    #[schema(max_length = 100)]
    service: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActionBody {
    #[schema(max_length = 100)]
    text: String,
    priority: Priority,
    #[schema(max_length = 100)]
    assignee: String,
    due: NaiveDate,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DoneBody {}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ActionsQuery {
    /// True for open actions only; true when absent.
    open: Option<bool>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatisticsQuery {
    /// The number of days, 1 to 366; 90 when absent.
    days: Option<i64>,
}

pub(super) fn draft(body: &str, version: i32, done: bool) -> Result<Draft, ApiError> {
    let mut fields = Fields::new();
    let body = fields.check("body", "invalid_text", Markdown::new(body));
    if version < 0 {
        fields.add("version", "invalid_value", "must not be negative");
    }
    fields.done(|| Some(Draft { body: body?, version, done }))
}

pub(super) fn new_action(
    text: &str,
    priority: Priority,
    assignee: &str,
    due: NaiveDate,
) -> Result<NewAction, ApiError> {
    use chrono::Datelike as _;
    let (text, assignee) = (short_text("text", text)?, short_text("assignee", assignee)?);
    let mut fields = Fields::new();
    // PostgreSQL does not know all of chrono's years.
    if !(2000..=9_999).contains(&due.year()) {
        fields.add("due", "invalid_time", "must be a day since the year 2000");
    }
    fields.done(|| Some(NewAction { text, priority, assignee, due }))
}

/// Approves the rollback of a service to its previous version. The run goes on in the background; the
/// incident shows each step.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/rollbacks", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = RollbackBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn roll_back(on: OnIncident<RollbackBody>) -> Result<Answer<IncidentDetail>, ApiError> {
    let service = short_text("service", &on.body.service)?;
    Ok(on.incidents.roll_back(on.by, on.id, on.key, service).await?)
}

/// Returns the postmortem as it was last edited, else as it is made from the record.
#[utoipa::path(
    get, path = "/v1/incidents/{id}/postmortem", params(("id" = Uuid, Path)),
    responses((status = 200, body = Postmortem)),
)]
async fn postmortem(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Postmortem>, ApiError> {
    caller.require(&[Role::Operator])?;
    Ok(Json(incidents.postmortem(id).await?.1))
}

/// Stores an edited postmortem; 409 when somebody else has edited it meanwhile.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/postmortem", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = PostmortemBody, responses((status = 200, body = Postmortem)),
)]
async fn write_postmortem(on: OnIncident<PostmortemBody>) -> Result<Answer<Postmortem>, ApiError> {
    let PostmortemBody { body, version, done } = on.body;
    let draft = draft(&body, version, done)?;
    Ok(on.incidents.write_postmortem(on.by, on.id, on.key, draft).await?)
}

/// Returns the postmortem as a file.
#[utoipa::path(
    get, path = "/v1/incidents/{id}/postmortem.md", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "text/markdown", body = String)),
)]
async fn export_postmortem(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    caller.require(&[Role::Operator])?;
    let (detail, postmortem) = incidents.postmortem(id).await?;
    Ok(file(&detail, postmortem))
}

pub(super) fn file(detail: &IncidentDetail, postmortem: Postmortem) -> Response {
    let name = format!("attachment; filename=\"{}.md\"", detail.incident.number);
    let head = [(CONTENT_TYPE, "text/markdown; charset=utf-8"), (CONTENT_DISPOSITION, &name)];
    (head, postmortem.body).into_response()
}

/// Adds an action to an incident.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/actions", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = ActionBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn add_action(on: OnIncident<ActionBody>) -> Result<Answer<IncidentDetail>, ApiError> {
    let ActionBody { text, priority, assignee, due } = on.body;
    let action = FollowUp::Add(new_action(&text, priority, &assignee, due)?);
    Ok(on.incidents.follow_up(on.by, on.id, on.key, action).await?)
}

/// Marks an action as done.
#[utoipa::path(
    post, path = "/v1/incidents/{id}/actions/{action}/done",
    params(("id" = Uuid, Path), ("action" = Uuid, Path), IdempotencyKey), request_body = DoneBody,
    responses((status = 200, body = IncidentDetail)),
)]
async fn finish_action(
    State(incidents): State<Incidents>,
    caller: Caller,
    Path((id, action)): Path<(Uuid, Uuid)>,
    Command { key, body }: Command<DoneBody>,
) -> Result<Answer<IncidentDetail>, ApiError> {
    caller.require(&[Role::Operator])?;
    let DoneBody {} = body;
    Ok(incidents.follow_up(caller.id, id, key, FollowUp::Finish(action)).await?)
}

/// Lists actions of all incidents by due date; 500 at most.
#[utoipa::path(get, path = "/v1/actions", params(ActionsQuery), responses((status = 200, body = Vec<ActionItem>)))]
async fn list_actions(
    State(incidents): State<Incidents>,
    caller: Caller,
    Query(query): Query<ActionsQuery>,
) -> Result<Json<Vec<ActionItem>>, ApiError> {
    caller.require(&[Role::Operator])?;
    let which = if query.open.unwrap_or(true) { Actions::Open } else { Actions::All };
    Ok(Json(incidents.actions(which).await?))
}

/// Returns statistics of the incidents that opened in the last days.
#[utoipa::path(get, path = "/v1/statistics", params(StatisticsQuery), responses((status = 200, body = Statistics)))]
async fn statistics(
    State(incidents): State<Incidents>,
    caller: Caller,
    Query(query): Query<StatisticsQuery>,
) -> Result<Json<Statistics>, ApiError> {
    caller.require(&[Role::Operator])?;
    let mut fields = Fields::new();
    let days = query.days.unwrap_or(90);
    if !(1..=366).contains(&days) {
        fields.add("days", "invalid_value", "must be 1 to 366");
    }
    let days = fields.done(|| Some(days))?;
    let now = incidents.now();
    Ok(Json(incidents.statistics(now - TimeDelta::days(days), now).await?))
}
