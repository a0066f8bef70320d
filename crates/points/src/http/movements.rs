//! Redemptions, transfers, reversals and adjustments.

use axum::extract::State;
use kit::caller::Role;
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, IfMatch, Path};
use kit::{ApiError, Caller};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{actor, whole};
use crate::app::Points;
use crate::domain::command::{Adjust, Redeem, Reverse, Transfer};
use crate::view::Receipt;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedeemBody {
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    points: Value,
    /// The merchant where the points are spent.
    #[serde(default)]
    merchant_id: Option<Uuid>,
    /// The reason. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferBody {
    to_account_id: Uuid,
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    points: Value,
    /// The reason. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReverseBody {
    /// The reason. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdjustBody {
    /// Positive or negative, and not 0.
    #[schema(value_type = i64, minimum = -1_000_000_000, maximum = 1_000_000_000)]
    points: Value,
    /// The reason. 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    reference: String,
}

/// Spends points. For the owner, or an operator for them.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/redemptions", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = RedeemBody, responses((status = 201, body = Receipt)),
)]
pub(super) async fn redeem(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<RedeemBody>,
) -> Result<Answer<Receipt>, ApiError> {
    let RedeemBody { points: amount, merchant_id, reference } = body;
    let redeem = Redeem::try_new(actor(&caller), id, whole(&amount), merchant_id, reference)?;
    Ok(points.redeem(caller.id.to_string(), key, redeem).await?)
}

/// Gives points to another account.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/transfers", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = TransferBody, responses((status = 201, body = Receipt)),
)]
pub(super) async fn transfer(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<TransferBody>,
) -> Result<Answer<Receipt>, ApiError> {
    let TransferBody { to_account_id, points: amount, reference } = body;
    let (by, amount) = (actor(&caller), whole(&amount));
    let transfer = Transfer::try_new(by, id, to_account_id, amount, reference)?;
    Ok(points.transfer(caller.id.to_string(), key, transfer).await?)
}

/// Undoes a transfer, once. For operators.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/reversal", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = ReverseBody, responses((status = 201, body = Receipt)),
)]
pub(super) async fn reverse(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<ReverseBody>,
) -> Result<Answer<Receipt>, ApiError> {
    caller.require(&[Role::Operator])?;
    let reverse = Reverse::try_new(actor(&caller), id, body.reference)?;
    Ok(points.reverse(caller.id.to_string(), key, reverse).await?)
}

/// Corrects an account that has not changed since it was read: `If-Match` carries its ETag. For operators.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/adjustments",
    params(("id" = Uuid, Path),
           ("If-Match" = String, Header, description = "The account's ETag"), IdempotencyKey),
    request_body = AdjustBody, responses((status = 201, body = Receipt)),
)]
pub(super) async fn adjust(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    IfMatch(version): IfMatch,
    Command { key, body }: Command<AdjustBody>,
) -> Result<Answer<Receipt>, ApiError> {
    caller.require(&[Role::Operator])?;
    let adjust = Adjust::try_new(id, version, whole(&body.points), body.reference)?;
    Ok(points.adjust(caller.id.to_string(), key, adjust).await?)
}
