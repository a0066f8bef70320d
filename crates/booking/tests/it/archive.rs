//! Only bookings completed over a year ago are archived.

use sqlx::PgPool;

use crate::app::{App, member};

async fn ids(app: &App, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(&app.db).await.unwrap()
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_was_completed_over_a_year_ago_moves_whole_and_nothing_else(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    // Two of each, some hours inside and outside of the year, of the database's own clock.
    let sql = "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                                    price_minor, created_at, updated_at)
               SELECT gen_random_uuid(), $1, $2, $3, tstzrange(at - interval '1 hour', at), status, 7,
                      now(), now()
               FROM (SELECT status, now() - interval '1 year' + side * interval '2 hours'
                            + row_number() OVER () * side * interval '3 hours' AS at
                     FROM unnest(ARRAY['completed', 'completed', 'confirmed', 'cancelled', 'no_show'])
                          AS status, unnest(ARRAY[-1, 1]) AS side) AS those";
    sqlx::query(sql)
        .bind(shop.merchant)
        .bind(shop.staff)
        .bind(member(2))
        .execute(&app.db)
        .await
        .unwrap();
    let before = ids(
        &app,
        "SELECT to_jsonb(booking)::text FROM booking WHERE status = 'completed'
                            AND upper(during) < now() - interval '1 year' ORDER BY 1",
    )
    .await;
    assert_eq!((before.len(), app.count("booking").await), (2, 10));

    // A move that is rolled back moved nothing.
    let mut tx = app.db.begin().await.unwrap();
    sqlx::query("SELECT archive_bookings(1000)").execute(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((app.count("booking").await, app.count("booking_archive").await), (10, 0));

    let (one, other) = tokio::join!(app.bookings.archive(), app.bookings.archive());
    assert_eq!(one.unwrap() + other.unwrap(), 2);
    assert_eq!(app.bookings.archive().await.unwrap(), 0);
    let after = ids(&app, "SELECT booking::text FROM booking_archive ORDER BY 1").await;
    assert_eq!((after, app.count("booking").await), (before, 8));

    // And back, as docs/operations.md says.
    sqlx::query(
        "INSERT INTO booking SELECT (jsonb_populate_record(NULL::booking, booking)).*
         FROM booking_archive",
    )
    .execute(&app.db)
    .await
    .unwrap();
    assert_eq!(app.count("booking").await, 10);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_backlog_is_moved_in_batches(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let sql = "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                                    price_minor, created_at, updated_at)
               SELECT gen_random_uuid(), $1, $2, gen_random_uuid(),
                      tstzrange(at, at + interval '1 hour'), 'completed', 0, at, at
               FROM generate_series(now() - interval '2 years', now() - interval '13 months',
                                    interval '3 hours') AS at";
    let made = sqlx::query(sql).bind(shop.merchant).bind(shop.staff).execute(&app.db).await;
    let made = made.unwrap().rows_affected();
    assert!(made > 2000);
    assert_eq!(app.bookings.archive().await.unwrap(), made);
    assert_eq!(app.count("booking").await, 0);
}
