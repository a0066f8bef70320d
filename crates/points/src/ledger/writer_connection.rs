//! The connection of a writer, which keeps it from batch to batch: to take one from the pool and return it
//! costs more round trips than a batch.

use std::time::Duration;

use kit::postgres;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::Instant;

use crate::store;

/// The time that a writer keeps one connection, so that the pool can renew old ones.
const KEPT: Duration = Duration::from_secs(60);

/// The time that batches lock before they read, after another replica changed an account between read and
/// write: many times the cost of a refused batch, and short enough that a rare conflict does not cost more.
const CONTESTED: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct WriterConnection {
    /// The connection, and the time when it was taken from the pool.
    connection: Option<(PoolConnection<Postgres>, Instant)>,
    contested: Option<Instant>,
}

impl WriterConnection {
    /// Returns the connection to the pool, which rolls back an open transaction. The settings of a writer are
    /// undone.
    pub(super) fn give_back(&mut self) {
        let Some((mut connection, _)) = self.connection.take() else { return };
        tokio::spawn(async move {
            if store::any_plan(&mut connection).await.is_err() {
                let _ = connection.close().await; // with a writer's settings it is of no use
            }
        });
    }

    pub(super) async fn get(&mut self, db: &PgPool) -> sqlx::Result<&mut PgConnection> {
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

    /// Notes that another replica changed an account between read and write.
    pub(super) fn overtaken(&mut self) {
        self.contested = Some(Instant::now());
    }

    pub(super) fn is_contested(&self) -> bool {
        self.contested.is_some_and(|since| since.elapsed() < CONTESTED)
    }
}
