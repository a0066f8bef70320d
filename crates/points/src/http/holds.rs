//! Points promised now, and spent or freed later.

use axum::Json;
use axum::extract::State;
use kit::caller::Role;
use kit::http::{Command, IdempotencyKey, Path};
use kit::idempotency::Answer;
use kit::{ApiError, Caller};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{given, whole};
use crate::app::{AskedHold, Error, HoldView, PlaceHold, Points, actor};
use crate::domain::{AccountId, Amount, HoldId, Payer, Refused};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    points: Value,
    #[serde(default)]
    merchant_id: Option<Uuid>,
    /// What for. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
    /// 1 second to 31 days; 15 minutes when absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_678_400)]
    expires_in_seconds: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureBody {
    /// All of it when absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    points: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {}

/// Makes points unavailable until they are captured, released or expired.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/holds", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = HoldBody, responses((status = 201, body = HoldView)),
)]
pub(super) async fn hold(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<HoldBody>,
) -> Result<Answer, ApiError> {
    let asked = AskedHold {
        points: whole(&body.points),
        merchant: body.merchant_id,
        reference: body.reference,
        seconds: body.expires_in_seconds,
    };
    let hold = PlaceHold::try_new(Payer::Account(AccountId(id), actor(&caller)), asked)?;
    Ok(points.hold(caller.id.to_string(), key, hold).await?)
}

/// A hold, for its owner and for operators.
#[utoipa::path(
    get, path = "/v1/holds/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = HoldView)),
)]
pub(super) async fn find(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<HoldView>, ApiError> {
    Ok(Json(points.find_hold(HoldId(id), &actor(&caller)).await?))
}

/// Spends what is held for a merchant of the caller's, or a part of it; the rest is free again.
#[utoipa::path(
    post, path = "/v1/holds/{id}/capture", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = CaptureBody, responses((status = 200, body = HoldView)),
)]
pub(super) async fn capture(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<CaptureBody>,
) -> Result<Answer, ApiError> {
    caller.require(&[Role::Staff, Role::MerchantAdmin, Role::Operator])?;
    let amount = body.points.map(|value| {
        whole(&value).ok_or(Refused::Amount).and_then(Amount::new).map_err(Error::from)
    });
    let amount = amount.transpose()?;
    let by = actor(&caller);
    Ok(points.capture(caller.id.to_string(), key, HoldId(id), amount, by).await?)
}

/// Frees what is held: the owner, or an operator for them.
#[utoipa::path(
    post, path = "/v1/holds/{id}/release", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = ReleaseBody, responses((status = 200, body = HoldView)),
)]
pub(super) async fn release(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body: ReleaseBody {} }: Command<ReleaseBody>,
) -> Result<Answer, ApiError> {
    Ok(points.release(caller.id.to_string(), key, HoldId(id), actor(&caller)).await?)
}
