//! The limits of one member.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;

use crate::app::{App, anything, id, member, now, time_alone, wish};

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_the_merchant_books_a_time_for_no_service(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let rival = app.shop_of(member(9)).await;

    for who in [member(2), rival.owner] {
        let body = time_alone(&shop, 60, 60);
        let refused = app.post(who, "/v1/bookings", body).send().await.expect(422);
        assert_eq!(refused.code(), "service_required");
        assert_eq!(refused.json()["errors"][0]["field"], "service_id");
    }
    assert_eq!(app.count("booking").await, 0);

    let block = app.block(&shop, 60, 12 * 60).send().await.expect(201).json();
    assert_eq!((&block["status"], &block["price_minor"]), (&json!("confirmed"), &json!(0)));
    app.book(member(2), &shop, 120, 60).send().await.expect(409);
}

/// At once, at two merchants, with and without a hold: whatever they do, it is five.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_member_has_so_many_bookings_ahead_and_no_more_however_they_ask(db: PgPool) {
    let app = App::new(db.clone()).allowing(5);
    let shop = app.open_shop().await;
    let other = app.shop_of(member(9)).await;
    app.anytime(&other).await;

    for round in 0..8 {
        let start = |n: i64| round * 24 * 60 + n * 60;
        let books = (0..8).map(|n| {
            app.book(member(2), if n % 2 == 0 { &shop } else { &other }, start(n), 60).send()
        });
        let holds = (8..16).map(|n| {
            let starts_at = now() + TimeDelta::minutes(start(n));
            app.hold(member(2), &shop, anything(&shop, 30), &starts_at.to_rfc3339()).send()
        });
        let (books, holds) = futures::join!(join_all(books), join_all(holds));
        let (won, lost): (Vec<_>, Vec<_>) =
            books.into_iter().chain(holds).partition(|reply| reply.status == 201);
        assert_eq!(won.len(), 5, "round {round}");
        for reply in lost {
            let seen = (reply.status.as_u16(), reply.code());
            assert_eq!(seen, (409, "too_many_bookings".to_owned()), "round {round}");
        }
        for reply in won {
            app.act(member(2), id(&reply, "booking_id"), "cancel").send().await.expect(200);
        }
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_is_over_or_cancelled_counts_no_more_and_a_merchants_own_never(db: PgPool) {
    let app = App::new(db.clone()).allowing(2);
    let shop = app.open_shop().await;
    let first = app.booked(member(2), &shop, 60).await;
    app.booked(member(2), &shop, 120).await;
    let third = || app.post_keyed(member(2), "/v1/bookings", wish(&shop, 240, 60), "third");
    assert_eq!(third().send().await.expect(409).code(), "too_many_bookings");
    let held = app.hold(member(2), &shop, anything(&shop, 30), "2030-01-02T09:00").send().await;
    assert_eq!(held.expect(409).code(), "too_many_bookings");

    // Its key is free: once there is room, it books.
    app.act(member(2), first, "cancel").send().await.expect(200);
    third().send().await.expect(201);
    app.book(member(2), &shop, 300, 60).send().await.expect(409);
    let tomorrow = App::at(db, now() + TimeDelta::days(1)).allowing(2);
    tomorrow
        .post_keyed(member(2), "/v1/bookings", wish(&shop, 2040, 60), "later")
        .send()
        .await
        .expect(201);

    for hour in 10..14 {
        app.block(&shop, hour * 60, 30).send().await.expect(201);
        app.book(shop.owner, &shop, hour * 60 + 30, 30).send().await.expect(201);
    }
    app.hold(shop.owner, &shop, anything(&shop, 30), "2030-01-02T09:00").send().await.expect(201);
}
