use std::time::Duration;

use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use kit::{ApiError, Caller, jobs, postgres};
use observability::Carrier;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ledger::Work;
use super::view::HoldView;
use super::{Error, Points, checked_amount, checked_reference};
use crate::domain::{
    Amount, Command, HoldId, HoldTime, MemberId, MerchantId, Payer, Reference, Scope, Seller,
};
use crate::store;

/// How often holds whose time is over are looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(1);

/// Promises points, to be captured or released later.
#[derive(Clone, Debug)]
pub struct PlaceHold {
    pub id: HoldId,
    pub from: Payer,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
    pub lasts: HoldTime,
}

/// What a caller asks for, as it was sent. `None` points: not a whole number.
#[derive(Clone, Debug)]
pub struct AskedHold {
    pub id: Uuid,
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
        let (id, merchant) = (HoldId(asked.id), asked.merchant.map(MerchantId));
        fields.done(|| {
            let (amount, reference, lasts) = (amount?, reference?, lasts?);
            Some(Self { id, from, amount, merchant, reference, lasts })
        })
    }
}

impl Points {
    /// Makes points unavailable until they are captured, released or expired.
    pub async fn hold(
        &self,
        principal: String,
        key: Key,
        hold: PlaceHold,
    ) -> Result<Answer, Error> {
        let PlaceHold { id, from, amount, merchant, reference, lasts } = hold;
        let command = Command::Hold { id, from, amount, merchant, reference, lasts };
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
        by: Seller,
    ) -> Result<Answer, Error> {
        self.run(principal, key, Command::Capture { id, amount, by }).await
    }

    /// Frees what was held. Another service may do so before its hold has come.
    pub async fn release(
        &self,
        principal: String,
        key: Key,
        id: HoldId,
        scope: Scope,
    ) -> Result<Answer, Error> {
        self.run(principal, key, Command::Release { id, scope }).await
    }

    /// A hold, for its owner and for those whom `scope` covers.
    pub async fn find_hold(&self, id: HoldId, scope: Scope) -> Result<HoldView, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::find_hold(&mut conn, id).await?;
        let (hold, _) = found.filter(|(_, owner)| scope.covers(*owner)).ok_or(Error::NotFound)?;
        Ok(HoldView::new(&hold, None))
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

    async fn expire_overdue(&self) -> Result<(), Error> {
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let overdue = store::overdue(&mut conn).await?;
            drop(conn);
            let mut expired = 0;
            for id in overdue {
                let (command, carrier) = (Command::Expire { id }, Carrier::current());
                match self.post(Work { claim: None, command, carrier }).await {
                    Ok(_) => expired += 1,
                    // Settled since we looked, or its account contradicts itself, which was reported.
                    Err(Error::Refused(_) | Error::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            // What cannot be expired would be found again at once.
            if expired == 0 {
                return Ok(());
            }
        }
    }
}

/// For whom a person may act: for the merchants they belong to, or as an operator for all.
pub fn seller(caller: &Caller) -> Seller {
    if caller.has(kit::caller::Role::Operator) {
        Seller::Any
    } else {
        Seller::Member(MemberId(caller.id))
    }
}

/// What a person may touch: their own, or as an operator anything.
pub fn scope(caller: &Caller) -> Scope {
    if caller.has(kit::caller::Role::Operator) {
        Scope::Any
    } else {
        Scope::Own(MemberId(caller.id))
    }
}
