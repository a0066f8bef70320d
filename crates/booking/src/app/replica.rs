//! Lists may come from a replica, to whoever can say what they have seen already:
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

/// A copy of the database that is a little behind.
#[derive(Clone)]
pub(super) struct Replica {
    db: PgPool,
    breaker: Breaker,
}

/// Given away and given back, so that one knows how far it is after the list too.
type Connection = PoolConnection<Postgres>;

/// What was read, and how new it is; without a replica nobody needs to know.
pub struct Seen<T> {
    pub what: T,
    pub position: Option<Position>,
}

impl Bookings {
    /// The same, reading lists from this replica when it is new enough.
    #[must_use]
    pub fn reading(self, replica: Option<PgPool>) -> Self {
        let slow = Duration::from_millis(500);
        let config = breaker::Config { slow, ..Default::default() };
        let replica =
            replica.map(|db| Replica { db, breaker: Breaker::new("postgres_replica", config) });
        Self { replica, ..self }
    }

    /// How far the primary is, for whoever has just written. `None` without a replica, and when it cannot
    /// be found out: then the next list comes from the primary.
    pub async fn written_to(&self) -> Option<Position> {
        self.replica.as_ref()?;
        let mut conn = self.db.acquire().await.ok()?;
        store::written_to(&mut conn).await.ok()
    }

    /// Reads from the replica if it has what this client has seen, and else from the primary.
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
                        tracing::warn!(%error, "the replica does not answer");
                        Source::Away
                    }
                    Err(breaker::Open { .. }) => Source::Away,
                }
            }
            _ => Source::Primary,
        };
        metrics::listed(source);
        let conn = postgres::query("acquire", self.db.acquire()).await?;
        let (mut conn, what) = list(conn).await?;
        // After the list: it is what this client must not be shown less than.
        let position = match &self.replica {
            Some(_) => Some(store::written_to(&mut conn).await?),
            None => None,
        };
        Ok(Seen { what, position })
    }
}

impl Replica {
    /// `None` when it is behind. An answer such as "no such merchant" is read again from the primary: there
    /// may be one by now.
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
        let (mut conn, what) = match list(conn).await {
            Ok(read) => read,
            Err(Error::Database(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        let position = store::replayed_to(&mut conn).await?;
        Ok(position.map(|position| Seen { what, position: Some(position) }))
    }
}
