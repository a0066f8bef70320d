//! Spending, giving, undoing and correcting.

use axum::extract::State;
use kit::caller::Role;
use kit::http::{Command, IdempotencyKey, IfMatch, Path};
use kit::idempotency::Answer;
use kit::{ApiError, Caller};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::whole;
use crate::app::{Adjust, Points, Receipt, Redeem, Reverse, Transfer, actor};
use crate::domain::{AccountId, Payer};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedeemBody {
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    points: Value,
    /// Where they are spent.
    #[serde(default)]
    merchant_id: Option<Uuid>,
    /// What for. At most 200 characters.
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
    /// What for. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReverseBody {
    /// Why. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdjustBody {
    /// Up or down, and not 0.
    #[schema(value_type = i64, minimum = -1_000_000_000, maximum = 1_000_000_000)]
    points: Value,
    /// Why. 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    reference: String,
}

/// Spends points: the owner, or an operator for them.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/redemptions", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = RedeemBody, responses((status = 201, body = Receipt)),
)]
pub(super) async fn redeem(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<RedeemBody>,
) -> Result<Answer, ApiError> {
    let from = Payer::Account(AccountId(id), actor(&caller));
    let command = Redeem::try_new(from, whole(&body.points), body.merchant_id, body.reference)?;
    Ok(points.redeem(caller.id.to_string(), key, command).await?)
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
) -> Result<Answer, ApiError> {
    let from = Payer::Account(AccountId(id), actor(&caller));
    let amount = whole(&body.points);
    let command = Transfer::try_new(from, body.to_account_id, amount, body.reference)?;
    Ok(points.transfer(caller.id.to_string(), key, command).await?)
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
) -> Result<Answer, ApiError> {
    caller.require(&[Role::Operator])?;
    let command = Reverse::try_new(id, body.reference)?;
    Ok(points.reverse(caller.id.to_string(), key, command, actor(&caller)).await?)
}

/// Corrects an account as it was read: `If-Match` carries its ETag. For operators.
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
) -> Result<Answer, ApiError> {
    caller.require(&[Role::Operator])?;
    let command = Adjust::try_new(id, version, whole(&body.points), body.reference)?;
    Ok(points.adjust(caller.id.to_string(), key, command).await?)
}
