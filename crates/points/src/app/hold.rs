use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use kit::{ApiError, Caller, jobs, postgres};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ledger::Work;
use super::view::HoldView;
use super::{Error, Points, checked_amount, checked_reference};
use crate::domain::{
    Actor, Amount, Command, Currency, HoldId, HoldTime, MemberId, MerchantId, Payer, Price,
    Reference, Refused, ServiceName,
};
use crate::store;

/// How often holds whose time is over are looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(1);

/// Promises points, to be captured or released later.
#[derive(Clone, Debug)]
pub struct PlaceHold {
    /// Drawn by the ledger when `None`.
    pub id: Option<HoldId>,
    pub from: Payer,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
    pub lasts: HoldTime,
    /// What the points are to pay of, when a service holds them.
    pub price: Option<Price>,
    pub placed_by: Option<ServiceName>,
}

/// What a caller asks for, as it was sent. `None` points: not a whole number.
#[derive(Clone, Debug)]
pub struct AskedHold {
    pub points: Option<i64>,
    pub merchant: Option<Uuid>,
    pub reference: String,
    /// 15 minutes when absent.
    pub seconds: Option<i64>,
}

impl PlaceHold {
    /// The command, or an error that names every wrong field.
    pub fn try_new(from: Payer, asked: AskedHold) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let amount = checked_amount(&mut fields, asked.points);
        let reference = checked_reference(&mut fields, Reference::new(asked.reference));
        let lasts = asked.seconds.map_or(Ok(HoldTime::DEFAULT), HoldTime::new);
        let lasts = fields.check("expires_in_seconds", "invalid_hold_time", lasts);
        let merchant = asked.merchant.map(MerchantId);
        fields.done(|| {
            let (amount, reference, lasts) = (amount?, reference?, lasts?);
            let (id, price, placed_by) = (None, None, None);
            Some(Self { id, from, amount, merchant, reference, lasts, price, placed_by })
        })
    }
}

impl Points {
    /// A price in this currency; in the unit of account when it is empty.
    pub fn price(&self, minor: i64, currency: String) -> Result<Price, Refused> {
        let currency = match currency.as_str() {
            "" => self.issuing.currency.clone(),
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
    ) -> Result<Answer, Error> {
        let PlaceHold { id, from, amount, merchant, reference, lasts, price, placed_by } = hold;
        let id = id.unwrap_or_else(|| HoldId(self.clock.id()));
        let command =
            Command::Hold { id, from, amount, merchant, reference, lasts, price, placed_by };
        self.run(principal, key, command).await
    }

    /// Spends what was held, or a part of it; the rest is free again. A member does so for a merchant of
    /// theirs, when it was held for that one.
    pub async fn capture(
        &self,
        principal: String,
        key: Key,
        id: HoldId,
        amount: Option<Amount>,
        by: Actor,
    ) -> Result<Answer, Error> {
        self.run(principal, key, Command::Capture { id, amount, by }).await
    }

    /// Frees what was held. Another service may do so before its hold has come.
    pub async fn release(
        &self,
        principal: String,
        key: Key,
        id: HoldId,
        by: Actor,
    ) -> Result<Answer, Error> {
        self.run(principal, key, Command::Release { id, by }).await
    }

    /// A hold, for its owner and for operators.
    pub async fn find_hold(&self, id: HoldId, by: &Actor) -> Result<HoldView, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::find_hold(&mut conn, id).await?;
        let (hold, _) = found.filter(|(_, owner)| by.covers(*owner)).ok_or(Error::NotFound)?;
        Ok(HoldView::from(&hold))
    }

    /// Frees what nobody settled in time, for ever, until `stop`.
    pub async fn expire_holds(self, stop: CancellationToken) {
        let db = self.db.clone();
        jobs::every("expire_holds", EXPIRY_PERIOD, db, stop, move || {
            let points = self.clone();
            async move { Ok(points.expire_overdue().await?) }
        })
        .await;
    }

    /// Expires what is overdue, each page at once: it shares its transactions. A hold that cannot be expired now
    /// holds up none behind it, and is tried again in the next period.
    async fn expire_overdue(&self) -> Result<(), Error> {
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

    /// An error: the database is away, for all others too.
    async fn expire(&self, id: HoldId) -> Result<(), Error> {
        match self.post(Work { claim: None, command: Command::Expire { id } }).await {
            Err(error) if error.is_outage() => Err(error),
            // Settled since we looked.
            Ok(_) | Err(Error::NotFound | Error::Refused(_)) => Ok(()),
            Err(error) => {
                tracing::warn!(hold.id = %id.0, %error, "an overdue hold waits");
                Ok(())
            }
        }
    }
}

/// The person who calls, as the ledger knows them.
pub fn actor(caller: &Caller) -> Actor {
    if caller.has(kit::caller::Role::Operator) {
        Actor::Operator
    } else {
        Actor::Member(MemberId(caller.id))
    }
}
