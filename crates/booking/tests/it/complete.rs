//! Completing writes exactly one event, in the same transaction.

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{App, member};

async fn events(app: &App) -> Vec<(String, String, Value)> {
    let bookings = "SELECT aggregate, kind, payload FROM outbox_event
                    WHERE aggregate LIKE 'booking:%' ORDER BY position";
    sqlx::query_as(bookings).fetch_all(&app.db).await.unwrap()
}

async fn status(app: &App, booking: Uuid) -> Value {
    let read = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await.expect(200);
    read.json()["status"].clone()
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn completing_writes_one_event_however_often_it_is_asked(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;
    assert_eq!(events(&app).await, []);

    let completed = app.act(shop.owner, booking, "complete").send().await.expect(200);
    assert_eq!(completed.json()["status"], "completed");
    let replies = join_all((0..16).map(|_| app.act(shop.owner, booking, "complete").send())).await;
    for again in replies {
        assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "invalid_transition"));
    }

    let payload = json!({
        "booking_id": booking,
        "merchant_id": shop.merchant,
        "member_id": member(2),
        "price_minor": 0,
        "points_paid": 0,
        "points_value_minor": 0,
        "currency": "JPY",
        "occurred_at": "2030-01-01T08:00:00Z",
    });
    let aggregate = format!("booking:{booking}");
    assert_eq!(events(&app).await, [(aggregate, "booking.completed".to_owned(), payload)]);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn of_16_who_complete_at_once_one_does_and_one_event_leaves(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;

    let replies = join_all((0..16).map(|_| app.act(shop.owner, booking, "complete").send())).await;

    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(events(&app).await.len(), 1);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_completion_that_is_rolled_back_leaves_no_event(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;
    // Everything succeeds until the commit itself.
    for sql in [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON booking
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    ] {
        sqlx::query(sql).execute(&app.db).await.unwrap();
    }

    let complete = app.act(shop.owner, booking, "complete");
    complete.clone().send().await.expect(500);
    assert_eq!((events(&app).await, status(&app, booking).await), (vec![], json!("confirmed")));

    // A failure is not remembered: the same command with the same key succeeds afterwards.
    sqlx::query("DROP TRIGGER refuse ON booking").execute(&app.db).await.unwrap();
    complete.clone().send().await.expect(200);
    assert_eq!((events(&app).await.len(), status(&app, booking).await), (1, json!("completed")));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_a_confirmed_booking_is_completed_and_only_by_the_merchant(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;

    app.act(member(2), booking, "complete").send().await.expect(404);
    app.act(member(2), booking, "cancel").send().await.expect(200);
    let refused = app.act(shop.owner, booking, "complete").send().await.expect(409);
    assert_eq!(refused.code(), "invalid_transition");
    assert_eq!(events(&app).await, []);
}

/// One of them wins, never both, and only a completion leaves an event.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn of_a_cancel_and_a_complete_at_once_one_wins(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let mut completed = 0;
    for round in 0..30 {
        let booking = app.booked(member(2), &shop, round * 60).await;
        let (cancel, complete) = tokio::join!(
            app.act(member(2), booking, "cancel").send(),
            app.act(shop.owner, booking, "complete").send(),
        );
        let mut statuses = [cancel.status.as_u16(), complete.status.as_u16()];
        completed += usize::from(complete.status == 200);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
    assert_eq!(events(&app).await.len(), completed);
}
