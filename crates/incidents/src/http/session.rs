//! Who is at the console.

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use kit::caller::{Role, Verifier};
use uuid::Uuid;

/// `__Host-` makes browsers insist: secure, for this host alone, and nobody else can have set it.
const NAME: &str = "__Host-console";

/// An operator with a valid session; anybody else is asked to sign in.
pub(super) struct Operator(pub(super) Uuid);

/// Browsers treat the loopback as secure, so that this works there too. Not sent with anything that
/// another site began.
pub(super) fn cookie(token: &str) -> String {
    format!("{NAME}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=300")
}

pub(super) fn no_cookie() -> String {
    format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let ask = || Redirect::to("/console/login").into_response();
        let verifier = parts.extensions.get::<Verifier>().ok_or_else(ask)?;
        let token = token(parts).ok_or_else(ask)?;
        let member = verifier.member(token).await.map_err(|_| ask())?;
        if !member.roles.contains(&Role::Operator) {
            return Err(ask());
        }
        observability::context::set_user(member.sub);
        Ok(Self(member.sub))
    }
}

fn token(parts: &Parts) -> Option<&str> {
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|c| c.split_once('='));
    pairs.find(|(name, _)| name.trim() == NAME).map(|(_, value)| value.trim())
}
