//! The operators' console: forms of our own origin, a session in a cookie that no script can read.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use kit::ApiError;
use kit::caller::{Role, Verifier};
use kit::http::{Path, Raw};
use kit::idempotency::Key;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::App;
use super::form::{Form, SameOrigin};
use super::session::{self, Operator};
use crate::app::{Filter, Incidents, Stage};
use crate::pages;
use crate::peers::Login;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/console", get(list))
        .route("/console/login", get(ask).post(sign_in))
        .route("/console/logout", post(sign_out))
        .route("/console/incidents/{id}", get(show))
        .route("/console/incidents/{id}/{what}", post(act))
}

async fn ask() -> Html<String> {
    Html(pages::login(None).into_string())
}

async fn sign_in(
    _: SameOrigin,
    State(login): State<Login>,
    Extension(verifier): Extension<Verifier>,
    Raw(body): Raw,
) -> Response {
    match enter(&login, &verifier, &Form::read(&body)).await {
        Ok(cookie) => ([(SET_COOKIE, cookie)], Redirect::to("/console")).into_response(),
        Err(why) => {
            let page = pages::login(Some(why)).into_string();
            (StatusCode::UNAUTHORIZED, Html(page)).into_response()
        }
    }
}

/// The session's cookie, or why there is none.
async fn enter(login: &Login, verifier: &Verifier, form: &Form) -> Result<String, &'static str> {
    let token = login.sign_in(form.get("email"), form.get("password")).await?;
    let member = verifier.member(token.expose_secret()).await;
    let member = member.map_err(|_| "Nobody can sign in right now. Try again in a moment.")?;
    if !member.roles.contains(&Role::Operator) {
        return Err("The console is for operators.");
    }
    Ok(session::cookie(token.expose_secret()))
}

async fn sign_out(_: SameOrigin) -> Response {
    ([(SET_COOKIE, session::no_cookie())], Redirect::to("/console/login")).into_response()
}

async fn list(_: Operator, State(incidents): State<Incidents>) -> Result<Html<String>, ApiError> {
    let filter = |stage| Filter { stage: Some(stage), limit: Some(100), ..Filter::default() };
    let open = incidents.list(filter(Stage::Open)).await?;
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

/// One form of an incident's page. Sent twice, it is done once: each page brings keys of its own.
async fn act(
    _: SameOrigin,
    Operator(caller): Operator,
    State(incidents): State<Incidents>,
    Path((id, what)): Path<(Uuid, String)>,
    Raw(body): Raw,
) -> Result<Redirect, ApiError> {
    let form = Form::read(&body);
    let key = format!("{} {what}", form.get("key"));
    let key = Key::new(&key, "console", format!("{id} {}", form.canonical()).as_bytes())?;
    incidents.act(caller, id, key, form.action(&what)?).await?;
    Ok(Redirect::to(&format!("/console/incidents/{id}")))
}
