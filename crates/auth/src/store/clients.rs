//! The service clients.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;

/// The stored hash of a client's secret.
pub(crate) struct SecretHash {
    pub(crate) salt: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

pub(crate) async fn secret(conn: &mut PgConnection, id: &str) -> sqlx::Result<Option<SecretHash>> {
    let statement = sqlx::query_as!(
        SecretHash,
        "SELECT salt, secret_hash AS hash FROM service_client WHERE client_id = $1",
        id,
    );
    query("client_secret", statement.fetch_optional(conn)).await
}

/// Creates the client, or replaces its secret.
pub(crate) async fn put(
    conn: &mut PgConnection,
    id: &str,
    secret: &SecretHash,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO service_client (client_id, salt, secret_hash, changed_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (client_id) DO UPDATE SET
             salt = excluded.salt,
             secret_hash = excluded.secret_hash,
             changed_at = excluded.changed_at",
        id,
        secret.salt,
        secret.hash,
        now,
    );
    query("client_put", statement.execute(conn)).await.map(drop)
}
