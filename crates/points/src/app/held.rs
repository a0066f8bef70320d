//! The connection of a writer, which it keeps from batch to batch: to take one from the pool and give it
//! back costs more round trips than a batch needs.

use std::time::Duration;

use kit::postgres;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::Instant;

use crate::store;

/// How long it is kept, so that the pool can renew an old one.
const KEPT: Duration = Duration::from_secs(60);

/// How long accounts are locked before they are read, after somebody else changed one that we had read:
/// many times what a try in vain costs, and not so long that a rare one costs more than itself.
const CONTESTED: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Held {
    /// One that was sound a moment ago, or none.
    connection: Option<(PoolConnection<Postgres>, Instant)>,
    contested: Option<Instant>,
}

impl Held {
    /// The pool rolls back whatever was not ended; what was set for us ends here.
    pub(super) fn give_back(&mut self) {
        let Some((mut connection, _)) = self.connection.take() else { return };
        tokio::spawn(async move {
            if store::any_plan(&mut connection).await.is_err() {
                let _ = connection.close().await; // it is of no use to anybody
            }
        });
    }

    pub(super) async fn connection(&mut self, db: &PgPool) -> sqlx::Result<&mut PgConnection> {
        if self.connection.as_ref().is_some_and(|(_, since)| since.elapsed() >= KEPT) {
            self.give_back();
        }
        if self.connection.is_none() {
            let mut connection = postgres::query("acquire", db.acquire()).await?;
            store::index_only(&mut connection).await?;
            self.connection = Some((connection, Instant::now()));
        }
        let (connection, _) = self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        Ok(connection)
    }

    /// We were overtaken.
    pub(super) fn contested(&mut self) {
        self.contested = Some(Instant::now());
    }

    pub(super) fn is_contested(&self) -> bool {
        self.contested.is_some_and(|since| since.elapsed() < CONTESTED)
    }
}
