//! Signing in and out.

use axum::extract::{RawQuery, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use kit::caller::{Role, Verifier};
use kit::http::RawForm;
use maud::html;
use secrecy::ExposeSecret as _;

use crate::login::{Browser, NoSession, Tokens};
use crate::{Console, Form, Frame, Login, SameOrigin, session};

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/login", get(ask).post(sign_in))
        .route("/console/logout", post(sign_out))
}

async fn ask(State(console): State<Console>, RawQuery(query): RawQuery) -> Html<String> {
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let message =
        (form.get("ended") == "true").then_some("Your session has ended. Please sign in again.");
    let form = LoginForm { message, next: form.get("next"), ..LoginForm::default() };
    page(&form, console.frame)
}

async fn sign_in(
    _: SameOrigin,
    State(console): State<Console>,
    Extension(verifier): Extension<Verifier>,
    session::From(browser): session::From,
    headers: HeaderMap,
    RawForm(body): RawForm,
) -> Response {
    let form = Form::read(&body);
    let (email, next) = (form.get("email"), form.get("next"));
    match sign_in_operator(&console.login, &verifier, &browser, &form).await {
        Ok((tokens, device)) => {
            // This ends the session that the browser had before.
            console.login.sign_out(&browser, session::remaining(&headers, &console.seal)).await;
            let cookies = session::cookies(&console.seal, &tokens, console.clock.now());
            entered(next, cookies, device)
        }
        Err(why) => {
            let error = Some(why.to_string());
            let form = LoginForm { error, email, next, ..LoginForm::default() };
            (status(why), page(&form, console.frame)).into_response()
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
    State(console): State<Console>,
    session::From(browser): session::From,
    headers: HeaderMap,
    RawForm(_): RawForm,
) -> Response {
    console.login.sign_out(&browser, session::remaining(&headers, &console.seal)).await;
    let response = Redirect::to("/console/login").into_response();
    session::with_cookies(response, session::no_cookies())
}

/// The content of the sign-in page.
#[derive(Default)]
struct LoginForm<'a> {
    message: Option<&'static str>,
    error: Option<String>,
    email: &'a str,
    /// The page to go on to.
    next: &'a str,
}

fn page(form: &LoginForm<'_>, frame: Frame) -> Html<String> {
    let content = html! {
        section.panel.login {
            h1 { "Sign in" }
            p.quiet { "The console is for operators." }
            @if let Some(message) = form.message { p.note role="status" { (message) } }
            @if let Some(error) = &form.error { p.error role="alert" { (error) } }
            form.stack method="post" action="/console/login" {
                input type="hidden" name="next" value=(form.next);
                label {
                    "E-mail"
                    input type="email" name="email" value=(form.email) autocomplete="username" required
                        autofocus[form.email.is_empty()];
                }
                label {
                    "Password"
                    input type="password" name="password" autocomplete="current-password" required
                        autofocus[!form.email.is_empty()];
                }
                button.primary { "Sign in" }
            }
        }
    };
    Html(frame("Sign in", &content).into_string())
}
