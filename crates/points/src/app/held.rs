//! The connection of a writer, which it keeps from batch to batch: to take one from the pool and give it
//! back costs three round trips, nearly as many as a batch needs.

use std::time::Duration;

use kit::postgres;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::Instant;

use crate::store;

/// How long it is kept, so that the pool can renew an old one.
const KEPT: Duration = Duration::from_secs(60);

/// One that was sound a moment ago, or none.
#[derive(Default)]
pub(super) struct Held(Option<(PoolConnection<Postgres>, Instant)>);

impl Held {
    /// The pool rolls back whatever was not ended.
    pub(super) fn give_back(&mut self) {
        self.0 = None;
    }

    pub(super) async fn begin(&mut self, db: &PgPool) -> sqlx::Result<Transaction<'_, Postgres>> {
        if self.0.as_ref().is_some_and(|(_, since)| since.elapsed() >= KEPT) {
            self.give_back();
        }
        if self.0.is_none() {
            let connection = postgres::query("acquire", db.acquire()).await?;
            self.0 = Some((connection, Instant::now()));
        }
        let (connection, _) = self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        store::begin(connection).await
    }
}
