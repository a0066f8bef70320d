//! Appointments, from booked to over.

use axum::Json;
use axum::extract::State;
use kit::http::{Command, IdempotencyKey, Path, Query};
use kit::idempotency::Answer;
use kit::{ApiError, Caller};
use uuid::Uuid;

use super::body::{Confirmation, Empty, ListQuery, NewBooking, NewHold, NewTime};
use super::seen::ReadAfter;
use super::token::AccessToken;
use crate::app::{Bookings, By, List, Owner, Page, Pay, Seen};
use crate::domain::Booking;

/// Book a slot. 409 `slot_taken` when it overlaps another booking, `too_many_bookings` when you have 50
/// ahead of you. Who is not the merchant's owner names a service.
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
) -> Result<Answer, ApiError> {
    Ok(bookings.book(key, body.into_command(By::of(&caller))?).await?)
}

/// List your own bookings, the latest appointment first.
#[utoipa::path(
    get, path = "/v1/bookings", tag = "bookings",
    params(ListQuery, ("Read-After" = Option<String>, Header, description = "From the last answer that said it.")),
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

/// Read a booking. For the member who booked and for the merchant's owner.
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
    Ok(Json(bookings.get(By::of(&caller), booking).await?))
}

/// Cancel a booking, which frees its slot. For the member who booked and for the merchant's owner.
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
) -> Result<Answer, ApiError> {
    Ok(bookings.cancel(By::of(&caller), key, booking).await?)
}

/// Complete a confirmed booking, which earns the member points. For the merchant's owner.
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
) -> Result<Answer, ApiError> {
    Ok(bookings.complete(Owner::of(&caller)?, key, booking).await?)
}

/// Confirm a hold before it expires. For the member who holds it, who may pay with points, and for the
/// merchant's owner. 202 when points has not answered yet: ask again with the same key.
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
) -> Result<Answer, ApiError> {
    let by = By::of(&caller);
    Ok(match body.points {
        None => bookings.confirm(by, key, booking_id).await?,
        Some(points) => bookings.pay(key, Pay { by, booking_id, points, access_token }).await?,
    })
}

/// Say that nobody came, once it should have begun. For the merchant's owner.
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
) -> Result<Answer, ApiError> {
    Ok(bookings.no_show(Owner::of(&caller)?, key, booking).await?)
}

/// Hold a slot for 10 minutes, with one person or with whoever is free. 409 `slot_taken` when it
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
) -> Result<Answer, ApiError> {
    Ok(bookings.hold(key, body.into_command(By::of(&caller))?).await?)
}

/// Move a confirmed booking to another time or person. For the member who booked, while the
/// merchant's terms allow it, and for the merchant's owner.
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
) -> Result<Answer, ApiError> {
    Ok(bookings.reschedule(key, body.into_command(By::of(&caller), booking)?).await?)
}
