//! Leader election by advisory lock: one replica does the work, the others stand by.

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::timeout;

use super::{client_timeout, incarnation, lock_id, query};

/// Leadership among the replicas of a service, held by a session lock on a connection of its own.
/// Nobody else leads while that connection lives; PostgreSQL ends it when this process dies.
pub(crate) struct Leader {
    connection: PgConnection,
}

impl Leader {
    /// `None` while another replica leads.
    pub(crate) async fn elect(db: &PgPool, office: &[&str]) -> sqlx::Result<Option<Self>> {
        let options = db.connect_options();
        let mut connection =
            match timeout(client_timeout(), PgConnection::connect_with(&options)).await {
                Ok(connection) => connection?,
                Err(_) => return Err(sqlx::Error::PoolTimedOut),
            };
        incarnation::read(&mut connection).await?;
        let lock = lock_id(office);
        let elected = query(
            "leader_elect",
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "elected!""#, lock)
                .fetch_one(&mut connection),
        )
        .await?;
        if elected {
            return Ok(Some(Self { connection }));
        }
        connection.close().await.ok();
        Ok(None)
    }

    /// The connection that holds the lock: whatever still works on it is done as the leader.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// An error when leadership was lost.
    pub(crate) async fn confirm(&mut self) -> sqlx::Result<()> {
        query("leader_confirm", self.connection.ping()).await
    }

    /// Lets another replica lead at once.
    pub(crate) async fn resign(self) {
        let _ = timeout(client_timeout(), self.connection.close()).await;
    }
}
