//! Releases the outbox events that were parked in a period. An outage or a bug of a consumer leaves more of them than
//! an operator can release by hand.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::Error;

/// The events to release.
#[derive(Clone, Debug, clap::Args)]
pub struct Period {
    /// Events parked at this time or later, such as '2026-11-28 03:00+00'.
    #[arg(long)]
    pub since: String,
    /// Events parked before this time.
    #[arg(long, default_value = "now")]
    pub until: String,
    /// Events of this kind only, such as booking.completed.
    #[arg(long)]
    pub kind: Option<String>,
    /// Count the events and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// The number of released events, and of those that stay because their consumer may have forgotten them.
#[derive(Debug, PartialEq, Eq)]
pub struct Unparked {
    pub released: i64,
    pub too_old: i64,
}

/// A consumer remembers an event for 30 days (kit's inbox). An older one could have its effect twice, so a person
/// decides about each.
const UNPARK: &str = "
WITH chosen AS (
    SELECT position, created_at > now() - interval '29 days' AS known
    FROM outbox_event
    WHERE parked_at >= $1::timestamptz AND parked_at < $2::timestamptz AND ($3::text IS NULL OR kind = $3)
    FOR UPDATE
), released AS (
    UPDATE outbox_event e
    SET parked_at = NULL, attempts = 0, last_error = NULL, next_attempt_at = now()
    FROM chosen c WHERE c.position = e.position AND c.known AND NOT $4
)
SELECT count(*) FILTER (WHERE known), count(*) FILTER (WHERE NOT known) FROM chosen";

/// Releases the events of one service.
pub async fn unpark(
    service: &str,
    target: &PgConnectOptions,
    period: &Period,
) -> Result<Unparked, Error> {
    let failed = |source| Error::Database { service: service.to_owned(), source };
    let mut db = PgConnection::connect_with(target).await.map_err(failed)?;
    let (released, too_old) = sqlx::query_as::<_, (i64, i64)>(UNPARK)
        .bind(&period.since)
        .bind(&period.until)
        .bind(&period.kind)
        .bind(period.dry_run)
        .fetch_one(&mut db)
        .await
        .map_err(|error| match error.as_database_error().and_then(|e| e.code()).as_deref() {
            Some("22007" | "22008" | "22009") => Error::Usage(
                "--since and --until must be times such as '2026-11-28 03:00+00'".into(),
            ),
            _ => failed(error),
        })?;
    db.close().await.map_err(failed)?;
    Ok(Unparked { released, too_old })
}
