//! A booking moves as a whole or not at all.

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Call;
use uuid::Uuid;

use crate::app::{App, Shop, id, member};
use crate::storm::answer;

fn to(app: &App, who: Uuid, booking: Uuid, body: Value) -> Call {
    app.post(who, &format!("/v1/bookings/{booking}/reschedule"), body)
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_old_slot_is_freed_and_the_new_one_taken_together_or_nothing_is(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 60, 15).await;
    app.working(&shop, service).await;
    let confirmed = |who: u128, time: &'static str| {
        let (app, shop) = (&app, &shop);
        async move {
            let held = app.hold(member(who), shop, service, time).send().await.expect(201);
            let booking = id(&held, "booking_id");
            app.act(member(who), booking, "confirm").send().await.expect(200);
            booking
        }
    };
    let mine = confirmed(2, "2030-01-02T09:00").await;
    confirmed(3, "2030-01-02T13:00").await;

    let clash = to(&app, member(2), mine, json!({ "starts_at": "2030-01-02T13:30" }));
    assert_eq!(clash.send().await.expect(409).code(), "slot_taken");
    let read = |booking: Uuid| app.get(member(2), &format!("/v1/bookings/{booking}")).send();
    assert_eq!(read(mine).await.json()["starts_at"], "2030-01-02T00:00:00Z");

    // By half an hour, across its own old time.
    let moved = to(&app, member(2), mine, json!({ "starts_at": "2030-01-02T09:30" }))
        .send()
        .await
        .expect(200);
    let moved = moved.json();
    assert_eq!(
        (&moved["starts_at"], &moved["ends_at"]),
        (&json!("2030-01-02T00:30:00Z"), &json!("2030-01-02T01:30:00Z"))
    );
    assert_eq!(read(mine).await.json(), moved);

    // The owner moves it to somebody else; the old slot is anyone's.
    let bo = app.staff(shop.owner, shop.merchant).await;
    app.working(&Shop { staff: bo, ..shop }, service).await;
    let body = json!({ "starts_at": "2030-01-02T13:30", "staff_id": bo });
    let moved = to(&app, shop.owner, mine, body).send().await.expect(200).json();
    assert_eq!(moved["staff_id"], json!(bo));
    confirmed(4, "2030-01-02T09:30").await;
    assert_eq!(app.overlaps().await, 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_move_that_breaks_a_rule_leaves_the_booking_where_it_was(db: PgPool) {
    let app = App::new(db);
    let (shop, other) = (app.shop().await, app.shop_of(member(8)).await);
    let service = app.service(&shop, 60, 0).await;
    app.working(&shop, service).await;
    let idle = app.staff(shop.owner, shop.merchant).await;
    let held = app.hold(member(2), &shop, service, "2030-01-02T09:00").send().await.expect(201);
    let booking = id(&held, "booking_id");
    let good = json!({ "starts_at": "2030-01-02T10:00" });
    let early = to(&app, member(2), booking, good.clone()).send().await.expect(409);
    assert_eq!(early.code(), "invalid_transition");
    app.act(member(2), booking, "confirm").send().await.expect(200);

    for (status, code, who, body) in [
        (422, "outside_booking_window", 2, json!({ "starts_at": "2030-01-01T09:00" })),
        (422, "outside_hours", 2, json!({ "starts_at": "2030-01-02T20:00" })),
        (422, "off_grid", 2, json!({ "starts_at": "2030-01-02T10:05" })),
        (
            422,
            "staff_not_qualified",
            2,
            json!({ "starts_at": "2030-01-02T10:00", "staff_id": idle }),
        ),
        (404, "not_found", 2, json!({ "starts_at": "2030-01-02T10:00", "staff_id": other.staff })),
        (404, "not_found", 3, good.clone()),
        (404, "not_found", 8, good.clone()),
        (422, "unknown_field", 2, json!({ "starts_at": "2030-01-02T10:00", "price_minor": 1 })),
    ] {
        let refused = to(&app, member(who), booking, body.clone()).send().await;
        let seen = (refused.status.as_u16(), refused.code());
        assert_eq!(seen, (status, code.to_owned()), "{body} {}", refused.text());
    }
    let read = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await.json();
    assert_eq!(read["starts_at"], "2030-01-02T00:00:00Z");
}

/// Each of these wants what another has. That their locks are needed is shown in `storm`.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn moves_that_cross_neither_overlap_nor_deadlock(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let bo = Shop { staff: app.staff(shop.owner, shop.merchant).await, ..shop };
    app.anytime(&bo).await;
    let mut bookings = Vec::new();
    for hour in 0..4 {
        bookings.push(app.booked(member(2), &shop, 60 + hour * 60).await);
        bookings.push(app.booked(member(2), &bo, 60 + hour * 60).await);
    }
    let mut moved = 0;
    for round in 0..25_usize {
        let moves = bookings.iter().enumerate().map(|(index, booking)| {
            let staff = if (index + round).is_multiple_of(2) { shop.staff } else { bo.staff };
            let hour = 18 + (index * 3 + round) % 5;
            let body = json!({ "starts_at": format!("2030-01-01T{hour}:00"), "staff_id": staff });
            answer(to(&app, member(2), *booking, body))
        });
        for reply in join_all(moves).await {
            match reply.status.as_u16() {
                200 => moved += 1,
                409 => assert_eq!(reply.code(), "slot_taken"),
                _ => panic!("{}: {}", reply.status, reply.text()),
            }
        }
        assert_eq!(app.overlaps().await, 0, "round {round}");
    }
    assert!(moved > 25, "{moved}");
}
