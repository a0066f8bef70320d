//! Bookings and holds.

use axum::Json;
use axum::extract::State;
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, Path, Query};
use kit::{ApiError, Caller};
use uuid::Uuid;

use super::body::{Confirmation, Empty, ListQuery, NewBooking, NewHold, NewTime};
use super::seen::ReadAfter;
use super::token::AccessToken;
use crate::app::{Bookings, List, Pay, Seen};
use crate::domain::{Actor, Booking, Owner};
use crate::metrics::attempt;
use crate::view::Page;

/// Books a slot. Refuses with 409 `slot_taken` when it overlaps another booking, and with `too_many_bookings` when you
/// have 50 bookings ahead. Only the merchant's owner may omit the service.
#[utoipa::path(
    post, path = "/v1/bookings", tag = "bookings",
    params(IdempotencyKey),
    request_body = NewBooking,
    responses((status = CREATED, body = Booking)),
)]
pub(super) async fn book(
    State(bookings): State<Bookings>,
    caller: Caller,
    Command { key, body }: Command<NewBooking>,
) -> Result<Answer<Booking>, ApiError> {
    let wanted = body.into_command(Actor::of(&caller))?;
    Ok(attempt(bookings.book(key, wanted)).await?)
}

/// Lists your own bookings, the latest appointment first.
#[utoipa::path(
    get, path = "/v1/bookings", tag = "bookings",
    params(ListQuery, ("Read-After" = Option<String>, Header, description = "The value of the last answer that had it.")),
    responses((status = OK, body = Page)),
)]
pub(super) async fn list(
    State(bookings): State<Bookings>,
    caller: Caller,
    ReadAfter(seen): ReadAfter,
    Query(query): Query<ListQuery>,
) -> Result<Seen<Page>, ApiError> {
    let (filter, limit, cursor) = query.into_parts();
    Ok(bookings.list(List { member_id: caller.id, filter, limit, cursor, seen }).await?)
}

/// Returns a booking. For the member who made it and for the merchant's owner.
#[utoipa::path(
    get, path = "/v1/bookings/{booking_id}", tag = "bookings",
    params(("booking_id" = Uuid, Path)),
    responses((status = OK, body = Booking)),
)]
pub(super) async fn get(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
) -> Result<Json<Booking>, ApiError> {
    Ok(Json(bookings.get(Actor::of(&caller), booking).await?))
}

/// Cancels a booking, which frees its slot. For the member who made it and for the merchant's owner.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/cancel", tag = "bookings",
    params(("booking_id" = Uuid, Path), IdempotencyKey),
    request_body = Empty,
    responses((status = OK, body = Booking)),
)]
pub(super) async fn cancel(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
    Command { key, .. }: Command<Empty>,
) -> Result<Answer<Booking>, ApiError> {
    Ok(bookings.cancel(Actor::of(&caller), key, booking).await?)
}

/// Completes a confirmed booking, which earns the member points. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/complete", tag = "bookings",
    params(("booking_id" = Uuid, Path), IdempotencyKey),
    request_body = Empty,
    responses((status = OK, body = Booking)),
)]
pub(super) async fn complete(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
    Command { key, .. }: Command<Empty>,
) -> Result<Answer<Booking>, ApiError> {
    Ok(bookings.complete(Owner::of(&caller)?, key, booking).await?)
}

/// Confirms a hold before it expires. For the member who holds it, who may pay with points, and for the merchant's
/// owner. Returns 202 when points has not answered yet: repeat the request with the same key.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/confirm", tag = "bookings",
    params(("booking_id" = Uuid, Path), IdempotencyKey),
    request_body = Confirmation,
    responses((status = OK, body = Booking), (status = ACCEPTED, body = Booking)),
)]
pub(super) async fn confirm(
    State(bookings): State<Bookings>,
    caller: Caller,
    AccessToken(access_token): AccessToken,
    Path(booking_id): Path<Uuid>,
    Command { key, body }: Command<Confirmation>,
) -> Result<Answer<Booking>, ApiError> {
    let actor = Actor::of(&caller);
    Ok(match body.points {
        None => bookings.confirm(actor, key, booking_id).await?,
        Some(points) => bookings.pay(key, Pay { actor, booking_id, points, access_token }).await?,
    })
}

/// Marks a booking as missed by its member, after its start. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/no-show", tag = "bookings",
    params(("booking_id" = Uuid, Path), IdempotencyKey),
    request_body = Empty,
    responses((status = OK, body = Booking)),
)]
pub(super) async fn no_show(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
    Command { key, .. }: Command<Empty>,
) -> Result<Answer<Booking>, ApiError> {
    Ok(bookings.no_show(Owner::of(&caller)?, key, booking).await?)
}

/// Holds a slot for 10 minutes, with one staff member or with any who is free. Refuses with 409 `slot_taken` when it
/// overlaps another booking.
#[utoipa::path(
    post, path = "/v1/holds", tag = "bookings",
    params(IdempotencyKey),
    request_body = NewHold,
    responses((status = CREATED, body = Booking)),
)]
pub(super) async fn hold(
    State(bookings): State<Bookings>,
    caller: Caller,
    Command { key, body }: Command<NewHold>,
) -> Result<Answer<Booking>, ApiError> {
    let wanted = body.into_command(Actor::of(&caller))?;
    Ok(attempt(bookings.hold(key, wanted)).await?)
}

/// Moves a confirmed booking to another time or staff member. For the member who made it, until the merchant's
/// cancellation notice, and for the merchant's owner.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/reschedule", tag = "bookings",
    params(("booking_id" = Uuid, Path), IdempotencyKey),
    request_body = NewTime,
    responses((status = OK, body = Booking)),
)]
pub(super) async fn reschedule(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
    Command { key, body }: Command<NewTime>,
) -> Result<Answer<Booking>, ApiError> {
    Ok(bookings.reschedule(key, body.into_command(Actor::of(&caller), booking)?).await?)
}
