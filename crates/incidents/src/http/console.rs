//! The operators' console: forms from our own origin, a session in cookies that no script can read.

use axum::extract::{RawQuery, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use chrono::TimeDelta;
use kit::ApiError;
use kit::caller::{Role, Verifier};
use kit::http::{Path, RawForm};
use kit::idempotency::Key;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::App;
use super::actions::short_text;
use super::follow_up::{MAX_POSTMORTEM, draft, file};
use super::form::{Form, SameOrigin};
use super::session::{self, Operator};
use crate::app::{FollowUp, Incidents};
use crate::pages::{self, LoginForm};
use crate::peers::{Browser, Login, NoSession, Tokens};
use crate::view::{Actions, Filter, Stage};

pub(super) fn routes(app: &App) -> Router<App> {
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
        .layer(from_fn_with_state(app.clone(), session::renew))
        .route("/console/login", get(ask).post(sign_in))
        .route("/console/logout", post(sign_out))
}

async fn ask(RawQuery(query): RawQuery) -> Html<String> {
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let message =
        (form.get("ended") == "true").then_some("Your session has ended. Please sign in again.");
    let form = LoginForm { message, next: form.get("next"), ..LoginForm::default() };
    Html(pages::login(&form).into_string())
}

async fn sign_in(
    _: SameOrigin,
    State(app): State<App>,
    Extension(verifier): Extension<Verifier>,
    session::From(browser): session::From,
    headers: HeaderMap,
    RawForm(body): RawForm,
) -> Response {
    let form = Form::read(&body);
    let (email, next) = (form.get("email"), form.get("next"));
    match sign_in_operator(&app.login, &verifier, &browser, &form).await {
        Ok((tokens, device)) => {
            // This ends the session that the browser had before.
            app.login.sign_out(&browser, session::remaining(&headers, &app.seal)).await;
            let cookies = session::cookies(&app.seal, &tokens, app.incidents.now());
            entered(next, cookies, device)
        }
        Err(why) => {
            let error = Some(why.to_string());
            let page = pages::login(&LoginForm { error, email, next, ..LoginForm::default() });
            (status(why), Html(page.into_string())).into_response()
        }
    }
}

/// Redirects to the requested page, with the cookies of the new session.
fn entered(next: &str, cookies: [String; 2], device: Option<HeaderValue>) -> Response {
    let response = Redirect::to(session::page(next).unwrap_or("/console")).into_response();
    let mut response = session::with_cookies(response, cookies);
    response.headers_mut().extend(device.map(|device| (SET_COOKIE, device)));
    response
}

fn status(why: NoSession) -> StatusCode {
    match why {
        NoSession::Wrong => StatusCode::UNAUTHORIZED,
        NoSession::NotOperator => StatusCode::FORBIDDEN,
        NoSession::TooMany => StatusCode::TOO_MANY_REQUESTS,
        NoSession::Away => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Signs an operator in. Returns the session's tokens and the cookie that identifies the device.
async fn sign_in_operator(
    login: &Login,
    verifier: &Verifier,
    browser: &Browser,
    form: &Form,
) -> Result<(Tokens, Option<HeaderValue>), NoSession> {
    let (tokens, device) = login.sign_in(browser, form.get("email"), form.get("password")).await?;
    let member = verifier.member(tokens.access_token.expose_secret()).await;
    let why = match member {
        Ok(member) if member.roles.contains(&Role::Operator) => return Ok((tokens, device)),
        Ok(_) => NoSession::NotOperator,
        Err(_) => NoSession::Away,
    };
    // Auth has begun a session that must not be used.
    login.sign_out(browser, tokens.into()).await;
    Err(why)
}

async fn sign_out(
    _: SameOrigin,
    State(app): State<App>,
    session::From(browser): session::From,
    headers: HeaderMap,
    RawForm(_): RawForm,
) -> Response {
    app.login.sign_out(&browser, session::remaining(&headers, &app.seal)).await;
    let response = Redirect::to("/console/login").into_response();
    session::with_cookies(response, session::no_cookies())
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
    incidents.follow_up(caller, id, key, FollowUp::Add(form.new_action()?)).await?;
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
    Ok(Redirect::to(form.back(&format!("/console/incidents/{id}#actions"))))
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
    incidents.act(caller, id, key(id, &what, &form)?, form.action(&what)?).await?;
    Ok(Redirect::to(&format!("/console/incidents/{id}")))
}

fn key(id: Uuid, what: &str, form: &Form) -> Result<Key, ApiError> {
    let key = format!("{} {what}", form.get("key"));
    Ok(Key::new(&key, "console", format!("{id} {}", form.canonical()).as_bytes())?)
}
