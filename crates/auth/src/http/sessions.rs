//! A member's sessions and their own password.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kit::caller::AnySession;
use kit::command::Answer;
use kit::error::Fields;
use kit::http::{Command, IdempotencyKey, Path};
use kit::{ApiError, Caller};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::client::RequestClient;
use super::{TokenReply, private};
use crate::app::{Auth, ChangePassword, Changed, Error, SessionView};
use crate::domain::{Audience, Guess, Password, RefreshToken};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    #[schema(value_type = String)]
    refresh_token: SecretString,
    /// Narrows a session for all services to one, without the role `operator`. A session for one service stays for it.
    audience: Option<Audience>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    #[schema(value_type = String, format = "password", max_length = 1024)]
    current_password: SecretString,
    /// 8 characters to 1024 bytes of any Unicode.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    new_password: SecretString,
}

#[derive(Serialize, ToSchema)]
struct Sessions {
    sessions: Vec<SessionView>,
}

/// Exchanges a refresh token for new tokens, once. Needs no `Idempotency-Key`: sent again within 10 seconds by the
/// same client, the token gets the same answer; later, the session ends.
#[utoipa::path(
    post, path = "/v1/refresh", request_body = RefreshBody,
    responses((status = 200, body = TokenReply)),
    security(()),
)]
pub(super) async fn refresh(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    kit::http::Json(body): kit::http::Json<RefreshBody>,
) -> Result<Response, ApiError> {
    let token = RefreshToken::parse(body.refresh_token.expose_secret());
    let token = token.ok_or(Error::InvalidToken)?;
    let session = auth.refresh(token, client.device, body.audience).await?;
    Ok(private(TokenReply::from(session)))
}

/// Lists the caller's live sessions, newest first.
#[utoipa::path(get, path = "/v1/sessions", responses((status = 200, body = Sessions)))]
pub(super) async fn list(State(auth): State<Auth>, caller: Caller) -> Result<Response, ApiError> {
    Ok(private(Sessions { sessions: auth.sessions(caller.id, caller.session).await? }))
}

/// Signs the caller out. Takes an access token for any service.
#[utoipa::path(delete, path = "/v1/sessions/current", responses((status = 204)))]
pub(super) async fn logout(
    State(auth): State<Auth>,
    ended: AnySession,
) -> Result<StatusCode, ApiError> {
    auth.logout(ended.member, ended.session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the caller, this one included.
#[utoipa::path(delete, path = "/v1/sessions", responses((status = 204)))]
pub(super) async fn logout_everywhere(
    State(auth): State<Auth>,
    caller: Caller,
) -> Result<StatusCode, ApiError> {
    auth.logout_everywhere(caller.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the caller's sessions.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", params(("id" = Uuid, Path)), responses((status = 204)),
)]
pub(super) async fn revoke(
    State(auth): State<Auth>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    auth.revoke_session(caller.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the caller's password, and ends all other sessions.
#[utoipa::path(
    post, path = "/v1/password", request_body = PasswordBody,
    responses((status = 200, body = Changed)),
    params(IdempotencyKey),
)]
pub(super) async fn change_password(
    State(auth): State<Auth>,
    caller: Caller,
    RequestClient(client): RequestClient,
    Command { key, body }: Command<PasswordBody>,
) -> Result<Answer<Changed>, ApiError> {
    let mut fields = Fields::new();
    let current = Guess::new(body.current_password)
        .map_err(|error| fields.add("current_password", error.code(), error));
    let new = Password::new(body.new_password)
        .map_err(|error| fields.add("new_password", error.code(), error));
    let (member, session) = (caller.id, caller.session);
    let command = fields.done(|| {
        let (current, new) = (current.ok()?, new.ok()?);
        Some(ChangePassword { member, session, client, current, new })
    })?;
    Ok(auth.change_password(command, key).await?)
}
