//! The operators' pages and forms.

use axum::extract::State;
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use chrono::TimeDelta;
use kit::ApiError;
use kit::http::{Path, RawForm};
use kit::idempotency::Key;
use uuid::Uuid;
use webconsole::{Form, Operator, SameOrigin};

use super::App;
use super::actions::short_text;
use super::follow_up::{MAX_POSTMORTEM, draft, file};
use super::form;
use crate::app::{FollowUp, Incidents};
use crate::pages;
use crate::view::{Actions, Filter, Stage};

pub(super) fn routes() -> Router<App> {
    let incident = "/console/incidents/{id}";
    let editor = get(postmortem).post(write_postmortem).layer(Extension(MAX_POSTMORTEM));
    Router::new()
        .route("/console", get(list))
        .route("/console/statistics", get(statistics))
        .route("/console/actions", get(actions))
        .route(incident, get(show))
        .route(&format!("{incident}/postmortem"), editor)
        .route(&format!("{incident}/postmortem.md"), get(export_postmortem))
        .route(&format!("{incident}/action"), post(add_action))
        .route(&format!("{incident}/finish"), post(finish_action))
        .route(&format!("{incident}/rollback"), post(roll_back))
        .route(&format!("{incident}/{{what}}"), post(act))
}

async fn list(_: Operator, State(incidents): State<Incidents>) -> Result<Html<String>, ApiError> {
    let filter = |stage| Filter { stage: Some(stage), limit: Some(100), ..Filter::default() };
    let mut open = incidents.list(filter(Stage::Open)).await?;
    open.items.sort_by_key(|incident| incident.severity); // stable: newest first within
    let recent = incidents.list(Filter { limit: Some(50), ..Filter::default() }).await?;
    let over: Vec<_> = recent.items.into_iter().filter(|i| i.resolved_at.is_some()).collect();
    Ok(Html(pages::list(&open.items, &over, incidents.now()).into_string()))
}

async fn show(
    _: Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
) -> Result<Html<String>, ApiError> {
    let detail = incidents.show(id).await?;
    Ok(Html(pages::incident(&detail, incidents.new_key(), incidents.now()).into_string()))
}

async fn statistics(
    _: Operator,
    State(incidents): State<Incidents>,
) -> Result<Html<String>, ApiError> {
    let now = incidents.now();
    let statistics = incidents.statistics(now - TimeDelta::days(90), now).await?;
    Ok(Html(pages::statistics(&statistics).into_string()))
}

async fn actions(
    _: Operator,
    State(incidents): State<Incidents>,
) -> Result<Html<String>, ApiError> {
    let (now, key) = (incidents.now(), incidents.new_key());
    let actions = incidents.actions(Actions::All).await?;
    Ok(Html(pages::actions(&actions, key, now.date_naive()).into_string()))
}

async fn postmortem(
    _: Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
) -> Result<Html<String>, ApiError> {
    let (detail, postmortem) = incidents.postmortem(id).await?;
    Ok(Html(pages::postmortem(&detail, &postmortem, incidents.new_key()).into_string()))
}

async fn export_postmortem(
    _: Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let (detail, postmortem) = incidents.postmortem(id).await?;
    Ok(file(&detail, postmortem))
}

async fn write_postmortem(
    _: SameOrigin,
    Operator(caller): Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
    RawForm(body): RawForm,
) -> Result<Redirect, ApiError> {
    let form = Form::read(&body);
    let version = form.get("version").parse().unwrap_or(-1);
    let draft = draft(form.get("body"), version, form.get("done") == "true")?;
    incidents.write_postmortem(caller, id, key(id, "postmortem", &form)?, draft).await?;
    Ok(Redirect::to(&format!("/console/incidents/{id}/postmortem")))
}

async fn add_action(
    _: SameOrigin,
    Operator(caller): Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
    RawForm(body): RawForm,
) -> Result<Redirect, ApiError> {
    let form = Form::read(&body);
    let key = key(id, "action", &form)?;
    incidents.follow_up(caller, id, key, FollowUp::Add(form::new_action(&form)?)).await?;
    Ok(Redirect::to(&format!("/console/incidents/{id}#actions")))
}

async fn finish_action(
    _: SameOrigin,
    Operator(caller): Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
    RawForm(body): RawForm,
) -> Result<Redirect, ApiError> {
    let form = Form::read(&body);
    let action = FollowUp::Finish(form.id("action")?);
    incidents.follow_up(caller, id, key(id, "finish", &form)?, action).await?;
    Ok(Redirect::to(form::back(&form, &format!("/console/incidents/{id}#actions"))))
}

async fn roll_back(
    _: SameOrigin,
    Operator(caller): Operator,
    State(incidents): State<Incidents>,
    Path(id): Path<Uuid>,
    RawForm(body): RawForm,
) -> Result<Redirect, ApiError> {
    let form = Form::read(&body);
    let service = short_text("service", form.get("service"))?;
    incidents.roll_back(caller, id, key(id, "rollback", &form)?, service).await?;
    Ok(Redirect::to(&format!("/console/incidents/{id}#rollback")))
}

/// Carries out a form of an incident's page, once even when it is sent twice: each page has keys of its own.
async fn act(
    _: SameOrigin,
    Operator(caller): Operator,
    State(incidents): State<Incidents>,
    Path((id, what)): Path<(Uuid, String)>,
    RawForm(body): RawForm,
) -> Result<Redirect, ApiError> {
    let form = Form::read(&body);
    incidents.act(caller, id, key(id, &what, &form)?, form::action(&form, &what)?).await?;
    Ok(Redirect::to(&format!("/console/incidents/{id}")))
}

fn key(id: Uuid, what: &str, form: &Form) -> Result<Key, ApiError> {
    let key = format!("{} {what}", form.get("key"));
    Ok(Key::new(&key, "console", format!("{id} {}", form.canonical()).as_bytes())?)
}
