use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Currency, MERCHANT_REGISTERED, Membership, Name, Notice, TimeZone};
use crate::store;
use crate::view::Merchant;

/// Creates a merchant, which belongs to its creator.
pub struct CreateMerchant {
    pub owner_id: Uuid,
    pub name: Name,
    pub time_zone: TimeZone,
    pub currency: Currency,
    pub notice: Notice,
}

impl Bookings {
    /// Answers the [`Merchant`].
    pub async fn create_merchant(
        &self,
        key: Key,
        wanted: CreateMerchant,
    ) -> Result<Answer<Merchant>, Error> {
        let mut work = match command::begin(&self.db, wanted.owner_id, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let merchant = Merchant {
            merchant_id: self.clock.id(),
            name: wanted.name.as_str().to_owned(),
            time_zone: wanted.time_zone.name().to_owned(),
            currency: wanted.currency.as_str().to_owned(),
            cancellation_notice_minutes: wanted.notice.minutes(),
        };
        store::insert_merchant(&mut work, wanted.owner_id, &merchant, self.clock.now()).await?;
        let owner = Membership { merchant_id: merchant.merchant_id, member_id: wanted.owner_id };
        self.publish_membership(&mut work, MERCHANT_REGISTERED, owner).await?;
        Ok(work.commit(Success::Created, merchant).await?)
    }
}
