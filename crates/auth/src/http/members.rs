//! A member's own profile, and the accounts that operators disable and enable.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit::cache::Versioned;
use kit::caller::Role;
use kit::error::Fields;
use kit::http::{IfMatch, Path, etag};
use kit::{ApiError, Caller};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{Auth, Error, Profile, Rename};
use crate::domain::{Actor, DisplayName};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileBody {
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
}

/// Returns the caller's own profile. Its version is the ETag.
#[utoipa::path(get, path = "/v1/me", responses((status = 200, body = Profile)))]
pub(super) async fn me(State(auth): State<Auth>, caller: Caller) -> Result<Response, ApiError> {
    Ok(tagged(auth.profile(caller.id).await?))
}

/// Changes the caller's own profile; `If-Match` carries the ETag that was read.
#[utoipa::path(
    patch, path = "/v1/me", request_body = ProfileBody,
    params(("If-Match" = String, Header, description = "The profile's ETag")),
    responses((status = 200, body = Profile)),
)]
pub(super) async fn rename(
    State(auth): State<Auth>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    kit::http::Json(body): kit::http::Json<ProfileBody>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new();
    let name = DisplayName::new(&body.display_name)
        .map_err(|error| fields.add("display_name", error.code(), error));
    let change = fields.done(|| Some(Rename { member: caller.id, name: name.ok()?, seen }))?;
    Ok(tagged(auth.rename(change).await?))
}

/// Disables an account and ends its sessions. For operators.
#[utoipa::path(
    put, path = "/v1/members/{id}/disabled", params(("id" = Uuid, Path)),
    responses((status = 204)),
)]
pub(super) async fn disable(
    State(auth): State<Auth>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    caller.require(&[Role::Operator])?;
    if id == caller.id {
        return Err(Error::OwnAccount.into());
    }
    auth.disable(id, Actor::Operator(caller.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enables an account again. For operators.
#[utoipa::path(
    delete, path = "/v1/members/{id}/disabled", params(("id" = Uuid, Path)),
    responses((status = 204)),
)]
pub(super) async fn enable(
    State(auth): State<Auth>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    caller.require(&[Role::Operator])?;
    auth.enable(id, Actor::Operator(caller.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(profile: Versioned<Profile>) -> Response {
    (etag(profile.version), Json(profile.value)).into_response()
}
