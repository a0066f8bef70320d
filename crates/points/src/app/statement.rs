use chrono::{DateTime, Datelike as _, Utc};
use kit::postgres;

use super::Points;
use crate::domain::{AccountRef, Actor, Refused};
use crate::error::Error;
use crate::store;
use crate::view::Statement;

impl Points {
    /// The statement of an account over a period. Never cached, because this is the ledger itself.
    pub async fn statement(
        &self,
        by: &Actor,
        account: AccountRef,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Statement, Error> {
        // chrono knows years that PostgreSQL does not.
        if from >= to || [from, to].iter().any(|time| !(0..=9_999).contains(&time.year())) {
            return Err(Error::InvalidPeriod);
        }
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let account = store::find_visible(&mut conn, by, account).await?;
        let account_id = account.ok_or(Refused::NotFound("account"))?.id;
        let (opening, movements) = store::statement(&mut conn, account_id, from, to).await?;
        let moved: i64 = movements.iter().map(|kind| kind.credited + kind.debited).sum();
        let (account_id, closing) = (account_id.0, opening + moved);
        Ok(Statement { account_id, from, to, opening, movements, closing })
    }
}
