//! The life of a booking, and its visibility.

use booking::domain::Status;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{App, anything, id, member, now, time_alone};

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_booking_is_confirmed_at_once_and_reads_back_the_same(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;

    let made = app.book(member(2), &shop, 60, 30).send().await.expect(201);
    let booking = id(&made, "booking_id");
    assert_eq!(
        made.json(),
        json!({
            "booking_id": booking,
            "merchant_id": shop.merchant,
            "staff_id": shop.staff,
            "member_id": member(2),
            "service_id": anything(&shop, 30),
            "starts_at": "2030-01-01T09:00:00Z",
            "ends_at": "2030-01-01T09:30:00Z",
            "status": "confirmed",
            "price_minor": 0,
            "created_at": "2030-01-01T08:00:00Z",
        })
    );

    for who in [member(2), shop.owner] {
        let read = app.get(who, &format!("/v1/bookings/{booking}")).send().await.expect(200);
        assert_eq!(read.json(), made.json());
    }
    let over_grpc = app.get_over_grpc("inspector", &booking.to_string()).await.unwrap();
    assert_eq!(over_grpc.booking_id, booking.to_string());
    assert_eq!(over_grpc.merchant_id, shop.merchant.to_string());
    assert_eq!(over_grpc.staff_id, shop.staff.to_string());
    assert_eq!(over_grpc.member_id, member(2).to_string());
    assert_eq!(over_grpc.status, Status::Confirmed.as_str());
    assert_eq!(over_grpc.starts_at, "2030-01-01T09:00:00Z");
    assert_eq!(over_grpc.ends_at, "2030-01-01T09:30:00Z");
}

/// The machine's clock counts nanoseconds, PostgreSQL microseconds.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_was_answered_reads_back_to_the_last_digit(db: PgPool) {
    let app = App::at(db, now() + TimeDelta::nanoseconds(123_456_789));
    let shop = app.open_shop().await;
    let mut body = time_alone(&shop, 60, 30);
    body["starts_at"] = json!("2030-01-01T09:00:00.123456789Z");

    let made = app.post(shop.owner, "/v1/bookings", body).send().await.expect(201);
    let path = format!("/v1/bookings/{}", id(&made, "booking_id"));
    let read = app.get(shop.owner, &path).send().await.expect(200);
    assert_eq!(read.json(), made.json());
    assert_eq!(made.json()["created_at"], "2030-01-01T08:00:00.123456Z");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn cancelling_frees_the_slot_for_anyone(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;

    for canceller in [member(2), shop.owner] {
        let booking = app.booked(member(2), &shop, 60).await;
        app.book(member(3), &shop, 60, 60).send().await.expect(409);

        let cancelled = app.act(canceller, booking, "cancel").send().await.expect(200);
        assert_eq!(cancelled.json()["status"], "cancelled");

        let rebooked = app.booked(member(3), &shop, 60).await;
        let again = app.act(canceller, booking, "cancel").send().await.expect(409);
        assert_eq!(again.code(), "invalid_transition");
        app.act(member(3), rebooked, "cancel").send().await.expect(200);
    }
}

/// A foreign booking must not even be known to exist.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_foreign_booking_looks_exactly_like_a_missing_one(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;
    let other_owner = app.shop_of(member(8)).await.owner;
    let missing = Uuid::from_u128(404);

    for who in [member(3), other_owner] {
        let read = |booking: Uuid| {
            app.get(who, &format!("/v1/bookings/{booking}"))
                .header("x-request-id", "the-same")
                .send()
        };
        let (foreign, absent) = (read(booking).await.expect(404), read(missing).await.expect(404));
        assert_eq!((foreign.body, foreign.headers), (absent.body, absent.headers));

        for verb in ["cancel", "complete"] {
            let act = |booking: Uuid| {
                app.act(who, booking, verb).header("x-request-id", "the-same").send()
            };
            let (foreign, absent) =
                (act(booking).await.expect(404), act(missing).await.expect(404));
            assert_eq!((foreign.body, foreign.headers), (absent.body, absent.headers), "{verb}");
        }
    }
    let untouched = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await;
    assert_eq!(untouched.json()["status"], "confirmed");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn without_a_valid_token_nothing_is_answered(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;
    let path = format!("/v1/bookings/{booking}");

    app.api.get(&path).send().await.expect(401);
    app.api.get(&path).bearer(&app.issuer.expired(member(2))).send().await.expect(401);
    app.api.get(&path).bearer(&app.issuer.service("points")).send().await.expect(401);
    app.api.post("/v1/bookings").key("k").json(json!({})).send().await.expect(401);
}
