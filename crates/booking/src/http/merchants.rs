//! Who opens a calendar, and who is in it.

use axum::extract::State;
use axum::http::StatusCode;
use kit::caller::Role;
use kit::http::{Command, IdempotencyKey, Json, Path};
use kit::idempotency::Answer;
use kit::{ApiError, Caller};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Empty, NewMerchant, NewStaff};
use crate::app::{
    Bookings, ClosedMerchant, HandOver, HandedOver, LinkStaff, Merchant, Owner, Staff,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StaffMember {
    /// Whom this person signs in as.
    member_id: Uuid,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOwner {
    member_id: Uuid,
    /// Whoever signs in as staff goes on to; false when absent.
    #[serde(default)]
    keeps_staff: bool,
}

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
    Ok(bookings.add_staff(key, body.into_command(Owner::of(&caller)?, merchant_id)?).await?)
}

/// Say which member a person signs in as: with the role of staff, that member may act for the merchant. For
/// the merchant's owner.
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

/// Say that a person signs in as nobody any more, and so acts for the merchant no longer. For the merchant's
/// owner.
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

/// Close a merchant for good: nobody owns it any more, and the bookings that members have ahead of them are
/// cancelled. For operators.
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
) -> Result<Answer, ApiError> {
    caller.require(&[Role::Operator])?;
    Ok(bookings.close_merchant(caller.id, key, merchant).await?)
}

/// Hand a merchant to another owner, with its bookings; a closed one is open again. Its staff are unlinked, unless
/// they are kept. For operators.
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
) -> Result<Answer, ApiError> {
    caller.require(&[Role::Operator])?;
    let wanted = HandOver { operator_id: caller.id, merchant_id, member_id, keeps_staff };
    Ok(bookings.hand_over(key, wanted).await?)
}
