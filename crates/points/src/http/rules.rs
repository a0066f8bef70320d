//! Conversion rules, for merchants.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::caller::Role;
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, Path, Query};
use kit::{ApiError, Caller};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{actor, given, whole};
use crate::app::{AskedRule, NewRule, Points};
use crate::domain::{MemberId, MerchantId, RuleId};
use crate::view::{RuleFilter, RulePage, RuleView};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleBody {
    /// ISO 4217; the deployment's unit of account when absent.
    #[serde(default)]
    currency: Option<String>,
    /// `⌊purchase × points ÷ per_minor⌋` points, all in minor units.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000)]
    points: Value,
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    per_minor: Value,
    /// Smaller purchases earn nothing. 1 when absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000_000_000_i64)]
    min_purchase_minor: Option<Value>,
    /// Now when absent, and never before.
    #[serde(default)]
    valid_from: Option<DateTime<Utc>>,
    /// Exclusive; for ever when absent.
    #[serde(default)]
    valid_until: Option<DateTime<Utc>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndBody {
    /// Now when absent, and never before.
    #[serde(default)]
    at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RuleQuery {
    /// Only rules for this currency.
    currency: Option<String>,
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Sets a merchant's rate, from now or from later on. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/merchants/{id}/conversion-rules", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = RuleBody, responses((status = 201, body = RuleView)),
)]
pub(super) async fn create(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<RuleBody>,
) -> Result<Answer<RuleView>, ApiError> {
    caller.require(&[Role::MerchantAdmin, Role::Operator])?;
    let rule = NewRule::try_new(id, caller.id, body.into(), points.currency())?;
    Ok(points.create_rule(actor(&caller), key, rule).await?)
}

/// A merchant's rules, newest first, with those that have ended.
#[utoipa::path(
    get, path = "/v1/merchants/{id}/conversion-rules", params(("id" = Uuid, Path), RuleQuery),
    responses((status = 200, body = RulePage)),
)]
pub(super) async fn list(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(RuleQuery { currency, limit, cursor }): Query<RuleQuery>,
) -> Result<Json<RulePage>, ApiError> {
    caller.require(&[Role::Staff, Role::MerchantAdmin, Role::Operator])?;
    let filter = RuleFilter { currency, limit, cursor };
    Ok(Json(points.rules(actor(&caller), MerchantId(id), filter).await?))
}

/// Ends a rule, now or later. A rule that has not begun is withdrawn. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/conversion-rules/{id}/end", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = EndBody, responses((status = 200, body = RuleView)),
)]
pub(super) async fn end(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body: EndBody { at } }: Command<EndBody>,
) -> Result<Answer<RuleView>, ApiError> {
    caller.require(&[Role::MerchantAdmin, Role::Operator])?;
    Ok(points.end_rule(actor(&caller), MemberId(caller.id), key, RuleId(id), at).await?)
}

impl From<RuleBody> for AskedRule {
    fn from(body: RuleBody) -> Self {
        Self {
            currency: body.currency,
            points: whole(&body.points),
            per_minor: whole(&body.per_minor),
            min_minor: body.min_purchase_minor.map_or(Some(1), |value| whole(&value)),
            from: body.valid_from,
            until: body.valid_until,
        }
    }
}
