use chrono::{DateTime, Utc};
use futures::future::join_all;
use kit::command::Answer;
use kit::error::Fields;
use kit::idempotency::Key;
use kit::{ApiError, postgres};
use uuid::Uuid;

use super::{Points, checked_amount, checked_reference};
use crate::domain::command::{Capture, PlaceHold, Release};
use crate::domain::{
    AccountRef, Actor, Command, Currency, HoldDuration, HoldId, MerchantId, Price, Reference,
    Refused,
};
use crate::error::Error;
use crate::ledger::Submission;
use crate::store;
use crate::view::HoldView;

/// A hold as it was asked for. `None` points were not a whole number.
#[derive(Clone, Debug)]
pub struct AskedHold {
    pub id: HoldId,
    pub from: AccountRef,
    pub points: Option<i64>,
    pub merchant: Option<Uuid>,
    pub reference: String,
    /// 15 minutes when absent.
    pub seconds: Option<i64>,
    pub price: Option<Price>,
}

impl PlaceHold {
    /// The command, or an error that names every wrong field.
    pub fn try_new(by: Actor, asked: AskedHold) -> Result<Self, ApiError> {
        let AskedHold { id, from, points, merchant, reference, seconds, price } = asked;
        let mut fields = Fields::new();
        let amount = checked_amount(&mut fields, points);
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let lasts = seconds.map_or(Ok(HoldDuration::DEFAULT), HoldDuration::new);
        let lasts = fields.check("expires_in_seconds", "invalid_hold_time", lasts);
        let merchant = merchant.map(MerchantId);
        fields.done(|| {
            let (amount, reference, lasts) = (amount?, reference?, lasts?);
            Some(Self { id, from, amount, merchant, reference, lasts, price, by })
        })
    }
}

impl Points {
    /// The id of a new hold. Services choose their own.
    pub fn new_hold_id(&self) -> HoldId {
        HoldId(self.clock.id())
    }

    /// A price in this currency, or in the unit of account when the currency is empty.
    pub fn price(&self, minor: i64, currency: String) -> Result<Price, Refused> {
        let currency = match currency.as_str() {
            "" => self.policy.currency.clone(),
            _ => Currency::new(currency)?,
        };
        Price::new(minor, currency)
    }

    /// Makes points unavailable until they are captured, released or expired.
    pub async fn hold(
        &self,
        principal: String,
        key: Key,
        hold: PlaceHold,
    ) -> Result<Answer<HoldView>, Error> {
        let answer = self.run(principal, key, Command::Hold(hold)).await?;
        Ok(answer.into_hold())
    }

    /// Spends held points, or a part of them; the rest is available again. A member captures holds for the
    /// merchants that they belong to.
    pub async fn capture(
        &self,
        principal: String,
        key: Key,
        capture: Capture,
    ) -> Result<Answer<HoldView>, Error> {
        let answer = self.run(principal, key, Command::Capture(capture)).await?;
        Ok(answer.into_hold())
    }

    /// Makes held points available again. A service may release its hold before the hold has come.
    pub async fn release(
        &self,
        principal: String,
        key: Key,
        release: Release,
    ) -> Result<Answer<HoldView>, Error> {
        let answer = self.run(principal, key, Command::Release(release)).await?;
        Ok(answer.into_hold())
    }

    /// A hold, for its owner and for operators.
    pub async fn find_hold(&self, by: &Actor, id: HoldId) -> Result<HoldView, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::find_hold(&mut conn, id).await?;
        let (hold, _) = found
            .filter(|(_, owner)| by.may_use_account_of(*owner))
            .ok_or(Refused::NotFound("hold"))?;
        Ok(HoldView::from(&hold))
    }

    /// Expires the overdue holds, a page at a time: a page shares its transactions. A hold that cannot expire now
    /// delays none behind it, and is tried again by the next run.
    pub async fn expire_holds(&self) -> Result<(), Error> {
        let mut after = (DateTime::<Utc>::UNIX_EPOCH, Uuid::nil());
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let (overdue, next) = store::overdue(&mut conn, after).await?;
            drop(conn);
            let Some(next) = next else { return Ok(()) };
            after = next;
            for outcome in join_all(overdue.into_iter().map(|id| self.expire(id))).await {
                outcome?;
            }
        }
    }

    /// Expires one hold. An error means that the database is away.
    async fn expire(&self, id: HoldId) -> Result<(), Error> {
        match self.submit(Submission { claim: None, command: Command::Expire(id) }).await {
            Err(error) if error.is_outage() => Err(error),
            // A refused hold was settled meanwhile.
            Ok(_) | Err(Error::Refused(_)) => Ok(()),
            Err(error) => {
                tracing::warn!(hold.id = %id.0, %error, "an overdue hold could not expire");
                Ok(())
            }
        }
    }
}
