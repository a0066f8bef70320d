use chrono::{DateTime, Datelike as _, Utc};
use kit::postgres;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Points, Which};
use crate::store;

/// What an account began a period with, what moved, and what it ended with: `opening + Σ points = closing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Statement {
    pub account_id: Uuid,
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
    /// Points available before the period.
    pub opening: i64,
    /// What moved in it, by kind. A kind that did not occur is left out.
    pub movements: Vec<Movements>,
    /// Points available after the period.
    pub closing: i64,
}

/// All movements of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Movements {
    pub kind: String,
    pub entries: i64,
    /// Credited together, and debited together: the latter is negative or 0.
    pub credited: i64,
    pub debited: i64,
}

impl Points {
    /// The statement of an account over a period. Never cached: this is the ledger itself.
    pub async fn statement(
        &self,
        which: Which,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Statement, Error> {
        // Years that chrono knows and PostgreSQL does not.
        if from >= to || [from, to].iter().any(|time| !(0..=9_999).contains(&time.year())) {
            return Err(Error::InvalidPeriod);
        }
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let account = store::find_visible(&mut conn, which).await?.ok_or(Error::NotFound)?;
        let (opening, movements) = store::statement(&mut conn, account.id, from, to).await?;
        let moved: i64 = movements.iter().map(|kind| kind.credited + kind.debited).sum();
        let (account_id, closing) = (account.id.0, opening + moved);
        Ok(Statement { account_id, from, to, opening, movements, closing })
    }
}
