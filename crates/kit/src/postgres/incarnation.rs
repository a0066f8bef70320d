//! Distinguishes a database from its state before a restore or a failover, so that no cached value outlives
//! its source.
//!
//! An incarnation consists of the cluster (system identifier), the timeline, the start of the server and the
//! database (oid). A failover and a point-in-time restore begin a new timeline; a restored disk is read by a
//! server that started later; a dump goes into another database or cluster. Only a dump restored over the
//! tables of a running database keeps the incarnation: see `runbooks/backup.md`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use sqlx::{PgConnection, PgPool};

use super::query;

/// Incarnations of this process's databases, by name. Every new connection updates its entry.
static KNOWN: LazyLock<Mutex<HashMap<String, Incarnation>>> = LazyLock::new(Mutex::default);

/// The incarnation of a database, as its newest connection reported it. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Incarnation(Arc<ArcSwapOption<String>>);

impl Incarnation {
    /// Returns a handle to the incarnation of the pool's database.
    pub(crate) fn of(db: &PgPool) -> Self {
        let options = db.connect_options();
        Self::named(options.get_database().unwrap_or_else(|| options.get_username()))
    }

    /// Returns the incarnation; `None` before the first connection, or if the server does not report it.
    pub(crate) fn current(&self) -> Option<Arc<String>> {
        self.0.load_full()
    }

    fn named(database: &str) -> Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(database.to_owned()).or_default().clone()
    }
}

/// Reads the incarnation on a new connection. If the server refuses, the connection is used but nothing is
/// cached.
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
