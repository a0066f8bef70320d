//! The connections with LINE, and the messages to members.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kit::error::Fields;
use kit::http::{Json as JsonBody, Path};
use kit::{ApiError, Caller};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::Bookings;
use crate::domain::{Actor, LineUserId, Owner};
use crate::view::Notifications;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    /// Access token of the merchant's channel: 1 to 1,000 printable characters.
    #[schema(value_type = String)]
    channel_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Contact {
    /// Your user id at this channel: `U` and 32 hexadecimal digits.
    line_user_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    /// Six digits.
    code: String,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("channel token must be 1 to 1,000 printable characters")]
struct InvalidToken;

fn token(text: String) -> Result<SecretString, InvalidToken> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if (1..=1000).contains(&text.len()) && printable { Ok(text.into()) } else { Err(InvalidToken) }
}

/// Connects the merchant's LINE channel, or replaces its token. For the merchant's owner.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/line", tag = "line", operation_id = "connect",
    params(("merchant_id" = Uuid, Path)),
    request_body = Channel,
    responses((status = NO_CONTENT)),
)]
pub(super) async fn connect_line(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    JsonBody(Channel { channel_token }): JsonBody<Channel>,
) -> Result<StatusCode, ApiError> {
    let owner = Owner::of(&caller)?;
    let mut fields = Fields::new();
    let token = fields.check("channel_token", "invalid_value", token(channel_token));
    let token = fields.done(|| token)?;
    bookings.connect_line(owner, merchant, token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Disconnects the merchant's LINE channel. For the merchant's owner.
#[utoipa::path(
    delete, path = "/v1/merchants/{merchant_id}/line", tag = "line", operation_id = "disconnect",
    params(("merchant_id" = Uuid, Path)),
    responses((status = NO_CONTENT)),
)]
pub(super) async fn disconnect_line(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    bookings.disconnect_line(Owner::of(&caller)?, merchant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Requests messages by LINE about your bookings at this merchant. LINE sends you a code, which you bring to
/// `…/contact/proof` within ten minutes.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/line/contact", tag = "line", operation_id = "join",
    params(("merchant_id" = Uuid, Path)),
    request_body = Contact,
    responses((status = ACCEPTED)),
)]
pub(super) async fn join_line(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    JsonBody(Contact { line_user_id }): JsonBody<Contact>,
) -> Result<StatusCode, ApiError> {
    let mut fields = Fields::new();
    let user = fields.check("line_user_id", "invalid_value", LineUserId::try_new(&line_user_id));
    let user = fields.done(|| user)?;
    bookings.join_line(caller.id, merchant, user).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Checks the code that came by LINE. From now on you get messages there.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/line/contact/proof", tag = "line", operation_id = "prove",
    params(("merchant_id" = Uuid, Path)),
    request_body = Proof,
    responses((status = NO_CONTENT)),
)]
pub(super) async fn prove_line(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    JsonBody(Proof { code }): JsonBody<Proof>,
) -> Result<StatusCode, ApiError> {
    bookings.prove_line(caller.id, merchant, code.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the messages by LINE.
#[utoipa::path(
    delete, path = "/v1/merchants/{merchant_id}/line/contact", tag = "line", operation_id = "leave",
    params(("merchant_id" = Uuid, Path)),
    responses((status = NO_CONTENT)),
)]
pub(super) async fn leave_line(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    bookings.leave_line(caller.id, merchant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the messages about a booking and their delivery. For the merchant's owner.
#[utoipa::path(
    get, path = "/v1/bookings/{booking_id}/notifications", tag = "line",
    params(("booking_id" = Uuid, Path)),
    responses((status = OK, body = Notifications)),
)]
pub(super) async fn notifications(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
) -> Result<Json<Notifications>, ApiError> {
    Ok(Json(bookings.notifications(Actor::of(&caller), booking).await?))
}
