//! Giving a merchant another owner, which only an operator does.

use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{MERCHANT_REGISTERED, Membership, OWNER_LEFT};
use crate::store;
use crate::view::HandedOver;

/// Makes another member the owner of a merchant.
#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    pub operator_id: Uuid,
    pub merchant_id: Uuid,
    pub member_id: Uuid,
    /// Keeps the links of staff to their members. Otherwise they end, because the previous owner chose them.
    pub keeps_staff: bool,
}

impl Bookings {
    /// Answers [`HandedOver`]. Bookings, staff and hours stay; a closed merchant is open again. A repetition has no
    /// further effect.
    pub async fn hand_over(&self, key: Key, wanted: HandOver) -> Result<Answer<HandedOver>, Error> {
        let mut work = match command::begin(&self.db, wanted.operator_id, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let HandOver { merchant_id, member_id, keeps_staff, .. } = wanted;
        let found = store::lock_any_merchant(&mut work, merchant_id).await?;
        let before = found.ok_or(Error::UnknownMerchant)?.owner_id;
        if before != Some(member_id) {
            store::change_owner(&mut work, merchant_id, member_id).await?;
            if !keeps_staff {
                self.unlink_all_staff(&mut work, merchant_id).await?;
            }
            for (kind, owner) in [(OWNER_LEFT, before), (MERCHANT_REGISTERED, Some(member_id))] {
                if let Some(member_id) = owner {
                    let membership = Membership { merchant_id, member_id };
                    self.publish_membership(&mut work, kind, membership).await?;
                }
            }
        }

        let handed_over = HandedOver { merchant_id, owner_id: member_id };
        let answer = work.commit(Success::Ok, handed_over).await?;
        tracing::info!(merchant.id = %merchant_id, "merchant handed over");
        Ok(answer)
    }
}
