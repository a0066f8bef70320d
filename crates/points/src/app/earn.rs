use chrono::{DateTime, Utc};
use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use kit::{ApiError, postgres};
use uuid::Uuid;

use super::{Error, Points, checked_reference};
use crate::domain::{
    Actor, Amount, Basis, Command, Currency, EventId, MerchantId, Purchase, Rate, Recipient,
    Reference, Refused, Rule,
};
use crate::store;

/// Credits an account.
#[derive(Clone, Debug)]
pub struct Earn {
    pub to: Recipient,
    pub basis: Basis,
    pub merchant: MerchantId,
    pub reference: Reference,
    pub by: Actor,
    /// The event that says so: it earns once, for ever.
    pub event: Option<EventId>,
    /// When it was earned; now when absent. The rule of that time decides.
    pub at: Option<DateTime<Utc>>,
}

/// What a caller asks for, as it was sent. `Some(None)`: given, and not a whole number.
#[derive(Clone, Debug)]
pub struct Asked {
    pub purchase_minor: Option<Option<i64>>,
    pub points: Option<Option<i64>>,
    /// Of the purchase; the deployment's unit of account when absent.
    pub currency: Option<String>,
    pub merchant: Uuid,
    pub reference: String,
}

impl Earn {
    /// The command, or an error that names every wrong field.
    pub fn try_new(
        by: Actor,
        to: Recipient,
        asked: Asked,
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
            (None, Some(points)) => {
                let amount = points.ok_or(Refused::Amount).and_then(Amount::new);
                fields.check("points", "invalid_amount", amount).map(Basis::Points)
            }
            (None, None) | (Some(_), Some(_)) => {
                fields.add("points", "invalid_amount", "give either purchase_minor or points");
                None
            }
        };
        let reference = checked_reference(&mut fields, Reference::new(asked.reference));
        let merchant = MerchantId(asked.merchant);
        fields.done(|| {
            let (basis, reference) = (basis?, reference?);
            Some(Self { to, basis, merchant, reference, by, event: None, at: None })
        })
    }
}

impl Points {
    /// Runs the command once for each key. The answer's body is a [`super::Receipt`].
    pub async fn earn(&self, principal: String, key: Key, earn: Earn) -> Result<Answer, Error> {
        let Earn { to, basis, merchant, reference, by, event, at } = earn;
        let at = self.moment(at, event).await?;
        let rate = self.rate(merchant, &basis, at).await?;
        let command = Command::Earn { to, basis, rate, merchant, reference, event, by };
        self.run(principal, key, command).await
    }

    /// The moment whose rule decides. An event that has earned is answered as it was, however old it is by now.
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
        // On the heap, because it is rare and large.
        if Box::pin(self.has_earned(event)).await? { Ok(now) } else { Err(refused.into()) }
    }

    async fn has_earned(&self, event: EventId) -> Result<bool, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(!store::earned(&mut conn, &[event.0]).await?.is_empty())
    }

    /// The merchant's rate at that moment, when it has one. Plain points need none.
    pub(super) async fn rate(
        &self,
        merchant: MerchantId,
        basis: &Basis,
        at: DateTime<Utc>,
    ) -> Result<Option<Rate>, Error> {
        match basis {
            Basis::Points(_) => Ok(None),
            Basis::Purchase(_, currency) => {
                // On the heap: a lookup in the cache is a future of many kilobytes.
                let rules = Box::pin(self.guarded(self.rules_of(merchant, currency, at)));
                Ok(Rule::rate(&rules.await?, at))
            }
        }
    }
}
