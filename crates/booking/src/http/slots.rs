//! The search for free times.

use axum::Json;
use axum::extract::State;
use kit::http::{Path, Query};
use kit::{ApiError, Caller};
use uuid::Uuid;

use super::body::SlotQuery;
use crate::app::Bookings;
use crate::view::Slots;

/// Returns the free times of a service, with one staff member or with all who give it.
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
