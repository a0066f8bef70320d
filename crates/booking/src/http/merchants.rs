//! Who opens a calendar, and who is in it.

use axum::extract::State;
use kit::caller::Role;
use kit::http::{Command, IdempotencyKey, Path};
use kit::idempotency::Answer;
use kit::{ApiError, Caller};
use uuid::Uuid;

use super::body::{NewMerchant, NewStaff};
use crate::app::{Bookings, Merchant, Staff};

/// Open a merchant's calendar. For merchant administrators; whoever creates it owns it.
#[utoipa::path(
    post, path = "/v1/merchants", tag = "merchants",
    params(IdempotencyKey),
    request_body = NewMerchant,
    responses((status = CREATED, body = Merchant)),
)]
pub(super) async fn create_merchant(
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
    params(("merchant_id" = Uuid, Path), IdempotencyKey),
    request_body = NewStaff,
    responses((status = CREATED, body = Staff)),
)]
pub(super) async fn add_staff(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant_id): Path<Uuid>,
    Command { key, body }: Command<NewStaff>,
) -> Result<Answer, ApiError> {
    Ok(bookings.add_staff(key, body.into_command(caller.id, merchant_id)?).await?)
}
