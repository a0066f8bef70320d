//! Reads lists from a replica, for clients that say which log position they have seen:
//! `docs/decisions/0014-reading-from-a-replica.md`.

use std::time::Duration;

use kit::breaker::{self, Breaker};
use kit::postgres;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use super::{Bookings, Error};
use crate::domain::Position;
use crate::metrics::{self, Source};
use crate::store;

/// A replica of the database, which lags a little.
#[derive(Clone)]
pub(super) struct Replica {
    db: PgPool,
    breaker: Breaker,
}

/// The connection of a list. The list returns it, so that the position after the read can be looked up on it.
type Connection = PoolConnection<Postgres>;

/// A value that was read.
pub struct Seen<T> {
    pub value: T,
    /// Log position that the value includes; `None` without a replica.
    pub position: Option<Position>,
}

impl Bookings {
    /// Reads lists from this replica when it is recent enough.
    #[must_use]
    pub fn with_replica(self, replica: Option<PgPool>) -> Self {
        let slow = Duration::from_millis(500);
        let config = breaker::Config { slow, ..Default::default() };
        let replica =
            replica.map(|db| Replica { db, breaker: Breaker::new("postgres_replica", config) });
        Self { replica, ..self }
    }

    /// Returns the log position of the primary, for a client that has just written. `None` without a replica or on a
    /// failure: then the client's next list comes from the primary.
    pub async fn written_to(&self) -> Option<Position> {
        self.replica.as_ref()?;
        let mut conn = self.db.acquire().await.ok()?;
        store::written_to(&mut conn).await.ok()
    }

    /// Reads from the replica when it has replayed the position that the client has seen; otherwise from the primary.
    pub(super) async fn read<T, F>(
        &self,
        seen: Option<Position>,
        list: impl Fn(Connection) -> F,
    ) -> Result<Seen<T>, Error>
    where
        F: Future<Output = Result<(Connection, T), Error>>,
    {
        let source = match (&self.replica, seen) {
            (Some(replica), Some(seen)) => {
                let read = replica.breaker.call(replica.read(seen, &list), Result::is_err).await;
                match read {
                    Ok(Ok(Some(found))) => {
                        metrics::listed(Source::Replica);
                        return Ok(found);
                    }
                    Ok(Ok(None)) => Source::Behind,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "replica did not answer");
                        Source::Away
                    }
                    Err(breaker::Open { .. }) => Source::Away,
                }
            }
            _ => Source::Primary,
        };
        metrics::listed(source);
        let conn = postgres::query("acquire", self.db.acquire()).await?;
        let (mut conn, value) = list(conn).await?;
        // Looked up after the list, so that it includes everything the client was shown.
        let position = match &self.replica {
            Some(_) => Some(store::written_to(&mut conn).await?),
            None => None,
        };
        Ok(Seen { value, position })
    }
}

impl Replica {
    /// Reads from the replica. `None` when it is behind, and when the merchant was not found: the primary may know
    /// it.
    async fn read<T, F>(
        &self,
        seen: Position,
        list: &impl Fn(Connection) -> F,
    ) -> sqlx::Result<Option<Seen<T>>>
    where
        F: Future<Output = Result<(Connection, T), Error>>,
    {
        let mut conn = postgres::query("acquire_replica", self.db.acquire()).await?;
        if store::replayed_to(&mut conn).await?.is_none_or(|position| position < seen) {
            return Ok(None);
        }
        let (mut conn, value) = match list(conn).await {
            Ok(read) => read,
            Err(Error::Database(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        let position = store::replayed_to(&mut conn).await?;
        Ok(position.map(|position| Seen { value, position: Some(position) }))
    }
}
