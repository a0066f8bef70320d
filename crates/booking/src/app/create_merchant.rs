use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::belonging::{Belonging, MERCHANT_REGISTERED};
use super::{Bookings, Error};
use crate::domain::{Currency, Name, Notice, TimeZone};
use crate::store;

/// Opens a merchant's calendar. Whoever creates it owns it.
pub struct CreateMerchant {
    pub owner_id: Uuid,
    pub name: Name,
    pub time_zone: TimeZone,
    pub currency: Currency,
    pub notice: Notice,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Merchant {
    pub merchant_id: Uuid,
    pub name: String,
    pub time_zone: &'static str,
    /// ISO 4217.
    pub currency: String,
    /// How long before the start a member may still cancel or move a booking.
    pub cancellation_notice_minutes: i32,
}

impl Bookings {
    /// 201 with the [`Merchant`].
    pub async fn create_merchant(&self, key: Key, wanted: CreateMerchant) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.open(&key, &wanted).await }).await
    }

    async fn open(&self, key: &Key, wanted: &CreateMerchant) -> Result<Answer, Error> {
        let principal = wanted.owner_id.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let merchant = Merchant {
            merchant_id: self.clock.id(),
            name: wanted.name.as_str().to_owned(),
            time_zone: wanted.time_zone.name(),
            currency: wanted.currency.as_str().to_owned(),
            cancellation_notice_minutes: wanted.notice.minutes(),
        };
        store::insert_merchant(&mut tx, wanted.owner_id, &merchant, self.clock.now()).await?;
        let (merchant_id, member_id) = (merchant.merchant_id, wanted.owner_id);
        self.tell_belonging(&mut tx, MERCHANT_REGISTERED, Belonging { merchant_id, member_id })
            .await?;

        let answer = Answer::json(StatusCode::CREATED, &merchant);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        Ok(answer)
    }
}
