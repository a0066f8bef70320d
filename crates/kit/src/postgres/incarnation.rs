//! Tells a database from what it was before a restore or a failover, so that nothing cached outlives what it was
//! read from.
//!
//! An incarnation is the cluster (system identifier), the timeline, the start of the server and the database
//! (oid). A failover and a point-in-time restore begin a timeline; a disk that was set back is read by a server
//! that started later; a dump goes into another database or cluster. Only a dump restored over the tables of a
//! running database keeps its incarnation: `runbooks/backup.md` says so.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use sqlx::{PgConnection, PgPool};

use super::query;

/// Every connection to a database of this process says which incarnation it has reached: by the database's name.
static KNOWN: LazyLock<Mutex<HashMap<String, Incarnation>>> = LazyLock::new(Mutex::default);

/// The incarnation of a database, as its newest connection found it. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Incarnation(Arc<ArcSwapOption<String>>);

impl Incarnation {
    /// The incarnation of the pool's database, whenever a connection has said it.
    pub(crate) fn of(db: &PgPool) -> Self {
        let options = db.connect_options();
        Self::named(options.get_database().unwrap_or_else(|| options.get_username()))
    }

    /// Nothing until a connection was made, and where the server does not say it.
    pub(crate) fn current(&self) -> Option<Arc<String>> {
        self.0.load_full()
    }

    fn named(database: &str) -> Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(database.to_owned()).or_default().clone()
    }
}

/// Asks a new connection. One that is refused an answer is as good as any other, but nothing is cached.
pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<()> {
    let found = query(
        "incarnation",
        sqlx::query!(
            r#"SELECT current_database() AS "database!",
                      concat_ws('-',
                          to_hex((SELECT system_identifier FROM pg_control_system())),
                          CASE WHEN pg_is_in_recovery()
                               THEN to_hex((SELECT timeline_id FROM pg_control_checkpoint()))
                               ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
                          to_hex(extract(epoch FROM pg_postmaster_start_time())::bigint),
                          (SELECT to_hex(oid::bigint) FROM pg_database
                           WHERE datname = current_database())) AS "incarnation!""#
        )
        .fetch_one(connection),
    )
    .await;
    match found {
        Ok(found) => {
            let Incarnation(known) = Incarnation::named(&found.database);
            if known.load().as_deref() != Some(&found.incarnation) {
                known.store(Some(found.incarnation.into()));
            }
            Ok(())
        }
        Err(error @ sqlx::Error::Database(_)) => {
            tracing::warn!(%error, "no incarnation of the database: nothing is cached");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
