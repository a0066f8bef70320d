//! Holds: points held now, and captured or released later.

use axum::Json;
use axum::extract::State;
use kit::caller::Role;
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, Path};
use kit::{ApiError, Caller};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{actor, given, whole};
use crate::app::{AskedHold, Points};
use crate::domain::command::{Capture, PlaceHold, Release};
use crate::domain::{AccountId, AccountRef, Amount, HoldId, Refused};
use crate::error::Error;
use crate::view::HoldView;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    points: Value,
    #[serde(default)]
    merchant_id: Option<Uuid>,
    /// The reason. At most 200 characters.
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
    /// All held points when absent.
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
) -> Result<Answer<HoldView>, ApiError> {
    let asked = AskedHold {
        id: points.new_hold_id(),
        from: AccountRef::Id(AccountId(id)),
        price: None,
        points: whole(&body.points),
        merchant: body.merchant_id,
        reference: body.reference,
        seconds: body.expires_in_seconds,
    };
    let hold = PlaceHold::try_new(actor(&caller), asked)?;
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
    Ok(Json(points.find_hold(&actor(&caller), HoldId(id)).await?))
}

/// Spends points that are held for a merchant of the caller's, or a part of them; the rest is available again.
#[utoipa::path(
    post, path = "/v1/holds/{id}/capture", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = CaptureBody, responses((status = 200, body = HoldView)),
)]
pub(super) async fn capture(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<CaptureBody>,
) -> Result<Answer<HoldView>, ApiError> {
    caller.require(&[Role::Staff, Role::MerchantAdmin, Role::Operator])?;
    let amount = body.points.map(|value| {
        whole(&value).ok_or(Refused::Amount).and_then(Amount::new).map_err(Error::from)
    });
    let amount = amount.transpose()?;
    let capture = Capture { hold: HoldId(id), amount, by: actor(&caller) };
    Ok(points.capture(caller.id.to_string(), key, capture).await?)
}

/// Makes held points available again. For the owner, or an operator for them.
#[utoipa::path(
    post, path = "/v1/holds/{id}/release", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = ReleaseBody, responses((status = 200, body = HoldView)),
)]
pub(super) async fn release(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body: ReleaseBody {} }: Command<ReleaseBody>,
) -> Result<Answer<HoldView>, ApiError> {
    let release = Release { hold: HoldId(id), by: actor(&caller) };
    Ok(points.release(caller.id.to_string(), key, release).await?)
}
