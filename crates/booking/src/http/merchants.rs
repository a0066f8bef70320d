//! Merchants, their staff and their owners.

use axum::extract::State;
use axum::http::StatusCode;
use kit::caller::Role;
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, Json, Path};
use kit::{ApiError, Caller};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Empty, NewMerchant, NewStaff};
use crate::app::{Bookings, HandOver, LinkStaff};
use crate::domain::Owner;
use crate::view::{ClosedMerchant, HandedOver, Merchant, Staff};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StaffMember {
    /// Member that the staff member signs in as.
    member_id: Uuid,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOwner {
    member_id: Uuid,
    /// Keeps the links of staff to their members; false when absent.
    #[serde(default)]
    keeps_staff: bool,
}

/// Creates a merchant, which belongs to its creator. For merchant administrators.
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
) -> Result<Answer<Merchant>, ApiError> {
    caller.require(&[Role::MerchantAdmin])?;
    Ok(bookings.create_merchant(key, body.into_command(caller.id)?).await?)
}

/// Adds a staff member. For the merchant's owner.
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
) -> Result<Answer<Staff>, ApiError> {
    Ok(bookings.add_staff(key, body.into_command(Owner::of(&caller)?, merchant_id)?).await?)
}

/// Links a staff member with the member that they sign in as. With the role of staff, that member may act for the
/// merchant. For the merchant's owner.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/staff/{staff_id}/member", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("staff_id" = Uuid, Path)),
    request_body = StaffMember,
    responses((status = NO_CONTENT)),
)]
pub(super) async fn link_staff(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path((merchant_id, staff_id)): Path<(Uuid, Uuid)>,
    Json(StaffMember { member_id }): Json<StaffMember>,
) -> Result<StatusCode, ApiError> {
    let (owner, member_id) = (Owner::of(&caller)?, Some(member_id));
    let wanted = LinkStaff { owner, merchant_id, staff_id, member_id };
    bookings.link_staff(wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unlinks a staff member from their member, who no longer acts for the merchant. For the merchant's owner.
#[utoipa::path(
    delete, path = "/v1/merchants/{merchant_id}/staff/{staff_id}/member", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("staff_id" = Uuid, Path)),
    responses((status = NO_CONTENT)),
)]
pub(super) async fn unlink_staff(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path((merchant_id, staff_id)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let owner = Owner::of(&caller)?;
    let wanted = LinkStaff { owner, merchant_id, staff_id, member_id: None };
    bookings.link_staff(wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes a merchant for good: it has no owner any more, and the bookings ahead are cancelled. For operators.
#[utoipa::path(
    post, path = "/v1/merchants/{merchant_id}/closure", tag = "merchants",
    params(("merchant_id" = Uuid, Path), IdempotencyKey),
    request_body = Empty,
    responses((status = OK, body = ClosedMerchant)),
)]
pub(super) async fn close_merchant(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    Command { key, .. }: Command<Empty>,
) -> Result<Answer<ClosedMerchant>, ApiError> {
    caller.require(&[Role::Operator])?;
    Ok(bookings.close_merchant(caller.id, key, merchant).await?)
}

/// Gives a merchant another owner, and reopens it when it is closed. Its bookings stay; its staff are unlinked unless
/// `keeps_staff` is set. For operators.
#[utoipa::path(
    post, path = "/v1/merchants/{merchant_id}/owner", tag = "merchants",
    params(("merchant_id" = Uuid, Path), IdempotencyKey),
    request_body = NewOwner,
    responses((status = OK, body = HandedOver)),
)]
pub(super) async fn hand_over(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant_id): Path<Uuid>,
    Command { key, body: NewOwner { member_id, keeps_staff } }: Command<NewOwner>,
) -> Result<Answer<HandedOver>, ApiError> {
    caller.require(&[Role::Operator])?;
    let wanted = HandOver { operator_id: caller.id, merchant_id, member_id, keeps_staff };
    Ok(bookings.hand_over(key, wanted).await?)
}
