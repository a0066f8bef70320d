//! A repeated command has one effect and one answer.
//!
//! [`crate::command::begin`] claims a key, and [`crate::command::Work::commit`] records the answer.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::error::{Class, Classify, Kind};
use crate::postgres::{self, lock_id, query};

/// A client's key, and the request for which it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// 1 to 255 printable ASCII characters, chosen by the client.
    pub value: String,
    /// Method and route, so that a key may be used on two routes.
    pub route: String,
    /// SHA-256 of the canonical request: the same key with another request is refused.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// Creates a key as sent by a client; `request` is the request's canonical form.
    pub fn new(value: &str, route: &str, request: &[u8]) -> Result<Self, Error> {
        let printable = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !(1..=255).contains(&value.len()) || !printable {
            return Err(Error::Malformed);
        }
        Ok(Self {
            value: value.to_owned(),
            route: route.to_owned(),
            fingerprint: fingerprint(route, request),
        })
    }

    /// Creates a key for a gRPC method; `message` is the encoded request.
    pub fn grpc(value: &str, method: &str, message: &[u8]) -> Result<Self, Error> {
        if value.is_empty() {
            return Err(Error::Missing);
        }
        Self::new(value, method, message)
    }
}

/// The kind of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// The command was carried out.
    Ok,
    /// Something was created.
    Created,
    /// The command is recorded and will be carried out later.
    Accepted,
}

impl Success {
    /// Returns the HTTP status with which the answer is recorded.
    pub const fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Created => 201,
            Self::Accepted => 202,
        }
    }

    /// Returns the success recorded with `status`.
    ///
    /// # Errors
    /// Fails when no success has this status.
    pub fn from_status(status: i16) -> Result<Self, sqlx::Error> {
        [Self::Ok, Self::Created, Self::Accepted]
            .into_iter()
            .find(|success| i32::from(success.status()) == i32::from(status))
            .ok_or_else(|| sqlx::Error::Decode(format!("no success has status {status}").into()))
    }
}

/// The reason for refusing a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the header Idempotency-Key is required")]
    Missing,
    #[error("the idempotency key must be 1 to 255 printable ASCII characters, sent once")]
    Malformed,
    #[error("the idempotency key was used for another request")]
    Reused,
    #[error("the first request with this idempotency key is still running")]
    InProgress,
    #[error("the recorded answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Missing => Kind::Malformed.code("idempotency_key_required"),
            Self::Malformed => Kind::Malformed.code("idempotency_key_invalid"),
            Self::Reused => Kind::Refused.code("idempotency_key_reused"),
            Self::InProgress => {
                Kind::Conflict.code("idempotency_in_progress").retry_after(Duration::from_secs(1))
            }
            Self::Unreadable(_) => Kind::Internal.code("internal_error"),
            Self::Database(error) => postgres::class(error),
        }
    }
}

/// Claims the key for this transaction, or returns the first answer. Waits up to 2 s for a concurrent command
/// with the same key.
///
/// The claim is a lock that ends with the transaction. So a failed command leaves nothing behind, and there
/// is never a row without an answer.
pub(crate) async fn claim(
    tx: &mut PgConnection,
    principal: &str,
    key: &Key,
) -> Result<Option<(Success, Vec<u8>)>, Error> {
    let lock = lock(principal, key);
    let free = query(
        "idempotency_claim",
        sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "free!""#, lock)
            .fetch_one(&mut *tx),
    )
    .await?;
    if !free {
        wait_for_first(tx, lock).await?;
    }
    // A separate statement: it must start after the lock was granted, to see a concurrent command's row.
    let first = query(
        "idempotency_read",
        sqlx::query!(
            "SELECT fingerprint, status, body FROM idempotency_key
             WHERE principal = $1 AND route = $2 AND key = $3",
            principal,
            key.route,
            key.value
        )
        .fetch_optional(&mut *tx),
    )
    .await?;
    let Some(first) = first else { return Ok(None) };
    if first.fingerprint != key.fingerprint {
        return Err(Error::Reused);
    }
    Ok(Some((Success::from_status(first.status)?, first.body)))
}

/// Returns the id of a key's lock, for a single statement that takes the lock and writes the row itself.
pub fn lock(principal: &str, key: &Key) -> i64 {
    lock_id(&["idempotency", principal, &key.route, &key.value])
}

/// Inserts the answer, to be committed with the effect.
pub(crate) async fn record(
    tx: &mut PgConnection,
    principal: &str,
    key: &Key,
    success: Success,
    body: &[u8],
) -> Result<(), Error> {
    let status = i16::try_from(success.status()).unwrap_or(i16::MAX); // statuses end at 999
    query(
        "idempotency_record",
        sqlx::query!(
            "INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body)
             VALUES ($1, $2, $3, $4, $5, $6)",
            principal,
            key.route,
            key.value,
            &key.fingerprint[..],
            status,
            body
        )
        .execute(tx),
    )
    .await
    .map_err(|error| match postgres::constraint(&error) {
        // A concurrent command recorded without a claim.
        Some("idempotency_key_pk") => Error::InProgress,
        _ => error.into(),
    })?;
    Ok(())
}

async fn wait_for_first(tx: &mut PgConnection, lock: i64) -> Result<(), Error> {
    // Longer than the pool's `lock_timeout`, shorter than its `statement_timeout` of 2 s.
    query("idempotency_wait", sqlx::query!("SET LOCAL lock_timeout = '1800ms'").execute(&mut *tx))
        .await?;
    let waited = query(
        "idempotency_wait",
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", lock).execute(&mut *tx),
    )
    .await;
    match waited {
        Ok(_) => {}
        Err(error) if postgres::code(&error) == "database_busy" => return Err(Error::InProgress),
        Err(error) => return Err(error.into()),
    }
    query("idempotency_wait", sqlx::query!("SET LOCAL lock_timeout TO DEFAULT").execute(tx))
        .await?;
    Ok(())
}

fn fingerprint(route: &str, request: &[u8]) -> [u8; 32] {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    hash.update(route.as_bytes());
    hash.update(&[0]);
    hash.update(request);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.finish().as_ref());
    fingerprint
}

/// Deletes keys older than 72 hours: longer than any client retries.
pub async fn sweep(db: &PgPool) -> sqlx::Result<u64> {
    let mut swept = 0;
    loop {
        let batch = query(
            "idempotency_sweep",
            sqlx::query!(
                "DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM idempotency_key
                     WHERE created_at < now() - interval '72 hours' LIMIT 1000))"
            )
            .execute(db),
        )
        .await?
        .rows_affected();
        swept += batch;
        if batch == 0 {
            return Ok(swept);
        }
    }
}
