//! Statements: the balances and movements of a period.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::http::{Path, Query};
use kit::{ApiError, Caller};
use serde::Deserialize;
use uuid::Uuid;

use super::{actor, own};
use crate::app::Points;
use crate::domain::{AccountId, AccountRef};
use crate::view::Statement;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Period {
    /// From this time on (RFC 3339).
    from: DateTime<Utc>,
    /// Before this time (RFC 3339).
    to: DateTime<Utc>,
}

/// The statement of the caller's own account over a period.
#[utoipa::path(
    get, path = "/v1/accounts/me/statement", params(Period),
    responses((status = 200, body = Statement)),
)]
pub(super) async fn mine(
    State(points): State<Points>,
    caller: Caller,
    Query(Period { from, to }): Query<Period>,
) -> Result<Json<Statement>, ApiError> {
    Ok(Json(points.statement(&actor(&caller), own(&caller), from, to).await?))
}

/// The statement of the caller's account, by its id, over a period. An operator may read any.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/statement", params(("id" = Uuid, Path), Period),
    responses((status = 200, body = Statement)),
)]
pub(super) async fn any(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(Period { from, to }): Query<Period>,
) -> Result<Json<Statement>, ApiError> {
    let account = AccountRef::Id(AccountId(id));
    Ok(Json(points.statement(&actor(&caller), account, from, to).await?))
}
