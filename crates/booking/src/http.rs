//! The public API, as JSON over HTTP.

mod body;

use axum::extract::State;
use axum::{Json, Router};
use kit::caller::{Role, Verifier};
use kit::http::{Command, Path, Query, edge};
use kit::idempotency::Answer;
use kit::{ApiError, Caller};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::body::{Empty, ListQuery, NewBooking, NewMerchant, NewStaff};
use crate::app::{Bookings, List, Merchant, Page, Staff};
use crate::domain::Booking;

#[derive(OpenApi)]
#[openapi(info(title = "booking", description = "Appointments with a merchant's staff."))]
struct Api;

/// Everything the service offers to people, with its description and the layers around it.
pub fn router(bookings: Bookings, verifier: Verifier) -> Router {
    let (routes, openapi) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(create_merchant))
        .routes(routes!(add_staff))
        .routes(routes!(book, list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(complete))
        .with_state(bookings)
        .split_for_parts();
    edge(routes, openapi, verifier)
}

/// Open a merchant's calendar. For merchant administrators; whoever creates it owns it.
#[utoipa::path(
    post, path = "/v1/merchants", tag = "merchants",
    params(("Idempotency-Key" = String, Header)),
    request_body = NewMerchant,
    responses((status = CREATED, body = Merchant)),
)]
async fn create_merchant(
    State(bookings): State<Bookings>,
    caller: Caller,
    Command { key, body }: Command<NewMerchant>,
) -> Result<Answer, ApiError> {
    caller.require(&[Role::MerchantAdmin])?;
    Ok(bookings.create_merchant(key, body.into_command(caller.id)?).await?)
}

/// Add a person who can be booked. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/merchants/{merchant_id}/staff", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("Idempotency-Key" = String, Header)),
    request_body = NewStaff,
    responses((status = CREATED, body = Staff)),
)]
async fn add_staff(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant_id): Path<Uuid>,
    Command { key, body }: Command<NewStaff>,
) -> Result<Answer, ApiError> {
    Ok(bookings.add_staff(key, body.into_command(caller.id, merchant_id)?).await?)
}

/// Book a slot. 409 `slot_taken` when it overlaps another booking.
#[utoipa::path(
    post, path = "/v1/bookings", tag = "bookings",
    params(("Idempotency-Key" = String, Header)),
    request_body = NewBooking,
    responses((status = CREATED, body = Booking)),
)]
async fn book(
    State(bookings): State<Bookings>,
    caller: Caller,
    Command { key, body }: Command<NewBooking>,
) -> Result<Answer, ApiError> {
    Ok(bookings.book(key, body.into_command(caller.id)?).await?)
}

/// List your own bookings, the latest appointment first.
#[utoipa::path(
    get, path = "/v1/bookings", tag = "bookings",
    params(ListQuery),
    responses((status = OK, body = Page)),
)]
async fn list(
    State(bookings): State<Bookings>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page>, ApiError> {
    let (filter, limit, cursor) = query.into_parts();
    let page = bookings.list(List { member_id: caller.id, filter, limit, cursor }).await?;
    Ok(Json(page))
}

/// Read a booking. For the member who booked and for the merchant's owner.
#[utoipa::path(
    get, path = "/v1/bookings/{booking_id}", tag = "bookings",
    params(("booking_id" = Uuid, Path)),
    responses((status = OK, body = Booking)),
)]
async fn get(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
) -> Result<Json<Booking>, ApiError> {
    Ok(Json(bookings.get(caller.id, booking).await?))
}

/// Cancel a booking, which frees its slot. For the member who booked and for the merchant's owner.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/cancel", tag = "bookings",
    params(("booking_id" = Uuid, Path), ("Idempotency-Key" = String, Header)),
    request_body = Empty,
    responses((status = OK, body = Booking)),
)]
async fn cancel(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
    Command { key, .. }: Command<Empty>,
) -> Result<Answer, ApiError> {
    Ok(bookings.cancel(caller.id, key, booking).await?)
}

/// Complete a confirmed booking, which earns the member points. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/bookings/{booking_id}/complete", tag = "bookings",
    params(("booking_id" = Uuid, Path), ("Idempotency-Key" = String, Header)),
    request_body = Empty,
    responses((status = OK, body = Booking)),
)]
async fn complete(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(booking): Path<Uuid>,
    Command { key, .. }: Command<Empty>,
) -> Result<Answer, ApiError> {
    Ok(bookings.complete(caller.id, key, booking).await?)
}
