//! The keys that tokens are signed with.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;

/// One key, its private part sealed.
pub(crate) struct SealedKey {
    pub(crate) kid: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) sealed_seed: Vec<u8>,
}

/// Any constant that nobody else locks.
const LOCK: i64 = 0x6175_7468_6b65_7973;

/// Lets one replica at a time find that there are no keys, until its transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection) -> sqlx::Result<()> {
    query("key_lock", sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(tx))
        .await
        .map(drop)
}

/// Newest first.
pub(crate) async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<SealedKey>> {
    let statement = sqlx::query_as!(
        SealedKey,
        "SELECT kid, public_key, sealed_seed FROM signing_key ORDER BY created_at DESC, kid DESC",
    );
    query("key_list", statement.fetch_all(conn)).await
}

pub(crate) async fn add(
    conn: &mut PgConnection,
    key: &SealedKey,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO signing_key (kid, public_key, sealed_seed, created_at) VALUES ($1, $2, $3, $4)",
        key.kid,
        key.public_key,
        key.sealed_seed,
        now,
    );
    query("key_add", statement.execute(conn)).await.map(drop)
}
