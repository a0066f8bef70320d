//! No slot is taken while the constraint against overlaps is missing.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use testkit::eventually;
use tokio_util::sync::CancellationToken;

use crate::app::{App, member};
use crate::metrics::series;

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn without_the_constraint_slots_are_refused_within_ten_seconds(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let service = app.service(&shop, 60, 0).await;
    app.working(&shop, service).await;
    app.anytime(&shop).await;
    let booking = app.booked(member(2), &shop, 60).await;
    let stop = CancellationToken::new();
    tokio::spawn(app.bookings.clone().watch_constraint(stop.clone()));
    let _stop = stop.drop_guard();

    let constraint: String = sqlx::query_scalar(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'no_overlap_bookings'",
    )
    .fetch_one(&app.db)
    .await
    .unwrap();
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&app.db).await.unwrap();
    };
    let becomes = async |status: u16| {
        let mut n = 0_u128;
        eventually(Duration::from_secs(10), || {
            n += 1;
            // A new member each time, because bookings succeed until the check, and one member has a limit.
            let who = member(1000 * u128::from(status) + n);
            let at = i64::from(status) * 60 + i64::try_from(n).unwrap() * 60;
            let call = app.book(who, &shop, at, 60);
            async move { Some(call.send().await).filter(|reply| reply.status == status) }
        })
        .await
    };

    run("ALTER TABLE booking DROP CONSTRAINT no_overlap_bookings".to_owned()).await;
    let refused = becomes(503).await;
    assert_eq!(refused.code(), "overlap_guard_missing");
    assert_eq!(series("booking_overlap_guard"), 0);
    let held = app.hold(member(2), &shop, service, "2030-01-02T09:00").send().await;
    let body = json!({ "starts_at": "2030-01-03T09:00:00Z" });
    let path = format!("/v1/bookings/{booking}/reschedule");
    let moved = app.post(member(2), &path, body).send().await;
    for refused in [held, moved] {
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (503, "overlap_guard_missing".into())
        );
        assert_eq!(refused.header("retry-after"), "30");
    }
    // Reads and cancellations continue.
    app.get(member(2), "/v1/bookings").send().await.expect(200);
    app.act(member(2), booking, "cancel").send().await.expect(200);

    let replaced = |by: &str| {
        format!(
            "ALTER TABLE booking DROP CONSTRAINT IF EXISTS no_overlap_bookings,
                                     ADD CONSTRAINT no_overlap_bookings {by}"
        )
    };
    run(replaced(&constraint)).await;
    becomes(201).await;
    assert_eq!(series("booking_overlap_guard"), 1);

    // Another constraint of the same name does not count.
    run(replaced(&constraint.replace("'held'::text, ", ""))).await;
    becomes(503).await;
}
