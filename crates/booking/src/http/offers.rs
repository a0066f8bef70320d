//! The services of a merchant, and the staff who give them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, IfMatch, Json as JsonBody, Path, Query, etag};
use kit::{ApiError, Caller, error::Fields};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::PageParams;
use super::seen::ReadAfter;
use crate::app::{AddService, Bookings, EditService, OfferServices, PageQuery, Seen};
use crate::domain::{Length, Name, Owner, Price, Service};
use crate::view::{ServicePage, StaffPage, StaffServices};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewService {
    /// 1 to 100 characters.
    name: String,
    /// 5 or more.
    duration_minutes: i32,
    /// Minutes afterwards during which the staff member cannot be booked; with the duration at most 720.
    #[serde(default)]
    buffer_minutes: i32,
    /// Price in the minor unit of the merchant's currency, 0 to 1,000,000,000.
    price_minor: i64,
}

impl NewService {
    fn into_command(self, owner: Owner, merchant_id: Uuid) -> Result<AddService, ApiError> {
        let mut fields = Fields::new();
        let name = fields.check("name", "invalid_name", Name::try_new(&self.name));
        let length = Length::try_new(self.duration_minutes, self.buffer_minutes);
        let length = fields.check("duration_minutes", "invalid_duration", length);
        let price = fields.check("price_minor", "invalid_amount", Price::try_new(self.price_minor));
        fields.done(|| {
            let (name, length, price) = (name?, length?, price?);
            Some(AddService { owner, merchant_id, name, length, price })
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceIds {
    /// All services that the staff member gives.
    service_ids: Vec<Uuid>,
}

/// Adds a service. For the merchant's owner.
#[utoipa::path(
    post, path = "/v1/merchants/{merchant_id}/services", tag = "merchants",
    params(("merchant_id" = Uuid, Path), IdempotencyKey),
    request_body = NewService,
    responses((status = CREATED, body = Service)),
)]
pub(super) async fn add_service(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path(merchant): Path<Uuid>,
    Command { key, body }: Command<NewService>,
) -> Result<Answer<Service>, ApiError> {
    Ok(bookings.add_service(key, body.into_command(Owner::of(&caller)?, merchant)?).await?)
}

/// Replaces a service. `If-Match` carries the version that you have read. Existing bookings keep their price and
/// their length. For the merchant's owner.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/services/{service_id}", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("service_id" = Uuid, Path),
           ("If-Match" = String, Header, description = "The service's version in quotation marks")),
    request_body = NewService,
    responses((status = OK, body = Service)),
)]
pub(super) async fn edit_service(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path((merchant, service_id)): Path<(Uuid, Uuid)>,
    IfMatch(seen): IfMatch,
    JsonBody(body): JsonBody<NewService>,
) -> Result<Response, ApiError> {
    let becomes = body.into_command(Owner::of(&caller)?, merchant)?;
    let service = bookings.edit_service(EditService { service_id, seen, becomes }).await?;
    Ok((etag(service.version), Json(service)).into_response())
}

/// Lists the services of a merchant.
#[utoipa::path(
    get, path = "/v1/merchants/{merchant_id}/services", tag = "merchants",
    params(("merchant_id" = Uuid, Path), PageParams),
    responses((status = OK, body = ServicePage)),
)]
pub(super) async fn services(
    State(bookings): State<Bookings>,
    _: Caller,
    ReadAfter(seen): ReadAfter,
    Path(merchant): Path<Uuid>,
    Query(page): Query<PageParams>,
) -> Result<Seen<ServicePage>, ApiError> {
    Ok(bookings.services(merchant, PageQuery { seen, ..page.into() }).await?)
}

/// Lists the staff of a merchant, each with their services.
#[utoipa::path(
    get, path = "/v1/merchants/{merchant_id}/staff", tag = "merchants",
    params(("merchant_id" = Uuid, Path), PageParams),
    responses((status = OK, body = StaffPage)),
)]
pub(super) async fn staff(
    State(bookings): State<Bookings>,
    _: Caller,
    ReadAfter(seen): ReadAfter,
    Path(merchant): Path<Uuid>,
    Query(page): Query<PageParams>,
) -> Result<Seen<StaffPage>, ApiError> {
    Ok(bookings.staff(merchant, PageQuery { seen, ..page.into() }).await?)
}

/// Replaces the services that a staff member gives. For the merchant's owner.
#[utoipa::path(
    put, path = "/v1/merchants/{merchant_id}/staff/{staff_id}/services", tag = "merchants",
    params(("merchant_id" = Uuid, Path), ("staff_id" = Uuid, Path)),
    request_body = ServiceIds,
    responses((status = OK, body = StaffServices)),
)]
pub(super) async fn offer_services(
    State(bookings): State<Bookings>,
    caller: Caller,
    Path((merchant_id, staff_id)): Path<(Uuid, Uuid)>,
    JsonBody(ServiceIds { service_ids }): JsonBody<ServiceIds>,
) -> Result<Json<StaffServices>, ApiError> {
    let owner = Owner::of(&caller)?;
    let wanted = OfferServices { owner, merchant_id, staff_id, service_ids };
    Ok(Json(bookings.offer_services(wanted).await?))
}
