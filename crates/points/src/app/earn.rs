use chrono::{DateTime, Utc};
use kit::command::Answer;
use kit::error::Fields;
use kit::idempotency::Key;
use kit::{ApiError, postgres};
use uuid::Uuid;

use super::{Points, checked_amount, checked_reference};
use crate::domain::command::Earn;
use crate::domain::{
    AccountRef, Actor, Basis, Command, Currency, EventId, MerchantId, Purchase, Rate, Reference,
    Refused, Rule,
};
use crate::error::Error;
use crate::store;
use crate::view::Receipt;

/// An earning as it was asked for. `Some(None)` was given, and was not a whole number.
#[derive(Clone, Debug)]
pub struct AskedEarning {
    pub purchase_minor: Option<Option<i64>>,
    pub points: Option<Option<i64>>,
    /// The currency of the purchase; the unit of account when absent.
    pub currency: Option<String>,
    pub merchant: Uuid,
    pub reference: String,
}

impl Earn {
    /// The command, or an error that names every wrong field.
    pub fn try_new(
        by: Actor,
        to: AccountRef,
        asked: AskedEarning,
        unit: &Currency,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let currency = asked.currency.map_or_else(|| Ok(unit.clone()), Currency::new);
        let currency = fields.check("currency", "invalid_currency", currency);
        let basis = match (asked.purchase_minor, asked.points) {
            (Some(minor), None) => {
                let purchase = minor.ok_or(Refused::Purchase).and_then(Purchase::new);
                let purchase = fields.check("purchase_minor", "invalid_amount", purchase);
                purchase.zip(currency).map(|(paid, currency)| Basis::Purchase(paid, currency))
            }
            (None, Some(points)) => checked_amount(&mut fields, points).map(Basis::Points),
            (None, None) | (Some(_), Some(_)) => {
                fields.add("points", "invalid_amount", "give either purchase_minor or points");
                None
            }
        };
        let reference = checked_reference(&mut fields, Reference::new(asked.reference));
        let merchant = MerchantId(asked.merchant);
        fields.done(|| {
            let (basis, reference) = (basis?, reference?);
            Some(Self { to, basis, rate: None, merchant, reference, event: None, by })
        })
    }
}

impl Points {
    /// Credits an account, by the merchant's rate of the time `at`. `None` is now.
    pub async fn earn(
        &self,
        principal: String,
        key: Key,
        earn: Earn,
        at: Option<DateTime<Utc>>,
    ) -> Result<Answer<Receipt>, Error> {
        let at = self.moment(at, earn.event).await?;
        let rate = self.rate(earn.merchant, &earn.basis, at).await?;
        let answer = self.run(principal, key, Command::Earn(Earn { rate, ..earn })).await?;
        Ok(answer.into_receipt())
    }

    /// The moment whose rule applies. An event that has earned gets its first answer, however old it is now.
    async fn moment(
        &self,
        at: Option<DateTime<Utc>>,
        event: Option<EventId>,
    ) -> Result<DateTime<Utc>, Error> {
        let now = self.clock.now();
        let refused = match Rule::moment(at.unwrap_or(now), now) {
            Ok(moment) => return Ok(moment),
            Err(refused) => refused,
        };
        let Some(event) = event else { return Err(refused.into()) };
        // Boxed, because it is rare, and its future is large.
        if Box::pin(self.has_earned(event)).await? { Ok(now) } else { Err(refused.into()) }
    }

    async fn has_earned(&self, event: EventId) -> Result<bool, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(!store::event_earnings(&mut conn, &[event.0]).await?.is_empty())
    }

    /// The merchant's own rate at that moment, if it has one. Plain points need none.
    pub(super) async fn rate(
        &self,
        merchant: MerchantId,
        basis: &Basis,
        at: DateTime<Utc>,
    ) -> Result<Option<Rate>, Error> {
        match basis {
            Basis::Points(_) => Ok(None),
            Basis::Purchase(_, currency) => {
                // Boxed: the future of a cache lookup has many kilobytes.
                let rules = Box::pin(self.guarded(self.rules_of(merchant, currency, at)));
                Ok(Rule::rate(&rules.await?, at))
            }
        }
    }
}
