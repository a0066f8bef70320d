//! When a service can be had.

use axum::Json;
use axum::extract::State;
use kit::http::{Path, Query};
use kit::{ApiError, Caller};
use uuid::Uuid;

use super::body::SlotQuery;
use crate::app::{Bookings, Slots};

/// Find the free times for a service, with one person or with anybody who gives it.
#[utoipa::path(
    get, path = "/v1/merchants/{merchant_id}/slots", tag = "bookings",
    params(("merchant_id" = Uuid, Path), SlotQuery),
    responses((status = OK, body = Slots)),
)]
pub(super) async fn slots(
    State(bookings): State<Bookings>,
    _: Caller,
    Path(merchant): Path<Uuid>,
    Query(query): Query<SlotQuery>,
) -> Result<Json<Slots>, ApiError> {
    Ok(Json(bookings.slots(query.into_query(merchant)?).await?))
}
