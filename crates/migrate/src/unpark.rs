//! Lets parked events of the outbox go again, all that were parked in a period: what an outage of a consumer, or a
//! mistake of it, leaves behind is more than anybody un-parks by hand.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::Error;

/// Which events go again.
#[derive(Clone, Debug, clap::Args)]
pub struct Period {
    /// Parked at this moment or later, such as '2026-11-28 03:00+00'.
    #[arg(long)]
    pub since: String,
    /// Parked before this moment; now unless told.
    #[arg(long, default_value = "now")]
    pub until: String,
    /// Only events of this kind, such as booking.completed.
    #[arg(long)]
    pub kind: Option<String>,
    /// Count them, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// How many events go again, and how many stay because their consumer may no longer know that it had them.
#[derive(Debug, PartialEq, Eq)]
pub struct Unparked {
    pub released: i64,
    pub too_old: i64,
}

/// A consumer remembers an event for 30 days (kit's inbox). Who is older could have a second effect: a person
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
            Some("22007" | "22008" | "22009") => {
                Error::Usage("--since and --until are moments such as '2026-11-28 03:00+00'".into())
            }
            _ => failed(error),
        })?;
    db.close().await.map_err(failed)?;
    Ok(Unparked { released, too_old })
}
