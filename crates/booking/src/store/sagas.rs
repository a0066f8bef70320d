//! The sagas: the payments of bookings with points.

use std::time::Duration;

use kit::postgres::query;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use uuid::Uuid;

use super::decode;
use crate::domain::{Failure, Saga, SagaState};
use crate::view::{SagaFilter, SagaStep, SagaView};

/// A saga as the database returns it.
struct Row {
    saga_id: Uuid,
    merchant_id: Uuid,
    booking_id: Uuid,
    member_id: Uuid,
    points: i64,
    price_minor: i64,
    currency: String,
    value_minor: i64,
    state: String,
    undo: bool,
    transfer_id: Option<Uuid>,
    failure: Option<String>,
}

impl TryFrom<Row> for Saga {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            saga_id: row.saga_id,
            merchant_id: row.merchant_id,
            booking_id: row.booking_id,
            member_id: row.member_id,
            points: row.points,
            price_minor: row.price_minor,
            currency: row.currency,
            value_minor: row.value_minor,
            state: row.state.parse().map_err(decode)?,
            undo: row.undo,
            transfer_id: row.transfer_id,
            failure: row.failure.map(|word| word.parse().map_err(decode)).transpose()?,
        })
    }
}

/// Inserts a saga with the grant for its hold. The caller drives it; should this process die, it is due after
/// `lease`.
pub(crate) async fn insert_saga(
    conn: &mut PgConnection,
    saga: &Saga,
    grant: &SecretString,
    lease: Duration,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO saga (saga_id, merchant_id, booking_id, member_id, points, state,
                           next_attempt_at, open_since, created_at, updated_at, price_minor, currency,
                           grant_token)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), now(), now(), now(),
                 $8, $9, $10)",
        saga.saga_id,
        saga.merchant_id,
        saga.booking_id,
        saga.member_id,
        saga.points,
        saga.state.as_str(),
        lease.as_secs_f64(),
        saga.price_minor,
        saga.currency,
        grant.expose_secret(),
    );
    query("insert_saga", insert.execute(conn)).await?;
    Ok(())
}

/// Reads a saga.
pub(crate) async fn find_saga(conn: &mut PgConnection, saga: Uuid) -> sqlx::Result<Option<Saga>> {
    let select = sqlx::query_as!(
        Row,
        "SELECT saga_id, merchant_id, booking_id, member_id, points, price_minor, currency,
                value_minor, state, undo, transfer_id, failure
         FROM saga WHERE saga_id = $1",
        saga,
    );
    let row = query("find_saga", select.fetch_optional(conn)).await?;
    row.map(Saga::try_from).transpose()
}

/// Locks a saga until the transaction ends, and reads it. A transaction that also locks the booking locks the
/// booking first.
pub(crate) async fn lock_saga(conn: &mut PgConnection, saga: Uuid) -> sqlx::Result<Option<Saga>> {
    let lock = sqlx::query_scalar!(
        r#"SELECT true AS "locked!" FROM saga WHERE saga_id = $1 FOR UPDATE"#,
        saga,
    );
    match query("lock_saga", lock.fetch_optional(&mut *conn)).await? {
        Some(_) => find_saga(conn, saga).await,
        None => Ok(None),
    }
}

/// Returns the id of the saga that pays a booking, if there is one.
pub(crate) async fn saga_of_booking(
    conn: &mut PgConnection,
    merchant: Uuid,
    booking: Uuid,
) -> sqlx::Result<Option<Uuid>> {
    let select = sqlx::query_scalar!(
        "SELECT saga_id FROM saga WHERE booking_id = $1 AND merchant_id = $2",
        booking,
        merchant,
    );
    query("saga_of_booking", select.fetch_optional(conn)).await
}

/// Reads a saga for operators.
pub(crate) async fn view_saga(
    conn: &mut PgConnection,
    saga: Uuid,
) -> sqlx::Result<Option<SagaView>> {
    let select = sqlx::query_as!(
        SagaView,
        "SELECT saga_id, booking_id, merchant_id, member_id, points, state, failure, attempts,
                last_error, needs_attention_at, created_at, updated_at
         FROM saga WHERE saga_id = $1",
        saga,
    );
    query("view_saga", select.fetch_optional(conn)).await
}

/// Returns sagas for operators, the newest first, after this one.
pub(crate) async fn list_sagas(
    conn: &mut PgConnection,
    filter: &SagaFilter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<SagaView>> {
    let select = sqlx::query_as!(
        SagaView,
        "SELECT saga_id, booking_id, merchant_id, member_id, points, state, failure, attempts,
                last_error, needs_attention_at, created_at, updated_at
         FROM saga
         WHERE ($1::uuid IS NULL OR saga_id < $1)
           AND ($2::text IS NULL OR state = $2)
           AND ($3::bool IS NULL OR (open_since IS NOT NULL) = $3)
           AND ($4::bool IS NULL OR (needs_attention_at IS NOT NULL) = $4)
         ORDER BY saga_id DESC LIMIT $5",
        before,
        filter.state.map(SagaState::as_str),
        filter.open,
        filter.needs_attention,
        limit,
    );
    query("list_sagas", select.fetch_all(conn)).await
}

/// Returns the log of a saga, in order.
pub(crate) async fn steps_of_saga(
    conn: &mut PgConnection,
    saga: Uuid,
) -> sqlx::Result<Vec<SagaStep>> {
    let select = sqlx::query_as!(
        SagaStep,
        "SELECT step, outcome, state, times, first_at, last_at FROM saga_step
         WHERE saga_id = $1 ORDER BY position",
        saga,
    );
    query("steps_of_saga", select.fetch_all(conn)).await
}

/// Returns the grant for a hold that is not placed yet.
pub(crate) async fn grant_of_saga(
    conn: &mut PgConnection,
    saga: Uuid,
) -> sqlx::Result<Option<SecretString>> {
    let select = sqlx::query_scalar!("SELECT grant_token FROM saga WHERE saga_id = $1", saga);
    let grant = query("grant_of_saga", select.fetch_optional(conn)).await?.flatten();
    Ok(grant.map(SecretString::from))
}

/// Writes the state of a saga, with its next step due after `lease`. The grant is deleted once points has answered
/// the hold.
pub(crate) async fn update_saga(
    conn: &mut PgConnection,
    saga: &Saga,
    lease: Duration,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE saga SET state = $3, undo = $4, transfer_id = $5, failure = $6, attempts = 0,
                last_error = NULL, needs_attention_at = NULL, updated_at = now(),
                next_attempt_at = now() + make_interval(secs => $7),
                open_since = CASE WHEN $8 THEN NULL ELSE COALESCE(open_since, now()) END,
                value_minor = $9,
                grant_token = CASE WHEN $3 = 'holding' THEN grant_token END
         WHERE saga_id = $1 AND merchant_id = $2",
        saga.saga_id,
        saga.merchant_id,
        saga.state.as_str(),
        saga.undo,
        saga.transfer_id,
        saga.failure.map(Failure::as_str),
        lease.as_secs_f64(),
        saga.state.is_end(),
        saga.value_minor,
    );
    query("update_saga", update.execute(conn)).await?;
    Ok(())
}

/// The need of a saga for a person, after a failed step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// A later attempt may succeed. A person should look at it after `patience`.
    MaySucceed,
    /// The saga cannot continue by itself. A person should look at it now.
    NeedsPerson,
}

/// The pauses between attempts.
#[derive(Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) patience: Duration,
}

/// Records a failed step and schedules the next attempt, after a pause that doubles with each attempt. Returns
/// `true` when a person should look at the saga.
pub(crate) async fn postpone_saga(
    conn: &mut PgConnection,
    saga: &Saga,
    error: &str,
    retry: Retry,
    backoff: Backoff,
) -> sqlx::Result<bool> {
    let update = sqlx::query_scalar!(
        r#"UPDATE saga SET attempts = attempts + 1, last_error = $4, updated_at = now(),
                  next_attempt_at = clock_timestamp() + make_interval(
                      secs => least($5 * 2 ^ least(attempts, 16), $6) * (0.5 + random() / 2)),
                  needs_attention_at = COALESCE(needs_attention_at, CASE
                      WHEN $7 OR open_since < now() - make_interval(secs => $8) THEN now() END)
           WHERE saga_id = $1 AND merchant_id = $2 AND state = $3 AND open_since IS NOT NULL
           RETURNING needs_attention_at IS NOT NULL AS "needs_attention!""#,
        saga.saga_id,
        saga.merchant_id,
        saga.state.as_str(),
        error,
        backoff.first.as_secs_f64(),
        backoff.longest.as_secs_f64(),
        retry == Retry::NeedsPerson,
        backoff.patience.as_secs_f64(),
    );
    Ok(query("postpone_saga", update.fetch_optional(conn)).await?.unwrap_or(false))
}

/// Leases sagas that are due. Should this process die, another takes them after `lease`. Two processes may drive the
/// same saga without harm, because each step has one effect.
pub(crate) async fn claim_due_sagas(
    conn: &mut PgConnection,
    limit: i64,
    lease: Duration,
) -> sqlx::Result<Vec<Uuid>> {
    let update = sqlx::query_scalar!(
        "WITH due AS (
             SELECT saga_id, merchant_id FROM saga
             WHERE open_since IS NOT NULL AND next_attempt_at <= now()
             ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
         )
         UPDATE saga SET next_attempt_at = now() + make_interval(secs => $2)
         FROM due WHERE saga.saga_id = due.saga_id AND saga.merchant_id = due.merchant_id
         RETURNING saga.saga_id",
        limit,
        lease.as_secs_f64(),
    );
    query("claim_due_sagas", update.fetch_all(conn)).await
}

/// Adds an entry to the log of a saga, or counts a repetition.
pub(crate) async fn insert_step(
    conn: &mut PgConnection,
    saga: &Saga,
    step: &str,
    outcome: &str,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO saga_step (merchant_id, saga_id, step, outcome, state, first_at, last_at)
         VALUES ($1, $2, $3, $4, $5, now(), now())
         ON CONFLICT ON CONSTRAINT saga_step_pk
         DO UPDATE SET times = saga_step.times + 1, last_at = now()",
        saga.merchant_id,
        saga.saga_id,
        step,
        outcome,
        saga.state.as_str(),
    );
    query("insert_saga_step", insert.execute(conn)).await?;
    Ok(())
}

/// Returns the number of open sagas, the number of those that need a person, and the age of the oldest in seconds.
pub(crate) async fn count_sagas(conn: &mut PgConnection) -> sqlx::Result<(i64, i64, i64)> {
    let select = sqlx::query!(
        r#"SELECT count(*) AS "open!", count(needs_attention_at) AS "attention!",
                  COALESCE(extract(epoch FROM now() - min(open_since)), 0)::bigint AS "oldest!"
           FROM saga WHERE open_since IS NOT NULL"#
    );
    let row = query("count_sagas", select.fetch_one(conn)).await?;
    Ok((row.open, row.attention, row.oldest))
}
