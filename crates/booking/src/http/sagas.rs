//! The payments with points, for operators.

use axum::Json;
use axum::extract::State;
use kit::caller::Role;
use kit::http::{Path, Query};
use kit::{ApiError, Caller};
use uuid::Uuid;

use super::body::SagaQuery;
use crate::app::Bookings;
use crate::view::{SagaPage, SagaWithSteps};

/// Lists payments with points, the newest first. For operators.
#[utoipa::path(
    get, path = "/v1/sagas", tag = "sagas",
    params(SagaQuery),
    responses((status = OK, body = SagaPage)),
)]
pub(super) async fn sagas(
    State(bookings): State<Bookings>,
    caller: Caller,
    Query(query): Query<SagaQuery>,
) -> Result<Json<SagaPage>, ApiError> {
    caller.require(&[Role::Operator])?;
    let (filter, page) = query.into_parts();
    Ok(Json(bookings.sagas(filter, page).await?))
}

/// Returns a payment with its log. For operators.
#[utoipa::path(
    get, path = "/v1/sagas/{saga_id}", tag = "sagas",
    params(("saga_id" = Uuid, Path)),
    responses((status = OK, body = SagaWithSteps)),
)]
pub(super) async fn saga(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(saga): Path<Uuid>,
) -> Result<Json<SagaWithSteps>, ApiError> {
    caller.require(&[Role::Operator])?;
    Ok(Json(bookings.saga(saga).await?))
}
