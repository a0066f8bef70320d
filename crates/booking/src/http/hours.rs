//! Working hours and closures.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, Json as JsonBody, Path, Query};
use kit::{ApiError, Caller, error::Fields};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::PageParams;
use crate::app::{Bookings, Close, SetHours};
use crate::domain::{Owner, Shift, Week};
use crate::view::{Closure, ClosurePage};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWeek {
    /// On the merchant's wall clock. The time between two shifts of a day is a break.
    hours: Vec<Shift>,
}

impl NewWeek {
    fn into_week(self) -> Result<Week, ApiError> {
        let mut fields = Fields::new();
        let week = fields.check("hours", "invalid_hours", Week::try_new(self.hours));
        fields.done(|| week)
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClosure {
    /// Staff member with time off; the whole merchant when absent.
    staff_id: Option<Uuid>,
    /// On the merchant's wall clock, such as `2030-01-31T09:00`, or with an offset.
    starts_at: String,
    /// Later, by 400 days at most.
    ends_at: String,
}

impl NewClosure {
    fn into_command(self, owner: Owner, merchant_id: Uuid) -> Result<Close, ApiError> {
        let mut fields = Fields::new();
        let starts_at = fields.check("starts_at", "invalid_value", self.starts_at.parse());
        let ends_at = fields.check("ends_at", "invalid_value", self.ends_at.parse());
        fields.done(|| {
            let (starts_at, ends_at) = (starts_at?, ends_at?);
            Some(Close { owner, merchant_id, staff_id: self.staff_id, starts_at, ends_at })
        })
    }
}

/// Replaces the working hours of a staff member. For the merchant's owner.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/staff/{staff_id}/hours", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("staff_id" = Uuid, Path)),
    request_body = NewWeek,
    responses((status = OK, body = Week)),
)]
pub(super) async fn set_hours(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path((merchant_id, staff_id)): Path<(Uuid, Uuid)>,
    JsonBody(body): JsonBody<NewWeek>,
) -> Result<Json<Week>, ApiError> {
    let owner = Owner::of(&caller)?;
    let week = body.into_week()?;
    let wanted = SetHours { owner, merchant_id, staff_id, week };
    Ok(Json(bookings.set_hours(wanted).await?))
}

/// Returns the working hours of a staff member.
#[utoipa::path(
    get, path = "/v1/merchants/{merchant_id}/staff/{staff_id}/hours", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("staff_id" = Uuid, Path)),
    responses((status = OK, body = Week)),
)]
pub(super) async fn hours(
    State(bookings): State<Bookings>,
    _: Caller,
    Path((merchant, staff)): Path<(Uuid, Uuid)>,
) -> Result<Json<Week>, ApiError> {
    Ok(Json(bookings.hours(merchant, staff).await?))
}

/// Closes a merchant for a time, or gives one staff member time off. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/merchants/{merchant_id}/closures", tag = "merchants",
    params(("merchant_id" = Uuid, Path), IdempotencyKey),
    request_body = NewClosure,
    responses((status = CREATED, body = Closure)),
)]
pub(super) async fn close(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    Command { key, body }: Command<NewClosure>,
) -> Result<Answer<Closure>, ApiError> {
    Ok(bookings.close(key, body.into_command(Owner::of(&caller)?, merchant)?).await?)
}

/// Lists current and future closures and time off. For the merchant's owner.
#[utoipa::path(
    get, path = "/v1/merchants/{merchant_id}/closures", tag = "merchants",
    params(("merchant_id" = Uuid, Path), PageParams),
    responses((status = OK, body = ClosurePage)),
)]
pub(super) async fn closures(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    Query(page): Query<PageParams>,
) -> Result<Json<ClosurePage>, ApiError> {
    Ok(Json(bookings.closures(Owner::of(&caller)?, merchant, page.into()).await?))
}

/// Deletes a closure. For the merchant's owner.
#[utoipa::path(
    delete, path = "/v1/merchants/{merchant_id}/closures/{closure_id}", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("closure_id" = Uuid, Path)),
    responses((status = NO_CONTENT)),
)]
pub(super) async fn reopen(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path((merchant, closure)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    bookings.reopen(Owner::of(&caller)?, merchant, closure).await?;
    Ok(StatusCode::NO_CONTENT)
}
