//! What an account had, what moved, and what it has.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::http::{Path, Query};
use kit::{ApiError, Caller};
use serde::Deserialize;
use uuid::Uuid;

use super::visible;
use crate::app::{Points, Statement, Which};
use crate::domain::MemberId;

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
    Ok(Json(points.statement(Which::Of(MemberId(caller.id)), from, to).await?))
}

/// The statement of an account over a period; an operator may read any.
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
    Ok(Json(points.statement(visible(&caller, id), from, to).await?))
}
