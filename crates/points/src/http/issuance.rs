//! Tender values, and the issuance of merchants.

use axum::Json;
use axum::extract::State;
use kit::caller::Role;
use kit::http::{Json as JsonBody, Path};
use kit::{ApiError, Caller};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{actor, whole};
use crate::app::Points;
use crate::domain::{MemberId, MerchantId};
use crate::view::{IssuanceView, TenderValues, TenderView};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenderBody {
    /// This many points pay `minor` minor units.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    points: Value,
    /// The minor units of the currency that `points` points pay.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    minor: Value,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuanceBody {
    /// The highest share of a purchase that points may be worth.
    #[schema(value_type = i64, minimum = 1, maximum = 100)]
    max_rate_percent: Value,
    /// The points of a calendar month (UTC).
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    budget_points: Value,
}

/// The tender values of all currencies.
#[utoipa::path(get, path = "/v1/tender-values", responses((status = 200, body = TenderValues)))]
pub(super) async fn tender_values(
    State(points): State<Points>,
    _: Caller,
) -> Result<Json<TenderValues>, ApiError> {
    Ok(Json(points.tender_values().await?))
}

/// Sets the tender value of a currency. For operators.
#[utoipa::path(
    put, path = "/v1/tender-values/{currency}", params(("currency" = String, Path)),
    request_body = TenderBody, responses((status = 200, body = TenderView)),
)]
pub(super) async fn set_tender_value(
    State(points): State<Points>,
    caller: Caller,
    Path(currency): Path<String>,
    JsonBody(body): JsonBody<TenderBody>,
) -> Result<Json<TenderView>, ApiError> {
    caller.require(&[Role::Operator])?;
    let tender = (whole(&body.points), whole(&body.minor));
    Ok(Json(points.set_tender_value(MemberId(caller.id), currency, tender).await?))
}

/// The limits of a merchant, and the points that it has given away this month. For its owner.
#[utoipa::path(
    get, path = "/v1/merchants/{id}/issuance", params(("id" = Uuid, Path)),
    responses((status = 200, body = IssuanceView)),
)]
pub(super) async fn issuance(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<IssuanceView>, ApiError> {
    caller.require(&[Role::MerchantAdmin, Role::Operator])?;
    Ok(Json(points.issuance(&actor(&caller), MerchantId(id)).await?))
}

/// Sets the limits of a merchant. For operators.
#[utoipa::path(
    put, path = "/v1/merchants/{id}/issuance", params(("id" = Uuid, Path)),
    request_body = IssuanceBody, responses((status = 200, body = IssuanceView)),
)]
pub(super) async fn set_issuance(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    JsonBody(body): JsonBody<IssuanceBody>,
) -> Result<Json<IssuanceView>, ApiError> {
    caller.require(&[Role::Operator])?;
    let bounds = (whole(&body.max_rate_percent), whole(&body.budget_points));
    Ok(Json(points.set_issuance(MemberId(caller.id), MerchantId(id), bounds).await?))
}
