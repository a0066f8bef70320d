//! The console's sessions. A session has two cookies that no script can read: an access token for five minutes,
//! and a sealed refresh token that renews it while the operator works.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Extension;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use kit::caller::{Role, Verifier};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::Console;
use crate::login::{Browser, DEVICE, Remaining, Tokens};
use crate::seal::Seal;

/// `__Host-` makes browsers accept the cookie only when this host set it, securely and for itself alone.
const ACCESS: &str = "__Host-console";
const REFRESH: &str = "__Host-console-refresh";

/// The longest absence of an operator; auth may end the session sooner. The sealed cookie contains its time, so that
/// no copy of it works for longer, here or at auth.
const ABSENCE: TimeDelta = TimeDelta::hours(12);

/// An operator with a valid session. Anybody else is redirected to the sign-in page.
pub struct Operator(pub Uuid);

/// An access token that was renewed for this request.
#[derive(Clone)]
struct Renewed(SecretString);

/// Returns both cookies. Browsers treat the loopback as secure, so they work there, too, and do not send them
/// with requests that another site began.
pub(crate) fn cookies(seal: &Seal, tokens: &Tokens, now: DateTime<Utc>) -> [String; 2] {
    let cookie = |name: &str, value: &str, age: i64| {
        format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}")
    };
    let refresh = seal.seal(&tokens.refresh_token, now).unwrap_or_default();
    let access = tokens.access_token.expose_secret();
    [cookie(ACCESS, access, 300), cookie(REFRESH, &refresh, ABSENCE.num_seconds())]
}

pub(crate) fn no_cookies() -> [String; 2] {
    [ACCESS, REFRESH]
        .map(|name| format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"))
}

/// Adds cookies to a response.
pub(crate) fn with_cookies(mut response: Response, cookies: [String; 2]) -> Response {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

/// Returns the tokens that a browser still has of a session, in order to end it.
pub(crate) fn remaining(headers: &HeaderMap, seal: &Seal) -> Remaining {
    let refresh = cookie(headers, REFRESH).and_then(|cookie| seal.open(&cookie));
    Remaining { access: access(headers), refresh: refresh.map(|kept| kept.token) }
}

/// Renews a session with an expired access token before the page is made.
pub(crate) async fn renew(
    State(Console { login, seal, clock, .. }): State<Console>,
    Extension(verifier): Extension<Verifier>,
    mut request: Request,
    next: Next,
) -> Response {
    let valid = match access(request.headers()) {
        Some(token) => verifier.member(token.expose_secret()).await.is_ok(),
        None => false,
    };
    let kept = cookie(request.headers(), REFRESH).filter(|_| !valid);
    let Some(kept) = kept.and_then(|cookie| seal.open(&cookie)) else {
        return next.run(request).await;
    };
    let (browser, now) = (browser(request.headers(), request.extensions()), clock.now());
    if now - kept.since > ABSENCE {
        login.sign_out(&browser, remaining(request.headers(), &seal)).await;
        return with_cookies(next.run(request).await, no_cookies());
    }
    let Some(tokens) = login.refresh(&browser, kept.token.expose_secret()).await else {
        return next.run(request).await;
    };
    let member = verifier.member(tokens.access_token.expose_secret()).await;
    if member.is_ok_and(|member| !member.roles.contains(&Role::Operator)) {
        // The member is no longer an operator.
        login.sign_out(&browser, tokens.into()).await;
        return with_cookies(next.run(request).await, no_cookies());
    }
    request.extensions_mut().insert(Renewed(tokens.access_token.clone()));
    with_cookies(next.run(request).await, cookies(&seal, &tokens, now))
}

/// Extracts the browser of a request. Never fails: unknown properties are left out.
pub(crate) struct From(pub(crate) Browser);

impl<S: Send + Sync> FromRequestParts<S> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(browser(&parts.headers, &parts.extensions)))
    }
}

fn browser(headers: &HeaderMap, extensions: &Extensions) -> Browser {
    Browser {
        address: extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()),
        agent: headers.get(USER_AGENT).cloned(),
        device: cookie(headers, DEVICE),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let ask = || ask(parts);
        let verifier = parts.extensions.get::<Verifier>().ok_or_else(ask)?;
        let renewed = parts.extensions.get::<Renewed>().map(|renewed| renewed.0.clone());
        let token = renewed.or_else(|| access(&parts.headers)).ok_or_else(ask)?;
        let member = verifier.member(token.expose_secret()).await.map_err(|_| ask())?;
        if !member.roles.contains(&Role::Operator) {
            return Err(ask());
        }
        observability::context::set_user(member.sub);
        Ok(Self(member.sub))
    }
}

/// Redirects to the sign-in page, which leads on to the requested page.
fn ask(parts: &Parts) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let ended = [ACCESS, REFRESH].iter().any(|name| cookie(&parts.headers, name).is_some());
    if ended {
        query.append_pair("ended", "true");
    }
    if let Some(page) = page(parts.uri.path()).filter(|_| parts.method == Method::GET) {
        query.append_pair("next", page);
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    Redirect::to(&format!("/console/login{mark}{query}")).into_response()
}

/// Returns the path if it is one of the console's pages, so that no redirect leads to another site.
pub(crate) fn page(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/console/")?;
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '/';
    (!rest.starts_with("login") && !rest.contains("//") && rest.chars().all(known)).then_some(path)
}

/// Returns the access token of the request.
fn access(headers: &HeaderMap) -> Option<SecretString> {
    cookie(headers, ACCESS).map(SecretString::from)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|c| c.split_once('='));
    let found = pairs.find(|(n, _)| n.trim() == name).map(|(_, value)| value.trim().to_owned());
    found.filter(|value| !value.is_empty())
}
