//! Another owner for a merchant, which only an operator decides.

use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::belonging::{Belonging, MERCHANT_REGISTERED, OWNER_LEFT};
use super::{Bookings, Error};
use crate::store;

/// Makes another member the owner of a merchant.
#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    pub operator_id: Uuid,
    pub merchant_id: Uuid,
    pub member_id: Uuid,
    /// Whoever signs in as staff goes on to. Else their links end: the owner before has chosen them.
    pub keeps_staff: bool,
}

/// A merchant and its new owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandedOver {
    pub merchant_id: Uuid,
    pub owner_id: Uuid,
}

impl Bookings {
    /// 200 with [`HandedOver`]. Its bookings, people and hours stay; a closed merchant is open again. Nobody
    /// signs in as its people any more, unless the operator keeps them. Saying it twice changes nothing.
    pub async fn hand_over(&self, key: Key, wanted: HandOver) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.change_owner(&key, wanted).await }).await
    }

    async fn change_owner(&self, key: &Key, wanted: HandOver) -> Result<Answer, Error> {
        let HandOver { operator_id, merchant_id, member_id, keeps_staff } = wanted;
        let principal = operator_id.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }
        let found = store::lock_any_merchant(&mut tx, merchant_id).await?;
        let before = found.ok_or(Error::UnknownMerchant)?.owner_id;
        if before != Some(member_id) {
            store::change_owner(&mut tx, merchant_id, member_id).await?;
            if !keeps_staff {
                self.unlink_everybody(&mut tx, merchant_id).await?;
            }
            if let Some(before) = before {
                let belonging = Belonging { merchant_id, member_id: before };
                self.tell_belonging(&mut tx, OWNER_LEFT, belonging).await?;
            }
            let belonging = Belonging { merchant_id, member_id };
            self.tell_belonging(&mut tx, MERCHANT_REGISTERED, belonging).await?;
        }
        let answer = Answer::json(StatusCode::OK, &HandedOver { merchant_id, owner_id: member_id });
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(merchant.id = %merchant_id, "merchant handed over");
        Ok(answer)
    }
}
