//! The signing keys.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::caller::token::GRANT_LIFE;
use kit::postgres::query;
use sqlx::PgConnection;

/// A signing key with its private part sealed.
pub(crate) struct SealedKey {
    pub(crate) kid: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) sealed_seed: Vec<u8>,
    /// True when every service has had the time to fetch the key.
    pub(crate) may_sign: bool,
}

/// The advisory lock of the signing keys: any constant that no other code locks.
const LOCK: i64 = 0x6175_7468_6b65_7973;

/// Locks the keys until the transaction ends, so that one replica at a time changes them.
pub(crate) async fn lock(tx: &mut PgConnection) -> sqlx::Result<()> {
    query("key_lock", sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(tx))
        .await
        .map(drop)
}

/// The time that a key verifies after its successor began to sign: the life of a grant, which is the longest token,
/// its leeway, and a margin.
const OVERLAP_SECONDS: f64 = GRANT_LIFE.as_secs_f64() + 360.0;

/// Returns the keys that still verify tokens, newest first.
pub(crate) async fn live(conn: &mut PgConnection) -> sqlx::Result<Vec<SealedKey>> {
    // Not `now()`: a transaction that waited for the lock must see a key that was made after the transaction began.
    let statement = sqlx::query_as!(
        SealedKey,
        r#"SELECT kid, public_key, sealed_seed, signs_from <= statement_timestamp() AS "may_sign!"
           FROM signing_key k
           WHERE NOT EXISTS (
               SELECT FROM signing_key s
               WHERE s.signs_from > k.signs_from AND s.signs_from < now() - make_interval(secs => $1))
           ORDER BY signs_from DESC, kid DESC"#,
        OVERLAP_SECONDS,
    );
    query("key_list", statement.fetch_all(conn)).await
}

/// Adds a key that signs after `lead`.
pub(crate) async fn add(
    conn: &mut PgConnection,
    key: &SealedKey,
    now: DateTime<Utc>,
    lead: Duration,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO signing_key (kid, public_key, sealed_seed, created_at, signs_from)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))",
        key.kid,
        key.public_key,
        key.sealed_seed,
        now,
        lead.as_secs_f64(),
    );
    query("key_add", statement.execute(conn)).await.map(drop)
}

/// True when the newest key is older than this.
pub(crate) async fn newest_is_older(conn: &mut PgConnection, age: Duration) -> sqlx::Result<bool> {
    let statement = sqlx::query_scalar!(
        r#"SELECT max(signs_from) < now() - make_interval(secs => $1) AS "older!" FROM signing_key"#,
        age.as_secs_f64(),
    );
    query("key_age", statement.fetch_one(conn)).await
}

/// Deletes keys that verify no token any more.
pub(crate) async fn drop_retired(conn: &mut PgConnection) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "DELETE FROM signing_key k USING signing_key s
         WHERE s.signs_from > k.signs_from AND s.signs_from < now() - make_interval(secs => $1)",
        OVERLAP_SECONDS,
    );
    query("key_drop_retired", statement.execute(conn)).await.map(drop)
}

/// Deletes all keys: one of them has leaked.
pub(crate) async fn drop_all(conn: &mut PgConnection) -> sqlx::Result<()> {
    query("key_drop_all", sqlx::query!("DELETE FROM signing_key").execute(conn)).await.map(drop)
}
