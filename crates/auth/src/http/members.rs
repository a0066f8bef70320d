//! A member's own profile, and what operators do to accounts.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use kit::cache::Versioned;
use kit::caller::Role;
use kit::error::Fields;
use kit::http::Path;
use kit::{ApiError, Caller, Kind};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{Auth, Error, Profile, Rename};
use crate::domain::DisplayName;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileBody {
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
}

/// The caller's own profile. Its version is the ETag.
#[utoipa::path(get, path = "/v1/me", responses((status = 200, body = Profile)))]
pub(super) async fn me(State(auth): State<Auth>, caller: Caller) -> Result<Response, ApiError> {
    Ok(tagged(auth.profile(caller.id).await?))
}

/// Changes the caller's own profile as it was read: `If-Match` carries its ETag.
#[utoipa::path(
    patch, path = "/v1/me", request_body = ProfileBody,
    params(("If-Match" = String, Header, description = "The profile's ETag")),
    responses((status = 200, body = Profile)),
)]
pub(super) async fn rename(
    State(auth): State<Auth>,
    caller: Caller,
    Seen(seen): Seen,
    kit::http::Json(body): kit::http::Json<ProfileBody>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new();
    let name = DisplayName::new(&body.display_name)
        .map_err(|error| fields.add("display_name", error.code(), error));
    let change = fields.done(|| Some(Rename { member: caller.id, name: name.ok()?, seen }))?;
    Ok(tagged(auth.rename(change).await?))
}

/// Closes an account and ends its sessions. For operators.
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
    auth.disable(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens an account again. For operators.
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
    auth.enable(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(profile: Versioned<Profile>) -> Response {
    ([(ETAG, format!("\"{}\"", profile.version))], Json(profile.value)).into_response()
}

/// The version in `If-Match`. No version of ours is 0, so that a tag we never gave matches nothing.
pub(super) struct Seen(i64);

impl<S: Send + Sync> FromRequestParts<S> for Seen {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let tag = parts.headers.get(IF_MATCH).ok_or_else(|| {
            let detail = "send the ETag of what you read as If-Match";
            ApiError::new(Kind::PreconditionRequired, "precondition_required", detail)
        })?;
        let version = tag.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        Ok(Self(version.and_then(|version| version.parse().ok()).unwrap_or(0)))
    }
}
