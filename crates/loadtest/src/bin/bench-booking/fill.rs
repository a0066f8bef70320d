//! Fills the database before the measurements.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use uuid::Uuid;

pub(crate) const MERCHANTS: u128 = 50;
pub(crate) const STAFF: u128 = 20;

/// The id of the nth merchant (1), service (2) or person (3).
pub(crate) fn id(kind: u128, number: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 + (kind << 32) + number)
}

/// 50 merchants with 20 people each, who all give one service, every day from 09:00 to 17:00.
pub(crate) async fn merchants(owner: &PgPool) -> anyhow::Result<()> {
    for merchant in 0..MERCHANTS {
        sqlx::query(
            "INSERT INTO merchant (merchant_id, owner_id, name, time_zone, created_at)
             VALUES ($1, $1, 'bench', 'UTC', now()) ON CONFLICT DO NOTHING",
        )
        .bind(id(1, merchant))
        .execute(owner)
        .await?;
        sqlx::query(
            "INSERT INTO service (merchant_id, service_id, name, duration_minutes, buffer_minutes,
                                  price_minor, created_at)
             VALUES ($1, $2, 'bench', 30, 0, 5000, now()) ON CONFLICT DO NOTHING",
        )
        .bind(id(1, merchant))
        .bind(id(2, merchant))
        .execute(owner)
        .await?;
        let staff: Vec<_> = (0..STAFF).map(|n| id(3, merchant * STAFF + n)).collect();
        for sql in [
            "INSERT INTO staff (merchant_id, staff_id, name, created_at)
             SELECT $1, staff, 'bench', now() FROM unnest($2::uuid[]) AS s (staff), (SELECT $3::uuid) x
             ON CONFLICT DO NOTHING",
            "INSERT INTO staff_service (merchant_id, staff_id, service_id)
             SELECT $1, staff, $3 FROM unnest($2::uuid[]) AS s (staff) ON CONFLICT DO NOTHING",
            "INSERT INTO working_hours (merchant_id, staff_id, weekday, opens_minute, closes_minute)
             SELECT $1, staff, day, 540, 1020 FROM unnest($2::uuid[]) AS s (staff),
                    generate_series(1, 7) AS day, (SELECT $3::uuid) x ON CONFLICT DO NOTHING",
        ] {
            sqlx::query(sql)
                .bind(id(1, merchant))
                .bind(&staff)
                .bind(id(2, merchant))
                .execute(owner)
                .await?;
        }
    }
    owner.execute("ANALYZE").await?;
    Ok(())
}

/// Fills up to `size` bookings: everybody's hours from two months ahead back into the past.
#[expect(clippy::print_stderr, reason = "one waits for it")]
pub(crate) async fn bookings(owner: &PgPool, size: i64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM booking WHERE price_minor = 1")
        .fetch_one(owner)
        .await?;
    let mut from = there;
    while from < size {
        let to = size.min(from + 50_000);
        let sql = format!(
            "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                                  price_minor, created_at, updated_at)
             SELECT gen_random_uuid(), merchant_id, staff_id, gen_random_uuid(),
                    tstzrange(at, at + interval '1 hour', '[)'),
                    CASE WHEN at < now() THEN 'completed' ELSE 'confirmed' END, 1, at, at
             FROM generate_series({from}, {to} - 1) AS n
             JOIN (SELECT merchant_id, staff_id, row_number() OVER (ORDER BY staff_id) - 1 AS who
                   FROM staff) s ON who = n % 1000,
             LATERAL (SELECT date_trunc('day', now()) + interval '60 days'
                             + (9 + n / 1000 % 8) * interval '1 hour'
                             - n / 8000 * interval '1 day' AS at) AS hour"
        );
        sqlx::query(AssertSqlSafe(sql)).execute(owner).await?;
        from = to;
    }
    owner.execute("VACUUM ANALYZE booking").await?;
    eprintln!("{size} bookings, {} of them made in {:.1?}", size - there, begun.elapsed());
    Ok(begun.elapsed())
}
